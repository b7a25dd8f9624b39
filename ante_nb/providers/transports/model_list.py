"""The list of models that a server gives about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.errors import MalformedResponseError
from ante_nb.providers.failures import parse_body
from ante_nb.providers.spec import ModelSpec

if TYPE_CHECKING:
    from ante_nb.providers.failures import Target


def read_models(target: Target, data: bytes) -> list[ModelSpec]:
    """The models in ``data``: ``{"data": [...]}`` (OpenAI, Anthropic), ``{"models": [...]}`` (Gemini), or a list.

    Only what the server says is filled in; limits it does not name stay unknown.

    Raises:
        MalformedResponseError: it is no such list.
    """
    body = parse_body(data)
    rows = body.get("data", body.get("models")) if isinstance(body, dict) else body
    if not isinstance(rows, list):
        raise MalformedResponseError(
            f"{target.name} gave no list of models", "Check the base URL (often it must end in /v1)."
        )
    return [model for row in rows if isinstance(row, dict) and (model := _model(row)) is not None]


def _model(row: dict[str, Any]) -> ModelSpec | None:
    ident = row.get("id") or row.get("slug") or row.get("name")  # slug: the ChatGPT backend
    if not isinstance(ident, str) or not ident:
        return None
    meta = row.get("meta") if isinstance(row.get("meta"), dict) else {}
    shown = row.get("display_name") or row.get("displayName") or (row.get("name") if row.get("id") else None)
    return ModelSpec(
        id=ident.removeprefix("models/"),
        display_name=shown if isinstance(shown, str) else None,
        context_limit=_first(
            row.get("context_length"),  # OpenRouter
            row.get("context_window"),  # Groq
            row.get("max_model_len"),  # vLLM
            row.get("inputTokenLimit"),  # Gemini
            row.get("max_input_tokens"),  # Anthropic
            meta.get("n_ctx") if meta else None,  # llama.cpp
        ),
        output_limit=_first(row.get("outputTokenLimit"), row.get("max_completion_tokens")),
    )


def _first(*values: Any) -> int | None:
    return next((value for value in values if isinstance(value, int) and value > 0), None)
