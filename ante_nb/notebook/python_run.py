"""Runs the Python tool's code in the person's namespace, and leaves no trace of its own there.

A nested ``run_cell`` writes ``_``, ``Out``, ``In``, ``sys.last_*`` and calls the person's run hooks; all
of that is put back. Output is captured for the model and shown in the tool's card; the display of plots
is kept as images, HTML as text.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ante_nb.agent.headless import outline
from ante_nb.agent.host import PythonResult
from ante_nb.messages import Image
from ante_nb.notebook.render.rich import Rich, rich_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

_MISSING = object()
_SHELL_NAMES = ("_", "__", "___", "_i", "_ii", "_iii", "_exit_code", "In", "Out", "_ih", "_oh")
_SYS_NAMES = ("last_type", "last_value", "last_traceback", "last_exc")
_EVENTS = ("pre_execute", "post_execute", "pre_run_cell", "post_run_cell")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_MAX_IMAGES = 8
_MAX_RICH = 8
_NO_EXIT = "exit() was ignored: it would end the person's kernel and lose their variables.\n"


class _Capture(io.TextIOBase):
    """Stands in for a standard stream: keeps the text and passes it on as live output."""

    def __init__(self, original: Any, on_output: Callable[[str], None]) -> None:
        self._original = original
        self._kept = io.StringIO()
        self._on_output = on_output

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def write(self, text: str) -> int:
        self._kept.write(text)
        self._on_output(text)
        return len(text)

    def fileno(self) -> int:
        return int(self._original.fileno())

    def text(self) -> str:
        return self._kept.getvalue()


class _Recorder:
    """Collects what the code displays, and its last value, in place of the shell's own hooks."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.value: str | None = None
        self.described: dict[str, str] = {}
        self.displays: list[str] = []
        self.images: list[Image] = []
        self.rich: list[Rich] = []
        self.error: str | None = None

    def bundle(self, data: dict[str, Any]) -> None:
        """A ``display()`` call."""
        if not self._image(data):
            self._keep_rich(data)
            text = _plain(data)
            if text:
                self.displays.append(text)

    def result(self, value: Any) -> None:
        """The value of a last expression; ``_`` and ``Out`` stay as they are."""
        if value is None:
            return
        data, _ = self._shell.display_formatter.format(value)
        if not self._image(data):
            self._keep_rich(data)
        self.value = _plain(data) or repr(value)
        self.described = outline(value)

    def trace(self, stb: list[str]) -> None:
        self.error = _ANSI.sub("", "\n".join(stb))

    def _keep_rich(self, data: dict[str, Any]) -> None:
        found = rich_of(data) if len(self.rich) < _MAX_RICH else None
        if found is not None:
            self.rich.append(found)

    def _image(self, data: dict[str, Any]) -> bool:
        for kind in _IMAGES:
            found = data.get(kind)
            if found and len(self.images) < _MAX_IMAGES:
                text = (
                    base64.b64encode(found).decode()
                    if isinstance(found, bytes)
                    else "".join(str(found).split())
                )
                self.images.append(Image(text, kind))
                return True
        return False


def _plain(data: dict[str, Any]) -> str:
    for kind in ("text/plain", "text/markdown", "text/latex", "text/html"):
        if data.get(kind):
            return str(data[kind])
    return f"({', '.join(data)})" if data else ""


async def run_python(
    shell: Any,
    code: str,
    on_output: Callable[[str], None],
    run_async: Callable[[Awaitable[Any]], Awaitable[Any]] | None,
) -> PythonResult:
    """Run ``code`` as a cell of ``shell`` that is in no history.

    Args:
        shell: the IPython shell; called on its thread.
        code: a cell: magics, ``!`` lines and top-level ``await`` work.
        on_output: gets what is written to stdout and stderr, as it comes.
        run_async: awaits the coroutine of a cell with a top-level ``await``; ``None`` where there is no
            running loop to do so.

    Returns:
        Output, value, images, traceback; ``interrupted`` if it was stopped.
    """
    with _isolated(shell, on_output) as (recorder, out, err):
        before = dict(shell.user_ns)
        transformed = shell.transform_cell(code)
        result = None
        interrupted = False
        try:
            if shell.should_run_async(code, transformed_cell=transformed):
                if run_async is None:
                    raise RuntimeError(
                        "top-level await needs a running event loop: use `await ante_nb.ask_async(...)`"
                    )
                result = await run_async(
                    shell.run_cell_async(code, store_history=False, transformed_cell=transformed)
                )
            else:
                result = shell.run_cell(code, store_history=False)
        except (KeyboardInterrupt, asyncio.CancelledError):
            interrupted = True
        error = getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None)
        interrupted = interrupted or isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
        if error is not None and recorder.error is None:
            recorder.error = f"{type(error).__name__}: {error}"
        changed = _changed(before, shell.user_ns)
    return PythonResult(
        stdout=out.text(),
        stderr=err.text(),
        value=recorder.value,
        displays=tuple(recorder.displays),
        images=tuple(recorder.images),
        rich=tuple(recorder.rich),
        error=recorder.error,
        error_class=type(error).__name__ if error is not None else "",
        interrupted=interrupted,
        variables=changed,
        described=recorder.described,
    )


