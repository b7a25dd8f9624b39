"""Walking a directory tree without what .gitignore leaves out."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

NEVER = frozenset({".git", ".hg", ".svn", ".ipynb_checkpoints"})
"""Directories that no search enters; rg is told the same."""


class Ignored:
    """The .gitignore rules that hold in one directory: its own and those of its parents."""

    __slots__ = ("_specs",)

    def __init__(self, specs: tuple[tuple[str, GitIgnoreSpec], ...] = ()) -> None:
        self._specs = specs

    @classmethod
    def above(cls, root: Path) -> Ignored:
        """The rules that the parents of ``root`` set, up to the top of its repository."""
        chain: list[Path] = []
        for directory in root.parents:
            chain.append(directory)
            if (directory / ".git").exists():
                break
        rules = cls()
        if not (root / ".git").exists():
            for directory in reversed(chain):
                rules = rules.within(str(directory))
        # A directory that was named outright is searched even if it is ignored itself.
        return cls() if rules.matches(str(root), directory=True) else rules

    def within(self, directory: str) -> Ignored:
        """The rules inside ``directory``."""
        added = []
        for name in (".git/info/exclude", ".gitignore"):
            try:
                lines = (Path(directory) / name).read_text("utf-8", "replace").splitlines()
                added.append((directory, GitIgnoreSpec.from_lines(lines)))
            except (OSError, ValueError):
                continue
        return Ignored((*self._specs, *added)) if added else self

    def matches(self, path: str, *, directory: bool) -> bool:
        """Whether ``path`` is ignored; the innermost file that has a say decides."""
        for base, spec in reversed(self._specs):
            # Every path asked about lies below the directories whose rules these are; relpath() is slow.
            inside = base if base.endswith("/") else base + "/"
            relative = path[len(inside) :] if path.startswith(inside) else os.path.relpath(path, base)
            if directory:
                relative += "/"
            verdict = spec.check_file(relative).include
            if verdict is not None:
                return verdict
        return False


def walk(root: Path) -> Iterator[os.DirEntry[str]]:
    """The files below ``root`` in path order, ignored ones left out, links not followed."""
    yield from _walk(str(root), Ignored.above(root))


def _walk(directory: str, outer: Ignored) -> Iterator[os.DirEntry[str]]:
    rules = outer.within(directory)
    try:
        with os.scandir(directory) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        is_directory = entry.is_dir(follow_symlinks=False)
        if is_directory and entry.name in NEVER:
            continue
        if rules.matches(entry.path, directory=is_directory):
            continue
        if is_directory:
            yield from _walk(entry.path, rules)
        elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
            yield entry


def expand_braces(pattern: str) -> list[str]:
    """``a.{b,c}`` as ``a.b`` and ``a.c``; gitignore patterns have no braces."""
    depth = 0
    start = -1
    commas: list[int] = []
    for index, char in enumerate(pattern):
        if char == "{":
            if depth == 0:
                start, commas = index, []
            depth += 1
        elif char == "," and depth == 1:
            commas.append(index)
        elif char == "}" and depth:
            depth -= 1
            if depth == 0 and commas:
                cuts = [start, *commas, index]
                pieces = [pattern[a + 1 : b] for a, b in itertools.pairwise(cuts)]
                heads = [pattern[:start] + piece for piece in pieces]
                return [whole for head in heads for whole in expand_braces(head + pattern[index + 1 :])]
    return [pattern]


def globs(pattern: str) -> GitIgnoreSpec:
    """A matcher for a glob: without a slash it matches at any depth, with one from the root."""
    return GitIgnoreSpec.from_lines(
        "\\" + line if line[:1] in "!#" else line for line in expand_braces(pattern)
    )
