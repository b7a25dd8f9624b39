"""``%ante local``: engines, models and servers on this machine."""

from __future__ import annotations

import asyncio
import os
import queue
import shlex
from typing import TYPE_CHECKING, Any, TypeVar

from ante_nb.errors import ConfigError, TurnError
from ante_nb.notebook.local_overview import gigabytes, names, overview, safe, scan
from ante_nb.notebook.printing import say

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from ante_nb.notebook.state import KernelState

T = TypeVar("T")

_SLICE = 0.2
"""Seconds of one wait: a wait without a timeout cannot be interrupted on Windows."""
_CLEANUP = 2.0
"""Seconds that an interrupted start or download gets to leave things in order."""


def local(state: KernelState, rest: str) -> None:
    """Run one ``%ante local`` line.

    Raises:
        ConfigError: an unknown word, too many or too few of them.
        LocalEngineError: it cannot be done; says why and what to do.
    """
    words = _words(rest)
    if not words or words[0].startswith("-"):
        _options(words, "--scan", what="%ante local")
        overview(state)
        if "--scan" in words:
            say()
            scan(state)
        return
    name, others = words[0].lower(), words[1:]
    handler = _HANDLERS.get(name)
    if handler is None:
        raise ConfigError(
            f"%ante local has no {words[0]!r}", f"Known: {', '.join(_HANDLERS)}; without more it lists."
        )
    handler(state, others)


def _words(rest: str) -> list[str]:
    try:
        # A Windows path is written with the characters that a shell would take for escapes.
        lexer = shlex.shlex(rest, posix=True, punctuation_chars=False)
        lexer.whitespace_split, lexer.commenters = True, ""
        lexer.escape = "" if os.name == "nt" else lexer.escape
        return list(lexer)
    except ValueError as error:
        raise ConfigError(f"%ante local: {str(error).lower()}", "Check the quotation marks.") from None


def _options(words: Sequence[str], *known: str, what: str, most: int | None = 0) -> list[str]:
    """The words that are no options, all options being known."""
    unknown = [word for word in words if word.startswith("-") and word not in known]
    if unknown:
        hint = f"Known: {', '.join(known)}." if known else "It takes none."
        raise ConfigError(f"{what} has no option {unknown[0]}", hint)
    plain = [word for word in words if not word.startswith("-")]
    if most is not None and len(plain) > most:
        raise ConfigError(f"{what}: {plain[most]!r} is too much", "`%ante help` shows what it takes.")
    return plain


def _one(words: Sequence[str], what: str, name: str) -> str:
    if not words:
        raise ConfigError(f"{what} needs {name}", "`%ante local` lists what is there.")
    return words[0]


# ------------------------------------------------------------------------------------------- sub-commands


def _use(state: KernelState, words: list[str]) -> None:
    from ante_nb import local as room
    from ante_nb.notebook.commands import choose

    context = _number(words, "--context")
    rest = _options(words, what="%ante local use", most=1)
    model = room.use(
        _one(rest, "%ante local use", "a model"), context=context, settings=state.runtime.settings()
    )
    left = room.detach()  # the last act counts
    if left:
        say(f"{safe(left)} is not in use any more; it runs on")
    choose(state, "provider", "local")
    choose(state, "model", model.id)
    size = f", about {gigabytes(model.memory)} of memory" if model.memory is not None else ""
    say(f"local / {model.id}: {gigabytes(model.size)}{size} with {model.context or '?'} tokens of context")
    if model.demo:
        say("this is a demonstration model: it answers, but it is no agent")


def _number(words: list[str], option: str) -> int | None:
    """Takes ``option N`` out of ``words``."""
    if option not in words:
        return None
    at = words.index(option)
    value = words[at + 1] if at + 1 < len(words) else ""
    if not value.replace("_", "").isdigit():
        raise ConfigError(f"{option}: {value!r} is not a number", "Give a number of tokens, like 8192.")
    del words[at : at + 2]
    return int(value.replace("_", ""))


def _start(state: KernelState, words: list[str]) -> None:
    from ante_nb import local as room

    context = _number(words, "--context")
    rest = _options(words, what="%ante local start", most=1)
    settings = state.runtime.settings()
    wanted = rest[0] if rest else _chosen_model(state)
    server = _watched(
        state,
        lambda progress: room.start_async(wanted, context=context, settings=settings, progress=progress),
    )
    if server.pid is None:
        say(f"{safe(server.root)} answers with {server.model_id}; it is in use instead of an own server")
        return
    how = "runs already" if server.reused else "runs"
    say(
        f"{server.model_id} {how}: {server.engine}, {server.context or '?'} tokens of context, process {server.pid}"
    )


def _chosen_model(state: KernelState) -> str | None:
    """The model that a turn would use, where ``local`` is chosen."""
    choices = state.runtime.choices
    return choices.model if choices.provider == "local" else None


