"""Whether a git repository can make ``git status`` and the like run programs of its choosing.

A command that only reads still obeys ``.git/config``: ``core.fsmonitor``, ``diff.external``, filters and
more name programs. The files are read as text here, never by git. What the person's own ``~/.gitconfig``
says is theirs and not looked at. Format: git-config(1), "CONFIGURATION FILE"; what is found where:
gitrepository-layout(5).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_UNREADABLE = "the configuration of the git repository can't be read"
_MOST_BYTES = 262_144
# Of section and key, without the name between them (a branch may be called what it likes).
_RUNS = re.compile(
    r"(?:alias|pager|include|includeif|filter|credential|protocol)\..*"
    r"|.*\.(?:.*(?:fsmonitor|external|textconv|command|cmd|pager|hook|program|editor|helper|askpass|driver|gitproxy).*"
    r"|process|difffilter|uploadpack|receivepack|uploadarchive|vcs)"
)
_OFF = frozenset({"false", "no", "off", "0", ""})
_BLANK = re.compile(r"(?:\s|[#;][^\n]*)+")
_HEADER = re.compile(r'\[([A-Za-z0-9-]+)(?:\.[A-Za-z0-9.-]*)?(?:\s+"(?:[^"\\\n]|\\.)*")?\s*\]')
_ENTRY = re.compile(
    r"([A-Za-z][A-Za-z0-9-]*)[ \t]*"
    r'(?:=((?:[^\\"#;\n]|\\[\s\S]|"(?:[^"\\\n]|\\[\s\S])*")*)(?:[#;][^\n]*)?)?(?=\n|\Z)'
)
# A submodule in the index: the mode 160000 of a gitlink, as gitformat-index(5) has it.
_GITLINK = b"\x00\x00\xe0\x00"


def runs_programs(cwd: Path, env: Mapping[str, str]) -> str | None:
    """Why git in ``cwd`` may run something that the repository names, or ``None``.

    Args:
        cwd: where git is started; the repository is looked for there and upwards.
        env: the environment it gets, in which ``GIT_DIR`` may name another one.
    """
    try:
        for place in _places(cwd, env):
            reason = _place(place)
            if reason:
                return reason
    except (OSError, ValueError, RuntimeError):
        return _UNREADABLE
    return None


def _places(cwd: Path, env: Mapping[str, str]) -> Iterator[Path]:
    """The directories whose configuration git would take, and those of which that is not sure."""
    for name in ("GIT_DIR", "GIT_COMMON_DIR"):
        if env.get(name):
            yield from _with_common(cwd / env[name])
    here = cwd.resolve()
    for directory in (here, *here.parents):
        dot = directory / ".git"
        if dot.is_file():
            yield from _with_common(_pointed(directory, dot))
            return
        if dot.is_dir():
            yield from _with_common(dot)
            # git passes by what is no whole repository.
            if (dot / "HEAD").exists() and (dot / "objects").is_dir() and (dot / "refs").is_dir():
                return
        if (directory / "HEAD").exists() and (directory / "config").exists():  # a bare one
            yield from _with_common(directory)


def _pointed(directory: Path, file: Path) -> Path:
    text = file.read_bytes()[:8192].decode("utf-8")
    if not text.startswith("gitdir:"):
        raise ValueError(file)
    return directory / text.removeprefix("gitdir:").strip()


def _with_common(place: Path) -> Iterator[Path]:
    yield place
    common = place / "commondir"
    if common.exists():
        yield place / common.read_bytes()[:8192].decode("utf-8").strip()


def _place(place: Path) -> str | None:
    for name in ("config", "config.worktree"):
        path = place / name
        if path.exists():
            if path.stat().st_size > _MOST_BYTES:
                return _UNREADABLE
            found = _program(path.read_bytes().decode("utf-8-sig"))
            if found:
                return found
    # git status writes the index it has refreshed, and that calls this hook.
    if (place / "hooks" / "post-index-change").exists():
        return "the git repository has a post-index-change hook"
    for index in (place / "index", *place.glob("sharedindex.*")):
        if index.is_file() and _GITLINK in index.read_bytes():
            return "the git repository has submodules, with configuration of their own"
    return None


def _program(text: str) -> str | None:
    """The first key that may name a program, as a reason."""
    text = text.replace("\r\n", "\n")
    section, position = "", 0
    while position < len(text):
        if found := _BLANK.match(text, position):
            pass
        elif found := _HEADER.match(text, position):
            section = found.group(1).lower()
        elif section and (found := _ENTRY.match(text, position)):
            name = f"{section}.{found.group(1).lower()}"
            value = (found.group(2) or "true" * (found.group(2) is None)).strip().strip('"').lower()
            if _RUNS.fullmatch(name) and not (name == "core.fsmonitor" and value in _OFF):
                return f"the git repository's own configuration sets {name}, which may run a program"
        else:
            return _UNREADABLE
        position = found.end()
    return None
