"""Checks what a local model needs, without starting one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ante_nb.errors import AnteError
from ante_nb.local import attaching, discovery, memory, options
from ante_nb.local import engine as engines
from ante_nb.local.gguf import read_model
from ante_nb.local.http_probe import get_json
from ante_nb.local.shared import running
from ante_nb.local.state import places, writable_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

Check = tuple[bool, str, str]


def doctor(settings: Any = None, env: Mapping[str, str] | None = None) -> list[Check]:
    """One ``(ok, what, hint)`` for settings, engine, model, memory, state directory and running servers.

    Blocks (files, at most one loopback request, the engine's import in a short process). Raises nothing.
    """
    env = os.environ if env is None else env
    try:
        return _checks(settings, env)
    except Exception as error:
        return [_surprise("local", error)]


def _checks(settings: Any, env: Mapping[str, str]) -> list[Check]:
    try:
        chosen = options.load(settings, env)
        url = attaching.configured(chosen, env)
    except AnteError as error:
        return [(False, f"settings: {error.message}", error.hint or "")]
    if url:
        root = url.removesuffix("/v1")
        status = get_json(root, "/v1/models", env.get(chosen.engine_key_env))[0]
        return [
            (
                status == 200,
                f"configured server {root}: {f'status {status}' if status else 'does not answer'}",
                ""
                if status == 200
                else "Start it, or take the setting, the variable or the attachment back.",
            )
        ]
    checks: list[Check] = []
    for what, check in (("engine", _engine), ("model", _model), ("state directory", _directory)):
        try:
            checks += check(chosen, env)
        except Exception as error:  # one surprise must not hide what the other checks say
            checks.append(_surprise(what, error))
    for state in running(chosen.home):
        words = f"running: {state.get('alias', 'a model')} ({state.get('engine', 'starting')}, pid {state['pid']})"
        checks.append((True, words, ""))
    return checks


def _surprise(what: str, error: Exception) -> Check:
    words = " ".join(str(error).split())[:300]
    return (
        False,
        f"{what}: {type(error).__name__}: {words}",
        "It could not be checked; try another engine or model.",
    )


def _engine(chosen: options.Options, env: Mapping[str, str]) -> list[Check]:
    try:
        engine = engines.detect(chosen, env)
    except AnteError as error:
        return [(False, f"engine: {error.message}", error.hint or "")]
    problem = engines.import_problem(engine, env) or engines.failures.get(engine.name)
    if problem is not None:
        return [(False, f"engine: {problem.message}", problem.hint or "")]
    return [(True, f"engine: {engine.label} {engine.binary or engine.version}", "")]


def _model(chosen: options.Options, env: Mapping[str, str]) -> list[Check]:
    models = discovery.find_models(chosen.home, env, chosen.model_directories)
    try:
        model = discovery.choose(
            None, models, default=chosen.model, last=chosen.last_model, labels=chosen.labels
        )
        header = read_model(model.path)
    except AnteError as error:
        return [(False, f"model: {error.message}", error.hint or "")]
    words = f"model: {model.id} ({memory.gigabytes(model.size)}, {model.source}), one of {len(models)}"
    checks: list[Check] = [(True, words, "")]
    unusable = [f"{other.id} ({other.flaw})" for other in models if other.flaw]
    if unusable:
        words = f"models that cannot be used: {', '.join(unusable[:8])}"
        checks.append((False, words, "Download them again, or delete them."))
    free = memory.available_memory() if chosen.memory_check else None
    try:
        wanted = chosen.context or chosen.preferred(model.id, "context_window", int)
        size = header.size + model.mmproj_size
        plan = memory.plan(header, model.id, wanted=wanted, available=free, size=size, cap=chosen.context_cap)
    except AnteError as error:
        return [*checks, (False, f"memory: {error.message}", error.hint or "")]
    room = memory.gigabytes(free) if free is not None else "an unknown amount"
    words = f"memory: about {memory.gigabytes(plan.need)} of {room}, context {plan.context} tokens"
    return [*checks, (True, words, "")]


def _directory(chosen: options.Options, env: Mapping[str, str]) -> list[Check]:
    try:
        directory = writable_directory(chosen.home, env)
        first = places(chosen.home, env)[0]
        instead = "" if directory == first else f" ({first} cannot be written)"
        return [(True, f"state directory: {directory}{instead}", "")]
    except OSError as error:
        return [(False, f"state directory: {error}", "Check who owns ANTE_HOME.")]
