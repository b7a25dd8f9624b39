"""The start of a server: who comes first starts it under a file lock, everybody waits for the same one."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.errors import LocalEngineError
from ante_nb.local import discovery, memory, options
from ante_nb.local import engine as engines
from ante_nb.local.diagnose import explain
from ante_nb.local.gguf import read_header, read_model
from ante_nb.local.process import detached, machine, resident, start_time, terminate
from ante_nb.local.state import (
    STOPPED,
    Leases,
    all_states,
    is_alive,
    places,
    read_state,
    tidy,
    writable_directory,
    write_state,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CODE = (
    "import sys; sys.path.append(sys.argv[1]); from ante_nb.local.server_main import main; main(sys.argv[2])"
)
_ROOT = str(Path(__file__).resolve().parents[2])
_PYTHON = 40 << 20
"""Bytes of a server process before it has touched any of the model (measured)."""
_STEP, _QUIET = 5, 5.0
"""A line of progress comes after so many percent more, and after so many seconds without one."""
_ENDING = 15.0
"""Seconds that a server which somebody stops has to end."""
_started: dict[int, subprocess.Popen[bytes]] = {}
"""The servers that this process started: asked for their exit code, and so reaped."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to run: everything is decided but the context, which depends on the memory that is free."""

    options: options.Options
    model: discovery.LocalModel
    engine: engines.Engine
    path: Path
    name: str
    wanted: int | None
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Begun:
    """A server that runs or starts: its state file, what that says, its process if it was started here."""

    file: Path
    state: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    lines: tuple[str, ...] = ()
    size: int = 0

    @property
    def log(self) -> Path:
        return self.file.with_suffix(".log")


class GoneError(Exception):
    """A server that another process was starting has died; ``problem`` is what there is to say of it."""

    def __init__(self, problem: LocalEngineError) -> None:
        super().__init__(str(problem))
        self.problem = problem


def prepare(chosen: options.Options, wanted: str | None, env: Mapping[str, str]) -> Prepared:
    """Finds engine and model; blocks on the disk.

    Raises:
        LocalEngineError: there is none, or the model cannot be used.
    """
    engine = engines.detect(chosen, env)
    models = discovery.find_models(chosen.home, env, chosen.model_directories)
    model = discovery.choose(
        wanted, models, default=chosen.model, last=chosen.last_model, labels=chosen.labels
    )
    path = model.loaded
    context = chosen.context or chosen.preferred(model.id, "context_window", int)
    try:
        info = path.stat()
    except OSError:
        read_header(path)  # says what is wrong with it
        raise
    # The context that fits depends on what runs already, so only one that was asked for tells servers apart.
    identity = [
        str(path), info.st_size, info.st_mtime_ns, context or f"auto {chosen.context_cap}", machine(),
        engine.name, engine.version, chosen.gpu_layers, chosen.threads, chosen.extra_args,
    ]  # fmt: skip
    name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return Prepared(chosen, model, engine, path, name, context, env)


def begin(prepared: Prepared) -> Begun:
    """The server that runs or starts now, or a new one; blocks for the lock.

    Raises:
        LocalEngineError: it cannot be started, or another process has held the lock for a minute.
    """
    from filelock import FileLock, Timeout

    for pid, process in list(_started.items()):
        if process.poll() is not None:
            _started.pop(pid, None)
    home = prepared.options.home
    for directory in places(home, prepared.env):
        # Without the lock: nobody else may be able to write there any more, and yet it runs.
        found = _look(directory / f"{prepared.name}.json")
        if found is not None:
            return found
    try:
        file = writable_directory(home, prepared.env) / f"{prepared.name}.json"
        with FileLock(file.with_suffix(".lock"), timeout=60, mode=0o600):
            found = _look(file)
            if found is not None:
                return found
            left = read_state(file)
            if left is not None and isinstance(left.get("child"), list):
                terminate(*left["child"], hard=True)  # its parent was killed and could not
            file.unlink(missing_ok=True)
            tidy(file.parent)
            return _spawn(prepared, file)
    except Timeout:
        raise LocalEngineError(
            "another kernel has been starting the local model for a minute",
            "Try again, or restart that kernel.",
        ) from None
    except OSError as error:
        raise LocalEngineError(
            f"the local server cannot be started: {error}",
            "Make room on the disk, or set ANTE_HOME to a directory of yours that can be written.",
        ) from error


