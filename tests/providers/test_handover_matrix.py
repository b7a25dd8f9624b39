"""One session handed to and fro between all wires, over real sockets and strict servers.

The server refuses what a vendor would refuse, so a signature or an id that travels to the wrong place is
a 400 here as there; what a vendor would quietly ignore is looked for in the bodies themselves.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.vendor_answers import Answer
from support.vendor_server import VendorServer
from support.vendor_talk import Talk, png
from support.vendors import VENDORS

from ante_nb.providers.handover import ORPHAN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.vendor_answers import Issued

# Of each wire those that differ: in what they sign, want back, and take.
PROVIDERS = (
    ("anthropic", None),
    ("ali-coding-plan", None),  # thinks by a budget, so a running loop must begin with thinking
    ("openai", None),
    ("xai", None),
    ("openai-subscription", None),
    ("gemini", None),
    ("vertex-gemini", None),  # gives its calls no ids
    ("deepseek", None),
    ("openrouter", None),  # ids that others do not take
    ("zai", None),  # sees no images
)
MODEL = dict(PROVIDERS)
TWO = (("Read", {"path": "ä.txt"}), ("Now", {}))
ONE = TWO[:1]


@pytest.fixture(scope="module")
def server() -> Iterator[VendorServer]:
    with VendorServer() as running:
        yield running


class Session:
    """The conversation of the matrix; every answer holds a word of its own."""

    def __init__(self, server: VendorServer, streamed: bool) -> None:
        self.talk = Talk(server, streamed)
        self.words: list[str] = []
        self.thoughts: dict[str, list[str]] = {}

    async def step(
        self, name: str, text: str, calls: tuple[Any, ...] = (), *, thinks: bool = True
    ) -> dict[str, Any]:
        """One model call; returns the body that was sent."""
        number = len(self.talk.messages)
        said = f"{text}-{name}-{number}" if text else ""
        thought = f"thought-{name}-{number}" if thinks else ""
        done = await self.talk.ask(self.talk.provider(name, MODEL[name]), Answer(said, thought, calls))
        assert (done.message.text, len(done.message.tool_calls)) == (said, len(calls))
        self.words += [said] if said else []
        self.thoughts.setdefault(name, []).append(thought)
        body: dict[str, Any] = self.talk.server.calls[-1].body
        return body


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "complete"])
@pytest.mark.parametrize("there", [name for name, _ in PROVIDERS])
@pytest.mark.parametrize("here", [name for name, _ in PROVIDERS])
async def test_to_and_fro(server: VendorServer, here: str, there: str, streamed: bool) -> None:
    server.reset()
    server.ledger.answers.clear()
    server.refusals.clear()
    session = Session(server, streamed)
    async with contextlib.aclosing(session.talk):
        bodies, back = await converse(session, here, there)

    assert server.refusals == []
    assert not server.scripted
    for body in bodies:
        check_body(server, session, body, there, other=here)
    for body in back:
        check_body(server, session, body, here, other=there)
    # Everything readable is told to whoever comes next, images as often as they were shown.
    whole = text_of(back[-1])
    assert [word for word in session.words[:-1] if word not in whole] == []
    assert whole.count("iVBORw0KGgo") == (4 if VENDORS[here].vision else 0)
    assert whole.count("image left out") == (0 if VENDORS[here].vision else 4)
    # The interrupted call was closed, once, in what was sent; the conversation itself is as it was.
    assert whole.count(ORPHAN) == 1
    results = [result for message in session.talk.messages for result in message.tool_results]
    assert not any(result.text == ORPHAN for result in results)


async def converse(session: Session, here: str, there: str) -> tuple[list[Any], list[Any]]:
    """The whole conversation; the bodies that were sent there, and those that were sent back here."""
    talk = session.talk
    # The first half is answered here: parallel calls, a second step, an image in a result and a prompt.
    talk.say("Look at this.", png(1))
    await session.step(here, "First", TWO)
    talk.results(image=png(2), fails=True)
    await session.step(here, "", ONE)
    talk.results()
    await session.step(here, "Answer")
    # A call that was interrupted: it has no result.
    talk.say("Again.")
    await session.step(here, "Orphan", ONE)

    # There: from the start of a turn, then into the middle of a tool loop and out of it again.
    talk.say("You now.", png(3))
    bodies = [await session.step(there, "Other", TWO)]
    talk.results(image=png(4))
    bodies.append(await session.step(there, "Otherend"))
    talk.say("And once more.")
    bodies.append(await session.step(there, "", TWO))
    talk.results()
    back = [await session.step(here, "Back", ONE)]
    talk.results()
    bodies.append(await session.step(there, "Mid"))
    talk.say("Last.")
    back.append(await session.step(here, "Last"))
    return bodies, back


def check_body(
    server: VendorServer, session: Session, body: dict[str, Any], name: str, *, other: str
) -> None:
    """Nothing foreign is in the body; everything own that the vendor wants is."""
    sent = text_of(body)
    index = next(at for at, request in enumerate(server.calls) if request.body is body)
    before: list[Issued] = server.ledger.answers[:index]
    for issued in before:
        if issued.vendor == name:
            missing = [proof for proof in issued.proofs if proof not in sent]
            assert not missing, "something of its own is not replayed"
            if name == "deepseek":
                assert issued.thinking in sent
            continue
        leaked = [item for item in (*issued.proofs, *issued.items) if item in ids_and_proofs(body, name)]
        assert not leaked, "something foreign has come along"
        assert issued.thinking not in sent, "foreign thinking has come along"
    assert other == name or not any(thought in sent for thought in session.thoughts.get(other, ()) if thought)


def ids_and_proofs(body: Any, name: str) -> set[str]:
    """Every string of the body but the ids by which calls and results are joined where the client may
    choose them (all wires but Gemini's)."""
    chosen = {"tool_use_id", "call_id", "tool_call_id"} if VENDORS[name].style != "Gemini" else set()
    out: set[str] = set()

    def walk(value: Any, key: str, inside: str) -> None:
        if isinstance(value, dict):
            kind = str(value.get("type", ""))
            for inner, item in value.items():
                walk(item, inner, kind)
        elif isinstance(value, list):
            for item in value:
                walk(item, key, inside)
        elif isinstance(value, str):
            joins = key in chosen or (key == "id" and inside in ("tool_use", "function"))
            if not joins:
                out.add(value)

    walk(body, "", "")
    return out


def text_of(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False)
