"""One client of the decode benchmark: reads an answer of the loopback server whenever it is told to.

``python decode_client.py CLIENT WIRE ORIGIN``; for each line on stdin one JSON line on stdout: CPU
microseconds of this process for one model call, and the characters of text that came out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROMPT = "Say something long."
KEYS = {"anthropic": "sk-ant-api03-loopback-0001", "openai": "sk-proj-loopback-0006"}
WIRES = {
    # wire: vendor, path of its base URL, model
    "anthropic_messages": ("anthropic", "/v1", "claude-sonnet-4-6"),
    "openai_responses": ("openai", "/v1", "gpt-5.4"),
    "openai_chat": ("openai-compatible", "/v1", "gpt-5.4"),
    "gemini": ("gemini", "/v1beta", "gemini-3.1-pro-preview"),
}


class Place:
    """Where a wire is served."""

    def __init__(self, wire: str, origin: str) -> None:
        self.wire = wire
        self.vendor, path, self.model = WIRES[wire]
        self.root = f"{origin}/{self.vendor}"
        self.base = self.root + path
        self.key = KEYS.get(self.vendor, "loopback-0123456789")


def ours(place: Place) -> Callable[[], Awaitable[int]]:
    """``Provider.stream`` from the request to ``Done``."""
    from ante_nb.messages import Done, Message, TextDelta
    from ante_nb.providers.catalog import load_catalog
    from ante_nb.providers.provider import Provider
    from ante_nb.providers.spec import Choice, Request, Secret

    catalog = load_catalog()
    spec = catalog.provider(place.vendor)
    model = catalog.model_for(spec.id, place.model)
    provider = Provider(Choice(spec, model, place.base, Secret(place.key)))
    request = Request((Message.user(PROMPT),))

    async def once() -> int:
        size = 0
        done = None
        async for event in provider.stream(request):
            if type(event) is TextDelta:
                size += len(event.text)
            elif type(event) is Done:
                done = event
        if done is None or len(done.message.text) != size:
            raise RuntimeError("the answer is not whole")
        return size

    return once


def _floor_text(wire: str, data: dict[str, Any]) -> str:
    if wire == "anthropic_messages":
        found = data["delta"].get("text") if data["type"] == "content_block_delta" else None
    elif wire == "openai_responses":
        found = data["delta"] if data["type"] == "response.output_text.delta" else None
    elif wire == "openai_chat":
        found = data["choices"][0]["delta"].get("content") if data["choices"] else None
    else:
        found = data["candidates"][0]["content"]["parts"][0].get("text")
    return found or ""


def floor(place: Place) -> Callable[[], Awaitable[int]]:
    """Bare httpx2: bytes, lines, ``json.loads``, the text of each event; no checks, no errors, no parts."""
    import httpx2

    client = httpx2.AsyncClient(timeout=None, trust_env=False, verify=False)
    wire = place.wire
    body: dict[str, Any] = {"model": place.model, "stream": True}
    said = {"role": "user", "content": PROMPT}
    url = f"{place.base}/chat/completions"
    if wire == "anthropic_messages":
        url, body = f"{place.base}/messages", {**body, "max_tokens": 4096, "messages": [said]}
    elif wire == "openai_responses":
        url, body = f"{place.base}/responses", {**body, "input": [said]}
    elif wire == "openai_chat":
        body["messages"] = [said]
    else:
        url = f"{place.base}/models/{place.model}:streamGenerateContent?alt=sse"
        body = {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]}

    async def once() -> int:
        size, rest = 0, b""
        async with client.stream("POST", url, json=body) as answer:
            async for chunk in answer.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line[:6] == b"data: " and line[6:12] != b"[DONE]":
                        size += len(_floor_text(wire, json.loads(line[6:])))
        return size

    return once


def sdk(place: Place) -> Callable[[], Awaitable[int]]:
    """The vendor's own SDK, its lowest-level asynchronous stream."""
    makers = {"anthropic_messages": _anthropic, "openai_responses": _responses, "openai_chat": _chat}
    return makers.get(place.wire, _google)(place)


