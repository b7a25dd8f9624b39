"""The notebooks of ``notebooks/``: what answers their prompts in the tests, and how their recordings are made.

``python -m support.shipped`` in ``tests/`` records all of them anew, in ``notebooks/.ante/recordings``:
``quickstart`` and ``data`` with the demo model, the others with the answers written here, from a server on
this machine. Names after it record these alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.ante import ROOT, echo, point_at
from support.chat_server import ChatServer, Reply, tool
from support.vendor_answers import Answer
from support.vendor_server import VendorServer
from support.vendors import VENDORS

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = ROOT / "notebooks"
RECORDINGS = Path(".ante") / "recordings"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.ipynb")))
MODEL = "scripted-answers"
"""The model's name in a recording that no model has made."""

# The answers to each notebook's prompts, in order.
ANSWERS: dict[str, list[Reply]] = {
    "python_api": [
        Reply("The one in the middle."),
        Reply("The sum over the count."),
        Reply(tool("Answer", {"name": "March", "millimetres": 12}, id="call_1")),
        Reply(tool("rain_in", {"month": "May"}, id="call_2")),
        Reply("70 mm."),
    ],
    "permissions": [
        Reply(tool("Write", {"file_path": "note.txt", "content": "March was dry.\n"}, id="call_1")),
        Reply("Written."),
        Reply(tool("Bash", {"command": "rm note.txt"}, id="call_2")),
        Reply("I may not."),
    ],
    "kernel": [Reply("12 mm."), Reply("We spoke of rain.")],
}  # fmt: skip
VENDOR_ANSWERS = (
    Answer("A table with named columns."),
    Answer("A table of sums by two keys."),
    Answer("Rows of two tables put side by side."),
    Answer("It is.", "2027 has no divisor up to 45."),
    Answer("A join that keeps rows without a partner."),
    Answer("", "I need the file.", (("Read", {"file_path": "rainfall.csv"}),)),
    Answer("March, with 12 mm.", "The smallest is 12."),
    Answer("May, with 70 mm.", "The largest is 70."),
    Answer("By 58 mm."),
    Answer("We spoke of rain.", "Short."),
    Answer("It was right."),
)


def vendor_env(server: VendorServer) -> dict[str, str]:
    """Keys and addresses of the vendors that ``providers`` asks."""
    env: dict[str, str] = {}
    for name in ("anthropic", "openai", "deepseek", "gemini"):
        env[f"{name.upper()}_API_KEY"] = VENDORS[name].key
        env[f"{name.upper()}_BASE_URL"] = server.base(name)
    # Gemini has no variable of its own; the others' go before this one.
    return env | {"MODEL_BASE_URL": server.base("gemini")}


def bring(folder: Path, *, recordings: bool = True) -> Path:
    """Put the notebooks, what they read and what was recorded into ``folder``, which is made."""
    folder.mkdir()
    for path in FOLDER.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    if recordings:
        shutil.copytree(FOLDER / RECORDINGS, folder / RECORDINGS)
    return folder


def run(path: Path, env: Mapping[str, str]) -> Any:
    """Run a notebook through nbclient; returns it with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    client = NotebookClient(
        book, timeout=900, startup_timeout=150, resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute(env={**os.environ, **env})
    return book


def _record(name: str, folder: Path, home: Path) -> None:
    env = {"ANTE_REPLAY": "auto"}
    if name in ANSWERS:
        with ChatServer() as server:
            server.handler = echo
            server.enqueue(*ANSWERS[name])
            run(folder / f"{name}.ipynb", {**env, **point_at(server, home, model=MODEL)})
        (home / ".ante" / "settings.json").unlink()
    elif name == "providers":
        with VendorServer() as server:
            server.script(*VENDOR_ANSWERS)
            run(folder / f"{name}.ipynb", {**env, **vendor_env(server)})
            assert not server.refusals and not server.scripted
    else:
        from ante_nb.local import shared

        try:
            run(folder / f"{name}.ipynb", env)
        finally:
            asyncio.run(shared.stop_all(home / ".ante"))


def main() -> None:
    """Record the notebooks that are named, or all of them."""
    from support.front import HOME, install

    with tempfile.TemporaryDirectory(prefix="ante-record-") as base:
        home = Path(base)
        for variable in [
            n for n in os.environ if n.startswith(("ANTE_", "MODEL_")) or n.endswith("_API_KEY")
        ]:
            del os.environ[variable]
        os.environ |= {n: str(home / part) if part else base for n, part in HOME.items()}
        install(home)
        folder = bring(home / "notebooks", recordings=False)
        for name in sys.argv[1:] or NAMES:
            _record(name, folder, home)
            print(name)
        shutil.copytree(folder / RECORDINGS, FOLDER / RECORDINGS, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
