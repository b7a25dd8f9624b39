"""The servers that run now: who uses them, what they take, how they end, what they said."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.errors import LocalEngineError
from ante_nb.local.launching import reap
from ante_nb.local.process import resident, terminate
from ante_nb.local.state import STOPPED, Leases, all_states, is_alive, places, read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Iterable

_TAIL = 256 << 10
_LABELS = {"llama_cpp": "llama-cpp-python"}


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that this package started, in whatever kernel. Only such can be stopped.

    ``status`` is ``starting``, ``ready`` or ``stopped`` (about to end); ``context`` in tokens; ``memory`` in
    bytes, ``None`` where the system does not tell; ``kernels`` counts the processes that use it;
    ``others_busy`` means that a request of another process than this one runs; ``seconds`` since its start.
    """

    model: str
    path: Path
    engine: str
    status: str
    context: int
    pid: int
    url: str | None
    memory: int | None
    kernels: int
    busy: bool
    others_busy: bool
    seconds: float | None
    log: Path = field(repr=False)
    file: Path = field(repr=False)
    start: str = field(repr=False)


def running_servers(home: Path | None = None) -> list[RunningServer]:
    """The servers of ``home`` (ANTE_HOME) that run now. Reads files; asks nobody."""
    found = []
    for file, state in all_states(home or paths.home()):
        use = Leases(file).sweep(remove=False)
        since = state.get("since")
        found.append(
            RunningServer(
                model=str(state.get("alias", "a model")),
                path=Path(str(state.get("model", ""))),
                engine=_LABELS.get(str(state.get("engine")), str(state.get("engine", ""))),
                status=str(state.get("status", "starting")),
                context=state["context"] if isinstance(state.get("context"), int) else 0,
                pid=state["pid"],
                url=state.get("url"),
                memory=resident(state["pid"]),
                kernels=use.kernels,
                busy=use.busy,
                others_busy=use.others_busy,
                seconds=max(0.0, time.time() - since) if isinstance(since, int | float) else None,
                log=file.with_suffix(".log"),
                file=file,
                start=state["start"],
            )
        )
    return found


def stop_servers(
    which: str | None = None, *, home: Path | None = None, force: bool = False, timeout: float = 10.0
) -> list[RunningServer]:
    """Ends servers that this package started and returns them; blocks until they are gone.

    Args:
        which: a model's name or the beginning of it; ``None`` means all.
        home: ANTE_HOME.
        force: also where another kernel's request runs.
        timeout: seconds until a server that does not end by itself is killed.

    Raises:
        LocalEngineError: no such server runs, or another kernel's request does and ``force`` is false.
    """
    servers = running_servers(home)
    meant = [server for server in servers if _means(which, server.model)]
    # The whole name of one may be the beginning of another's, which then has to go on.
    meant = [server for server in meant if which and _plain(server.model) == _plain(which)] or meant
    if which and not meant:
        names = ", ".join(server.model for server in servers)
        raise LocalEngineError(
            f"no local server runs {which!r}", f"Running: {names}." if names else "None is running."
        )
    in_use = [server.model for server in meant if server.others_busy]
    if in_use and not force:
        raise LocalEngineError(
            f"another kernel waits for an answer of {', '.join(in_use)}",
            "Try again later, or add --force: its turn then starts the server anew.",
        )
    for server in meant:
        _end(server)
    deadline = time.monotonic() + timeout
    for server in meant:
        _wait(server, deadline)
    return meant


def _means(which: str | None, name: str) -> bool:
    return not which or _plain(name).startswith(_plain(which))


def _plain(name: str) -> str:
    return name.casefold().removesuffix(".gguf")


def _end(server: RunningServer) -> None:
    state = read_state(server.file)
    if state is not None and (state["pid"], state["start"]) == (server.pid, server.start):
        try:
            write_state(server.file, {**state, "status": STOPPED})  # who waits for it is told why it ends
        except OSError:
            pass
    terminate(server.pid, server.start)


def _wait(server: RunningServer, deadline: float) -> None:
    state = {"pid": server.pid, "start": server.start}
    hard_until = deadline + 5
    while is_alive(state):
        reap(server.pid)
        if time.monotonic() > deadline:
            terminate(server.pid, server.start, hard=True)
        if time.monotonic() > hard_until:
            raise LocalEngineError(f"process {server.pid} ({server.model}) does not end", "End it by hand.")
        time.sleep(0.05)
    reap(server.pid)
    # A process that was killed, or ended while it loaded, could not take its file away.
    left = read_state(server.file)
    if left is not None and (left["pid"], left["start"]) == (server.pid, server.start):
        try:
            if isinstance(left.get("child"), list):
                terminate(*left["child"], hard=True)
            if server.status == "ready":
                server.file.unlink(missing_ok=True)  # else it tells who still waits for it why it ended
        except OSError:
            pass


def server_log(
    which: str | None = None, *, home: Path | None = None, lines: int = 40
) -> tuple[Path, list[str]]:
    """The last lines that a server's engine said, and the file; of the newest log where ``which`` is ``None``.

    The log of a server that has ended stays for a while; without a name it can still be the newest one.

    Raises:
        LocalEngineError: there is no such log.
    """
    logs = sorted(_logs(home or paths.home()), key=_modified, reverse=True)
    if which:
        logs = [path for path in logs if _means(which, _name(path))]
    if not logs:
        if which:
            # A server that ends takes the file with its model's name away.
            raise LocalEngineError(
                f"no local server runs {which!r}",
                "`%ante local log` shows the last one of those that have ended.",
            )
        raise LocalEngineError("no local server has run", "`%ante local` shows what is there.")
    with logs[0].open("rb") as file:
        file.seek(max(0, logs[0].stat().st_size - _TAIL))
        text = file.read().decode("utf-8", "replace")
    return logs[0], text.splitlines()[-lines:]


def _logs(home: Path) -> Iterable[Path]:
    for directory in places(home):
        try:
            yield from directory.glob("*.log")
        except OSError:
            continue


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _name(log: Path) -> str:
    state = read_state(log.with_suffix(".json"))
    return str(state.get("alias", "")) if state else ""


def running(home: Path) -> list[dict[str, Any]]:
    """The states of the servers that run now, without their keys."""
    return [{name: value for name, value in state.items() if name != "key"} for _, state in all_states(home)]


async def stop_all(home: Path, *, timeout: float = 10.0) -> int:
    """Ends all local servers of this user that run below ``home``; returns how many."""
    return len(await asyncio.to_thread(stop_servers, home=home, force=True, timeout=timeout))
