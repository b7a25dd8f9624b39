"""One server per model, shared by all kernels of the user: find it or start it.

Who comes first starts it under a file lock and leaves a state file; everybody else finds that file,
checks that the process and the key in it are good, and uses the same server. A start that is cancelled
goes on in the background and is found by the next one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.errors import LocalEngineError
from ante_nb.local import capabilities as caps
from ante_nb.local import discovery, engines, memory, options
from ante_nb.local.diagnose import explain
from ante_nb.local.gguf import read_header
from ante_nb.local.http_probe import get_json
from ante_nb.local.process import is_same, start_time, terminate
from ante_nb.local.state import Leases, is_alive, read_state, run_directory, write_state
from ante_nb.providers.spec import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CODE = (
    "import sys; sys.path.append(sys.argv[1]); from ante_nb.local.server_main import main; main(sys.argv[2])"
)
_ROOT = str(Path(__file__).resolve().parents[2])
_started: dict[int, subprocess.Popen[bytes]] = {}
"""The servers that this process started: asked for their exit code, and so reaped."""
_asked: dict[tuple[str, str], caps.Capabilities] = {}


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server that answers. ``base_url`` ends in ``/v1``; ``key`` does not show in ``repr``."""

    base_url: str
    key: Secret | None
    model_id: str
    context: int | None
    engine: str
    capabilities: caps.Capabilities
    reused: bool
    pid: int | None = None
    start: str | None = None
    state: Path | None = field(default=None, repr=False)
    temperature: float | None = None
    demo: bool = False

    @property
    def root(self) -> str:
        """The address without ``/v1``, where llama.cpp's own endpoints are."""
        return self.base_url.removesuffix("/v1")

    def alive(self) -> bool:
        """Whether its process runs; of a server that somebody else runs, nothing is known."""
        return self.pid is None or is_same(self.pid, self.start)

    def busy(self) -> AbstractContextManager[None]:
        """Keeps the server from ending while a request runs."""
        return nullcontext() if self.state is None else Leases(self.state).busy()


@dataclass(frozen=True, slots=True)
class _Prepared:
    options: options.Options
    model: discovery.LocalModel
    engine: engines.Engine
    path: Path
    state: Path
    wanted: int | None
    env: Mapping[str, str]

    @property
    def log(self) -> Path:
        return self.state.with_suffix(".log")


async def acquire(
    model: str | None = None,
    *,
    settings: Any = None,
    progress: Callable[[str], None] = lambda line: None,
    env: Mapping[str, str] | None = None,
) -> LocalServer:
    """A server for ``model``: the configured one, a running one, or a new one.

    Files and processes are handled in worker threads, the event loop is never blocked.

    Args:
        model: a path, a model's id or the beginning of one; ``None`` takes the default.
        settings: the package's settings (their ``local`` section), or loaded ``Options``.
        progress: called on the event loop with one line at a time for the person.
        env: the environment, by default the process's.

    Raises:
        LocalEngineError: no engine, no such model, a damaged one, no memory, or the engine failed.
        ConfigError: a setting is wrong.
    """
    env = dict(os.environ) if env is None else env
    chosen = await asyncio.to_thread(options.load, settings, env)
    if chosen.engine_url:
        return await asyncio.to_thread(_attach, chosen, chosen.engine_url, model, env)
    prepared = await asyncio.to_thread(_prepare, chosen, model, env)
    for last in (False, True):
        state, process, lines = await asyncio.to_thread(_begin, prepared)
        for line in lines:
            progress(line)
        state = await _ready(prepared, state, process, progress)
        if await _answers(state):
            engines.failures.pop(prepared.engine.name, None)
            break
        # It lives and yet does not answer: it would not for anybody else either.
        await _kill(state)
        if last:
            raise LocalEngineError(f"{prepared.engine.label} does not answer", f"Its log: {prepared.log}")
    return await asyncio.to_thread(_server, prepared, state, process is None)


