"""What there is on this machine for local models, in plain values for commands and widgets."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.errors import ConfigError, LocalEngineError
from ante_nb.local import discovery, memory, verified
from ante_nb.local import engine as engine_room
from ante_nb.local.gguf import read_model
from ante_nb.local.model_files import QUANT, shardless

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ante_nb.local.discovery import LocalModel
    from ante_nb.local.gguf import Header
    from ante_nb.local.options import Options


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """One of the four ways to run a model.

    ``name`` is what ``local.engine`` takes (``endpoint`` for a configured one), ``where`` its program or
    address. ``chosen`` marks the one that a start would use. ``problem`` says why it cannot be used,
    ``install`` the line that brings it.
    """

    name: str
    label: str
    installed: bool
    chosen: bool
    version: str = ""
    where: str = ""
    problem: str = ""
    install: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model on this machine.

    ``size`` and ``memory`` are bytes, ``memory`` an estimate for ``context`` tokens, of which each takes
    ``kv_bytes_per_token``; ``free`` is what the machine has. ``problem`` is empty where it can be started, else one line with numbers. ``mmproj`` is the
    image encoder beside it. ``source`` says which program's store it lies in; ``own`` whether
    :func:`ante_nb.local.remove` may delete it. Fields that the file does not tell are ``None`` or empty.
    """

    id: str
    path: Path
    size: int
    source: str
    parts: int = 1
    name: str = ""
    architecture: str = ""
    parameters: int | None = None
    quantization: str = ""
    license: str = ""
    trained_context: int | None = None
    context: int | None = None
    memory: int | None = None
    kv_bytes_per_token: int | None = None
    free: int | None = None
    problem: str = ""
    mmproj: Path | None = None
    own: bool = False
    demo: bool = False
    verified: bool = False
    default: bool = False

    @property
    def vision(self) -> bool:
        """Whether it can be shown images."""
        return self.mmproj is not None

    @property
    def usable(self) -> bool:
        """Whether it is whole and fits into the memory that is free."""
        return not self.problem


def engines(
    options: Options, env: Mapping[str, str] | None = None, *, check: bool = False
) -> list[EngineInfo]:
    """The engines in the order they are tried: a server of the person's, llama-server, the Python ones."""
    env = os.environ if env is None else env
    url, wrong = _endpoint(options, env)
    chosen = None if url else _detected(options, env)
    rows = [
        EngineInfo(
            "endpoint",
            "a server of yours",
            installed=bool(url),
            chosen=bool(url),
            where=url or "",
            problem=wrong,
            install="" if url else "`%ante local attach PORT`, or set local.engine_url",
        )
    ]
    for name, label in (("llama-server", "llama-server"), *engine_room.MODULES.items()):
        only = replace(
            options, engine=name, llama_server=options.llama_server if name == "llama-server" else None
        )
        try:
            found = engine_room.detect(only, env)
        except LocalEngineError as error:
            rows.append(
                EngineInfo(
                    name,
                    label,
                    installed=False,
                    chosen=False,
                    problem=error.message if "names" in error.message else "",
                    install=engine_room.install_line(name),
                )
            )
            continue
        problem = engine_room.failures.get(name) or (
            engine_room.import_problem(found, env) if check else None
        )
        rows.append(
            EngineInfo(
                name,
                label,
                installed=True,
                chosen=chosen is not None and chosen.name == name,
                version=found.shown_version,
                where=found.binary or "",
                problem=problem.message if problem else "",
                install=(problem.hint or "") if problem else "",
            )
        )
    return rows


def _endpoint(options: Options, env: Mapping[str, str]) -> tuple[str | None, str]:
    from ante_nb.local import attaching

    try:
        return attaching.configured(options, env), ""
    except ConfigError as error:
        return None, error.message


def _detected(options: Options, env: Mapping[str, str]) -> engine_room.Engine | None:
    try:
        return engine_room.detect(options, env)
    except LocalEngineError:
        return None


