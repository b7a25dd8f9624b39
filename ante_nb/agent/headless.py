"""The host for plain Python: no notebook, no display.

Events go to ``on_event``, approvals are asked by ``input()`` where a terminal is attached and denied
where not, and Python runs in ``namespace=`` on the thread that called ``ask()``.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import os
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ante_nb.agent.deadline import Deadline, raise_in
from ante_nb.agent.host import (
    Approval,
    ApprovalRequest,
    CellEdit,
    CellReport,
    Notebook,
    PythonResult,
    Question,
    T,
)
from ante_nb.log import logger
from ante_nb.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ante_nb.agent.execution import Mailbox
    from ante_nb.messages import TurnEvent


class HeadlessHost:
    """Args:
    mailbox: carries work and events to the calling thread.
    namespace: where the Python tool runs; ``None`` offers no Python tool.
    """

    notebook_path: Path | None = None
    has_cells = False

    def __init__(self, mailbox: Mailbox, namespace: dict[str, Any] | None) -> None:
        self._mailbox = mailbox
        self._namespace = namespace

    @property
    def cwd(self) -> Path:
        return Path.cwd()

    @property
    def env(self) -> Mapping[str, str]:
        return tool_environment()

    @property
    def has_python(self) -> bool:
        return self._namespace is not None

    async def run_python(
        self, code: str, on_output: Callable[[str], None], timeout: float | None = None
    ) -> PythonResult:
        assert self._namespace is not None
        namespace = self._namespace

        def run() -> Any:
            owner = threading.current_thread()
            deadline = Deadline(timeout, lambda: raise_in(owner))
            with deadline.running():
                result = execute(code, namespace, on_output)
            return result if inspect.isawaitable(result) else deadline.told(result)

        return await self._mailbox.work(run)  # type: ignore[no-any-return]

    @property
    def namespace(self) -> dict[str, Any] | None:
        return self._namespace

    async def call(self, function: Callable[[], Any]) -> Any:
        return await self._mailbox.work(function)

    async def variables(self, look: Callable[[dict[str, Any]], T]) -> T:
        space = own_variables(self._namespace or {})
        return await self._mailbox.work(lambda: look(space))  # type: ignore[no-any-return]

    async def notebook(self, ids: tuple[str, ...] = ()) -> Notebook:
        return Notebook()

    async def edit_cell(self, edit: CellEdit) -> CellReport:
        return CellReport("refused", "there is no notebook")

    async def propose_cell(self, source: str) -> bool:
        return False

    async def approve(self, request: ApprovalRequest) -> Approval:
        return await self._mailbox.work(lambda: ask_on_terminal(request))  # type: ignore[no-any-return]

    async def ask_user(self, questions: tuple[Question, ...]) -> list[list[str]] | None:
        from ante_nb.agent.questions import answers_on_terminal

        return await self._mailbox.work(lambda: answers_on_terminal(questions))  # type: ignore[no-any-return]

    def show(self, event: TurnEvent) -> None:
        self._mailbox.put(event)


class Listener:
    """A view that hands every event to the caller's function."""

    def __init__(self, on_event: Callable[[Any], None]) -> None:
        self._on_event = on_event

    def event(self, event: TurnEvent) -> None:
        self._on_event(event)

    def tick(self) -> None: ...

    def next_tick(self) -> float | None:
        return None

    def close(self, turn: Any = None) -> None: ...


def tool_environment() -> dict[str, str]:
    """The environment for tools' child processes, without any credential."""
    from ante_nb.agent.tools.environment import child_environment
    from ante_nb.providers.catalog.load import load_catalog

    keys = [name for row in load_catalog().providers.values() if row.auth for name in row.auth.env_keys]
    return child_environment(os.environ, keys)


