"""Cells in a real JupyterLab: read live, changed through the page, never by the file."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from support.ante import words_of
from support.chat_server import ChatServer, Reply, text, tool, wait_for
from support.lab_cells import PROMPT, digest, play, png, results, sources, start, type_into, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


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


def test_reads_what_the_page_shows_and_not_what_was_saved(lab: Lab, server: ChatServer) -> None:
    write(
        lab,
        "read",
        [
            {"id": "setup", "source": PROMPT},
            {"id": "data", "source": "print('the old text')"},
            {"id": "ask", "source": "%%ante\nwhat is above?"},
            {"id": "notes", "cell_type": "markdown", "source": "# Notes\nabout *herring*"},
        ],
    )
    lab.open("read")
    lab.run(0)
    type_into(lab, 1, "print('un' + 'saved')")
    lab.run(1)
    play(
        server,
        {"action": "read"},
        {"action": "read", "cell": "data"},
        {"action": "read", "cell": 4},
        {"action": "read", "find": "herring"},
        {"action": "read", "cell": "9"},
    )
    lab.run(2)
    told = results(server)
    assert "as they stand in the front end now" in told["call_1"]
    assert "[2] code id=data" in told["call_1"] and "print('un' + 'saved')" in told["call_1"]
    assert "the old text" not in told["call_1"]
    assert "[3] code id=ask" in told["call_1"] and "(this prompt)" in told["call_1"]
    assert "--- outputs ---\nunsaved" in told["call_2"] and "Notes" not in told["call_2"]
    assert "about *herring*" in told["call_3"] and "about *herring*" in told["call_4"]
    assert "There is no cell 9" in told["call_5"]


def test_changes_go_through_the_page_and_never_through_the_file(lab: Lab, server: ChatServer) -> None:
    path = write(
        lab,
        "edit",
        [
            {"id": "setup", "source": PROMPT},
            {"id": "ask", "source": "%%ante --allow Cells\ntidy up"},
            {"id": "first", "source": "x = 1"},
            {"id": "second", "source": "left = 'over'"},
            {"id": "locked", "source": "keep = 1", "metadata": {"editable": False, "deletable": False}},
        ],
    )
    lab.open("edit")
    lab.run(0)
    before = digest(path)
    play(
        server,
        {"action": "replace", "cell": "first", "source": "x = 2"},
        {"action": "read"},
        {"action": "replace", "cell": "first", "source": "x = 'ü{}$?\\\\'\nprint(x)"},
        {"action": "delete", "cell": "second"},
        {"action": "insert", "source": "# one"},
        {"action": "insert", "source": "## two", "kind": "markdown"},
        {"action": "insert", "cell": "top", "source": "# at the top"},
        {"action": "insert", "cell": "first", "source": "# below first"},
        {"action": "run", "cell": "first"},
        {"action": "replace", "cell": "locked", "source": "x"},
        {"action": "delete", "cell": "locked"},
        {"action": "replace", "cell": "ask", "source": "x"},
        {"action": "run", "cell": "ask"},
        {"action": "next", "source": "print('proposed')"},
    )
    asked = len(server.chats)
    lab.run(1)
    # The cell that is inserted at the top shifts the one that runs.
    server.wait_for_requests(asked + 15, timeout=60)
    told = results(server)
    assert "have not read" in told["call_1"]
    assert told["call_3"].startswith("applied: cell 3 (id=first) was replaced")
    assert told["call_4"].startswith("applied: cell 4 (id=second) was deleted")
    assert told["call_5"].startswith("applied: cell 3 (") and told["call_6"].startswith("applied: cell 4 (")
    assert told["call_7"].startswith("applied: cell 1 (")
    assert told["call_8"].startswith("applied: cell 7 (")
    assert told["call_9"].startswith("queued: cell 6 (id=first)")
    assert "not editable" in told["call_10"] and "not deletable" in told["call_11"]
    assert told["call_12"].startswith("refused") and "running prompt" in told["call_12"]
    assert "Only the person starts a turn" in told["call_13"]
    assert told["call_14"].startswith("Proposed")
    lab.page.wait_for_function(
        "() => document.querySelectorAll('.jp-Notebook .jp-Cell').length === 9", timeout=20_000
    )
    lab.page.wait_for_function(
        "() => /ü/.test((document.querySelectorAll('.jp-Notebook .jp-Cell')[6].querySelector('.jp-OutputArea')"
        " || {}).innerText || '')",
        timeout=20_000,
    )
    shown = sources(lab)
    assert shown[0] == "# at the top" and shown[1] == PROMPT
    assert shown[3] == "print('proposed')", "the proposal stands right below the prompt"
    assert shown[4] == "# one"
    assert shown[6] == "x = 'ü{}$?\\\\'\nprint(x)" and shown[7] == "# below first"
    assert shown[8] == "keep = 1"
    assert digest(path) == before, "the file was written"
    saved = lab.save(path)
    assert [cell["id"] for cell in saved["cells"] if cell["id"] in ("setup", "ask", "first", "locked")] == [
        "setup",
        "ask",
        "first",
        "locked",
    ]
    assert saved["cells"][5]["cell_type"] == "markdown" and saved["nbformat"] == 4


def test_a_cell_that_the_person_edited_meanwhile_is_stale(lab: Lab, server: ChatServer) -> None:
    write(
        lab,
        "stale",
        [
            {"id": "setup", "source": PROMPT},
            {"id": "ask", "source": "%%ante --allow Cells\nchange it"},
            {"id": "mine", "source": "value = 1"},
            {"id": "gone", "source": "value = 2"},
        ],
    )
    lab.open("stale")
    lab.run(0)
    server.enqueue(
        Reply(tool("Cells", {"action": "read"}, id="call_1")),
        Reply(
            wait_for("typed"),
            tool("Cells", {"action": "replace", "cell": "mine", "source": "x"}, id="call_2"),
        ),
        Reply(tool("Cells", {"action": "run", "cell": "mine"}, id="call_3")),
        Reply(tool("Cells", {"action": "delete", "cell": "gone"}, id="call_4")),
        Reply(text("done")),
    )
    before = len(server.chats)
    lab.cell(1).locator(".jp-InputArea-editor .cm-content").click()
    lab.page.keyboard.press("Control+Enter")
    server.wait_for_requests(before + 2, timeout=60)
    type_into(lab, 2, "value = 'of the person'")
    lab.cell(3).locator(".jp-InputPrompt").click()
    lab.page.keyboard.press("Escape")
    lab.page.keyboard.press("d")
    lab.page.keyboard.press("d")
    lab.page.wait_for_function(
        "() => document.querySelectorAll('.jp-Notebook .jp-Cell').length === 3", timeout=20_000
    )
    server.release("typed")
    lab.page.wait_for_function(
        "() => /\\[\\d+\\]/.test(document.querySelectorAll('.jp-Notebook .jp-Cell')[1]"
        ".querySelector('.jp-InputPrompt').innerText)",
        timeout=60_000,
    )
    told = results(server)
    assert "stale: its text has changed" in told["call_2"] and "value = 'of the person'" in told["call_2"]
    assert "stale: its text has changed" in told["call_3"]
    assert told["call_4"].startswith("stale: the cell is gone")
    assert sources(lab)[2] == "value = 'of the person'"


def test_two_open_pages_change_a_cell_once(lab: Lab, server: ChatServer) -> None:
    write(
        lab,
        "twice",
        [{"id": "setup", "source": PROMPT}, {"id": "ask", "source": "%%ante --allow Cells\ninsert"}],
    )
    lab.open("twice")
    lab.run(0)
    other = lab.context.new_page()
    other.goto(f"{lab.url}lab/workspaces/other/tree/twice.ipynb?token={lab.token}")
    other.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    other.wait_for_function(
        "() => /[|] Idle/.test((document.querySelector('#jp-main-statusbar') || {}).innerText || '')",
        timeout=90_000,
    )
    lab.page.bring_to_front()
    play(server, {"action": "insert", "source": "once = 1"}, {"action": "read"})
    lab.run(1)
    assert results(server)["call_1"].startswith("applied: cell 3")
    assert sources(lab) == [PROMPT, "%%ante --allow Cells\ninsert", "once = 1"]
    assert other.locator(".jp-Notebook .jp-Cell").count() == 2
    other.close()


def test_images_of_a_plot_and_of_a_pasted_attachment_reach_the_model(lab: Lab, server: ChatServer) -> None:
    picture = base64.b64encode(png()).decode()
    write(
        lab,
        "images",
        [
            {"id": "setup", "source": PROMPT},
            {
                "id": "plot",
                "source": "from IPython.display import Image\nimport base64\n"
                f"Image(base64.b64decode('{picture}'))",
            },
            {
                "id": "paste",
                "cell_type": "markdown",
                "source": "![image.png](attachment:image.png)",
                "attachments": {"image.png": {"image/png": base64.b64encode(png((0, 9, 0))).decode()}},
            },
            {"id": "ask", "source": "%%ante\ncompare @cell:plot with @cell:3"},
        ],
    )
    lab.open("images")
    lab.run(0)
    lab.run(1)
    server.enqueue(Reply(text("one is red, one is green")))
    lab.run(3)
    content = server.chats[-1].body["messages"][-1]["content"]
    images = [item["image_url"]["url"] for item in content if item["type"] == "image_url"]
    assert images == [
        f"data:image/png;base64,{picture}",
        f"data:image/png;base64,{base64.b64encode(png((0, 9, 0))).decode()}",
    ]
    assert 'id="plot"' in words_of(server.chats[-1].body["messages"][-1])


def test_an_image_pasted_into_a_prompt_becomes_a_file_and_is_sent(lab: Lab, server: ChatServer) -> None:
    write(
        lab,
        "paste",
        [{"id": "setup", "source": PROMPT}, {"id": "ask", "source": "%%ante\nwhat is this? "}],
    )
    lab.open("paste")
    lab.run(0)
    lab.cell(1).locator(".jp-InputArea-editor .cm-content").click()
    lab.page.keyboard.press("Control+End")
    picture = png((0, 0, 250))
    lab.page.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), char => char.charCodeAt(0)), clipboard = new DataTransfer();
            clipboard.items.add(new File([bytes], 'image.png', {type: 'image/png'}));
            const target = document.querySelectorAll('.jp-Notebook .jp-Cell')[1].querySelector('.cm-content');
            target.dispatchEvent(new ClipboardEvent('paste', {clipboardData: clipboard, bubbles: true, cancelable: true}));
        }""",
        base64.b64encode(picture).decode(),
    )
    lab.page.wait_for_function(
        "() => /@pasted-/.test(document.querySelectorAll('.jp-Notebook .jp-Cell')[1].innerText)",
        timeout=20_000,
    )
    made = list(lab.work.glob("pasted-*.png"))
    assert len(made) == 1 and made[0].read_bytes() == picture
    server.enqueue(Reply(text("blue")))
    lab.run(1)
    content = server.chats[-1].body["messages"][-1]["content"]
    images = [item["image_url"]["url"] for item in content if item["type"] == "image_url"]
    assert images == [f"data:image/png;base64,{base64.b64encode(picture).decode()}"]


def test_outputs_of_any_size_do_not_cost_the_connection(lab: Lab, server: ChatServer) -> None:
    noise = (
        "import os, base64\nfrom IPython.display import display\n"
        "for n in range(8):\n"
        "    print(n, 'x' * 1_000_000)\n"
        "    display({'image/png': base64.b64encode(os.urandom(1_500_000)).decode()}, raw=True)"
    )
    write(
        lab,
        "huge",
        [
            {"id": "setup", "source": PROMPT},
            {"id": "big", "source": noise},
            {"id": "ask", "source": "%%ante\ngo"},
        ],
    )
    lab.open("huge")
    lab.run(0)
    lab.run(1)
    play(server, {}, {"cell": "big"}, {"cell": "setup"})
    lab.run(2)
    told = results(server)
    assert all("as they stand in the front end now" in result for result in told.values())
    assert "characters trimmed" in told["call_2"]
