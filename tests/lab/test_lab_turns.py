"""A turn and what happens around it in JupyterLab: a retracted step, a reload, a restart, a killed kernel,
a second tab, a second notebook."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import check_conversation
from support.chat_server import ChatServer, Reply, drop, text, wait_for
from support.lab_cells import start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page
    from support.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

LOAD = "%load_ext ante_nb\nimport os; print('pid', os.getpid())"
SHOWN = "print(_ante.status, repr(_ante.text))"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, ChatServer]]:
    with ChatServer() as server, start(tmp_path_factory, server) as lab:
        yield lab, server


def area(lab: Lab, number: int) -> Locator:
    found: Locator = lab.cell(number).locator(".jp-OutputArea").first
    return found


def see(lab: Lab, number: int, words: str) -> None:
    area(lab, number).get_by_text(words).first.wait_for(timeout=60_000)


def held(server: ChatServer, before: str, after: str) -> None:
    """The next answer stops in its middle until ``server.release("go")``."""
    server.reset()
    server.enqueue(Reply(text(before), wait_for("go"), text(after)))


def kernels(lab: Lab) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{lab.url}api/kernels?token={lab.token}", timeout=20) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def idle(lab: Lab) -> None:
    lab.page.wait_for_function(
        "() => /[|] Idle/.test((document.querySelector('#jp-main-statusbar') || {}).innerText || '')",
        timeout=90_000,
    )


def test_a_retracted_step_disappears(place: tuple[Lab, ChatServer]) -> None:
    lab, server = place
    lab.notebook("retract", [LOAD, "%%ante\nsay it"])
    lab.open("retract")
    lab.run(0)
    server.reset()
    server.enqueue(
        Reply(text("These words are void."), wait_for("go"), drop("reset")), Reply(text("Said again."))
    )
    lab.start(1)
    see(lab, 1, "These words are void.")
    server.release("go")
    lab.wait(1)
    see(lab, 1, "Said again.")
    shown = area(lab, 1).evaluate("e => e.textContent")
    assert "void" not in shown and "done" in shown
    heights = (
        area(lab, 1)
        .locator(".jp-OutputArea-output")
        .evaluate_all(
            "all => all.filter(e => !e.textContent.trim()).map(e => e.getBoundingClientRect().height)"
        )
    )
    assert sum(heights) < 30, "what was withdrawn leaves a hole"


def test_reload_in_mid_turn(place: tuple[Lab, ChatServer]) -> None:
    lab, server = place
    path = lab.notebook("reload", [LOAD, "%%ante\nlong one", SHOWN, "%%ante\nand then?"])
    lab.open("reload")
    lab.run(0)
    held(server, "First half. ", "Second half.")
    lab.start(1)
    see(lab, 1, "First half.")
    lab.save(path)
    lab.page.on("dialog", lambda dialog: dialog.accept())
    lab.page.reload()
    lab.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    see(lab, 1, "First half.")
    server.release("go")
    idle(lab)
    lab.run(2)
    see(lab, 2, "completed 'First half. Second half.'")
    server.enqueue(Reply(text("Goes on.")))
    lab.run(3)
    see(lab, 3, "Goes on.")
    check_conversation(server.chats[-1].body["messages"])
    assert "Second half." in json.dumps(server.chats[-1].body["messages"]), (
        "the session knows the whole answer"
    )


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_the_kernel_ends_in_mid_turn(place: tuple[Lab, ChatServer], how: str) -> None:
    lab, server = place
    path = lab.notebook(how, [LOAD, "%%ante\nlong one", LOAD, "%%ante\nagain"])
    lab.open(how)
    lab.run(0)
    held(server, "First half. ", "Second half.")
    lab.start(1)
    see(lab, 1, "First half.")
    if how == "killed":
        os.kill(int(area(lab, 0).inner_text().split()[1]), signal.SIGKILL)
        lab.page.locator(".jp-Dialog").wait_for(timeout=60_000)
        lab.page.locator(".jp-Dialog .jp-mod-accept").last.click()
    else:
        path_id = next(k["id"] for k in kernels(lab) if k["execution_state"] == "busy")
        request = urllib.request.Request(
            f"{lab.url}api/kernels/{path_id}/restart?token={lab.token}", method="POST", data=b""
        )
        urllib.request.urlopen(request, timeout=60).close()
    server.release("go")
    idle(lab)
    assert "First half." in area(lab, 1).evaluate("e => e.textContent"), "what was shown stays"
    lab.run(2)
    server.reset()
    server.enqueue(Reply(text("Alive again.")))
    lab.run(3)
    see(lab, 3, "Alive again.")
    check_conversation(server.chats[-1].body["messages"])
    document = lab.save(path)
    saved = json.dumps(document)
    assert "First half." in saved and "vnd.jupyter.widget-view" not in saved
    lab.open(how)
    assert "Error displaying widget" not in lab.page.locator(".jp-Notebook").inner_text()


def other_tab(lab: Lab, name: str) -> Page:
    page: Page = lab.context.new_page()
    page.goto(f"{lab.url}lab/workspaces/second/tree/{name}.ipynb?token={lab.token}&reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    page.wait_for_function(
        "() => /[|] (Idle|Busy)/.test((document.querySelector('#jp-main-statusbar') || {}).innerText || '')",
        timeout=90_000,
    )
    return page


def test_two_tabs_of_one_notebook(place: tuple[Lab, ChatServer]) -> None:
    lab, server = place
    lab.notebook("tabs", [LOAD, "%%ante\nlong one", SHOWN])
    lab.open("tabs")
    lab.run(0)
    errors: list[str] = []
    page = other_tab(lab, "tabs")
    page.on("pageerror", lambda error: errors.append(str(error)))
    first = lab.page
    held(server, "First half. ", "Second half.")
    first.bring_to_front()
    lab.start(1)
    see(lab, 1, "First half.")
    page.bring_to_front()
    assert "Error" not in page.locator(".jp-Notebook").inner_text()
    server.release("go")
    first.bring_to_front()
    lab.wait(1)
    see(lab, 1, "Second half.")
    try:
        # The other tab has the same kernel: the turn is its, too.
        lab.page = page
        page.bring_to_front()
        lab.run(2)
        see(lab, 2, "completed 'First half. Second half.'")
    finally:
        lab.page = first
        page.close()
    assert errors == []


def test_two_notebooks_at_once(place: tuple[Lab, ChatServer]) -> None:
    lab, server = place
    for name in ("one", "two"):
        lab.notebook(name, [LOAD, f"%%ante\nthis is {name}", SHOWN])
    lab.open("one")
    lab.run(0)
    first = lab.page
    second = other_tab(lab, "two")
    server.reset()

    def answer(request: Any) -> Reply:
        name = "one" if "this is one" in json.dumps(request.body["messages"]) else "two"
        return Reply(text(f"Begin of {name}. "), wait_for("go"), text(f"End of {name}."))

    server.handler, before = answer, server.handler
    try:
        first.bring_to_front()
        lab.start(1)
        see(lab, 1, "Begin of one.")
        lab.page = second
        second.bring_to_front()
        lab.run(0)
        lab.start(1)
        see(lab, 1, "Begin of two.")
        server.release("go")
        lab.wait(1)
        see(lab, 1, "End of two.")
        assert "of one" not in area(lab, 1).inner_text()
        lab.page = first
        first.bring_to_front()
        lab.wait(1)
        see(lab, 1, "End of one.")
        assert "of two" not in area(lab, 1).inner_text()
        lab.run(2)
        see(lab, 2, "completed 'Begin of one. End of one.'")
    finally:
        server.handler, lab.page = before, first
        second.close()
