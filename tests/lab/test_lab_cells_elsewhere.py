"""Cells where JupyterLab lacks the extension, and in Notebook 7: one front end after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.lab_cells import PROMPT, digest, play, results, sources, start, type_into, write

if TYPE_CHECKING:
    from support.chat_server import ChatServer

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


def test_without_the_extension_the_saved_file_and_a_proposal(
    tmp_path_factory: pytest.TempPathFactory, chat_server: ChatServer
) -> None:
    with start(tmp_path_factory, chat_server, extension=False) as plain:
        path = write(
            plain,
            "plain",
            [
                {"id": "setup", "source": PROMPT},
                {"id": "data", "source": "print('as saved')"},
                {"id": "ask", "source": "%%ante --allow Cells\nread, then insert"},
            ],
        )
        plain.open("plain")
        plain.run(0)
        type_into(plain, 1, "print('run, not saved')")
        plain.run(1)
        before = digest(path)
        play(
            chat_server,
            {"action": "read"},
            {"action": "insert", "source": "x"},
            {"action": "replace", "cell": "data", "source": "x"},
            {"action": "next", "source": "print('first')"},
            {"action": "next", "source": "print('proposed')"},
        )
        plain.run(2)
        told = results(chat_server)
        assert "as of the last save" in told["call_1"] and "extension" in told["call_1"]
        assert "print('run, not saved')" in told["call_1"] and "since the last save" in told["call_1"]
        assert told["call_2"].startswith("refused") and told["call_3"].startswith("refused")
        assert "replaces the one" in told["call_5"]
        plain.page.wait_for_function(
            "() => document.querySelectorAll('.jp-Notebook .jp-Cell').length === 4", timeout=20_000
        )
        assert sources(plain)[3] == "print('proposed')"
        assert digest(path) == before


def test_notebook_7(tmp_path_factory: pytest.TempPathFactory, chat_server: ChatServer) -> None:
    with start(tmp_path_factory, chat_server, app="notebook") as book:
        write(
            book,
            "seven",
            [
                {"id": "setup", "source": PROMPT},
                {"id": "ask", "source": "%%ante --allow Cells\nchange"},
                {"id": "data", "source": "old = 1"},
            ],
        )
        book.open("seven")
        book.run(0)
        play(
            chat_server,
            {"action": "read"},
            {"action": "replace", "cell": 3, "source": "print('new')"},
            {"action": "run", "cell": 3},
            {"action": "insert", "source": "# inserted"},
        )
        book.run(1)
        told = results(chat_server)
        assert "as they stand in the front end now" in told["call_1"]
        assert told["call_2"].startswith("applied") and told["call_3"].startswith("queued")
        assert told["call_4"].startswith("applied")
        book.page.wait_for_function(
            "() => [...document.querySelectorAll('.jp-OutputArea')].some(area => /^new/m.test(area.innerText))",
            timeout=20_000,
        )
        assert sources(book)[2:] == ["# inserted", "print('new')"]
