"""Recorded OpenAI Responses streams, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ante_nb.providers.spec import ModelSpec, ProviderSpec
from ante_nb.providers.transports.sse import SseReader
from ante_nb.providers.wires.base import WireEvent
from ante_nb.providers.wires.openai_responses import wire
from support.shared import ROOT

OPENAI = ProviderSpec("openai", "OpenAI", "OpenAiResponse")
MODEL = ModelSpec("gpt-5.4")
OWN = Path(__file__).resolve().parents[1] / "providers/wires/responses_streams"

RECORDED = sorted((ROOT / "streams/openai-responses").glob("*.sse")) if (ROOT / "streams").exists() else []
ALL = [*sorted(OWN.glob("*.sse")), *RECORDED]


def wire_events(chunks: list[bytes], *, ended: bool) -> list[WireEvent]:
    """The events in the bytes; ``ended``: the body ended properly, so what is left over counts too."""
    reader = SseReader()
    found = [event for chunk in chunks for event in reader.feed(chunk)]
    if ended:
        found += reader.close()
    out = []
    for event in found:
        if event.data == "[DONE]":
            out.append(WireEvent("[DONE]", None))
        else:
            try:
                out.append(WireEvent(event.name, json.loads(event.data)))
            except ValueError:  # the last event, cut in the middle
                break
    return out


def decode(events: list[WireEvent], provider: ProviderSpec = OPENAI, model: ModelSpec = MODEL) -> list[Any]:
    decoder = wire.decoder(model, provider)
    out: list[Any] = []
    for event in events:
        out += decoder.feed(event)
    out += decoder.close()
    assert decoder.finished
    assert list(decoder.close()) == []
    return out
