"""What there is on this machine for local models, in plain values for commands and widgets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.errors import LocalEngineError
from ante_nb.local import discovery, memory
from ante_nb.local import engine as engine_room
from ante_nb.local.gguf import read_model

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    ``size`` and ``memory`` are bytes, ``memory`` an estimate for ``context`` tokens; ``free`` is what the
    machine has. ``problem`` is empty where it can be started, else one line with numbers. ``mmproj`` is the
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


def engines(options: Options, env: Mapping[str, str] | None = None, *, check: bool = False) -> list[EngineInfo]:
    """The engines in the order they are tried."""
    raise NotImplementedError


def models(
    options: Options, env: Mapping[str, str] | None = None, *, context: int | None = None
) -> list[ModelInfo]:
    """The models found."""
    raise NotImplementedError