def _changed(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    names = {**before, **after}
    return tuple(
        name
        for name in names
        if not name.startswith("_")
        and name not in ("In", "Out", "exit", "quit", "get_ipython", "open")
        and not isinstance(after.get(name), ModuleType)
        and before.get(name, _MISSING) is not after.get(name, _MISSING)
    )


@contextlib.contextmanager
def _isolated(shell: Any, on_output: Callable[[str], None]) -> Iterator[tuple[_Recorder, _Capture, _Capture]]:
    recorder = _Recorder(shell)
    out, err = _Capture(sys.stdout, on_output), _Capture(sys.stderr, on_output)
    with contextlib.ExitStack() as stack:
        stack.callback(_restorer(shell))
        stack.enter_context(_muted_hooks(shell))
        stack.enter_context(
            _replaced(shell, "_showtraceback", lambda kind, value, stb: recorder.trace(list(stb)))
        )
        stack.enter_context(_replaced(shell, "display_pub", _Publisher(shell.display_pub, recorder)))
        stack.enter_context(_replaced(shell.display_trap, "hook", recorder.result))
        stack.enter_context(_replaced(shell, "ask_exit", lambda: err.write(_NO_EXIT)))
        stack.enter_context(_replaced(sys, "displayhook", recorder.result))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        yield recorder, out, err


class _Publisher:
    """Stands in for the shell's display publisher; everything else is passed through."""

    def __init__(self, original: Any, recorder: _Recorder) -> None:
        self._original = original
        self._recorder = recorder

    def publish(self, data: dict[str, Any], *args: Any, **more: Any) -> None:
        self._recorder.bundle(data)

    def clear_output(self, wait: bool = False) -> None:
        """Clearing would take the answer off the screen."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


@contextlib.contextmanager
def _replaced(target: Any, name: str, value: Any) -> Iterator[None]:
    own = vars(target).get(name, _MISSING) if hasattr(target, "__dict__") else _MISSING
    known = getattr(target, name, _MISSING)
    traits = getattr(target, "_trait_values", None)
    setattr(target, name, value) if traits is None or name not in traits else traits.__setitem__(name, value)
    try:
        yield
    finally:
        if traits is not None and name in traits:
            traits[name] = known
        elif own is _MISSING and known is not _MISSING and name in vars(target):
            delattr(target, name)
        else:
            setattr(target, name, known)


@contextlib.contextmanager
def _muted_hooks(shell: Any) -> Iterator[None]:
    """The person's run hooks are not called; inline figures are still flushed."""
    callbacks = shell.events.callbacks
    kept = {name: list(callbacks.get(name, ())) for name in _EVENTS}
    for name, hooks in kept.items():
        callbacks[name] = [
            hook for hook in hooks if getattr(hook, "__module__", "").startswith("matplotlib_inline")
        ]
    before = {name: list(callbacks[name]) for name in _EVENTS}
    try:
        yield
    finally:
        for name, hooks in kept.items():
            # What the code itself registered (%matplotlib inline does) stays.
            callbacks[name] = hooks + [hook for hook in callbacks[name] if hook not in before[name]]


def _restorer(shell: Any) -> Callable[[], None]:
    space = shell.user_ns
    names = {name: space.get(name, _MISSING) for name in _SHELL_NAMES}
    hook = {name: getattr(shell.displayhook, name, _MISSING) for name in ("_", "__", "___")}
    last = {name: getattr(sys, name, _MISSING) for name in _SYS_NAMES}
    history_out = space.get("_oh")
    out = dict(history_out) if isinstance(history_out, dict) else None
    history_in = space.get("_ih")
    count_in = len(history_in) if isinstance(history_in, list) else None
    count = shell.execution_count
    last_result = getattr(shell, "last_execution_result", None)
    succeeded = getattr(shell, "last_execution_succeeded", True)

    def restore() -> None:
        for name, value in names.items():
            if value is _MISSING:
                space.pop(name, None)
            else:
                space[name] = value
        for name, value in hook.items():
            if value is not _MISSING:
                setattr(shell.displayhook, name, value)
        for name, value in last.items():
            if value is _MISSING:
                with contextlib.suppress(AttributeError):
                    delattr(sys, name)
            else:
                setattr(sys, name, value)
        if out is not None and isinstance(space.get("_oh"), dict):
            space["_oh"].clear()
            space["_oh"].update(out)
        if count_in is not None and isinstance(space.get("_ih"), list):
            del space["_ih"][count_in:]
        shell.execution_count = count
        shell.last_execution_result = last_result
        shell.last_execution_succeeded = succeeded

    return restore
