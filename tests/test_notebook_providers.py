"""``notebooks/providers.ipynb`` runs from top to bottom against servers as strict as the vendors."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient
from support.shipped import VENDOR_ANSWERS, vendor_env
from support.vendor_server import VendorServer

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOK = Path(__file__).resolve().parents[1] / "notebooks" / "providers.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks")
    for name in (BOOK.name, "rainfall.csv"):
        shutil.copy(BOOK.parent / name, folder)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Iterator[tuple[Any, VendorServer]]:
    """The executed notebook and the server that was asked."""
    with VendorServer() as server:
        server.script(*VENDOR_ANSWERS)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("ANTE_", "MODEL_"))}
        env["ANTE_SYSTEM_SETTINGS"] = str(folder / "none.json")
        env["HOME"] = str(folder / "home")
        env["IPYTHONDIR"] = str(folder / "ipython")
        env |= vendor_env(server)
        book = nbformat.read(folder / BOOK.name, as_version=4)
        client = NotebookClient(
            book, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute(env=env)
        yield book, server


def said(book: Any, start: str) -> str:
    """What the cell that begins so has shown."""
    [cell] = [cell for cell in book.cells if cell.cell_type == "code" and cell.source.startswith(start)]
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        texts.append(output.get("text") or data.get("text/markdown") or data.get("text/plain") or "")
    return "\n".join(texts)


def test_every_prompt_was_answered_by_whom_it_names(run: tuple[Any, VendorServer]) -> None:
    book, server = run
    assert server.refusals == []
    assert not server.scripted
    asked = [request.path.split("/")[1] for request in server.calls]
    assert asked == [
        "anthropic", "openai", "deepseek", "anthropic", "deepseek",
        "anthropic", "anthropic", "openai", "gemini", "deepseek", "anthropic",
    ]  # fmt: skip
    table = said(book, "for turn in (first")
    for answer in ("March, with 12", "May, with 70", "By 58 mm", "We spoke of rain", "It was right"):
        assert answer in table


def test_the_choices_reach_the_wire(run: tuple[Any, VendorServer]) -> None:
    book, server = run
    bodies = [request.body for request in server.calls]
    assert bodies[0]["model"] == "claude-sonnet-4-6"
    assert "built-in default" in said(book, "%ante status")
    assert bodies[1]["model"] == "gpt-5.4-mini"
    assert json.loads(said(book, 'print((home / "settings.json")')) == {
        "model": "gpt-5.4-mini",
        "provider": "openai",
    }
    assert "openai / gpt-5.4-mini" in said(book, "%ante provider default")
    assert bodies[2]["thinking"] == {"type": "disabled"}
    assert "max_tokens" not in bodies[2]
    assert bodies[3]["model"] == "claude-haiku-4-5"
    assert bodies[3]["thinking"] == {"type": "enabled", "budget_tokens": 24576}
    assert "2027 has no divisor" in said(book, "print(deep.thinking")
    assert bodies[4]["max_tokens"] == 500


def test_the_custom_catalog_is_in_the_list(run: tuple[Any, VendorServer]) -> None:
    book, _ = run
    lists = [cell for cell in book.cells if cell.source == "%ante providers"]
    before, after = ("".join(output.text for output in cell.outputs) for cell in lists)
    for name in ("my-provider", "ali-coding-plan-oai"):
        assert name not in before
        assert name in after


def test_a_vendor_gets_the_words_of_the_others_and_not_their_thoughts(run: tuple[Any, VendorServer]) -> None:
    _, server = run
    *_, openai, gemini, deepseek, back = (json.dumps(request.body) for request in server.calls)
    for body in (openai, gemini, deepseek, back):
        assert "March, with 12" in body
        assert "millimetres" in body  # the file, as the tool gave it back
    for body in (openai, gemini, deepseek):
        assert "I need the file." not in body
    assert "I need the file." in back
    assert "The largest is 70." not in gemini + deepseek + back


def test_outputs_are_stripped() -> None:
    for cell in nbformat.read(BOOK, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_the_examples_are_those_of_the_page() -> None:
    examples = sorted((Path(__file__).parent / "providers" / "catalog" / "data").glob("page_*.json"))
    assert len(examples) == 2
    source = "".join(cell.source for cell in nbformat.read(BOOK, as_version=4).cells)
    assert all(example.read_text(encoding="utf-8").strip() in source for example in examples)