def models(
    options: Options, env: Mapping[str, str] | None = None, *, context: int | None = None
) -> list[ModelInfo]:
    """The models found, damaged ones included; reads every header once per version of its file."""
    found = discovery.find_models(options.home, env, options.model_directories)
    free = memory.available_memory()
    try:
        default = discovery.choose(
            None, found, default=options.model, last=options.last_model, labels=options.labels
        )
    except LocalEngineError:
        default = None
    if default is not None and default not in found:  # named by its path
        found.append(default)
    rows = verified.read(options.home)
    return [_info(options, one, rows, free, context, default=one == default) for one in found]


def model(
    options: Options,
    wanted: str | None,
    env: Mapping[str, str] | None = None,
    *,
    context: int | None = None,
    refuse: bool = True,
) -> ModelInfo:
    """The one that ``wanted`` means, as :func:`ante_nb.local.discovery.choose` tells.

    Raises:
        LocalEngineError: there is none, it is damaged, or (with ``refuse``) it cannot fit into memory.
    """
    found = discovery.find_models(options.home, env, options.model_directories)
    one = discovery.choose(
        wanted, found, default=options.model, last=options.last_model, labels=options.labels
    )
    free = memory.available_memory()
    if refuse and options.memory_check:
        planned(options, one, free, context)
    return _info(options, one, verified.read(options.home), free, context, default=False)


def planned(
    options: Options, one: LocalModel, free: int | None, context: int | None = None
) -> tuple[Header, memory.Plan]:
    """A whole model's header, and the context and memory that a start would take.

    Raises:
        LocalEngineError: it is damaged, or cannot fit into ``free`` bytes.
    """
    header = read_model(one.path)
    wanted = context or options.context or options.preferred(one.id, "context_window", int)
    plan = memory.plan(
        header,
        one.id,
        wanted=wanted,
        available=free,
        size=header.size + one.mmproj_size,
        cap=options.context_cap,
    )
    return header, plan


def _info(
    options: Options,
    one: LocalModel,
    rows: Sequence[verified.VerifiedModel],
    free: int | None,
    context: int | None,
    *,
    default: bool,
) -> ModelInfo:
    known = verified.find(rows, one.path.name) if one.path.suffix.lower() == ".gguf" else None
    info = ModelInfo(
        one.id,
        one.path,
        one.size,
        one.source,
        parts=one.parts,
        free=free,
        mmproj=one.mmproj,
        own=is_own(options.home, one.path),
        demo=one.demo,
        verified=known is not None,
        default=default,
    )
    try:
        header = read_model(one.path)
    except LocalEngineError as error:
        return replace(info, problem=error.message)
    try:
        _, plan = planned(options, one, free if options.memory_check else None, context)
        problem = ""
    except LocalEngineError as error:
        problem = error.message
        try:
            _, plan = planned(options, one, None, context)
        except LocalEngineError:  # the context that is asked for is none
            return replace(info, problem=problem)
    return replace(
        info,
        name=known.name if known and known.filename else header.name or "",
        architecture=header.architecture,
        parameters=header.parameters,
        quantization=header.quantization or quantization(one.path.stem),
        license=header.license or "",
        trained_context=header.context_length,
        context=plan.context,
        memory=plan.need,
        kv_bytes_per_token=header.kv_bytes_per_token,
        problem=problem,
    )


def quantization(stem: str) -> str:
    """What a file's name says of its quantization, for files that do not say it themselves."""
    found = QUANT.search(shardless(stem))
    return found[2].upper() if found else ""


def is_own(home: Path, path: Path) -> bool:
    """Whether ``path`` really lies in ``ANTE_HOME/models``, all ``..`` and links to folders followed.

    A link to a file counts as lying where the link is: to delete it takes nothing from anybody.
    """
    store, folder = paths.models(home).resolve(), path.parent.resolve()
    return folder == store or store in folder.parents
