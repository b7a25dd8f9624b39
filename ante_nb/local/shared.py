"""One server per model, shared by all kernels of the user: find it or start it.

Who comes first starts it under a file lock and leaves a state file; everybody else finds that file,
checks that the process and the key in it are good, and uses the same server. A start that is cancelled
goes on in the background and is found by the next one.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ante_nb.errors import LocalEngineError
from ante_nb.local import capabilities as caps
from ante_nb.local import engine as engines
from ante_nb.local import options
from ante_nb.local.control import running, stop_all
from ante_nb.local.http_probe import get_json
from ante_nb.local.launching import GoneError, begin, kill, prepare, ready
from ante_nb.local.process import is_same
from ante_nb.local.state import Leases, is_alive
from ante_nb.providers.spec import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ante_nb.local.launching import Begun, Prepared

__all__ = ["LocalServer", "acquire", "running", "stop_all"]

_TRIES = 3
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
    child: tuple[int, str] | None = None

    @property
    def root(self) -> str:
        """The address without ``/v1``, where llama.cpp's own endpoints are."""
        return self.base_url.removesuffix("/v1")

    def alive(self) -> bool:
        """Whether its process runs; of a server that somebody else runs, nothing is known."""
        # A program that has crashed is gone before the process that runs it takes note.
        return self.pid is None or (
            is_same(self.pid, self.start) and (self.child is None or is_same(*self.child))
        )

    def busy(self) -> AbstractContextManager[None]:
        """Keeps the server from ending while a request runs."""
        return nullcontext() if self.state is None else Leases(self.state).busy()

    def waited_for(self) -> bool:
        """Whether a request of another kernel runs, so that ours has to wait."""
        return self.state is not None and Leases(self.state).sweep(remove=False).others_busy


async def acquire(
    model: str | None = None,
    *,
    settings: Any = None,
    progress: Callable[[str], None] = lambda line: None,
    env: Mapping[str, str] | None = None,
) -> LocalServer:
    """A server for ``model``: the attached or configured one, a running one, or a new one.

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
    from ante_nb.local import attaching

    env = dict(os.environ) if env is None else env
    chosen = await asyncio.to_thread(options.load, settings, env)
    url = attaching.configured(chosen, env)
    if url:
        return await attaching.connect(chosen, url, model, env, progress)
    prepared = await asyncio.to_thread(prepare, chosen, model, env)
    for left in reversed(range(_TRIES)):
        begun = await asyncio.to_thread(begin, prepared)
        try:
            state = await ready(prepared, begun, progress)
        except GoneError as gone:
            if left == 0:
                raise gone.problem from None
            continue  # whoever started it has been told why; this process tries for itself
        if await _answers(state):
            engines.failures.pop(prepared.engine.name, None)
            return await asyncio.to_thread(_server, prepared, begun, state)
        # It lives and yet does not answer: it would not for anybody else either.
        await kill(state)
    raise LocalEngineError(f"{prepared.engine.label} does not answer", f"Its log: {begun.log}")


async def _answers(state: dict[str, Any]) -> bool:
    """Whether the server takes its key; its health endpoint asks for none and so proves nothing."""
    for _ in range(3):
        status, _body = await asyncio.to_thread(get_json, state["url"], "/v1/models", state["key"])
        if status == 200:
            return True
        if not await asyncio.to_thread(is_alive, state):
            return False
    return False


def _server(prepared: Prepared, begun: Begun, state: dict[str, Any]) -> LocalServer:
    identity = (str(state["pid"]), str(state["start"]))
    able = _asked.get(identity)
    if able is None:
        able = caps.ask(state["url"], state["key"])
        if able.completion:  # else it did not answer in time, or died
            _asked[identity] = able
    return LocalServer(
        base_url=f"{state['url']}/v1",
        key=Secret(state["key"]),
        model_id=state["alias"],
        context=able.context or state["context"],
        engine=prepared.engine.label,
        capabilities=able,
        reused=begun.process is None,
        pid=state["pid"],
        start=state["start"],
        state=begun.file,
        temperature=prepared.options.preferred(prepared.model.id, "temperature", (int, float)),
        demo=prepared.model.demo,
        child=tuple(state["child"]) if state.get("child") else None,
    )
