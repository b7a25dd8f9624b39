"""Converting a notebook of ante-kernel to a Python notebook and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.errors import ConfigError
from ante_nb.kernel import convert
from ante_nb.kernel.cells import kind_of, to_cell, to_python
from ante_nb.kernel.cli import main

if TYPE_CHECKING:
    from pathlib import Path

ANTE = {"name": "ante", "display_name": "Ante", "language": "markdown"}
PYTHON = {"name": "myenv", "display_name": "My env", "language": "python"}


def book(kernelspec: dict[str, str], *sources: str) -> dict[str, Any]:
    cells = [nbformat.v4.new_code_cell(source, metadata={"tags": ["kept"]}) for source in sources]
    for number, cell in enumerate(cells, 1):
        cell.execution_count = number
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"output {number}\n")]
    cells.insert(1, nbformat.v4.new_markdown_cell("# no prompt"))
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernelspec, "mine": [1]})
    nbformat.validate(made)
    return json.loads(json.dumps(made))


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("Why is March low?", "%%ante\nWhy is March low?"),
        ("%%python\nx = 1\nx", "x = 1\nx"),
        ("%%python\nx?", "x?"),
        ("%%ante --provider local -o r\nHi", "%%ante --provider local -o r\nHi"),
        ("%ante model gpt-5.4", "%ante model gpt-5.4"),
        ("!ls", "!ls"),
        ("?print", "?print"),
        ("%%bash\nls", "%%bash\nls"),
        ("", ""),
        ("  \n", "  \n"),
        ("\n\nindented\n  prompt\n\n", "%%ante\n\n\nindented\n  prompt\n\n"),
        # IPython's own %%python is a process of its own in a Python notebook, and stays one.
        ("%%python\n%%python\nprint(1)", "%%python\nprint(1)"),
        # A prompt that would be taken for IPython's keeps its first line.
        ("%%ante\n% of sales?", "%%ante\n% of sales?"),
        ("%%ante\n", "%%ante\n"),
    ],
)
def test_cell_and_its_twin(cell: str, python: str) -> None:
    assert to_python(cell) == python
    assert to_cell(python) == cell


sources = st.one_of(
    st.text(max_size=60),
    st.builds(
        "".join,
        st.lists(
            st.sampled_from(
                ["%%python", "%%ante", "%", "!", "?", "\n", "\r\n", " ", "# x", "%load_ext ante_nb", "x = 1",
                 "Tell me", "%time", "%%time", " -o r", "\u2028", "%%pythonic", "%%python3"]
            ),
            max_size=6,
        ),
    ),
)  # fmt: skip


@given(st.lists(sources, max_size=5), st.sampled_from([ANTE, PYTHON]), st.booleans())
def test_there_and_back_is_the_same_notebook(texts: list[str], spec: dict[str, str], lines: bool) -> None:
    cells = [
        {
            "cell_type": "code", "execution_count": 1, "id": f"c{number}", "metadata": {"tags": ["a"]},
            "outputs": [], "source": text.splitlines(keepends=True) if lines else text,
        }
        for number, text in enumerate(texts)
    ]  # fmt: skip
    before = {
        "cells": cells,
        "metadata": {"kernelspec": spec, "language_info": {"name": spec["language"], "version": "3.12"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    frozen = json.dumps(before)
    to: convert.Kind = "python" if spec is ANTE else "ante"
    home: convert.Kind = "ante" if spec is ANTE else "python"
    there = convert.convert(before, to)
    assert json.dumps(before) == frozen
    nbformat.validate(nbformat.from_dict(there))
    assert convert.kind_of(there) == to
    assert convert.convert(convert.read(convert.write(there)), home) == before
    for cell in there["cells"]:
        source = "".join(cell["source"])
        if to == "python" and cell["id"].startswith("c"):
            assert kind_of(source) in ("empty", "ipython", "prompt", "python")


@given(sources)
def test_a_twin_means_the_same(text: str) -> None:
    python = to_python(text)
    kind = kind_of(text)
    assert (kind == "prompt") == (python == f"%%ante\n{text}")
    assert kind_of(to_cell(text)) != "prompt" or text.lstrip().startswith("%%ante")


def test_outputs_ids_and_metadata_stay_and_the_magics_are_loaded() -> None:
    before = book(ANTE, "%%python\nx = 1", "First prompt", "Second")
    after = convert.convert(before, "python")
    nbformat.validate(nbformat.from_dict(after))
    kept = [cell for cell in after["cells"] if cell["source"] != "%load_ext ante_nb"]
    assert [cell["source"] for cell in after["cells"]] == [
        "x = 1", "# no prompt", "%load_ext ante_nb", "%%ante\nFirst prompt", "%%ante\nSecond",
    ]  # fmt: skip
    for old, new in zip(before["cells"], kept, strict=True):
        assert {**old, "source": ""} == {**new, "source": ""}
    assert after["metadata"]["kernelspec"]["name"] == "python3"
    assert after["metadata"]["mine"] == [1]


def test_an_edit_in_between_wins() -> None:
    there = convert.convert(book(ANTE, "%%python\n%time x"), "python")
    assert there["cells"][0]["source"] == "%time x"
    there["cells"][0]["source"] = "%time y"
    back = convert.convert(there, "ante")
    assert back["cells"][0]["source"] == "%time y"
    assert back["cells"][0]["metadata"] == {"tags": ["kept"]}


def test_a_notebook_that_loads_the_magics_loads_them_once() -> None:
    there = convert.convert(book(PYTHON, "%load_ext ante_nb", "%%ante\nHi", "df.head()"), "ante")
    assert [cell["source"] for cell in there["cells"] if cell["cell_type"] == "code"] == [
        "%load_ext ante_nb", "Hi", "%%python\ndf.head()",
    ]  # fmt: skip
    back = convert.convert(there, "python")
    assert [cell["source"] for cell in back["cells"]].count("%load_ext ante_nb") == 1
    assert back["metadata"]["kernelspec"] == PYTHON


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "work.ipynb"
    path.write_text(convert.write(book(ANTE, "Hi")), encoding="utf-8")
    before = path.read_bytes()
    assert main(["convert", str(path)]) == 0
    made = tmp_path / "work-python.ipynb"
    assert nbformat.read(made, as_version=4).cells[1].source == "%%ante\nHi"
    assert main(["convert", str(path)]) == 1
    assert "work-python.ipynb exists" in capsys.readouterr().err
    assert main(["convert", str(made), str(path), "--force"]) == 0
    assert json.loads(path.read_text("utf-8")) == json.loads(before)
    assert main(["convert", str(path), "-", "--to", "ante"]) == 1
    assert "already" in capsys.readouterr().err
    assert main(["convert", str(path), "-", "--kernel", "py312"]) == 0
    assert json.loads(capsys.readouterr().out)["metadata"]["kernelspec"]["name"] == "py312"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "not a notebook"),
        ('{"nbformat": 3, "worksheets": []}', "format 3"),
        ('{"nbformat": 4, "cells": [], "metadata": {}}', "names no kernel"),
        ('{"nbformat": 4, "cells": [], "metadata": {"kernelspec": {"name": "ir", "language": "R"}}}', "'ir'"),
    ],
)
def test_what_cannot_be_converted_is_said(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_text(text, encoding="utf-8")
    assert main(["convert", str(path)]) == 1
    assert words in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "none.ipynb")]) == 1
    with pytest.raises(ConfigError):
        convert.kind_of(convert.read('{"nbformat": 4, "cells": []}'))
