"""``%ante record`` and ``%ante check``."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.errors import AnteError, BusyError, ConfigError
from ante_nb.notebook.printing import say

if TYPE_CHECKING:
    from ante_nb.notebook.state import KernelState


def record(state: KernelState, rest: str) -> None:
    """Switch recording on or off for this kernel, or say what is in force.

    Raises:
        ConfigError: neither ``on`` nor ``off``; ``ANTE_REPLAY`` cannot be used.
    """
    word = rest.strip().lower()
    if word not in ("", "on", "off"):
        raise ConfigError(f"%ante record: {rest!r} is not known", "Use on or off, or nothing to see what is.")
    if word:
        state.runtime.recording = "auto" if word == "on" else "off"
        state.runtime.changed()
    replay = state.runtime.replay(state.notebook_path, Path.cwd())
    where = paths.display(replay.folder)
    count = sum(not path.name.startswith("context-") for path in replay.folder.glob("*.json"))
    turns = f"{count} turn{'s' * (count != 1)} there"
    words = {
        "off": f"answers are not recorded, and recorded ones are not replayed ({replay.source})",
        "auto": f"answers are recorded in {where} and replayed from there: {turns} ({replay.source})",
        "only": f"answers come from {where} alone, nothing is sent: {turns} ({replay.source})",
    }
    say(words[replay.mode])
    if replay.mode == "only" and word:
        say("ANTE_REPLAY=only was set before this kernel started, and stays")


def check(state: KernelState, rest: str) -> None:
    """Run the saved notebook in a fresh kernel and report what differs.

    Raises:
        AnteError: something differs, or the notebook cannot be run: so that a run of all cells stops.
    """
    if os.environ.get("ANTE_REPLAY_REPORT"):
        return  # this is the fresh kernel of a check
    if state.in_tool:
        raise BusyError("%ante check inside a tool call is refused", "Run it in a cell of its own.")
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise ConfigError(f"%ante check: {error}", "Check the quotation marks.") from None
    every = "--all" in words
    names = [word for word in words if word != "--all"]
    if len(names) > 1 or any(name.startswith("-") for name in names):
        raise ConfigError(f"%ante check: {rest!r} is not known", "Use `%ante check [NOTEBOOK] [--all]`.")
    path = Path(names[0]).expanduser().absolute() if names else state.notebook_path
    if path is None:
        raise ConfigError(
            "this front end does not tell the notebook's name", "Say it: `%ante check NAME.ipynb`."
        )
    if not path.is_file():
        raise ConfigError(f"there is no file {paths.display(path)}", "Save the notebook first.")
    saved = time.strftime("%H:%M:%S", time.localtime(path.stat().st_mtime))
    say(f"{path.name} as it was saved at {saved}, from the top, in a fresh kernel; nothing is sent")
    found = _run(path, every)
    if found:
        more = "" if every or found == 1 else "; `--all` reports every one"
        raise AnteError(
            f"{path.name} does not give again what is saved: {found} difference{'s' * (found != 1)}{more}",
            "Run it in order and save it, or record the answers anew (`%ante record on`).",
        )
    say("no difference: every cell gives what is saved")


def _run(path: Path, every: bool) -> int:
    command = [sys.executable, "-m", "ante_nb.notebook.check_run", str(path), "--json", *(["--all"] * every)]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (closed below, with the child)
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8", env=environment
    )
    found = 0
    told = ""
    ended = False
    try:
        assert child.stdout is not None
        for line in child.stdout:
            item = json.loads(line) if line.startswith("{") else {}
            if "difference" in item:
                found += 1
                print("\r", end="")
                say(f"cell {item['cell']} ({item['source']}): {item['difference']}")
            elif "cell" in item:
                print(f"\rcell {item['cell']} of {item['of']} ", end="", flush=True)
            elif "problem" in item:
                print()
                raise AnteError(str(item["problem"]), "The cell above says what was run.")
            elif "done" in item:
                ended = True
        print()
        log.seek(0)
        told = log.read()
    finally:
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
        log.close()
    if not ended and not found:
        last = told.strip().splitlines()[-1:] or ["it said nothing"]
        raise AnteError(
            f"the notebook could not be run: {last[0]}", "Run its cells here to see where it stops."
        )
    return found
