"""The model's questions as a card, in a real JupyterLab by mouse and in Notebook 7 by keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.asking import ASK, Room, plain
from support.chat_server import ChatServer, Reply, text, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

QUESTIONS = [
    {"question": "Which month?", "header": "Month", "options": ["January", "March <b>"]},
    {"question": "Which regions?", "options": ["north", "south", "west"], "multiple": True, "custom": False},
    {"question": "Anything else?"},
]
ASKED = Reply(tool("AskUser", {"questions": QUESTIONS}, id="call_1"))


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


def test_by_mouse(tmp_path_factory: pytest.TempPathFactory, server: ChatServer) -> None:
    room = Room.open(tmp_path_factory, server, "lab")
    with room.lab:
        again = Reply(tool("AskUser", {"questions": QUESTIONS[:1]}, id="call_2"))
        path = room.begin("questions", ASKED, again, Reply(text("Thanks.")))
        card = room.card("Which month?")
        assert card.get_by_role("group", name="Which regions?").get_by_role("checkbox").count() == 3
        card.get_by_role("button", name="Answer", exact=True).click()
        card.get_by_text("Nothing is chosen or typed yet").wait_for()
        card.get_by_placeholder("or your own words").fill("neither")
        card.get_by_label("March <b>").check()
        # One answer: what was typed is gone.
        assert card.get_by_placeholder("or your own words").input_value() == ""
        card.get_by_label("west").check()
        card.get_by_label("north").check()
        card.get_by_label("Anything else?", exact=True).fill("no <i>thanks</i>\n$x$")
        card.get_by_role("button", name="Answer", exact=True).click()
        room.card().get_by_role("button", name="Give no answer").click()
        room.lab.wait(ASK)
        told = room.results()
        assert "Which month?\n-> March <b>\n" in told["call_1"]
        assert "Which regions?\n-> north, west\n" in told["call_1"] and "no <i>thanks</i>" in told["call_1"]
        assert "Nobody is there" in told["call_2"]
        assert room.page.locator(".ante-ask").count() == 0
        words = plain(room.check_saved(path))
        assert "-> north, west" in words and "you gave no answer" in words
        assert room.lab.cell(ASK).locator(".jp-OutputArea-output i").count() == 0


def test_by_keyboard(tmp_path_factory: pytest.TempPathFactory, server: ChatServer) -> None:
    room = Room.open(tmp_path_factory, server, "notebook")
    with room.lab:
        path = room.begin("keys", ASKED, Reply(text("Thanks.")))
        page = room.page
        count = page.locator(".jp-Notebook .jp-Cell").count()
        page.keyboard.press("Alt+Shift+A")
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        for _ in range(3):
            page.keyboard.press("Tab")
        page.keyboard.type("add a b, then dd")
        page.keyboard.press("Control+Enter")
        room.lab.wait(ASK)
        told = room.results()["call_1"]
        assert "-> March <b>\n" in told and "-> north\n" in told and "-> add a b, then dd" in told
        assert page.evaluate("document.activeElement.closest('.jp-Cell') !== null")
        assert page.locator(".jp-Notebook .jp-Cell").count() == count
        room.check_saved(path)
