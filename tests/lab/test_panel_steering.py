"""The running turn in the panel: what is said to it, what it has used so far, what is left when it has ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.ante import words_of
from support.chat_server import ChatServer, Reply, text, tool, usage, wait_for
from support.lab_cells import PROMPT, start, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, server: ChatServer) -> Iterator[Lab]:
    with start(tmp_path_factory, server) as running:
        yield running


def test_a_turn_is_steered_and_measured_while_it_runs(lab: Lab, server: ChatServer) -> None:
    write(lab, "steer", [{"id": "s0", "source": PROMPT}, {"id": "s1", "source": "%ante panel"}])
    lab.open("steer")
    lab.run(0)
    lab.run(1)
    page = lab.page
    panel = page.locator(".ante-side:visible .ante-panel:has(.ante-body:visible)")
    panel.wait_for()
    server.enqueue(
        Reply(
            text("I look."),
            tool("Bash", {"command": "touch made; echo made"}, id="c1"),
            usage(prompt_tokens=6000, completion_tokens=40, total_tokens=6040),
        ),
        Reply(text("Second"), wait_for("go"), text(" step.")),
        Reply(text("Third step.")),
    )
    box = panel.get_by_role("textbox", name="Prompt")
    box.fill("a long thing")
    box.press("Enter")
    page.get_by_role("button", name="Allow once").wait_for()
    turn = panel.get_by_role("region", name="Running turn")
    # The first step lasts until its tool has run; nobody knows what this model costs.
    turn.get_by_text(re.compile(r"\d s, step 1$")).wait_for()
    panel.get_by_text(re.compile(r"0 turns · 6,000 tokens in .* 40 out · cost unknown")).wait_for()
    # The context grows with the turn, as the vendor has counted it.
    panel.get_by_text(re.compile(r"^Context: 6,0\d\d of an unknown limit$")).wait_for()
    panel.get_by_text(re.compile(r"^tool calls \d+$")).wait_for()

    for words in ("also look at b", "and at c"):
        box.fill(words)
        box.press("Enter")
        turn.locator("li", has_text=words).wait_for()
    panel.get_by_text("queued for the next step").wait_for()
    turn.get_by_role("button", name="Take the last one back").click()
    turn.locator("li", has_text="and at c").wait_for(state="detached")
    assert box.input_value() == "and at c" and page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    # From the panel to the card and back, by keyboard alone.
    page.keyboard.press("Alt+Shift+a")
    page.wait_for_timeout(600)
    page.keyboard.press("y")
    page.locator(".jp-Notebook blockquote", has_text="also look at b").wait_for()
    page.get_by_text("Second", exact=True).wait_for()
    assert words_of(server.chats[-1].body["messages"][-1]) == "also look at b"
    turn.get_by_text(re.compile("step 2$")).wait_for()
    assert panel.locator(".ante-queue").is_hidden()
    box.press("Enter")
    turn.locator("li", has_text="and at c").wait_for()
    server.release("go")
    page.get_by_text("Third step.").wait_for()
    turn.wait_for(state="hidden")
    assert words_of(server.chats[-1].body["messages"][-1]) == "and at c"
    # What was said of the turn does not outlive it.
    panel.get_by_text(re.compile("^1 turn ·")).wait_for()
    assert panel.locator(".ante-answer").is_hidden() and box.input_value() == ""


def test_what_a_stopped_turn_did_not_read_is_kept(lab: Lab, server: ChatServer) -> None:
    page = lab.page
    panel = page.locator(".ante-side:visible .ante-panel:has(.ante-body:visible)")
    server.enqueue(Reply(text("It begins"), wait_for("never")))
    box = panel.get_by_role("textbox", name="Prompt")
    box.fill("go on for ever")
    box.press("Enter")
    page.get_by_text("It begins", exact=True).wait_for()
    box.fill("a word in between")
    box.press("Enter")
    turn = panel.get_by_role("region", name="Running turn")
    turn.locator("li", has_text="a word in between").wait_for()
    turn.get_by_role("button", name="Stop").click()
    turn.get_by_text("The turn has ended before it read:").wait_for()
    assert panel.locator(".ante-answer").is_hidden(), panel.locator(".ante-answer").inner_text()
    turn.get_by_role("button", name="Take the last one back").click()
    turn.wait_for(state="hidden")
    assert box.input_value() == "a word in between"
    server.enqueue(Reply(text("And now it is read.")))
    box.press("Enter")
    page.get_by_text("And now it is read.").wait_for()
    assert words_of(server.chats[-1].body["messages"][-1]).endswith("a word in between")


def test_what_is_sent_to_a_busy_kernel_is_acknowledged(lab: Lab, server: ChatServer) -> None:
    write(lab, "busy", [{"id": "y0", "source": PROMPT}, {"id": "y1", "source": "%ante panel"}])
    lab.open("busy")
    lab.run(0)
    lab.run(1)
    page = lab.page
    panel = page.locator(".ante-side:visible .ante-panel:has(.ante-body:visible)")
    panel.get_by_label("Permissions", exact=True).select_option("yolo")
    panel.locator(".ante-field", has_text="Permissions").get_by_text("from %ante").wait_for()
    (lab.work / "hold").write_text("")
    code = "import os, time\nwhile os.path.exists('hold'):\n    time.sleep(0.05)"
    server.enqueue(
        Reply(text("I hold on."), wait_for("seen"), tool("Python", {"code": code}, id="c1")),
        Reply(text("Holding"), wait_for("taken"), text(" no more.")),
        Reply(text("Read.")),
    )
    box = panel.get_by_role("textbox", name="Prompt")
    box.fill("hold on")
    box.press("Enter")
    page.get_by_text("I hold on.", exact=True).wait_for()
    panel.get_by_role("button", name="Send to the turn").wait_for()
    server.release("seen")
    page.locator(".jp-Notebook details", has_text="running").wait_for()
    box.fill("a word to the busy one")
    box.press("Enter")
    panel.get_by_text("The kernel is busy").wait_for()
    assert "a word to the busy one" in panel.locator(".ante-answer").inner_text()
    (lab.work / "hold").unlink()
    panel.locator(".ante-queue li", has_text="a word to the busy one").wait_for()
    server.release("taken")
    page.get_by_text("Read.", exact=True).wait_for()
    assert words_of(server.chats[-1].body["messages"][-1]) == "a word to the busy one"
    panel.locator(".ante-answer").wait_for(state="hidden")
