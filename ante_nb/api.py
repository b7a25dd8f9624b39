"""``ask`` and ``ask_async``: a turn from Python code, in a notebook or in plain Python."""

from __future__ import annotations

import asyncio
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ante_nb.agent.options import TurnOptions
    from ante_nb.agent.runtime import Runtime
    from ante_nb.agent.sessions import Resumed
    from ante_nb.agent.turn import Turn

_process: Runtime | None = None
_process_lock = threading.Lock()


def ask(
    prompt: str,
    *,
    provider: str | None = None,
    model: str | None = None,
    thinking: str | None = None,
    tools: str | None = None,
    mode: str | None = None,
    allow: tuple[str, ...] | list[str] = (),
    session: Any = None,
    max_steps: int | None = None,
    tool_choice: str | None = None,
    schema: Any = None,
    namespace: dict[str, Any] | None = None,
    on_event: Callable[[Any], None] | None = None,
    nested: bool = False,
) -> Turn:
    """Run one turn and return it; blocks.

    Args:
        prompt: sent byte for byte; ``@file``, ``@directory/`` and ``@variable`` attach context.
        provider, model, thinking, tools, mode, allow, max_steps, tool_choice: as the flags of ``%%ante``.
        session: the id of a recorded session (``Turn.session_id``), the end of it, or its title, to go on
            with it for this call; or ``"new"``, or a :class:`~ante_nb.agent.session.Session`. By default
            the current one of the kernel or process. Where another kernel has the session, or it belongs
            to another notebook, the call goes on in a copy and says so; ``Turn.session_id`` is the copy's.
        schema: a pydantic model, a dataclass, a ``TypedDict`` or another type, or a JSON schema; the
            validated object is then ``turn.value``.
        namespace: where the Python tool runs in plain Python; in a kernel it is the person's namespace.
        on_event: called with every event of the turn, on this thread; nothing is displayed then.
        nested: block inside a running event loop that must go on meanwhile (applies ``nest_asyncio2``,
            which patches every loop of the process and cannot be undone).

    Returns:
        The completed turn.

    Raises:
        AnteError: the turn failed, was interrupted or reached its step limit; ``error.turn`` has it.
    """
    options = _options(locals())
    if nested:
        return _nested(prompt, options, session, namespace, on_event)
    shell = _shell()
    if shell is not None and on_event is None and namespace is None:
        from ante_nb.notebook.runner import run_blocking
        from ante_nb.notebook.state import kernel_state

        with _using(kernel_state(shell).runtime, session, shell):
            return _checked(run_blocking(kernel_state(shell), prompt, options))
    runtime = _runtime(shell)
    with _using(runtime, session, shell, shown=on_event is not None):
        return _checked(_run_blocking(runtime, prompt, options, _space(shell, namespace), on_event))


async def ask_async(
    prompt: str,
    *,
    provider: str | None = None,
    model: str | None = None,
    thinking: str | None = None,
    tools: str | None = None,
    mode: str | None = None,
    allow: tuple[str, ...] | list[str] = (),
    session: Any = None,
    max_steps: int | None = None,
    tool_choice: str | None = None,
    schema: Any = None,
    namespace: dict[str, Any] | None = None,
    on_event: Callable[[Any], None] | None = None,
) -> Turn:
    """The same as :func:`ask`, awaited: the running loop stays free, and code of the Python tool may await."""
    options = _options(locals())
    shell = _shell()
    if shell is not None and on_event is None and namespace is None:
        from ante_nb.notebook.runner import run_awaited
        from ante_nb.notebook.state import kernel_state

        with _using(kernel_state(shell).runtime, session, shell):
            return _checked(await run_awaited(kernel_state(shell), prompt, options))
    runtime = _runtime(shell)
    with _using(runtime, session, shell, shown=on_event is not None):
        return _checked(await _run_awaited(runtime, prompt, options, _space(shell, namespace), on_event))


# ------------------------------------------------------------------------------------------- plumbing


def _options(given: dict[str, Any]) -> TurnOptions:
    from ante_nb.agent.options import TurnOptions
    from ante_nb.errors import ConfigError

    if not isinstance(given["prompt"], str):
        raise ConfigError(f"the prompt is a {type(given['prompt']).__name__}, not text", "Pass a string.")
    steps = given["max_steps"]
    if steps is not None and (not isinstance(steps, int) or isinstance(steps, bool) or steps < 1):
        raise ConfigError(f"max_steps={steps!r} is not a number of steps", "Use a whole number from 1 on.")
    if not given["prompt"].strip():
        raise ConfigError("the prompt is empty", "Pass the text of the prompt as the first argument.")
    names = ("provider", "model", "thinking", "tools", "mode", "max_steps", "tool_choice", "schema")
    tools = given["tools"]
    if tools is not None and not isinstance(tools, str):
        given = {**given, "tools": ",".join(tools) or "none"}
    # A call of its own goes on from the last turn; only cells have a place to come back to.
    return TurnOptions(**{name: given[name] for name in names}, allow=tuple(given["allow"]), append=True)


def _shell() -> Any:
    """The running IPython shell, without importing IPython where nobody has."""
    import sys

    if sys.modules.get("IPython") is None:
        return None
    from IPython import get_ipython

    return get_ipython()


def _runtime(shell: Any) -> Runtime:
    global _process
    if shell is not None:
        from ante_nb.notebook.state import kernel_state

        return kernel_state(shell).runtime
    from ante_nb.agent.runtime import Runtime

    with _process_lock:
        if _process is None:
            _process = Runtime()
        return _process


