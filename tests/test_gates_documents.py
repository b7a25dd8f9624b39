"""Every code block of the README and the documents runs, in a real kernel, against the loopback server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import ROOT, point_at, words_of
from support.chat_server import Reply, tool
from support.kernel import Kernel
from support.snippets import snippets

if TYPE_CHECKING:
    from pathlib import Path

    from support.chat_server import ChatServer, Recorded

WITH_PYTHON = [ROOT / "README.md", ROOT / "docs" / "guide.md"]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def _answer(request: Recorded) -> Reply | None:
    """The value that the `--schema` cell of the guide wants; else what the server says anyway."""
    if "Which month was the driest?" in words_of(request.body["messages"][-1]):
        return Reply(tool("Answer", {"name": "March", "millimetres": 12}))
    return None


@pytest.mark.parametrize("document", WITH_PYTHON, ids=lambda path: path.name)
def test_python_blocks_run_from_top_to_bottom(
    document: Path, chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    blocks = snippets(document, "python")
    assert blocks
    chat_server.handler = _answer
    with Kernel(cwd=tmp_path, env=point_at(chat_server, isolated_home)) as kernel:
        for block in blocks:
            outcome = kernel.run(block.code.rstrip("\n"))
            assert outcome.status == "ok", f"{block.place}: {outcome.text}"
    prompts = [
        block
        for block in blocks
        if re.search(r"^%%ante|\bask(_async)?\(\"(?!hello)", block.code, re.MULTILINE)
    ]
    mapped = 2 * sum("ante_nb.map(" in block.code for block in blocks)  # over two items
    assert len(chat_server.chats) == len(prompts) + mapped


def test_no_other_document_has_python_blocks() -> None:
    assert [path.name for path in DOCUMENTS if snippets(path, "python") and path not in WITH_PYTHON] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_json_blocks_are_json(document: Path) -> None:
    for block in snippets(document, "json"):
        json.loads(block.code)


def test_json_blocks_of_the_guide_are_taken_without_complaint(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    """The settings and the catalog of the guide, as files: no problem reported, the provider is there."""
    env = point_at(chat_server, isolated_home)
    files: dict[str, Any] = {}

    def merged(some: Any, other: Any) -> Any:
        """Both blocks in one file: lists one after the other."""
        if isinstance(some, dict) and isinstance(other, dict):
            both = {key: merged(some[key], other[key]) for key in some.keys() & other.keys()}
            return some | other | both
        return some + other if isinstance(some, list) else other

    for block in snippets(ROOT / "docs" / "guide.md", "json"):
        data = json.loads(block.code)
        name = "catalog.json" if {"providers", "oauth"} & set(data) else "settings.json"
        if name == "settings.json":
            data |= {"provider": "openai-compatible", "model": "test-model"}
        files[name] = merged(files.get(name, {}), data)
    for name, data in files.items():
        (isolated_home / ".ante" / name).write_text(json.dumps(data))
    with Kernel(cwd=tmp_path, env=env) as kernel:
        kernel.run("%load_ext ante_nb")
        doctor = kernel.run("%ante doctor")
        assert doctor.status == "ok" and "Skipped" not in doctor.text, doctor.text
        refused = kernel.run("%%ante --provider my-provider --model my-model\nhello")
        assert "MY_PROVIDER_API_KEY" in refused.error
    assert chat_server.chats == []


def test_every_flag_and_command_of_the_documents_exists(kernel: Kernel) -> None:
    """What ``%%ante -h`` and ``%ante help`` do not list is not documented either."""
    kernel.run("%load_ext ante_nb")
    commands = kernel.run("%ante help").text
    flags = set(re.findall(r"--[a-z][a-z-]+", kernel.run("%%ante -h\nx").text + commands))
    foreign = {"--strict"}  # mypy's
    for document in DOCUMENTS:
        prose = document.read_text("utf-8")
        for line in re.findall(r"`([^`\n]*--[a-z][^`\n]*)`|^(%%ante .*)$", prose, re.MULTILINE):
            for flag in re.findall(r"--[a-z][a-z-]+", "".join(line)):
                assert flag in flags | foreign, f"{document.name}: {flag}"
        for command in re.findall(r"(?<!%)%ante ([a-z]+)", prose):
            assert re.search(rf"\b{command}\b", commands), f"{document.name}: %ante {command}"


def test_the_reference_is_what_the_magics_say() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/build_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
