"""``ante_nb.local``: local models from Python, as ``%ante local`` and the widgets use them.

Everything here blocks (the disk, at most loopback and, for :func:`get`, the network) and may be called from
any thread; where a loop runs, use :func:`start_async` and :func:`get_async`. All values are plain frozen
dataclasses. ``settings`` is the package's settings, a mapping or loaded ``Options``; without it those of
``settings.json`` are read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from pathlib import Path

    from ante_nb.local.attaching import FoundServer
    from ante_nb.local.control import RunningServer
    from ante_nb.local.listing import EngineInfo, ModelInfo
    from ante_nb.local.options import Options
    from ante_nb.local.shared import LocalServer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServerLog:
    """The last ``lines`` of a server's log at ``path``."""

    path: Path
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """What :func:`remove` deleted: ``files`` (the model's parts and what came with them) and their bytes."""

    model: str
    files: tuple[Path, ...]
    size: int


def _say_nothing(line: str) -> None:
    pass


def _options(settings: Any = None, env: Mapping[str, str] | None = None) -> Options:
    from ante_nb.local import options

    if settings is None:
        from ante_nb.settings import load_settings

        settings = load_settings(env=env)
    return options.load(settings, env)


def engines(
    *, settings: Any = None, env: Mapping[str, str] | None = None, check: bool = False
) -> list[EngineInfo]:
    """The four engines in the order they are tried, those that are not there included.

    Args:
        settings: see above.
        env: the environment, by default the process's.
        check: also try the import of each Python engine, in a process of its own (up to 30 s each).
    """
    from ante_nb.local import listing

    return listing.engines(_options(settings, env), env, check=check)


def models(
    *, context: int | None = None, settings: Any = None, env: Mapping[str, str] | None = None
) -> list[ModelInfo]:
    """The models on this machine, with what their headers say and the memory they would take.

    Args:
        context: tokens to estimate the memory for; by default what a start would use.
        settings: see above.
        env: the environment, by default the process's.
    """
    from ante_nb.local import listing

    return listing.models(_options(settings, env), env, context=context)


def servers(*, settings: Any = None) -> list[RunningServer]:
    """The servers that this package started, in whatever kernel, and that run now. Asks nobody."""
    from ante_nb.local.control import running_servers

    return running_servers(_options(settings).home)


def scan(ports: Iterable[int] | None = None, *, settings: Any = None) -> list[FoundServer]:
    """What answers on Ante's ports 8080 to 8179 of this machine, or on ``ports``. Only ever when asked."""
    from ante_nb.local import attaching

    own = [server.url for server in servers(settings=settings)]
    return attaching.scan(attaching.PORTS if ports is None else ports, own=own)


def use(
    model: str | Path,
    *,
    context: int | None = None,
    settings: Any = None,
    env: Mapping[str, str] | None = None,
) -> ModelInfo:
    """Makes a model the default one: ``last_model`` of ``offline-config.json``, where Ante finds it too.

    Args:
        model: an id or the beginning of one, a path, or the name of a verified model.
        context: tokens, kept as this model's ``context_window``; 0 takes a kept one back.
        settings: see above.
        env: the environment, by default the process's.

    Raises:
        LocalEngineError: there is no such model, it is damaged or cut off, or it cannot fit.
        ConfigError: the file cannot be written.
    """
    from ante_nb.local import discovery, listing, preferences

    chosen = _options(settings, env)
    info = listing.model(chosen, str(model), env, context=context or None)
    found = discovery.find_models(chosen.home, env, chosen.model_directories)
    preferences.remember(
        chosen.home, discovery.choose(str(model), found, labels=chosen.labels), context=context
    )
    return replace(info, default=True)


def start(
    model: str | Path | None = None,
    *,
    context: int | None = None,
    settings: Any = None,
    env: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = _say_nothing,
) -> LocalServer:
    """A running server for ``model`` (the default one without it), started if none runs; blocks until ready.

    Args:
        model: an id or the beginning of one, or a path.
        context: tokens; by default as a turn would start it.
        settings: see above.
        env: the environment, by default the process's.
        progress: called with one line at a time, in another thread.

    Raises:
        LocalEngineError: no engine, no such model, a damaged one, no memory, or the engine failed.
        ConfigError: a setting is wrong.
    """
    return _run(start_async(model, context=context, settings=settings, env=env, progress=progress))


async def start_async(
    model: str | Path | None = None,
    *,
    context: int | None = None,
    settings: Any = None,
    env: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = _say_nothing,
) -> LocalServer:
    """:func:`start` where a loop runs."""
    import asyncio

    from ante_nb.local.shared import acquire

    chosen = await asyncio.to_thread(_options, settings, env)
    if context:
        chosen = replace(chosen, context=context)
    return await acquire(str(model) if model else None, settings=chosen, progress=progress, env=env)