def _space(shell: Any, namespace: dict[str, Any] | None) -> dict[str, Any] | None:
    return shell.user_ns if namespace is None and shell is not None else namespace


def _using(
    runtime: Runtime, session: Any, shell: Any, *, shown: bool = True
) -> AbstractContextManager[tuple[str, ...]]:
    """Has the runtime work on another session for the length of a call.

    ``shown``: whether somebody sees the turn's notices.
    """
    from ante_nb.agent.sessions.lending import lent

    if session is None or shell is None:
        return _told(lent(runtime, session), shown)
    from pathlib import Path

    from ante_nb.notebook.earlier import missing_of, news_for_model
    from ante_nb.notebook.state import kernel_state

    def news(found: Resumed) -> str:
        return news_for_model(
            found.session, missing_of(found.info.directory, list(shell.user_ns)), Path.cwd()
        )

    return _told(lent(runtime, session, notebook=kernel_state(shell).notebook_path, news=news), shown)


@contextmanager
def _told(lending: AbstractContextManager[tuple[str, ...]], shown: bool) -> Iterator[tuple[str, ...]]:
    with lending as notes:
        if not shown:
            for note in notes:
                # The caller of ask(), below this generator, contextlib and the function itself.
                warnings.warn(note, stacklevel=4)
        yield notes


def _checked(turn: Turn) -> Turn:
    if turn.error is not None:
        raise turn.error
    return turn


def _start(
    runtime: Runtime, prompt: str, options: TurnOptions, namespace: Any, wake: Callable[[], None]
) -> Any:
    from ante_nb.agent.execution import Mailbox, TurnHandle
    from ante_nb.agent.headless import HeadlessHost
    from ante_nb.errors import BusyError

    if runtime.running is not None:
        raise BusyError("another turn is still running", "Wait for it, or interrupt it.")
    mailbox = Mailbox(wake)
    host = HeadlessHost(mailbox, namespace)
    runtime.session.meta.setdefault("cwd", str(host.cwd))
    turn = runtime.new_turn(prompt)
    handle = TurnHandle(turn, lambda: runtime.run(turn, options, host), wake)
    runtime.running = handle
    return handle, mailbox


def _run_blocking(
    runtime: Runtime,
    prompt: str,
    options: TurnOptions,
    namespace: Any,
    on_event: Callable[[Any], None] | None,
) -> Turn:
    from ante_nb.agent.drive import NoView, drive_blocking
    from ante_nb.agent.headless import Listener

    wake = threading.Event()
    handle, mailbox = _start(runtime, prompt, options, namespace, wake.set)
    try:
        drive_blocking(handle, mailbox, wake, Listener(on_event) if on_event else NoView())
    finally:
        runtime.running = None
    return _ended(handle)


async def _run_awaited(
    runtime: Runtime,
    prompt: str,
    options: TurnOptions,
    namespace: Any,
    on_event: Callable[[Any], None] | None,
) -> Turn:
    from ante_nb.agent.drive import NoView, drive_awaited
    from ante_nb.agent.headless import Listener

    loop = asyncio.get_running_loop()
    wake = asyncio.Event()

    def wake_up() -> None:
        try:
            loop.call_soon_threadsafe(wake.set)
        except RuntimeError:  # the caller's loop is gone
            pass

    handle, mailbox = _start(runtime, prompt, options, namespace, wake_up)

    async def perform(item: Any) -> None:
        if item.abandoned:
            return
        result = item.function()
        item.finish(await result if asyncio.iscoroutine(result) else result)

    try:
        await drive_awaited(handle, mailbox, wake, Listener(on_event) if on_event else NoView(), perform)
    except asyncio.CancelledError:
        handle.cancel()
        await asyncio.to_thread(handle.done.wait, 1.0)
        raise
    finally:
        runtime.running = None
    return _ended(handle)


def _ended(handle: Any) -> Turn:
    """The turn of a handle that has been drained, whatever state its thread is in."""
    from ante_nb.errors import TurnError

    turn: Turn = handle.turn
    if not handle.done.is_set() and turn.error is None:
        turn.status = "interrupted"
        turn.error = TurnError("interrupted", "A tool did not stop in time and ends in the background.")
        turn.error.turn = turn
    elif handle.error is not None and turn.error is None:
        turn.status = "failed"
        turn.error = TurnError(f"the turn ended unexpectedly: {type(handle.error).__name__}: {handle.error}")
        turn.error.turn = turn
    return turn


def _nested(
    prompt: str, options: TurnOptions, session: Any, namespace: Any, on_event: Callable[[Any], None] | None
) -> Turn:
    import nest_asyncio2

    warnings.warn(
        "ask(nested=True) patches every event loop of this process and cannot be undone;"
        " `await ante_nb.ask_async(...)` needs no patch.",
        stacklevel=3,
    )
    nest_asyncio2.apply()
    shell = _shell()
    runtime = _runtime(shell)
    with _using(runtime, session, shell, shown=on_event is not None or shell is not None):
        loop = asyncio.get_event_loop()
        if shell is not None and on_event is None and namespace is None:
            from ante_nb.notebook.runner import run_awaited
            from ante_nb.notebook.state import kernel_state

            return _checked(loop.run_until_complete(run_awaited(kernel_state(shell), prompt, options)))
        work = _run_awaited(runtime, prompt, options, _space(shell, namespace), on_event)
        return _checked(loop.run_until_complete(work))
