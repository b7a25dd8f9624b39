"""Notebooks with known cells in a real JupyterLab, and a model that plays calls of the Cells tool."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

from support.ante import check_conversation, point_at, words_of
from support.chat_server import Reply, text, tool
from support.lab import Lab

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from support.chat_server import ChatServer

PROMPT = "%load_ext ante_nb"


def png(colour: tuple[int, int, int] = (200, 0, 0)) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(colour) * 8 for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def start(
    factory: pytest.TempPathFactory, server: ChatServer, *, extension: bool = True, app: str = "lab"
) -> Lab:
    home = factory.mktemp(app) / "home"
    home.mkdir()
    env = point_at(server, home)
    return Lab(home, {**env, "ANTE_HOME": str(home / ".ante")}, extension=extension, app=app)


def write(lab: Lab, name: str, cells: list[dict[str, Any]]) -> Path:
    """A notebook whose cells have the ids that are given."""
    made = []
    for cell in cells:
        kind = cell.get("cell_type", "code")
        more = {"outputs": [], "execution_count": None} if kind == "code" else {}
        made.append({"cell_type": kind, "metadata": {}, **more, **cell})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = lab.work / f"{name}.ipynb"
    path.write_text(
        json.dumps({"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
    )
    return path


def sources(lab: Lab) -> list[str]:
    """The text of every cell as the page's editors show it."""
    found = lab.page.evaluate(
        """() => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].map(cell =>
            [...cell.querySelectorAll('.jp-InputArea-editor .cm-line')].map(line => line.textContent).join('\\n'))"""
    )
    return list(found)


def type_into(lab: Lab, number: int, words: str) -> None:
    """Replace a cell's text by typing."""
    lab.cell(number).locator(".jp-InputArea-editor .cm-content").click()
    lab.page.keyboard.press("Control+a")
    lab.page.keyboard.type(words)


def results(server: ChatServer) -> dict[str, str]:
    messages = list(server.chats[-1].body["messages"])
    check_conversation(messages)
    return {m["tool_call_id"]: words_of(m) for m in messages if m["role"] == "tool"}


def play(server: ChatServer, *calls: dict[str, Any]) -> None:
    """The model calls Cells with each of ``calls`` in turn, a step each, then ends."""
    for number, call in enumerate(calls, 1):
        server.enqueue(Reply(tool("Cells", call, id=f"call_{number}")))
    server.enqueue(Reply(text("done")))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