def _stop(state: KernelState, words: list[str]) -> None:
    from ante_nb import local as room

    rest = _options(words, "--force", "--all", what="%ante local stop", most=1)
    which = rest[0] if rest else None
    stopped = room.stop(which, force="--force" in words, settings=state.runtime.settings())
    if stopped:
        say(f"stopped {', '.join(server.model for server in stopped)}")
        return
    from ante_nb.local.attaching import attached

    url = attached()
    say("no server that this package started is running")
    if url:
        say(f"{safe(url)} is yours to stop; `%ante local detach` only leaves it")


def _attach(state: KernelState, words: list[str]) -> None:
    from ante_nb import local as room
    from ante_nb.local import options
    from ante_nb.notebook.commands import choose

    rest = _options(words, what="%ante local attach", most=1)
    if not rest:
        scan(state)
        return
    key = os.environ.get(options.load(state.runtime.settings()).engine_key_env, "").strip() or None
    found = room.attach(rest[0], key=key)
    choose(state, "provider", "local")
    choose(state, "model", None)
    _forget(state)
    say(f"{safe(found.url)}: {names(found) or found.status}")
    say("prompts go there from now on; it is never stopped from here. `%ante local detach` takes it back")
    if not found.url.startswith(("http://127.", "http://localhost", "http://[::1]", "https://")):
        say("that is another machine, and the connection is not encrypted")


def _forget(state: KernelState, model: str | None = None) -> None:
    """The model last used with ``local``, or only if it was ``model``: it is not there any more."""
    last = state.runtime.last_models
    if model in (None, last.get("local")):
        last.pop("local", None)


def _detach(state: KernelState, words: list[str]) -> None:
    from ante_nb import local as room

    _options(words, what="%ante local detach")
    url = room.detach()
    if url:
        _forget(state)
    say(f"left {safe(url)}; it runs on" if url else "no server was attached")


def _get(state: KernelState, words: list[str]) -> None:
    from ante_nb import local as room

    rest = _options(words, what="%ante local get", most=1)
    what = _one(rest, "%ante local get", "REPOSITORY[:FILE] or an address")
    settings = state.runtime.settings()
    model = _watched(state, lambda progress: room.get_async(what, settings=settings, progress=progress))
    say(f"{model.id}: {gigabytes(model.size)} in {model.path.parent}")
    say(model.problem or f"`%ante local use {model.id}` chooses it")


def _rm(state: KernelState, words: list[str]) -> None:
    from ante_nb import local as room

    rest = _options(words, what="%ante local rm", most=1)
    removed = room.remove(_one(rest, "%ante local rm", "a model"), settings=state.runtime.settings())
    files = f"{len(removed.files)} file{'s' * (len(removed.files) != 1)}"
    say(f"deleted {removed.model}: {files}, {gigabytes(removed.size)}")
    _forget(state, removed.model)
    if state.runtime.choices.model == removed.model:
        from ante_nb.notebook.commands import choose

        choose(state, "model", None)


def _log(state: KernelState, words: list[str]) -> None:
    from ante_nb import local as room

    rest = _options(words, what="%ante local log", most=1)
    log = room.log(rest[0] if rest else None, settings=state.runtime.settings())
    say(str(log.path))
    for line in log.lines or ("(the engine has said nothing)",):
        say(f"  {line}")


_HANDLERS: dict[str, Callable[[Any, list[str]], None]] = {
    "use": _use,
    "start": _start,
    "stop": _stop,
    "attach": _attach,
    "detach": _detach,
    "get": _get,
    "rm": _rm,
    "log": _log,
}


# ------------------------------------------------------------------------------------- what takes a while


def _watched(state: KernelState, work: Callable[[Callable[[str], None]], Coroutine[Any, Any, T]]) -> T:
    """Run ``work`` on the agent's loop, showing the lines that it reports in one place; blocks.

    Raises:
        TurnError: the person interrupted; the work was cancelled.
        Exception: whatever the work raises.
    """
    import concurrent.futures

    from ante_nb.agent.loop_thread import agent_loop
    from ante_nb.notebook.waiting import interruptible

    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    shown = _Line(state)
    future = asyncio.run_coroutine_threadsafe(work(lines.put), agent_loop())
    future.add_done_callback(lambda _: lines.put(None))
    try:
        with interruptible():
            while not (future.done() and lines.empty()):
                try:
                    line = lines.get(timeout=_SLICE)
                except queue.Empty:
                    continue
                if line:
                    shown.show(line)
            return future.result()
    except KeyboardInterrupt:
        future.cancel()
        concurrent.futures.wait([future], _CLEANUP)
        raise TurnError("interrupted", "What has been downloaded or loaded is kept.") from None


class _Line:
    """One line of output that changes; in a terminal, where it cannot, one after the other."""

    def __init__(self, state: KernelState) -> None:
        self._notebook = state.is_kernel
        self._handle: Any = None

    def show(self, text: str) -> None:
        from ante_nb.notebook.render.allowlist import visible
        from ante_nb.redact import redact

        if not self._notebook:
            say(text)
            return
        data = {"text/plain": visible(redact(text))}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(data, raw=True)
