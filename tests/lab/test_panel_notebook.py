"""The panel in Jupyter Notebook 7, with our extension and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.chat_server import ChatServer, Reply, text, wait_for
from support.lab_cells import PROMPT, sources, start, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory, server: ChatServer) -> Iterator[Lab]:
    with start(tmp_path_factory, server, app="notebook") as running:
        yield running


def test_prompt_stop_and_reload(book: Lab, server: ChatServer) -> None:
    write(book, "panel", [{"id": "p0", "source": PROMPT}, {"id": "p1", "source": "%ante panel"}])
    book.open("panel")
    book.run(0)
    book.run(1)
    panel = book.page.locator(".ante-side:visible .ante-panel:has(.ante-body:visible)")
    panel.wait_for()
    server.enqueue(Reply(text("An answer."), wait_for("never")))
    panel.get_by_role("textbox", name="Prompt").fill("a question")
    panel.get_by_role("textbox", name="Prompt").press("Enter")
    book.page.get_by_text("An answer.").wait_for()
    assert sources(book)[2] == "%%ante\na question"
    panel.get_by_role("button", name="Stop").click()
    panel.get_by_role("region", name="Running turn").wait_for(state="hidden")
    panel.get_by_label("Thinking", exact=True).select_option("high")
    panel.locator(".ante-field", has_text="Thinking").get_by_text("from %ante").wait_for()
    book.page.keyboard.press("Control+s")
    book.page.reload()
    panel.wait_for(timeout=90_000)
    assert panel.get_by_label("Thinking", exact=True).input_value() == "high"


def test_below_the_cell(book: Lab) -> None:
    write(book, "inline", [{"id": "i0", "source": PROMPT}, {"id": "i1", "source": "%ante panel --inline"}])
    book.open("inline")
    book.run(0)
    book.run(1)
    panel = book.cell(1).locator(".ante-panel:has(.ante-body:visible)")
    panel.wait_for()
    panel.get_by_label("Permissions", exact=True).select_option("auto")
    panel.locator(".ante-field", has_text="Permissions").get_by_text("from %ante").wait_for()
