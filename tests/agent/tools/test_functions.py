"""``@ante_nb.tool``: a typed function of the person's as a tool."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from support.chat_server import Reply, text, tool

import ante_nb
from ante_nb.agent.host import Approval
from ante_nb.agent.tools import functions
from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.desk import Desk


class Place(BaseModel):
    city: str
    zip: int = 0


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    functions.REGISTERED.clear()


async def call(desk: Desk, name: str, arguments: dict[str, Any], **more: Any) -> str:
    ident = f"c{len(desk.server.chats)}"
    desk.server.enqueue(Reply(tool(name, arguments, id=ident)), Reply(text("ok")))
    turn = await desk.run("go", **{"allow": (name,), **more})
    assert turn.status == "completed", turn.error
    return desk.results()[ident]


async def test_a_function_is_offered_checked_and_called(desk: Desk) -> None:
    threads: list[threading.Thread] = []

    @ante_nb.tool
    def weather(place: Place, days: Annotated[int, Field(ge=1, description="How many")] = 1,
                unit: Literal["C", "F"] = "C") -> dict[str, Any]:  # fmt: skip
        """The weather in the coming days."""
        threads.append(threading.current_thread())
        return {"city": place.city, "days": days, "unit": unit}

    assert weather(Place(city="Ulm"))["city"] == "Ulm"  # still the function
    told = await call(desk, "weather", {"place": {"city": "Bonn"}, "days": 2})
    assert '{"city": "Bonn", "days": 2, "unit": "C"}' in told
    [offered] = [
        t["function"] for t in desk.server.chats[0].body["tools"] if t["function"]["name"] == "weather"
    ]
    assert offered["description"] == "The weather in the coming days."
    schema = offered["parameters"]
    assert schema["required"] == ["place"] and schema["properties"]["days"]["description"] == "How many"
    assert schema["properties"]["unit"]["enum"] == ["C", "F"]
    for wrong, why in (({"place": {}}, "city"), ({"place": {"city": "x"}, "days": 0}, "days"),
                       ({"place": {"city": "x"}, "unit": "K"}, "unit")):  # fmt: skip
        assert why in await call(desk, "weather", wrong)
    assert len(threads) == 2


async def test_async_functions_errors_and_kinds_of_results(desk: Desk) -> None:
    @ante_nb.tool(name="look-up", description="Finds things.")
    async def look(word: str) -> Any:
        await asyncio.sleep(0)
        if word == "bad":
            raise LookupError("there is no bad")
        return {"none": None, "model": Place(city="Rom"), "text": "plain", "odd": {1, 2}}[word]

    assert "(no result)" in await call(desk, "look-up", {"word": "none"})
    assert '{"city":"Rom","zip":0}' in await call(desk, "look-up", {"word": "model"})
    assert "plain" in await call(desk, "look-up", {"word": "text"})
    assert "set, 2 items" in await call(desk, "look-up", {"word": "odd"})
    assert "LookupError: there is no bad" in await call(desk, "look-up", {"word": "bad"})


async def test_it_is_asked_about_unless_it_says_otherwise(desk: Desk) -> None:
    ran: list[str] = []

    @ante_nb.tool
    def risky(x: int) -> None:
        ran.append("risky")

    @ante_nb.tool(allow=True)
    def harmless(x: int) -> None:
        ran.append("harmless")

    await call(desk, "risky", {"x": 1}, allow=(), answers=[Approval("deny")])
    assert ran == [] and desk.host.asked[0].call.name == "risky"
    await call(desk, "harmless", {"x": 1}, allow=())
    assert ran == ["harmless"] and not desk.host.asked


async def test_results_follow_the_data_policy(desk: Desk) -> None:
    @ante_nb.tool
    def people() -> list[str]:
        return ["Ann Mallory"]

    told = await call(desk, "people", {}, data_policy="schema", mode="yolo")
    assert "Ann" not in told and "list, 1 item" in told


def test_what_cannot_be_offered() -> None:
    def untyped(x):  # type: ignore[no-untyped-def]
        return x

    def many(*args: int) -> int:
        return len(args)

    def odd(x: threading.Lock) -> None: ...

    for function, why in (
        (untyped, "has no type"),
        (many, "cannot be given by name"),
        (odd, "cannot be described"),
    ):
        with pytest.raises(ConfigError, match=why):
            ante_nb.tool(function)
    with pytest.raises(ConfigError, match="built-in tool"):
        ante_nb.tool(name="bash")(lambda: None)
    with pytest.raises(ConfigError, match="cannot be the name"):
        ante_nb.tool(name="a b")(lambda: None)
    assert functions.REGISTERED == {}


def test_the_last_one_of_a_name_counts() -> None:
    def one() -> int:
        return 1

    ante_nb.tool(one)
    ante_nb.tool(name="one")(lambda: 2)
    assert list(functions.REGISTERED) == ["one"] and functions.REGISTERED["one"].function() == 2
    assert functions.remove("one") and not functions.remove("one")
