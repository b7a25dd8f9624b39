"""What of a Responses request a WebSocket still has to send: pure, no I/O.

The server keeps the conversation of a connection in memory. A request may name the last response
(``previous_response_id``) and send only what is new, but only where it is provably the same conversation:
every other field is the same text, and the input goes on from the last input and the last output. Any
doubt sends everything (OpenAI's guide to the WebSocket mode of ``/v1/responses``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_IMPLIED = ("stream", "background")
"""Fields of the HTTP body that a frame does not carry: a WebSocket always streams."""

_BESIDE = (*_IMPLIED, "input", "client_metadata")
"""Fields that say nothing of the conversation; ``client_metadata`` is the ChatGPT backend's routing."""

_VOLATILE = ("status", "logprobs")
"""What an item has when it arrives and need not have when it goes back."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The last completed exchange of a connection.

    Kept as text and not as the objects that were sent: whoever made a tool's schema may change it in
    place, and an object is always equal to itself.

    Attributes:
        fields: every field but the input.
        input: the items of the whole input, as if nothing had been left out.
        output: the items that the server answered with, see :func:`_plain`.
        response_id: what the next request may go on from.
    """

    fields: str
    input: tuple[str, ...]
    output: tuple[str, ...]
    response_id: str


def full_frame(body: Mapping[str, Any]) -> dict[str, Any]:
    """``response.create`` with the whole input."""
    return {
        "type": "response.create",
        **{name: value for name, value in body.items() if name not in _IMPLIED},
    }


def next_frame(body: Mapping[str, Any], baseline: Baseline | None) -> dict[str, Any]:
    """``response.create``, with only the new items where the baseline allows it."""
    frame = full_frame(body)
    rest = None if baseline is None else new_items(body, baseline)
    if baseline is not None and rest:
        frame |= {"previous_response_id": baseline.response_id, "input": rest}
    return frame


def new_items(body: Mapping[str, Any], baseline: Baseline) -> list[dict[str, Any]]:
    """The input items that the server has not seen; empty where the request does not go on from there."""
    items: list[dict[str, Any]] = body.get("input") or []
    sent, said = len(baseline.input), len(baseline.output)
    if len(items) <= sent + said or _fields(body) != baseline.fields:
        return []
    if tuple(map(_text, items[:sent])) != baseline.input:
        return []
    if tuple(map(_plain, items[sent : sent + said])) != baseline.output:
        return []
    return items[sent + said :]


def baseline(body: Mapping[str, Any], output: Iterable[Mapping[str, Any]], response_id: str) -> Baseline:
    """What is known after ``body`` (the whole request) was answered with the items ``output``."""
    sent = tuple(_text(item) for item in body.get("input") or ())
    return Baseline(_fields(body), sent, tuple(map(_plain, output)), response_id)


def _fields(body: Mapping[str, Any]) -> str:
    return _text({name: value for name, value in body.items() if name not in _BESIDE})


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(item: Mapping[str, Any]) -> str:
    """An output item without what changes on its way: as it came and as it goes back are then the same."""
    kept = {name: value for name, value in item.items() if name not in _VOLATILE and value is not None}
    content = kept.get("content")
    if kept.get("type") == "message":
        kept.setdefault("role", "assistant")
        if isinstance(content, list):
            kept["content"] = [
                {name: value for name, value in piece.items() if name not in _VOLATILE}
                if isinstance(piece, dict)
                else piece
                for piece in content
            ]
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
