"""OpenAI Responses: errors inside a stream, as typed errors.

``response.failed`` nests the error in the response, an ``error`` event has it flat or nested, a WebSocket
frame adds status and headers, and xAI sends its text alone with the code beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.errors import RequestCancelledError
from ante_nb.providers.failures import Target, classify

if TYPE_CHECKING:
    from ante_nb.errors import ProviderError
    from ante_nb.messages import Message
    from ante_nb.providers.spec import ModelSpec, ProviderSpec

POLICY_CODES = frozenset(("bio_policy", "cyber_policy", "misalignment_policy_violation"))
"""The vendor's filters, each with a code of its own."""

REFUSED_CODES = frozenset(
    (
        "invalid_prompt",
        "invalid_value",
        "invalid_request_error",
        "invalid_encrypted_content",
        "previous_response_not_found",
        "unsupported_parameter",
        "unsupported_value",
    )
)
"""What another try does not change; such an error has no HTTP status of its own inside a stream."""


def failure(
    data: dict[str, Any], status: str, model: ModelSpec, provider: ProviderSpec, partial: Message
) -> ProviderError:
    """The typed error of an error event, an error frame or a failed response.

    Args:
        data: the event, the frame or the response.
        status: ``error``, or how the response ended.
        model, provider: who was called.
        partial: what had arrived of the answer.
    """
    if status == "cancelled" and not data.get("error"):
        error: ProviderError = RequestCancelledError(
            f"{provider.display_name} cancelled the answer",
            "Run the cell again.",
            provider=provider.id,
            model=model.id,
        )
    else:
        fields = _error_object(data, status)
        code = fields.get("code") or fields.get("type")
        http = data.get("status", data.get("status_code"))
        http = http if isinstance(http, int) and 400 <= http < 600 else None
        if isinstance(code, str) and code in POLICY_CODES:
            fields = {**fields, "type": "content_policy_violation"}
        named = [name for name in (fields.get("code"), fields.get("type")) if isinstance(name, str)]
        if http is None and any(name in REFUSED_CODES or name.startswith("image_") for name in named):
            http = 400
        headers = data.get("headers")
        known = {str(key): str(value) for key, value in headers.items()} if isinstance(headers, dict) else {}
        error = classify(Target(provider, model.id), http, known, {"error": fields})
        if isinstance(code, str) and code in POLICY_CODES:
            error.code = code
    error.partial = partial
    return error


def _error_object(data: dict[str, Any], status: str) -> dict[str, Any]:
    error = data.get("error")
    if isinstance(error, dict) and error:
        return error
    if isinstance(error, str) and error:
        return {"code": data.get("code"), "message": error}
    flat = {name: data[name] for name in ("code", "message", "param") if data.get(name) is not None}
    return flat or {"message": f"the response ended as {status}"}
