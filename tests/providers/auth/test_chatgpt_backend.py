"""The rules of the ChatGPT backend: headers, forbidden fields, turn state, usage limits, Cloudflare."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.chatgpt_backend import CLOUDFLARE, ChatGPT, json_answer, provider_for
from support.oauth_server import OAuthServer
from support.shared import shared
from support.signed_in import Person
from support.ws_server import Fault
from support.ws_talk import DIALOGUE, Talk, whole_talk

from ante_nb import errors as e
from ante_nb.messages import Message
from ante_nb.providers.plan_limits import PlanLimits
from ante_nb.providers.spec import Request
from ante_nb.providers.turn_state import MAX_TURNS, TurnState
from ante_nb.providers.wires.base import WireEvent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAYS = ["http_sse", "websocket_auto"]


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with OAuthServer() as server:
        person = Person(server, tmp_path / "home")
        person.sign_in()
        yield person


@pytest.fixture
def backend(person: Person) -> Iterator[ChatGPT]:
    with ChatGPT(DIALOGUE, valid=person.server.valid) as running:
        yield running


@pytest.mark.parametrize("way", WAYS)
async def test_two_turns_keep_every_rule(person: Person, backend: ChatGPT, way: str) -> None:
    provider = provider_for(person, backend, way)
    # What a person may have set and this backend refuses.
    model = replace(provider.choice.model, temperature=0.5, top_p=0.9, max_tokens=1000)
    provider.choice = replace(provider.choice, model=model)
    talk = Talk(provider, system="")  # no instructions of ours: neutral ones
    for prompt in ("What is in my kernel?", "And z?"):
        await talk.turn(prompt)
    assert talk.messages[-1].text == "And z is 4." and talk.notices == []
    assert backend.problems == [] and backend.refused == []
    assert set(talk.transports) == {way} and len(backend.turns) == 5
    states = [state for _, _, state in backend.turns]
    if way == "http_sse":  # given with the first answer of a turn, sent back in that turn, not in the next
        assert states == ["", "state-1", "state-1", "", "state-2"]
    else:  # given with the upgrade
        assert states == ["state-1"] * 3 + [""] * 2
        assert [seen.continued for seen in backend.seen] == [False, True, True, True, True]
    await provider.aclose()


async def test_http_that_takes_over_keeps_the_turn_state(person: Person, backend: ChatGPT) -> None:
    provider = provider_for(person, backend, "websocket_auto")
    backend.faults.append(Fault(2, 3, "close 1011"))
    talk = await whole_talk(provider)
    assert talk.messages[-1].text == "And z is 4."
    assert [(way, state) for way, _, state in backend.turns[:3]] == [
        ("websocket", "state-1"),
        ("websocket", "state-1"),  # this one broke
        ("http", "state-1"),
    ]
    assert backend.problems == []
    await provider.aclose()


async def test_a_whole_answer_is_streamed_all_the_same(person: Person, backend: ChatGPT) -> None:
    provider = provider_for(person, backend, "websocket_auto")
    request = Request((Message.user("What?"),), session_id="ses_1")
    assert (await provider.complete(request)).message.tool_calls
    assert backend.ways() == ["http"] and backend.problems == []
    await provider.aclose()


# --------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("way", WAYS)
async def test_the_person_hears_of_the_plan_only_near_its_limit(
    person: Person, backend: ChatGPT, way: str
) -> None:
    provider = provider_for(person, backend, way)
    talk = Talk(provider)
    backend.used = (89.0, 30.0)
    await talk.turn("What is in my kernel?")
    assert talk.notices == []
    backend.used = (92.4, 30.0)
    await talk.turn("And z?")
    [notice] = talk.notices  # once, though every answer says it
    assert notice.kind == "warning"
    assert "92% of the plan's 5-hour usage limit is used; it is free again at" in notice.text
    await provider.aclose()


def test_words_of_the_windows() -> None:
    limits = PlanLimits("ChatGPT", clock=lambda: 1000.0)

    def event(**windows: object) -> str:
        notice = limits.event(WireEvent("codex.rate_limits", {"rate_limits": windows}))
        return notice.text if notice else ""

    assert event(primary={"used_percent": 10}) == ""
    assert event(primary={"used_percent": 90}) == "ChatGPT: 90% of the plan's usage limit is used."
    assert event(primary={"used_percent": 91}) == ""
    assert "weekly" in event(secondary={"used_percent": 96, "window_minutes": 10080})
    assert event(secondary={"used_percent": 99, "window_minutes": 10080}) == ""
    assert event(primary={"used_percent": 95}) != ""
    assert event(primary={"used_percent": 1}) == "" and event(primary={"used_percent": 95}) != ""
    for odd in (
        None,
        "x",
        [],
        {"used_percent": "many"},
        {"used_percent": True},
        {"used_percent": float("nan")},
    ):
        assert event(primary=odd) == ""
    assert limits.event(WireEvent("codex.rate_limits", None)) is None
    assert limits.event(WireEvent("response.created", {"rate_limits": {}})) is None
    family = {
        "x-codex-active-limit": "codex_other",
        "x-codex-other-primary-used-percent": "97",
        "x-codex-other-primary-window-minutes": "2880",
        "x-codex-primary-used-percent": "5",
    }
    notice = PlanLimits("C").headers(family)
    assert notice is not None and "97% of the plan's 2-day usage limit" in notice.text
    assert PlanLimits("C").headers({"x-codex-primary-used-percent": "5"}) is None


def test_turn_states_of_old_turns_are_forgotten() -> None:
    state = TurnState("X-State")
    for number in range(MAX_TURNS + 1):
        state.read(f"turn_{number}", {"x-state": f"s{number}"})
        state.read(f"turn_{number}", {"x-state": "later"})
    assert state.headers("turn_0") == {} and state.headers("turn_1") == {"x-state": "s1"}
    state.read("", {"x-state": "nobody's"})
    assert state.headers("") == {} and state.body("turn_2") == {"client_metadata": {"x-state": "s2"}}
    none = TurnState("")
    none.read("turn", {"": "x"})
    assert none.headers("turn") == {}


@pytest.mark.parametrize("way", WAYS)
async def test_a_used_up_plan_is_said_with_its_reset(person: Person, backend: ChatGPT, way: str) -> None:
    body = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus"}
    body["resets_in_seconds"] = 12_000  # type: ignore[assignment]
    if way == "http_sse":
        backend.failures.append(json_answer(429, {"error": body}))
    else:
        windows = {"primary": {"used_percent": 100, "window_minutes": 300}}
        frame = {"type": "codex.rate_limits", "plan_type": "plus", "rate_limits": windows}
        backend.scripts.append([frame, {"type": "error", "status": 429, "error": body}])
    provider = provider_for(person, backend, way)
    with pytest.raises(e.QuotaError) as caught:
        await whole_talk(provider)
    text = str(caught.value)
    assert "the usage limit of your Plus plan is reached" in text and "(in 3 h 20 min)" in text
    assert "--provider" in text and "\n" not in text
    assert caught.value.retry_after == 12_000 and backend.seen == []  # not tried again, not over HTTP either
    await provider.aclose()


async def test_recorded_usage_limits(person: Person, backend: ChatGPT) -> None:
    recorded = json.loads(shared("reference/wire/fixtures/http_errors.json").read_text())["chatgpt_429"]
    recorded["body"]["error"]["resets_at"] = 4102444800  # in 2100: the recorded one may be over
    backend.failures.append(json_answer(429, recorded["body"]))
    provider = provider_for(person, backend)
    with pytest.raises(e.QuotaError, match=r"your Plus plan.*resets at 2\d{3}-"):
        await whole_talk(provider)
    await provider.aclose()
    lines = shared("reference/wire/fixtures/chatgpt_ws_usage_limit.jsonl").read_text().splitlines()
    frames = [json.loads(line)["frame"] for line in lines if json.loads(line)["dir"] == "<"]
    backend.scripts.append(frames)
    provider = provider_for(person, backend, "websocket_auto")
    with pytest.raises(e.QuotaError, match=r"your Plus plan is reached.*\(in 1 h\)"):
        await whole_talk(provider)
    assert backend.seen == []
    await provider.aclose()


async def test_a_plan_without_it(person: Person, backend: ChatGPT) -> None:
    body = {"error": {"type": "usage_not_included", "message": "no", "plan_type": "free"}}
    backend.failures.append(json_answer(429, body))
    provider = provider_for(person, backend)
    with pytest.raises(e.QuotaError, match=r"your Free plan does not include this.*API key"):
        await whole_talk(provider)
    await provider.aclose()


# --------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("way", WAYS)
async def test_a_web_page_of_cloudflare(person: Person, backend: ChatGPT, way: str) -> None:
    backend.failures += [(403, "text/html; charset=UTF-8", CLOUDFLARE)] * 2
    provider = provider_for(person, backend, way)
    with pytest.raises(e.PermissionDeniedError) as caught:
        await whole_talk(provider)
    text = str(caught.value)
    assert "firewall" in text and "Just a moment..." in text and "VPN" in text
    assert "<" not in text and "\n" not in text
    assert len(backend.requests) == (1 if way == "http_sse" else 2)
    assert len(person.server.requests("token")) == 0
    await provider.aclose()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("detail", ["Store must be set to false", "Unsupported parameter: max_output_tokens"])
async def test_what_the_backend_says_in_detail(
    person: Person, backend: ChatGPT, way: str, detail: str
) -> None:
    provider = provider_for(person, backend, way)
    if way == "websocket_auto":
        backend.scripts.append([{"type": "error", "status": 400, "error": {"detail": detail}}])
        talk = await whole_talk(provider)  # it may be the WebSocket's own fault: HTTP decides, and is fine
        assert any(detail in notice.text for notice in talk.notices)
    else:
        backend.failures.append(json_answer(400, {"detail": detail}))
        with pytest.raises(e.InvalidRequestError, match=detail):
            await whole_talk(provider)
    await provider.aclose()


async def test_the_list_of_models_is_the_accounts_own(person: Person, backend: ChatGPT) -> None:
    provider = provider_for(person, backend)
    found = await provider.list_models()
    assert [(model.id, model.context_limit) for model in found] == [("gpt-5.4", 272000), ("gpt-9", None)]
    assert backend.problems == []
    await provider.aclose()
