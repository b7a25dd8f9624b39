"""The panel beside the notebook, in a real JupyterLab with our extension."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import ChatServer, Reply, text, usage, wait_for
from support.lab_cells import PROMPT, sources, start, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page, Route
    from support.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

PANEL = "%ante panel"


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(server: ChatServer) -> None:
    server.reset()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, server: ChatServer) -> Iterator[Lab]:
    with start(tmp_path_factory, server) as running:
        yield running


def notebook(lab: Lab, name: str, *more: str) -> None:
    """An open notebook with the extension loaded and its panel beside it."""
    cells = [PROMPT, PANEL, *more]
    write(lab, name, [{"id": f"{name}-{at}", "source": source} for at, source in enumerate(cells)])
    lab.open(name)
    lab.run(0)
    lab.run(1)
    assert "open beside the notebook" in lab.cell(1).inner_text()
    panel(lab.page).wait_for()


def panel(page: Page) -> Locator:
    """The panel in sight, once the kernel has told it everything."""
    return page.locator(".ante-side:visible .ante-panel:has(.ante-body:visible)")


def ask(page: Page, words: str) -> None:
    box = panel(page).get_by_role("textbox", name="Prompt")
    box.click()
    box.fill(words)
    box.press("Enter")


def test_a_prompt_runs_in_a_new_cell_and_its_usage_is_shown(lab: Lab, server: ChatServer) -> None:
    notebook(lab, "ask", "x = 1")
    server.enqueue(
        Reply(
            text("A full answer."),
            usage(
                prompt_tokens=2000,
                completion_tokens=50,
                total_tokens=2050,
                prompt_tokens_details={"cached_tokens": 500},
            ),
        )
    )
    ask(lab.page, 'why {x} and "that"?\n  second line')
    lab.page.get_by_text("A full answer.").wait_for()
    # Below the active cell, which is now the new one, so that the next prompt comes below it.
    assert sources(lab)[:3] == [PROMPT, PANEL, '%%ante\nwhy {x} and "that"?\n  second line']
    assert server.chats[-1].body["messages"][-1]["content"].endswith('why {x} and "that"?\n  second line')
    panel(lab.page).get_by_text("1 turn · 2,000 tokens in (25% from cache) · 50 out").wait_for()
    assert panel(lab.page).get_by_role("textbox", name="Prompt").input_value() == ""
    # The person stays in the box: the next prompt needs no click.
    assert lab.page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    server.enqueue(Reply(text("Another one.")))
    lab.page.keyboard.type("dd and more")
    lab.page.keyboard.press("Enter")
    lab.page.get_by_text("Another one.").wait_for()
    assert sources(lab)[3] == "%%ante\ndd and more" and sources(lab)[4] == "x = 1"
    assert lab.requests == []


def restart(page: Page) -> None:
    page.locator(".jp-NotebookPanel:visible [data-jp-item-name=restart]").click()
    page.locator(".jp-Dialog .jp-mod-accept").last.click()


def test_the_running_turn_is_stopped(lab: Lab, server: ChatServer) -> None:
    notebook(lab, "stop")
    server.enqueue(Reply(text("It begins"), wait_for("never")))
    ask(lab.page, "go on for ever")
    turn = panel(lab.page).get_by_role("region", name="Running turn")
    turn.get_by_text("go on for ever").wait_for()
    lab.page.get_by_text("It begins").wait_for()
    turn.get_by_role("button", name="Stop").click()
    turn.wait_for(state="hidden")
    lab.wait(2)
    assert "interrupted" in lab.cell(2).inner_text()
    server.enqueue(Reply(text("Still here.")))
    ask(lab.page, "and now?")
    lab.page.get_by_text("Still here.").wait_for()


def test_it_survives_a_reload_of_the_page_also_while_a_turn_runs(lab: Lab, server: ChatServer) -> None:
    notebook(lab, "reload")
    server.enqueue(Reply(text("Slowly"), wait_for("reloaded")))
    ask(lab.page, "take your time")
    lab.page.get_by_text("Slowly").wait_for()
    lab.page.keyboard.press("Control+s")
    lab.page.reload()
    turn = panel(lab.page).get_by_role("region", name="Running turn")
    turn.get_by_text("take your time").wait_for(timeout=90_000)
    server.release("reloaded")
    turn.wait_for(state="hidden")
    panel(lab.page).get_by_text(re.compile("^1 turn ·")).wait_for()


def test_a_restarted_kernel_is_bound_again(lab: Lab, server: ChatServer) -> None:
    notebook(lab, "restart")
    restart(lab.page)
    note = lab.page.locator(".ante-side:visible")
    note.get_by_text("has not loaded ante_nb").wait_for(timeout=60_000)
    note.get_by_role("button", name="Load ante_nb").click()
    panel(lab.page).wait_for()
    server.enqueue(Reply(text("Anew.")))
    ask(lab.page, "are you there?")
    lab.page.get_by_text("Anew.").wait_for()
    # And without a click, when a cell loads the extension.
    restart(lab.page)
    note.get_by_text("has not loaded ante_nb").wait_for(timeout=60_000)
    lab.run(0)
    panel(lab.page).wait_for()


def test_two_notebooks_have_two_panels(lab: Lab, server: ChatServer) -> None:
    write(lab, "second", [{"id": "s0", "source": PROMPT}, {"id": "s1", "source": PANEL}])
    notebook(lab, "first")
    choose(lab.page, "Thinking", "high")
    lab.page.locator(".jp-DirListing-item", has_text="second.ipynb").dblclick()
    second = lab.page.locator(".jp-NotebookPanel:visible")
    second.locator(".jp-Cell", has_text=PANEL).wait_for()
    lab.page.wait_for_function(
        "() => /[|] Idle/.test((document.querySelector('#jp-main-statusbar') || {}).innerText || '')"
    )
    for at in (0, 1):
        second.locator(".jp-Cell").nth(at).locator(".cm-content").click()
        lab.page.keyboard.press("Control+Enter")
    lab.page.locator(".ante-side:visible h3", has_text="second.ipynb").wait_for(timeout=60_000)
    panel(lab.page).wait_for()
    assert value_of(lab.page, "Thinking") == ""
    server.enqueue(Reply(text("From the second.")))
    ask(lab.page, "whose kernel is this?")
    second.get_by_text("From the second.").wait_for()
    panel(lab.page).get_by_text(re.compile("^1 turn ·")).wait_for()
    # The panel in sight is that of the notebook one works in.
    lab.page.locator(".lm-TabBar-tab", has_text="first.ipynb").first.click()
    lab.page.locator(".ante-side:visible h3", has_text="first.ipynb").wait_for()
    assert value_of(lab.page, "Thinking") == "high"
    panel(lab.page).get_by_text(re.compile("^0 turns ·")).wait_for()


def test_two_tabs_of_one_notebook_show_the_same(lab: Lab, server: ChatServer) -> None:
    notebook(lab, "tabs")
    other = lab.context.new_page()
    other.goto(f"{lab.url}lab/workspaces/other/tree/tabs.ipynb?token={lab.token}&reset")
    other.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    other.wait_for_function(
        "() => /[|] Idle/.test((document.querySelector('#jp-main-statusbar') || {}).innerText || '')",
        timeout=90_000,
    )
    # The page that ran the command has the panel, and no other.
    assert other.locator(".ante-side").count() == 0
    other.locator(".jp-Notebook .jp-Cell").first.click()
    other.keyboard.press("Control+Shift+c")
    other.locator(".lm-CommandPalette-input").fill("Ante Panel")
    other.locator(".lm-CommandPalette-item", has_text="Open the Ante Panel").click()
    panel(other).wait_for()
    lab.page.bring_to_front()
    choose(lab.page, "Thinking", "low")
    other.bring_to_front()
    other.wait_for_function(
        "() => [...document.querySelectorAll('.ante-side select')].some(select => select.value === 'low')"
    )
    server.enqueue(Reply(text("For both"), wait_for("both")))
    ask(other, "do you see it?")
    other.get_by_text("For both", exact=True).wait_for()
    for page in (other, lab.page):
        page.bring_to_front()
        panel(page).get_by_role("region", name="Running turn").get_by_text("do you see it?").wait_for()
    panel(lab.page).get_by_role("button", name="Stop").click()
    for page in (lab.page, other):
        page.bring_to_front()
        panel(page).get_by_role("region", name="Running turn").wait_for(state="hidden")
    # One cell, not one for each page.
    assert len(server.chats) == 1
    other.close()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("const VERSION = '", "const VERSION = '99.", "has version 99."),
        ("const PANEL_PROTOCOL = 1", "const PANEL_PROTOCOL = 99", "do not understand each other"),
    ],
)
def test_another_version_of_the_extension_says_so(lab: Lab, old: str, new: str, words: str) -> None:
    write(lab, "skew", [{"id": "k0", "source": PROMPT}, {"id": "k1", "source": PANEL}])

    def change(route: Route) -> None:
        answer = route.fetch()
        body = answer.text()
        assert old in body
        route.fulfill(response=answer, body=body.replace(old, new))

    lab.open("skew")
    lab.context.route("**/ante-nb/static/**", change)
    lab.page.reload()
    lab.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    lab.run(0)
    lab.run(1)
    lab.page.locator(".ante-side:visible").get_by_text(words).wait_for()
    # Of the same protocol, it works all the same.
    if "VERSION" in old:
        panel(lab.page).wait_for()


def test_an_extension_without_a_panel_says_so(lab: Lab) -> None:
    write(lab, "older", [{"id": "o0", "source": PROMPT}, {"id": "o1", "source": PANEL}])

    def change(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("want.op === 'panel'", "false"))

    lab.open("older")
    lab.context.route("**/ante-nb/static/**", change)
    lab.page.reload()
    lab.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    lab.run(0)
    lab.run(1)
    # Below the cell instead.
    lab.cell(1).locator(".ante-panel .ante-body").wait_for()


def test_it_is_closed_and_stays_so(lab: Lab) -> None:
    notebook(lab, "close")
    panel(lab.page).get_by_role("button", name="Close").click()
    lab.page.locator(".ante-side").wait_for(state="detached")
    lab.page.reload()
    lab.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    lab.page.wait_for_timeout(1500)
    assert lab.page.locator(".ante-side").count() == 0


def test_nothing_of_it_is_in_the_saved_notebook(lab: Lab) -> None:
    notebook(lab, "saved")
    saved = lab.save(lab.work / "saved.ipynb")
    shown: list[Any] = saved["cells"][1]["outputs"]
    assert [output["output_type"] for output in shown] == ["stream"]
    assert "widget" not in json.dumps(saved)


def choose(page: Page, label: str, value: str) -> None:
    panel(page).get_by_label(label, exact=True).select_option(value)
    page.wait_for_function(
        "([label, value]) => [...document.querySelectorAll('.ante-side label')].some(item =>"
        " item.textContent === label && document.getElementById(item.htmlFor)?.value === value"
        " && /%ante/.test(item.parentElement.textContent))",
        arg=[label, value],
    )


def value_of(page: Page, label: str) -> str:
    return str(panel(page).get_by_label(label, exact=True).input_value())
