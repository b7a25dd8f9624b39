"""What is known of the cells without a front end; what outputs show with and without values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ante_nb.notebook.cells.executed import Executed
from ante_nb.notebook.cells.outputs import OUTPUT_CHARS, read_outputs
from ante_nb.notebook.cells.saved import read_saved

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, *cells: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def code(name: str, source: Any, count: int | None = None, *outputs: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": name,
        "source": source,
        "execution_count": count,
        "outputs": list(outputs),
    }


STREAM = {"output_type": "stream", "name": "stdout", "text": ["a\n", "b\n"]}


def test_the_file_with_what_was_run_since(tmp_path: Path) -> None:
    path = write(
        tmp_path / "n.ipynb",
        code("same", ["x = 1\n", "x"], 1, STREAM),
        code("rerun", "y = 1", 2, STREAM),
        code("edited", "z = 1", 3, STREAM),
        code("prompt", "%%ante\nold words", 4, STREAM),
        code("never", "w"),
    )
    executed = {
        "same": Executed("x = 1\nx", 1, "same"),
        "rerun": Executed("y = 1", 7, "rerun"),
        "edited": Executed("z = 2", 8, "edited"),
        "fresh": Executed("new()", 9, "fresh"),
    }
    book = read_saved(path, executed, "prompt", "%%ante\nnew words")
    assert book.origin == "saved" and "last save at" in book.note
    same, rerun, edited, prompt, never, fresh = book.cells
    assert (same.source, same.outputs, same.note) == ("x = 1\nx", "a\nb", "")
    assert rerun.outputs == "" and "run again as In[7]" in rerun.note
    assert edited.source == "z = 2" and "the text is the one that was run" in edited.note
    assert prompt.current and prompt.outputs == ""
    assert never.note == "" and never.count is None
    assert fresh.source == "new()" and "not in the file" in fresh.note and fresh.number == 6


def test_without_a_file_the_inputs_in_order() -> None:
    executed = {"In[3]": Executed("c", 3), "x": Executed("a", 1, "x"), "In[2]": Executed("b", 2)}
    book = read_saved(None, executed, None, None)
    assert book.origin == "history" and [cell.source for cell in book.cells] == ["a", "b", "c"]
    assert "no notebook file" in book.note


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": 5}', '{"cells": [5]}', "\xff\xfe"])
def test_a_damaged_file_is_said_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(content, encoding="latin-1")
    book = read_saved(path, {}, None, None)
    assert book.cells == () and "could not be read" in book.note


def test_front_ends_that_send_no_id_are_matched_by_text(tmp_path: Path) -> None:
    path = write(
        tmp_path / "n.ipynb", {"cell_type": "code", "source": "x = 1", "outputs": [], "metadata": {}}
    )
    book = read_saved(path, {"In[4]": Executed("x = 1", 4)}, None, "x = 1")
    assert len(book.cells) == 1 and book.cells[0].count == 4 and book.cells[0].current


def test_outputs_as_text_and_as_shapes() -> None:
    seen = read_outputs(
        [
            {"output_type": "stream", "name": "stdout", "text": "\x1b[31msecret\x1b[0m 1\n"},
            {
                "output_type": "execute_result",
                "data": {"text/plain": ["   secret\n", "0  2"], "text/html": "<table>secret</table>"},
            },
            {
                "output_type": "display_data",
                "data": {"image/png": "aGFs\nbG8=\n", "text/plain": "<Figure secret>"},
            },
            {
                "output_type": "error",
                "ename": "KeyError",
                "evalue": "'secret'",
                "traceback": ["\x1b[0;31msecret"],
            },
            {"output_type": "error", "ename": "secret words", "evalue": "", "traceback": []},
            {"output_type": "display_data", "data": {"text/html": "<b>secret</b>"}},
            {"output_type": "display_data", "data": None},
            "nonsense",
        ]
    )
    assert "secret 1" in seen.text and "\x1b" not in seen.text and "0  2" in seen.text
    assert "<table>" not in seen.text and "[image/png]" in seen.text and "[text/html]" in seen.text
    assert seen.images == (("image/png", "aGFsbG8="),)
    assert "secret" not in seen.shapes
    assert "error KeyError" in seen.shapes and "1 line, 8 characters" in seen.shapes


def test_huge_outputs_are_cut() -> None:
    seen = read_outputs([{"output_type": "stream", "text": "".join(f"{n}\n" for n in range(200_000))}])
    assert len(seen.text) < OUTPUT_CHARS + 100 and "characters trimmed" in seen.text