def stop(which: str | None = None, *, force: bool = False, settings: Any = None) -> list[RunningServer]:
    """Ends servers that this package started (all without ``which``) and returns them. Never another's.

    Raises:
        LocalEngineError: no such server runs, or another kernel's request does and ``force`` is false.
    """
    from ante_nb.local.control import stop_servers

    return stop_servers(which, home=_options(settings).home, force=force)


def attach(target: str | int, *, key: str | None = None) -> FoundServer:
    """Makes this process use the server at ``target`` (a port, ``host:port`` or a URL) until :func:`detach`.

    Raises:
        ConfigError: no address.
        LocalEngineError: nobody answers there, it wants a key, or it speaks no Chat Completions.
    """
    from ante_nb.local import attaching

    return attaching.attach(target, key=key)


def detach() -> str | None:
    """Takes :func:`attach` back; returns the address. The server itself is left alone."""
    from ante_nb.local import attaching

    return attaching.detach()


def get(
    what: str,
    *,
    revision: str | None = None,
    sha256: str | None = None,
    encoder: bool = True,
    name: str | None = None,
    settings: Any = None,
    progress: Callable[[str], None] = _say_nothing,
) -> ModelInfo:
    """Downloads a model into ``ANTE_HOME/models``; blocks. What has come is kept if it is interrupted.

    Args:
        what: ``organisation/name`` on Hugging Face, with ``:file`` or ``:Q8_0`` behind it; the name of a
            verified model; or the http(s) address of a ``.gguf`` file.
        revision: branch, tag or commit of the repository.
        sha256: what an address's file must have as its checksum.
        encoder: whether the repository's image encoder comes with it, where it has one.
        name: also put it into ``verified_models.json`` under this name, where Ante lists it too.
        settings: see above.
        progress: called with a line now and then, in another thread.

    Raises:
        LocalEngineError: a library is missing, there is no such file or no right to it, the disk is too
            small, it arrived damaged, or the network failed (the next call goes on from there).
    """
    return _run(
        get_async(
            what,
            revision=revision,
            sha256=sha256,
            encoder=encoder,
            name=name,
            settings=settings,
            progress=progress,
        )
    )


async def get_async(
    what: str,
    *,
    revision: str | None = None,
    sha256: str | None = None,
    encoder: bool = True,
    name: str | None = None,
    settings: Any = None,
    progress: Callable[[str], None] = _say_nothing,
) -> ModelInfo:
    """:func:`get` where a loop runs; cancelling it ends the download at once."""
    import asyncio

    from ante_nb.local import listing, verified
    from ante_nb.local.download import fetch, source

    chosen = await asyncio.to_thread(_options, settings)
    path = await fetch(
        what, home=chosen.home, revision=revision, sha256=sha256, encoder=encoder, progress=progress
    )
    info = await asyncio.to_thread(listing.model, chosen, str(path), refuse=False)
    if name:
        repo = (await asyncio.to_thread(source, what, chosen.home, revision)).repo
        row = verified.VerifiedModel(
            name,
            path.name,
            repo,
            info.trained_context,
            max(1, info.size // 1_000_000),
            info.kv_bytes_per_token,
            info.vision,
        )
        await asyncio.to_thread(verified.add, chosen.home, row)
    return info


def remove(which: str | Path, *, settings: Any = None) -> Removed:
    """Deletes a model that lies in ``ANTE_HOME/models``: all its parts, and half-done downloads of it.

    Raises:
        LocalEngineError: there is no such model, a server uses it, or it lies in another program's store
            (the hint names the file).
    """
    from ante_nb.local import removing

    return Removed(*removing.remove(_options(settings), str(which)))


def log(which: str | None = None, *, lines: int = 40, settings: Any = None) -> ServerLog:
    """What a server's engine said last; of the newest log without ``which``.

    Raises:
        LocalEngineError: there is no such log.
    """
    from ante_nb.local.control import server_log

    path, said = server_log(which, home=_options(settings).home, lines=lines)
    return ServerLog(path, tuple(said))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Runs ``work`` on a loop of its own in another thread: also where a loop runs in this one.

    An interrupt cancels it and waits for its end.
    """
    import asyncio
    from concurrent.futures import Future, wait
    from threading import Thread

    done: Future[T] = Future()
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)

    def body() -> None:
        try:
            done.set_result(loop.run_until_complete(task))
        except BaseException as problem:
            done.set_exception(problem)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = Thread(target=body, name="ante-local", daemon=True)
    thread.start()
    try:
        while not done.done():
            wait([done], 0.2)  # Windows cannot interrupt a wait without an end
        return done.result()
    except KeyboardInterrupt:
        if not done.done():
            loop.call_soon_threadsafe(task.cancel)
            thread.join(10)
        raise