def own_variables(space: Mapping[str, Any], hidden: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The variables of ``space`` that a person has made.

    Args:
        space: a namespace.
        hidden: names that the shell has put there, as long as they are bound to the same object.
    """
    hidden = hidden or {}
    return {
        name: value
        for name, value in list(space.items())
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and not (name in hidden and hidden[name] is value)
    }


def outline(value: Any) -> dict[str, str]:
    """A value as the policies that keep values in let it be seen."""
    from ante_nb.describe import describe

    if value is None:
        return {}
    return {"schema": str(describe(value, "schema")), "stats": str(describe(value, "stats"))}


def ask_on_terminal(request: ApprovalRequest) -> Approval:
    """Ask by ``input()`` if a terminal is attached; else deny."""
    if not (sys.stdin and sys.stdin.isatty()):
        return Approval("deny", by="unattended")
    return ask_by_input(request, input, print)


def ask_by_input(
    request: ApprovalRequest, read: Callable[[str], str], write: Callable[[str], None]
) -> Approval:
    """The approval dialogue over a line-wise prompt: yes, session, always, no (with a word of why)."""
    write(f"\n{visible(request.summary)}")
    if request.detail and request.detail.strip() not in request.summary:
        detail = visible(request.detail)
        write(detail if len(detail) < 4_000 else detail[:4_000] + "\n...")
    grant = f" [s]ession ({request.grant}), [a]lways," if request.grant else ""
    prompt = f"Allow? [y]es,{grant} [N]o, or say what to do instead: "
    try:
        answer = read(visible(prompt)).strip()
    except (EOFError, KeyboardInterrupt):
        return Approval("deny")
    word = answer.lower()
    if word in ("y", "yes"):
        return Approval("once")
    if word in ("s", "session") and request.grant:
        return Approval("session")
    if word in ("a", "always") and request.grant:
        return Approval("always")
    return Approval("deny", "" if word in ("", "n", "no") else answer)


class _Live(io.TextIOBase):
    """A stream that keeps what is written and passes it on."""

    def __init__(self, on_output: Callable[[str], None]) -> None:
        self._kept = io.StringIO()
        self._on_output = on_output

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._kept.write(text)
        self._on_output(text)
        return len(text)

    def text(self) -> str:
        return self._kept.getvalue()


def execute(code: str, namespace: dict[str, Any], on_output: Callable[[str], None]) -> Any:
    """Run ``code`` in ``namespace``; the value of a last expression is returned as text.

    Code with a top-level ``await`` gives a coroutine, to be awaited by a caller that has a loop.
    """
    out, err = _Live(on_output), _Live(on_output)
    before = dict(namespace)
    namespace.setdefault("__builtins__", __builtins__)
    try:
        tree = ast.parse(code, "<ante>", "exec")
        last = tree.body[-1] if tree.body else None
        last = last if isinstance(last, ast.Expr) else None
        if last is not None:
            tree.body.pop()
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        body = compile(tree, "<ante>", "exec", flags)
        tail = compile(ast.Expression(last.value), "<ante>", "eval", flags) if last is not None else None
    except SyntaxError:
        return PythonResult(error=traceback.format_exc(limit=0), error_class="SyntaxError")
    waits = any(block is not None and block.co_flags & inspect.CO_COROUTINE for block in (body, tail))

    def result(value: Any, error: BaseException | None) -> PythonResult:
        changed = tuple(
            name
            for name in {**before, **namespace}
            if not name.startswith("_") and before.get(name, before) is not namespace.get(name, before)
        )
        shown = None if value is None else _text_of(value)
        return PythonResult(
            out.text(),
            err.text(),
            shown,
            error=trace(error) if error is not None else None,
            variables=changed,
            described=outline(value),
            error_class=type(error).__name__ if error is not None else "",
        )

    def trace(error: BaseException) -> str:
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        return "".join(traceback.format_exception(type(error), error, frames))

    async def awaited() -> PythonResult:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                value = None
                for block in (body, tail):
                    if block is not None:
                        value = eval(block, namespace)
                        if inspect.iscoroutine(value):
                            value = await value
                return result(value if tail is not None else None, None)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                return result(None, error)

    if waits:
        return awaited()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            exec(body, namespace)
            value = eval(tail, namespace) if tail is not None else None
        except KeyboardInterrupt:
            logger.info("Python was interrupted")
            raise
        except BaseException as error:
            return result(None, error)
    return result(value, None)


def _text_of(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"(repr of {type(value).__name__} failed: {type(error).__name__}: {error})"
