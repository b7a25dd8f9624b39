"""Where things live on disk: everything is below ``ANTE_HOME`` (default ``~/.ante``).

A function only names a path; nothing is made until :func:`ensure` is called, so that loading the
extension writes no file. Names follow Ante's storage reference.
"""

from __future__ import annotations

import os
from pathlib import Path

SYSTEM_SETTINGS = Path("/etc/ante/settings.json")


def home() -> Path:
    """The data directory: ``$ANTE_HOME`` if set and not empty, else ``~/.ante``."""
    chosen = os.environ.get("ANTE_HOME", "").strip()
    return Path(chosen).expanduser() if chosen else Path.home() / ".ante"


def settings(base: Path | None = None) -> Path:
    """``settings.json``, the user's settings."""
    return (base or home()) / "settings.json"


def profiles(base: Path | None = None) -> Path:
    """The directory of profiles, settings files that replace ``settings.json`` as a whole."""
    return (base or home()) / "profiles"


def system_settings() -> Path:
    """The administrator's settings file.

    ``ANTE_SYSTEM_SETTINGS`` names another one, but only on a machine that has none in the usual place:
    otherwise a variable would be enough to leave the administrator's rules.
    """
    chosen = os.environ.get("ANTE_SYSTEM_SETTINGS", "").strip()
    return Path(chosen) if chosen and not SYSTEM_SETTINGS.exists() else SYSTEM_SETTINGS


def catalog(base: Path | None = None) -> Path:
    """``catalog.json``, the user's providers and models."""
    return (base or home()) / "catalog.json"


def sessions(base: Path | None = None) -> Path:
    """The directory of sessions, one sub-directory each."""
    return (base or home()) / "sessions"


def undo(base: Path | None = None) -> Path:
    """The directory of what `%ante undo` needs, one sub-directory for each working directory."""
    return (base or home()) / "undo"


def logs(base: Path | None = None) -> Path:
    """The directory of log files."""
    return (base or home()) / "logs"


def auth(base: Path | None = None) -> Path:
    """The directory of stored keys and sign-ins."""
    return (base or home()) / "auth"


def run(base: Path | None = None) -> Path:
    """The directory of what is running: jobs, local servers."""
    return (base or home()) / "run"


def models(base: Path | None = None) -> Path:
    """The directory of downloaded models."""
    return (base or home()) / "models"


def ensure(directory: Path) -> Path:
    """Make ``directory`` and its missing parents, readable by the owner only (0700), and return it.

    A directory that exists keeps its mode. Raises ``OSError`` where it cannot be made.
    """
    missing = []
    path = directory
    while not path.exists():
        missing.append(path)
        path = path.parent
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    if not directory.is_dir():
        raise NotADirectoryError(f"{directory} is not a directory")
    return directory


def display(path: Path) -> str:
    """``path`` as a person writes it: ``~`` for the user's home directory."""
    try:
        return "~/" + path.relative_to(Path.home()).as_posix()
    except (ValueError, RuntimeError):
        return str(path)
