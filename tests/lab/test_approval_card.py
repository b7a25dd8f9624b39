"""The approval card in a real JupyterLab and Notebook 7: answered while the cell runs, by mouse and by keyboard."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import PROVE
from support.asking import AFTER, ASK, Room, plain
from support.chat_server import ChatServer, Reply, text, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", params=["lab", "notebook"])
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with ChatServer() as server:
        room = Room.open(tmp_path_factory, server, request.param)
        with room.lab:
            yield room


@pytest.fixture
def lab_only(room: Room) -> Room:
    if room.lab.app != "lab" and not PROVE:
        pytest.skip("in Notebook 7 only under make prove")
    return room


def bash(command: str, call: str) -> Any:
    return Reply(tool("Bash", {"command": command}, id=call))


def test_every_answer_by_mouse(room: Room) -> None:
    (room.lab.work / "a.py").write_text("x = 1\n")
    path = room.begin(
        "mouse",
        bash("touch made; ls | grep m && rm -rf <img>", "call_1"),
        Reply(tool("Write", {"file_path": "new.py", "content": "one = 1\n" * 60}, id="call_2")),
        Reply(tool("Python", {"code": "print(open('made'))  # what"}, id="call_3")),
        bash("touch again", "call_4"),
        bash("touch again", "call_5"),
        bash("mkdir always", "call_6"),
        Reply(text("All done.")),
    )
    # What a screen reader is told: the question, why it is asked, and that there is one.
    card = room.page.get_by_role("group", name="Run this command?", exact=True)
    assert "Asked because" in card.locator(f"#{card.get_attribute('aria-describedby')}").inner_text()
    assert "Run this command?" in card.get_by_role("alert").text_content()
    assert "waits" in card.get_by_role("status").inner_text()
    rule = card.get_by_role("button", name="Allow for this session").get_attribute("aria-describedby")
    assert "rm -rf <img>" in card.locator(f"#{rule}").inner_text()
    stages = card.get_by_role("listitem").all_inner_texts()
    assert len(stages) >= 4 and any("dangerous" in stage for stage in stages), stages
    assert card.locator("img").count() == 0
    card.get_by_role("textbox").fill("not so <b>fast</b>")
    card.get_by_role("button", name="Deny").click()

    card = room.card("Write this file?")
    added = card.locator(".ante-added")
    assert added.count() == 60 and card.locator(".ante-what").get_attribute("tabindex") == "0"
    assert added.first.evaluate("e => getComputedStyle(e).backgroundColor") != "rgba(0, 0, 0, 0)"
    card.get_by_role("button", name="Allow once").click()

    card = room.card("Run this Python code?")
    assert card.locator(".ante-comment").inner_text() == "# what"
    card.get_by_role("button", name="Deny").click()
    room.card("touch again").get_by_role("button", name="Allow for this session").click()
    # The rule holds: the second of the two is not asked.
    room.card("mkdir always").get_by_role("button", name="Always allow").click()
    room.lab.wait(ASK)
    told = room.results()
    assert "The user says: not so <b>fast</b>" in told["call_1"] and not (room.lab.work / "made").exists()
    assert (room.lab.work / "new.py").exists() and "denied by user" in told["call_3"]
    assert "denied" not in told["call_5"] and (room.lab.work / "always").is_dir()
    assert "Bash(mkdir always *)" in (room.lab.home / ".ante/settings.json").read_text()
    assert room.page.locator(".ante-ask").count() == 0
    words = plain(room.check_saved(path))
    for line in ("denied: “not so", "allowed once (Write", "allowed for this session", "always allowed by"):
        assert line in words, words
    assert len(room.lab.cell(ASK).locator(".jp-OutputArea-output").all()) < 40


def test_by_keyboard_alone_and_the_focus_is_never_taken(lab_only: Room) -> None:
    room = lab_only
    path = room.begin(
        "keys", bash("touch one", "call_1"), bash("touch two", "call_2"), bash("touch three", "call_3"),
        bash("touch four", "call_4"), Reply(text("All done.")),
    )  # fmt: skip
    page = room.page
    cells = room.lab.page.locator(".jp-Notebook .jp-Cell")
    count = cells.count()
    assert not page.evaluate("document.activeElement.closest('.ante-ask') !== null"), "the focus was taken"
    page.keyboard.press("Alt+Shift+A")
    assert page.evaluate("document.activeElement.matches('.ante-ask')")
    order = []
    for _ in range(5):
        page.keyboard.press("Tab")
        order.append(room.focused())
    assert order == [
        "BUTTON Allow once", "BUTTON Allow for this session", "BUTTON Always allow",
        "INPUT a word to the model (optional)", "BUTTON Deny",
    ]  # fmt: skip
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.closest('.ante-ask') !== null"), "a trap"
    page.keyboard.press("Shift+Tab")
    assert room.focused() == "BUTTON Deny"
    # Letters in the field are letters, in the card they are answers, and never commands of the notebook.
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("yes, sandbox xdd")
    page.keyboard.press("Enter")
    card = room.card("touch two")
    assert page.evaluate("document.activeElement.closest('.jp-Cell') !== null"), room.focused()
    page.keyboard.press("Alt+Shift+A")
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.closest('.ante-ask') === null")
    page.keyboard.press("Alt+Shift+A")
    page.keyboard.press("y")
    card = room.card("touch three")
    page.keyboard.press("Alt+Shift+A")
    page.keyboard.press("Tab")
    for key in ("b", "ArrowDown", "d", "d", "x", "Control+Shift+Minus", "m"):
        page.keyboard.press(key)
    assert room.focused() == "BUTTON Allow once" and card.is_visible()
    page.keyboard.press("Space")
    # A card that comes while somebody types takes no key.
    room.lab.cell(AFTER).locator(".cm-content").click()
    card = room.card("touch four")
    page.keyboard.press("Control+End")
    page.keyboard.type(" # yes y")
    page.keyboard.press("Enter")
    assert "yes y" in room.lab.cell(AFTER).inner_text() and card.is_visible()
    page.keyboard.press("Alt+Shift+A")
    page.keyboard.press("n")
    assert page.evaluate("document.activeElement.closest('.cm-content') !== null"), "the place was lost"
    room.lab.wait(ASK)
    told = room.results()
    assert "The user says: yes, sandbox xdd" in told["call_1"] and "denied by user" in told["call_4"]
    made = [(room.lab.work / name).exists() for name in ("one", "two", "three", "four")]
    assert made == [False, True, True, False] and cells.count() == count
    room.check_saved(path)


def test_a_reload_while_it_waits(room: Room) -> None:
    path = room.begin("reload", bash("touch reloaded", "call_1"), Reply(text("Done after all.")))
    page = room.page
    page.on("dialog", lambda dialog: dialog.accept())
    # Nothing was saved: without the kernel's help the page would know nothing of the running cell.
    page.reload()
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    card = room.card("touch reloaded")
    assert "waits for your word" in room.shown()
    card.get_by_role("button", name="Allow once").click()
    room.lab.wait(ASK)
    shown = room.shown()
    assert "Allowed once" in shown and "Done after all." in shown and "1 step" not in shown
    assert (room.lab.work / "reloaded").exists()
    assert "allowed once" in plain(room.check_saved(path))
    room.lab.run(AFTER)
    assert "42" in room.lab.cell(AFTER).inner_text()


def test_two_pages_of_one_notebook_and_an_interrupt(lab_only: Room) -> None:
    room = lab_only
    if room.lab.app != "lab":
        pytest.skip("Notebook 7 has no workspaces")
    path = room.begin(
        "pages", bash("touch paged", "call_1"), bash("touch never", "call_2"), Reply(text("All done."))
    )
    second = room.lab.context.new_page()
    second.goto(f"{room.lab.url}lab/workspaces/second/tree/pages.ipynb?token={room.lab.token}")
    second.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    room.card("touch paged", second).get_by_role("button", name="Allow once").click()
    # Answered there, settled in both; the next one is in both as well.
    room.card("touch never")
    room.card("touch never", second)
    for page in (room.page, second):
        page.get_by_text("Allowed once").first.wait_for(timeout=30_000)
    second.close()
    assert (room.lab.work / "paged").exists()
    room.page.bring_to_front()
    room.lab.cell(ASK).locator(".jp-InputPrompt").first.click()
    room.page.keyboard.press("i")
    room.page.keyboard.press("i")
    room.lab.wait(ASK, 30)
    assert "Not answered: the turn was stopped" in room.shown() and not (room.lab.work / "never").exists()
    assert room.page.locator(".ante-ask").count() == 0
    room.lab.run(AFTER)
    assert "42" in room.lab.cell(AFTER).inner_text()
    room.check_saved(path)


def test_the_kernel_dies_while_it_waits(lab_only: Room) -> None:
    room = lab_only
    room.begin("dies", bash("touch dead", "call_1"), Reply(text("never")))
    card = room.lab.cell(ASK).locator(".ante-ask")
    os.kill(int(room.lab.cell(0).locator(".jp-OutputArea-output").first.inner_text()), signal.SIGKILL)
    card.get_by_text("The kernel has ended").wait_for(timeout=60_000)
    assert card.locator("button:enabled, input:enabled").count() == 0
    assert not (room.lab.work / "dead").exists()