def _attach(chosen: options.Options, url: str, model: str | None, env: Mapping[str, str]) -> LocalServer:
    """A server that the person runs. It is never stopped, and nothing is started in its place."""
    root = url.rstrip("/").removesuffix("/v1")
    key = env.get(chosen.engine_key_env, "").strip() or None
    status, body = get_json(root, "/v1/models", key, timeout=15)
    if status == 503:
        raise LocalEngineError(f"the server at {root} still loads its model", "Try again in a moment.")
    if status in (401, 403):
        raise LocalEngineError(f"the server at {root} wants a key", f"Set {chosen.engine_key_env}.")
    if status != 200:
        words = "does not answer" if status == 0 else f"answers with status {status}"
        raise LocalEngineError(f"the server at {root} {words}", "Start it, or correct local.engine_url.")
    rows = body.get("data") if isinstance(body, dict) else None
    ids = [row["id"] for row in rows or () if isinstance(row, dict) and isinstance(row.get("id"), str)]
    name = model if model and model != "local" else chosen.model if chosen.model in ids else None
    able = caps.ask(root, key)
    return LocalServer(
        f"{root}/v1",
        Secret(key) if key else None,
        name or (ids[0] if ids else "local"),
        able.context,
        "configured",
        able,
        True,
    )


def _prepare(chosen: options.Options, wanted: str | None, env: Mapping[str, str]) -> _Prepared:
    engine = engines.detect(chosen, env)
    models = discovery.find_models(chosen.home, env, chosen.model_directories)
    model = discovery.choose(wanted, models, default=chosen.model, labels=chosen.labels)
    if not model.complete:
        raise LocalEngineError(f"{model.id} lacks some of its parts", "Download the missing files.")
    path = model.path.resolve()
    context = chosen.context or chosen.preferred(model.id, "context_window", int)
    try:
        info = path.stat()
    except OSError:
        read_header(path)  # says what is wrong with it
        raise
    # The context that fits depends on what runs already, so only one that was asked for tells servers apart.
    identity = [
        str(path), info.st_size, info.st_mtime_ns, context or "auto",
        engine.name, engine.version, chosen.gpu_layers, chosen.threads, chosen.extra_args,
    ]  # fmt: skip
    name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    try:
        state = run_directory(chosen.home) / f"{name}.json"
    except OSError as error:
        raise LocalEngineError(f"{chosen.home} cannot be used for local servers: {error}") from error
    return _Prepared(chosen, model, engine, path, state, context, env)


def _begin(prepared: _Prepared) -> tuple[dict[str, Any], subprocess.Popen[bytes] | None, list[str]]:
    """The state of a server that runs or starts now, its process if it was started here, lines to show."""
    from filelock import FileLock, Timeout

    for process in _started.values():
        process.poll()
    try:
        Leases(prepared.state).touch()
        with FileLock(prepared.state.with_suffix(".lock"), timeout=60, mode=0o600):
            state = read_state(prepared.state)
            if state is not None and is_alive(state):
                return state, None, []
            if state is not None and isinstance(state.get("child"), list):
                terminate(*state["child"], hard=True)  # its parent was killed and could not
            prepared.state.unlink(missing_ok=True)
            return _spawn(prepared)
    except Timeout:
        raise LocalEngineError(
            "another kernel has been starting the local model for a minute",
            "Try again, or restart that kernel.",
        ) from None
    except OSError as error:
        raise LocalEngineError(f"the local server cannot be started: {error}") from error


def _spawn(prepared: _Prepared) -> tuple[dict[str, Any], subprocess.Popen[bytes], list[str]]:
    chosen, model = prepared.options, prepared.model
    header = read_header(prepared.path)
    if not header.tensors:
        raise LocalEngineError(f"{model.id} holds a vocabulary and no model", "Choose another file.")
    size = max(model.size, header.size)
    free = memory.available_memory() if chosen.memory_check else None
    plan = memory.plan(header, model.id, wanted=prepared.wanted, available=free, size=size)
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
        state=str(prepared.state),
        extra_args=(*map(str, preferred), *chosen.extra_args),
        mmproj=_mmproj(model.path),
    )
    log = os.open(prepared.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE, _ROOT, json.dumps(launch.to_dict())],
            env=engines.child_environment(prepared.env, secrets.token_urlsafe(24)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=prepared.state.parent,
            start_new_session=True,  # an interrupt of the kernel goes to its whole process group
        )
    finally:
        os.close(log)
    _started[process.pid] = process
    state = {"v": 1, "pid": process.pid, "start": start_time(process.pid), "status": "starting"}
    write_state(prepared.state, state)  # the process waits for this before it writes its own
    engine = "llama.cpp" if prepared.engine.binary else f"llama.cpp ({prepared.engine.label})"
    lines = [
        f"starting {engine} ...",
        f"loading {model.id}, {memory.gigabytes(size)}, {plan.context} tokens of context ...",
    ]
    if plan.reduced:
        lines.append(
            f"context cut to {plan.context} tokens to fit into {memory.gigabytes(free or 0)} of free memory"
        )
    return state, process, lines


