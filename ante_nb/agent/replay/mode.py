"""Whether answers are recorded and replayed, and where the recordings are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ante_nb.errors import ConfigError
from ante_nb.offline import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

Mode: TypeAlias = Literal["off", "auto", "only"]
MODES: tuple[Mode, ...] = ("off", "auto", "only")

FOLDER_VARIABLE = "ANTE_RECORDINGS"
FOLDER = Path(".ante") / "recordings"


@dataclass(frozen=True, slots=True)
class Replay:
    """What is in force: ``off``; ``auto`` (recorded answers are replayed, others asked for and recorded);
    ``only`` (what is not recorded is an error, no connection is opened)."""

    mode: Mode
    source: str
    folder: Path


def replay_of(chosen: str | None, env: Mapping[str, str], notebook: Path | None, cwd: Path) -> Replay:
    """What is in force for a turn.

    Args:
        chosen: what ``%ante record`` has chosen, ``auto`` or ``off``; ``None`` where nothing was.
        env: the environment; ``only`` there holds whatever was chosen, for it is a promise to whoever
            started the process.
        notebook: the notebook's file; recordings are next to it, else in ``cwd``.
        cwd: the working directory.

    Raises:
        ConfigError: ``ANTE_REPLAY`` is none of the modes.
    """
    folder = Path(env.get(FOLDER_VARIABLE, "").strip() or FOLDER).expanduser()
    folder = (notebook.parent if notebook is not None else cwd) / folder
    said = env.get(VARIABLE, "").strip().lower()
    said = {"on": "auto", "0": "off", "1": "auto"}.get(said, said)
    if said and said not in MODES:
        raise ConfigError(f"{VARIABLE}={said!r} is not known", f"Use one of {', '.join(MODES)}.")
    if said == "only":
        return Replay("only", f"environment {VARIABLE}", folder)
    if chosen is not None:
        return Replay("auto" if chosen == "auto" else "off", "%ante record", folder)
    if said == "auto":
        return Replay("auto", f"environment {VARIABLE}", folder)
    return Replay("off", f"environment {VARIABLE}" if said else "built-in default", folder)
