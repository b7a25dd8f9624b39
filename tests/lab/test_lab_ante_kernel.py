"""ante-kernel in JupyterLab: the launcher, prompts edited as Markdown, cards, the panel, a reload in mid-turn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.chat_server import ChatServer, Reply, text, tool, wait_for
from support.lab_cells import sources, start, write

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
    from ante_nb.kernel.kernelspec import install

    made = start(tmp_path_factory, server)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_DATA_DIR", str(made.home / "data"))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        install(user=True)
    with made as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(server: ChatServer) -> None:
    server.reset()


def book(lab: Lab, name: str, *cells: str) -> None:
    """A notebook of ante-kernel, open and connected."""
    path = write(lab, name, [{"id": f"{name}-{n}", "source": cell} for n, cell in enumerate(cells)])
    document = json.loads(path.read_text())
    document["metadata"] = {"kernelspec": {"name": "ante", "display_name": "Ante", "language": "markdown"}}
    path.write_text(json.dumps(document))
    lab.open(name)


def test_launched_and_edited_as_markdown(lab: Lab, server: ChatServer) -> None:
    lab._fresh_page()
    page = lab.page
    page.goto(f"{lab.url}lab?token={lab.token}&reset")
    card = page.locator(".jp-LauncherCard[data-category='Notebook']", has_text="Ante")
    card.wait_for(timeout=90_000)
    page.wait_for_function(
        "card => card.querySelector('img')?.naturalWidth > 0", arg=card.element_handle(), timeout=30_000
    )
    assert "/kernelspecs/ante/" in str(card.locator("img").get_attribute("src"))
    card.click()
    editor = page.locator(".jp-Notebook .jp-Cell .cm-content[data-language='markdown']")
    editor.wait_for(timeout=90_000)
    page.locator("#jp-main-statusbar", has_text="| Idle").wait_for(timeout=90_000)
    server.enqueue(Reply(tool("Bash", {"command": "touch made"}, id="call_b")), Reply("It is there."))
    editor.click()
    page.keyboard.type("Make **it**")
    lab.start(0)
    lab.cell(0).get_by_role("button", name="Allow once").click(timeout=60_000)
    lab.wait(0)
    assert "It is there." in lab.cell(0).inner_text()
    assert (lab.work / "made").exists()


def test_the_panel_writes_a_prompt_as_this_kernel_has_it(lab: Lab, server: ChatServer) -> None:
    book(lab, "panel", "%ante panel")
    lab.run(0)
    panel = lab.page.locator(".ante-side:visible .ante-panel:has(.ante-body:visible)")
    panel.wait_for()
    for words, cell in [("a question", "a question"), ("%% or not?", "%%ante\n%% or not?")]:
        server.enqueue(Reply(text(f"An answer to {words}")))
        panel.get_by_label("Prompt", exact=True).fill(words)
        panel.get_by_label("Prompt", exact=True).press("Enter")
        lab.page.locator(".jp-OutputArea").get_by_text(f"An answer to {words}").wait_for()
        assert cell in sources(lab)


def test_a_page_that_is_reloaded_in_mid_turn_goes_on_to_show_it(lab: Lab, server: ChatServer) -> None:
    book(lab, "reload", "long one")
    server.enqueue(Reply(text("First half. "), wait_for("go"), text("Second half.")))
    lab.start(0)
    outputs = lab.cell(0).locator(".jp-OutputArea")
    outputs.get_by_text("First half.").wait_for()
    lab.save(lab.work / "reload.ipynb")
    lab.page.on("dialog", lambda dialog: dialog.accept())
    lab.page.reload()
    lab.cell(0).locator(".jp-InputPrompt", has_text="[*]").wait_for(timeout=90_000)
    server.release("go")
    outputs.get_by_text("Second half.").wait_for(timeout=60_000)