def _look(file: Path) -> Begun | None:
    """The living server of a state file, which this process uses from now on."""
    state, deadline = read_state(file), time.monotonic() + _ENDING
    while state is not None and state.get("status") == STOPPED and is_alive(state):
        time.sleep(0.1)  # somebody ends it just now
        if time.monotonic() > deadline:
            terminate(state["pid"], state["start"], hard=True)
        reap(state["pid"])
        state = read_state(file)
    if not is_alive(state):
        return None
    try:
        Leases(file).touch()
    except OSError:
        pass  # a full disk: then the server may end sooner, and is started again
    state = read_state(file)  # it may have been about to end, and has seen the lease only if it is still here
    return Begun(file, state) if state is not None and is_alive(state) else None


def _spawn(prepared: Prepared, file: Path) -> Begun:
    chosen, model = prepared.options, prepared.model
    header = read_model(prepared.path)
    size = header.size + model.mmproj_size
    free = memory.available_memory() if chosen.memory_check else None
    try:
        plan = memory.plan(
            header, model.id, wanted=prepared.wanted, available=free, size=size, cap=chosen.context_cap
        )
    except LocalEngineError as error:
        raise _with_others(error, chosen.home, prepared.env) from None
    cache = min(2 * header.kv_bytes_per_token * plan.context, (free or 4 << 30) // 8)
    preferred = chosen.preferred(model.id, "extra_args", (list, tuple)) or ()
    launch = engines.Launch(
        engine=prepared.engine.name,
        binary=prepared.engine.binary,
        model=str(prepared.path),
        alias=model.id,
        context=plan.context,
        threads=chosen.threads or memory.threads(),
        gpu_layers=chosen.gpu_layers,
        cache_mib=max(cache >> 20, 64),
        sleep_idle=chosen.sleep_idle,
        exit_idle=chosen.exit_idle,
        start_timeout=chosen.start_timeout,
        state=str(file),
        extra_args=(*map(str, preferred), *chosen.extra_args),
        mmproj=str(model.mmproj) if model.mmproj else None,
    )
    log = os.open(file.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE, _ROOT, json.dumps(launch.to_dict())],
            env=engines.child_environment(prepared.env, secrets.token_urlsafe(24)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=file.parent,
            **detached(),
        )
    finally:
        os.close(log)
    _started[process.pid] = process
    state = {
        "v": 1,
        "pid": process.pid,
        "start": start_time(process.pid) or "0",
        "status": "starting",
        "alias": model.id,
        "engine": prepared.engine.name,
        "model": str(prepared.path),
        "context": plan.context,
        "since": time.time(),
    }
    try:
        write_state(file, state)  # the process waits for this before it writes its own
        Leases(file).touch()
    except OSError:
        process.kill()
        process.wait()
        _started.pop(process.pid, None)
        raise
    engine = "llama.cpp" if prepared.engine.binary else f"llama.cpp ({prepared.engine.label})"
    lines = [
        f"starting {engine} ...",
        f"loading {model.id}, {memory.gigabytes(size)}, {plan.context} tokens of context ...",
    ]
    if plan.reduced:
        lines.append(
            f"context cut to {plan.context} tokens to fit into {memory.gigabytes(free or 0)} of free memory"
        )
    return Begun(file, state, process, tuple(lines), size)


def _with_others(error: LocalEngineError, home: Path, env: Mapping[str, str]) -> LocalEngineError:
    """The refusal for want of memory, with what could be ended."""
    rows = [(state.get("alias"), resident(state["pid"])) for _, state in all_states(home, env)]
    words = [f"{name} ({memory.gigabytes(size)})" for name, size in rows if name and size]
    if not words:
        return error
    hint = f"`%ante local stop` ends what runs now: {', '.join(words)}. {error.hint or ''}"
    return LocalEngineError(error.message, hint.strip())


async def ready(prepared: Prepared, begun: Begun, progress: Callable[[str], None]) -> dict[str, Any]:
    """Waits until the server has loaded its model, and says how far it is; its own start or somebody else's.

    Raises:
        LocalEngineError: this process started it and it failed, it took too long, or it was stopped.
        GoneError: another process started it and it died.
    """
    state, process = begun.state, begun.process
    meter = _Meter(prepared.model.id, begun.size or prepared.model.size)
    for line in begun.lines:
        progress(line)
    if process is None and state.get("status") != "ready":
        progress(f"loading {prepared.model.id}, started by another kernel ...")
    nap = 0.02
    while state.get("status") != "ready":
        code = process.poll() if process is not None else None
        if code is not None or not await asyncio.to_thread(is_alive, state):
            latest = await asyncio.to_thread(read_state, begun.file)
            if latest is None or not await asyncio.to_thread(is_alive, latest):
                await _failed(prepared, begun, process, code, stopped=(latest or {}).get("status") == STOPPED)
            process = None
        if meter.seconds() > prepared.options.start_timeout:
            await kill(state)
            raise LocalEngineError(
                f"{prepared.model.id} was not loaded within {prepared.options.start_timeout:.0f} s",
                "Choose a smaller model, or set local.start_timeout.",
            )
        line = await asyncio.to_thread(meter.look, state["pid"])
        if line:
            progress(line)
        await asyncio.sleep(nap)
        nap = min(nap * 1.2, 0.25)
        latest = await asyncio.to_thread(read_state, begun.file)
        state = latest or state
    return state


async def _failed(
    prepared: Prepared,
    begun: Begun,
    process: subprocess.Popen[bytes] | None,
    code: int | None,
    *,
    stopped: bool,
) -> None:
    """Raises for a server that ended while it loaded."""
    name, engine = prepared.model.id, prepared.engine
    if process is not None and code is None:
        code = await asyncio.to_thread(_exit_code, process)
    if stopped:
        raise LocalEngineError(f"{name} was stopped while it loaded", "Run the cell again to start it.")
    problem = await asyncio.to_thread(explain, code, begun.log, name, engine.label)
    if process is None:
        raise GoneError(problem)
    # A copy: the one that is raised holds frames by its traceback.
    engines.failures[engine.name] = LocalEngineError(problem.message, problem.hint)
    raise problem


class _Meter:
    """Lines of progress while a model is loaded."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.size = name, size
        self.began = self.told = time.monotonic()
        self.percent = 0

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def look(self, pid: int) -> str:
        """How far process ``pid`` is, in a line, if that is news."""
        quiet = time.monotonic() - self.told
        if quiet < 1:
            return ""
        touched = resident(pid)
        percent = self.percent
        if touched is not None and self.size:
            percent = max(percent, min(99, 100 * max(0, touched - _PYTHON) // self.size))
        if percent < self.percent + _STEP and quiet < _QUIET:
            return ""
        self.percent, self.told = percent, time.monotonic()
        part = f"{percent} % of {memory.gigabytes(self.size)}, " if percent else ""
        return f"loading {self.name}: {part}{self.seconds():.0f} s ..."


async def kill(state: dict[str, Any]) -> None:
    """Ends a server at once and waits until it is gone, so that nobody takes it for a living one."""
    await asyncio.to_thread(terminate, state["pid"], state["start"], hard=True)
    if isinstance(state.get("child"), list):
        await asyncio.to_thread(terminate, *state["child"], hard=True)
    for _ in range(100):
        reap(state["pid"])
        if not await asyncio.to_thread(is_alive, state):
            return
        await asyncio.sleep(0.05)


def reap(pid: int) -> None:
    """Takes note of the end of a server that this process started."""
    process = _started.get(pid)
    if process is not None:
        process.poll()


def _exit_code(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(5)
    except subprocess.TimeoutExpired:
        return None