def _anthropic(place: Place) -> Callable[[], Awaitable[int]]:
    import anthropic

    client = anthropic.AsyncAnthropic(api_key=place.key, base_url=place.root, max_retries=0)

    async def once() -> int:
        size = 0
        said: Any = [{"role": "user", "content": PROMPT}]
        stream = await client.messages.create(model=place.model, max_tokens=4096, messages=said, stream=True)
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                size += len(event.delta.text)
        return size

    return once


def _responses(place: Place) -> Callable[[], Awaitable[int]]:
    import openai

    client = openai.AsyncOpenAI(api_key=place.key, base_url=place.base, max_retries=0)

    async def once() -> int:
        size = 0
        stream = await client.responses.create(model=place.model, input=PROMPT, stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                size += len(event.delta)
        return size

    return once


def _chat(place: Place) -> Callable[[], Awaitable[int]]:
    import openai

    client = openai.AsyncOpenAI(api_key=place.key, base_url=place.base, max_retries=0)

    async def once() -> int:
        size = 0
        said: Any = [{"role": "user", "content": PROMPT}]
        stream = await client.chat.completions.create(model=place.model, messages=said, stream=True)
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                size += len(chunk.choices[0].delta.content)
        return size

    return once


def _google(place: Place) -> Callable[[], Awaitable[int]]:
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=place.root, api_version="v1beta")
    client = genai.Client(api_key=place.key, http_options=options)

    async def once() -> int:
        size = 0
        stream = await client.aio.models.generate_content_stream(model=place.model, contents=PROMPT)
        async for chunk in stream:
            for part in chunk.candidates[0].content.parts or ():  # type: ignore[index, union-attr]
                size += len(part.text or "")
        return size

    return once


def litellm(place: Place) -> Callable[[], Awaitable[int]]:
    """litellm's common stream (``acompletion``) over the same wire."""
    import litellm as peer

    said = [{"role": "user", "content": PROMPT}]
    prefix = {
        "anthropic_messages": "anthropic",
        "openai_responses": "openai/responses",
        "openai_chat": "openai",
        "gemini": "gemini",
    }[place.wire]
    base = place.root if place.vendor == "anthropic" else place.base
    common = {"api_key": place.key, "api_base": base, "stream": True, "num_retries": 0}

    async def chat() -> int:
        size = 0
        stream = await peer.acompletion(model=f"{prefix}/{place.model}", messages=said, **common)
        async for chunk in stream:
            size += len(chunk.choices[0].delta.content or "")
        return size

    return chat


def litellm_raw(place: Place) -> Callable[[], Awaitable[int]]:
    """litellm's ``aresponses``, which hands the vendor's events through as they are."""
    import litellm as peer

    async def once() -> int:
        size = 0
        stream = await peer.aresponses(
            model=f"openai/{place.model}",
            input=PROMPT,
            api_key=place.key,
            api_base=place.base,
            stream=True,
            num_retries=0,
        )
        async for event in stream:
            if getattr(event, "type", "") == "response.output_text.delta":
                size += len(event.delta)
        return size

    return once


CLIENTS = {"ours": ours, "floor": floor, "sdk": sdk, "litellm": litellm, "litellm_raw": litellm_raw}


async def main(client: str, wire: str, origin: str) -> None:
    """Measure a call for each line that comes in."""
    once = CLIENTS[client](Place(wire, origin))
    loop = asyncio.get_running_loop()
    out = sys.stdout
    sys.stdout = sys.stderr  # some libraries print
    while await loop.run_in_executor(None, sys.stdin.readline):
        before = time.process_time()
        try:
            size = await once()
        except Exception as problem:
            print(json.dumps({"error": f"{type(problem).__name__}: {problem}"[:500]}), file=out, flush=True)
            continue
        spent = (time.process_time() - before) * 1e6
        print(json.dumps({"cpu": spent, "size": size}), file=out, flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    asyncio.run(main(*sys.argv[1:4]))
