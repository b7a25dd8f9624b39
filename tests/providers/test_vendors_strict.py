"""The loopback server refuses what the vendors refuse: else the tests that use it prove nothing."""

from __future__ import annotations

import copy
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from support.vendor_answers import Answer
from support.vendor_server import VendorServer
from support.vendor_talk import Talk, png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.chat_server import Recorded

CALLS = (("Read", {"path": "a"}), ("Now", {}))


@pytest.fixture(scope="module")
def server() -> Iterator[VendorServer]:
    with VendorServer() as running:
        yield running


async def good(server: VendorServer, name: str) -> Recorded:
    """A request in the middle of a tool loop that the vendor takes."""
    talk = Talk(server)
    try:
        provider = talk.provider(name)
        talk.say("Read a.", png())
        await talk.ask(provider, Answer("Reading.", "I think.", CALLS))
        talk.results(image=png(3))
        await talk.ask(provider, Answer("Done."))
    finally:
        await talk.aclose()
    return server.calls[-1]


def post(server: VendorServer, request: Recorded, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
    """Sends a request as it is; status and body of the answer."""
    kept = {name: value for name, value in headers.items() if name not in ("host", "content-length")}
    kept["accept-encoding"] = "identity"
    sent = urllib.request.Request(f"{server.origin}{request.path}", json.dumps(body).encode(), kept)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(sent, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, json.loads(problem.read())


def _drop(items: list[Any], kind: str) -> None:
    """Takes the first entry of that type (or holding that key) out of a list of dicts."""
    items.remove(next(item for item in items if item.get("type") == kind or kind in item))


def _find(items: list[Any], kind: str) -> Any:
    return next(item for item in items if item.get("type") == kind or kind in item)


BREAKS: dict[str, list[tuple[str, Callable[[dict[str, Any]], Any]]]] = {
    "anthropic": [
        ("max_tokens: Field required", lambda b: b.pop("max_tokens")),
        ("Extra inputs", lambda b: b.update(reasoning_effort="high")),
        ("cannot be modified", lambda b: b["messages"][1]["content"].pop(0)),
        ("Invalid `signature`", lambda b: b["messages"][1]["content"][0].update(thinking="other")),
        ("Invalid `signature`", lambda b: b["messages"][1]["content"][0].update(signature="c2ln")),
        ("without `tool_result`", lambda b: _drop(b["messages"][2]["content"], "tool_result")),
        ("without `tool_result`", lambda b: b["messages"].pop(2) and b["messages"].append(b["messages"][0])),
        ("unexpected `tool_use_id`", lambda b: b["messages"][2]["content"][0].update(tool_use_id="x")),
        ("must come first", lambda b: b["messages"][2]["content"].insert(0, {"type": "text", "text": "x"})),
        ("roles must alternate", lambda b: b["messages"].append(b["messages"][-1])),
        ("prefill", lambda b: b["messages"].pop()),
        ("non-empty", lambda b: b["messages"][0]["content"].append({"type": "text", "text": " "})),
        ("media type", lambda b: _find(b["messages"][0]["content"], "image")["source"].update(media_type="image/jpeg")),
        ("budget_tokens", lambda b: b.update(thinking={"type": "enabled", "budget_tokens": 100})),
        ("only be set to 1", lambda b: b.update(temperature=0.5)),
    ],
    "ali-coding-plan": [
        ("Expected `thinking`", lambda b: b["messages"][1]["content"].pop(0)),
        ("greater than", lambda b: b.update(max_tokens=2000)),
    ],
    "openai": [
        ("No tool output found", lambda b: b["input"].remove(_find(b["input"], "function_call_output"))),
        ("No tool call found", lambda b: _drop(b["input"], "function_call")),
        ("without its required 'reasoning'", lambda b: _drop(b["input"], "reasoning")),
        ("could not be verified", lambda b: _find(b["input"], "reasoning").update(encrypted_content="x")),
        ("not persisted", lambda b: _find(b["input"], "reasoning").pop("encrypted_content")),
        ("required following item", lambda b: b["input"].append(_find(b["input"], "reasoning"))),
        ("begins with 'fc'", lambda b: _find(b["input"], "function_call").update(id="toolu_1")),
        ("not found", lambda b: _find(b["input"], "function_call").update(id="fc_other")),
        ("lost its id", lambda b: [i.pop("id", 0) for i in b["input"] if i["type"] == "function_call"]),
        ("Unknown parameter", lambda b: b.update(max_tokens=5)),
        ("arguments", lambda b: _find(b["input"], "function_call").update(arguments="{")),
    ],
    "openai-subscription": [
        ("Store must be set to false", lambda b: b.update(store=True)),
        ("Instructions are required", lambda b: b.pop("instructions")),
        ("Unsupported parameter: max_output_tokens", lambda b: b.update(max_output_tokens=5)),
        ("Stream must be set to true", lambda b: b.pop("stream")),
    ],
    "deepseek": [
        ("must be passed back", lambda b: _find(b["messages"], "tool_calls").pop("reasoning_content")),
        ("reasoning_content was changed", lambda b: _find(b["messages"], "tool_calls").update(reasoning_content="")),
        ("did not have response messages", lambda b: _drop(b["messages"], "tool_call_id")),
        ("preceding message", lambda b: _find(b["messages"], "tool_call_id").update(tool_call_id="x")),
        ("must not be null", lambda b: _find(b["messages"], "tool_calls").update(content=None)),
        ("Extra inputs", lambda b: _find(b["messages"], "tool_calls").update(signature="x")),
        ("tool content must be", lambda b: _find(b["messages"], "tool_call_id").update(content=[{"type": "text", "text": "x"}])),
    ],
    "openrouter": [
        ("were changed", lambda b: _find(b["messages"], "tool_calls").pop("reasoning_details")),
        ("Invalid `signature`", lambda b: _find(b["messages"], "tool_calls")["reasoning_details"][0].update(signature="x")),
    ],
    "zai": [
        ("does not support image", lambda b: b["messages"][1].update(content=[{"type": "image_url", "image_url": {"url": "x"}}])),
    ],
    "gemini": [
        ("missing a thought_signature", lambda b: _find(b["contents"][1]["parts"], "functionCall").pop("thoughtSignature")),
        ("Corrupted", lambda b: _find(b["contents"][1]["parts"], "functionCall").update(thoughtSignature="eA==")),
        ("Corrupted", lambda b: _find(b["contents"][1]["parts"], "functionCall").update(thoughtSignature="skip_thought_signature_validator")),
        ("number of function response parts", lambda b: _drop(b["contents"][2]["parts"], "functionResponse")),
        ("number of function response parts", lambda b: b["contents"][2]["parts"].reverse()),
        ("unknown function call id", lambda b: _find(b["contents"][1]["parts"], "functionCall")["functionCall"].update(id="x")),
        ("Unknown name", lambda b: b.update(model="x")),
        ("end with a user role", lambda b: b["contents"].pop()),
        ("only set only one", lambda b: b["generationConfig"]["thinkingConfig"].update(thinkingBudget=5)),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "words", "change"), [(name, *item) for name, items in BREAKS.items() for item in items]
)
async def test_a_broken_request_is_refused(
    server: VendorServer, name: str, words: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    request = await good(server, name)
    body = copy.deepcopy(request.body)
    assert post(server, request, body, request.headers)[0] == 200
    change(body)
    status, answer = post(server, request, body, request.headers)
    assert status in (400, 404)
    assert words in json.dumps(answer, ensure_ascii=False)
    assert words in server.refusals[-1]


@pytest.mark.parametrize(
    ("name", "header", "status"),
    [
        ("anthropic", "x-api-key", 401),
        ("anthropic", "anthropic-version", 400),
        ("anthropic-subscription", "anthropic-beta", 400),
        ("openai", "authorization", 401),
        ("openai-subscription", "originator", 400),
        ("openai-subscription", "session-id", 400),
        ("gemini", "x-goog-api-key", 400),
        ("deepseek", "accept", 406),
    ],
)
async def test_a_missing_header_is_refused(server: VendorServer, name: str, header: str, status: int) -> None:
    request = await good(server, name)
    headers = {key: value for key, value in request.headers.items() if key != header}
    assert header in request.headers
    assert post(server, request, request.body, headers)[0] == status


async def test_a_key_in_two_places_is_refused(server: VendorServer) -> None:
    request = await good(server, "anthropic")
    headers = {**request.headers, "authorization": f"Bearer {request.headers['x-api-key']}"}
    assert post(server, request, request.body, headers)[0] == 401


async def test_other_paths_are_not_there(server: VendorServer) -> None:
    for name, path in (
        ("anthropic", "/anthropic/v1/v1/messages"),
        ("openai", "/openai/responses"),
        ("deepseek", "/deepseek/v1/chat/completions"),
        ("gemini", "/gemini/v1beta/models/gemini-3.1-pro-preview:streamGenerateContent"),
    ):
        request = copy.copy(await good(server, name))
        request.path = path
        assert post(server, request, request.body, request.headers)[0] == 404