def _mmproj(model: Path) -> str | None:
    """The image encoder beside the model, where it can only be this model's."""
    try:
        names = sorted(path for path in model.parent.glob("*.gguf"))
    except OSError:
        return None
    encoders = [path for path in names if "mmproj" in path.name.lower()]
    shards = {discovery.shardless(path.stem) for path in names if path not in encoders}
    return str(encoders[0]) if len(encoders) == 1 and len(shards) == 1 else None


async def _ready(
    prepared: _Prepared,
    state: dict[str, Any],
    process: subprocess.Popen[bytes] | None,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Waits until the server has loaded its model; its own start or somebody else's."""
    clock = time.monotonic
    began, told, nap = clock(), clock(), 0.02
    while state.get("status") != "ready":
        code = process.poll() if process is not None else None
        if code is not None or not await asyncio.to_thread(is_alive, state):
            latest = await asyncio.to_thread(read_state, prepared.state)
            if latest is None or not await asyncio.to_thread(is_alive, latest):
                if process is not None and code is None:
                    code = await asyncio.to_thread(_exit_code, process)
                problem = await asyncio.to_thread(
                    explain, code, prepared.log, prepared.model.id, prepared.engine.label
                )
                # A copy: the one that is raised holds frames by its traceback.
                engines.failures[prepared.engine.name] = LocalEngineError(problem.message, problem.hint)
                raise problem
            process = None
        if clock() - began > prepared.options.start_timeout:
            await _kill(state)
            raise LocalEngineError(
                f"{prepared.model.id} was not loaded within {prepared.options.start_timeout:.0f} s",
                "Choose a smaller model, or set local.start_timeout.",
            )
        if clock() - told > 5:
            told = clock()
            progress(f"still loading {prepared.model.id}, {clock() - began:.0f} s ...")
        await asyncio.sleep(nap)
        nap = min(nap * 1.2, 0.25)
        latest = await asyncio.to_thread(read_state, prepared.state)
        state = latest or state
    return state


async def _kill(state: dict[str, Any]) -> None:
    """Ends a server at once and waits until it is gone, so that nobody takes it for a living one."""
    await asyncio.to_thread(terminate, state["pid"], state["start"], hard=True)
    for _ in range(100):
        process = _started.get(state["pid"])
        if process is not None:
            process.poll()
        if not await asyncio.to_thread(is_alive, state):
            return
        await asyncio.sleep(0.05)


def _exit_code(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(5)
    except subprocess.TimeoutExpired:
        return None


async def _answers(state: dict[str, Any]) -> bool:
    """Whether the server takes its key; its health endpoint asks for none and so proves nothing."""
    for _ in range(3):
        status, _body = await asyncio.to_thread(get_json, state["url"], "/v1/models", state["key"])
        if status == 200:
            return True
        if not await asyncio.to_thread(is_alive, state):
            return False
    return False


def _server(prepared: _Prepared, state: dict[str, Any], reused: bool) -> LocalServer:
    identity = (str(state["pid"]), str(state["start"]))
    able = _asked.get(identity)
    if able is None:
        able = _asked[identity] = caps.ask(state["url"], state["key"])
    return LocalServer(
        base_url=f"{state['url']}/v1",
        key=Secret(state["key"]),
        model_id=state["alias"],
        context=able.context or state["context"],
        engine=prepared.engine.label,
        capabilities=able,
        reused=reused,
        pid=state["pid"],
        start=state["start"],
        state=prepared.state,
        temperature=prepared.options.preferred(prepared.model.id, "temperature", (int, float)),
        demo=prepared.model.demo,
    )


def running(home: Path) -> list[dict[str, Any]]:
    """The states of the servers that run now, without their keys."""
    directory = home / "run" / "local"
    states = [read_state(path) for path in sorted(directory.glob("*.json"))] if directory.is_dir() else []
    return [
        {name: value for name, value in state.items() if name != "key"}
        for state in states
        if state and is_alive(state)
    ]


async def stop_all(home: Path, *, timeout: float = 10.0) -> int:
    """Ends all local servers of this user that run below ``home``; returns how many."""
    states = await asyncio.to_thread(running, home)
    for state in states:
        await asyncio.to_thread(terminate, state["pid"], state["start"])
    deadline = time.monotonic() + timeout
    for state in states:
        while is_alive(state):
            if time.monotonic() > deadline:
                await asyncio.to_thread(terminate, state["pid"], state["start"], hard=True)
            process = _started.get(state["pid"])
            if process is not None:
                process.poll()
            await asyncio.sleep(0.05)
    return len(states)
