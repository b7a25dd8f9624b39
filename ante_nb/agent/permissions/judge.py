"""The judgement of a shell command: safe, unknown or dangerous, and which files it names."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ante_nb.agent.permissions import danger, programs
from ante_nb.agent.permissions.shell import TOO_LONG, UNPARSED, Shell, Stage, Word, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

Verdict: TypeAlias = Literal["safe", "unknown", "dangerous"]

# What the auto mode takes for a change of the workspace, like Write and Edit; never what runs code.
_WORKSPACE: dict[str, str] = {
    "mkdir": r"-[pv]+|--parents|--verbose",
    "touch": r"-[acm]+",
    "cp": r"-[rRapvnui]+|--recursive|--verbose|--no-clobber",
    "mv": r"-[vnui]+|--verbose|--no-clobber",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a command before it runs.

    ``safe``: every stage is on the read-only list and nothing is decided only at run time.
    ``dangerous``: a known harm. ``unknown``: all else. ``workspace``: it only reads, makes, copies or
    moves files. ``reason`` says what stands against safe. Paths are not judged here: see :meth:`paths`.
    """

    verdict: Verdict
    reason: str
    shell: Shell
    workspace: bool = False

    @property
    def stages(self) -> list[Stage]:
        return self.shell.stages

    def paths(self, cwd: Path) -> list[Path]:
        """Every path that the words of the command may mean, absolute, in the directories it may be in.

        Patterns and printed text are left out where the program is known; options' values count, and so
        does every file that a wildcard stands for. ``..`` is kept: what it means depends on links.
        """
        places = {Path(cwd)}
        out: dict[Path, None] = {}
        for stage in self.stages:
            for text, wildcard in _path_words(stage):
                for place in sorted(places):
                    out.update(dict.fromkeys(meant(text, wildcard, place)))
            if stage.words and stage.argv[0] == "cd":
                target = stage.argv[1] if len(stage.words) > 1 else "~"
                for place in sorted(places):
                    there = place / os.path.expanduser(target)  # noqa: PTH111 - no error for ~unknown
                    # `cd link; cd ..` goes back along the name, `cd link; cat ../x` up the real tree.
                    places |= {Path(os.path.normpath(there)), Path(os.path.realpath(there))}
        return list(out)

    def runs(self, program: str) -> bool:
        """Whether some stage starts ``program``, by itself or through ``timeout`` and the like."""
        return any(
            argv[0].rpartition("/")[2] == program
            for stage in self.stages
            for argv in danger.unwrapped(stage.argv)
        )

    def shows_files(self) -> bool:
        """Whether what is inside files may come out, of which no path need be named (``grep -r``)."""
        for index, stage in enumerate(self.stages):
            name = programs.program(stage.argv[0]) if stage.words else None
            if name in programs.NO_CONTENT:
                continue
            if name in programs.FILTERS and index and not _operands(stage):
                continue
            return True
        return False


def classify(command: str) -> Verdict:
    """Whether a command only reads (``safe``), does known harm (``dangerous``), or neither is known."""
    return judge(command).verdict


@lru_cache(maxsize=256)
def judge(command: str) -> Judgement:
    """Take a command apart and judge it. Never raises."""
    shell = parse(command)
    if TOO_LONG in shell.problems:
        return Judgement("unknown", TOO_LONG, shell)
    if danger.fork_bomb(command):
        return Judgement("dangerous", "defines a function that multiplies itself", shell)
    if UNPARSED in shell.problems:
        return Judgement("unknown", UNPARSED, shell)
    harm = danger.dangerous(shell)
    if harm:
        return Judgement("dangerous", harm, shell)
    if shell.problems:
        return Judgement("unknown", shell.problems[0], shell)
    reasons = [reason for stage in shell.stages if (reason := _not_safe(stage))]
    names = {programs.program(stage.argv[0]) for stage in shell.stages if stage.words}
    if {"cd", "git"} <= names:
        # Another repository's configuration can name programs that git status runs.
        reasons.append("git in another directory")
    if not reasons:
        return Judgement("safe", "", shell, workspace=True)
    workspace = all(not _not_safe(stage) or _workspace(stage) for stage in shell.stages)
    workspace = workspace and not {"cd", "git"} <= names and not _reads_what_it_moved(shell.stages)
    return Judgement("unknown", reasons[0], shell, workspace=workspace)


def _not_safe(stage: Stage) -> str | None:
    if not stage.words:
        return "it sets variables"
    words = list(stage.words)
    printing = words[0].text in ("echo", "printf")
    for word in words[1:]:
        if not word.literal and not (printing and word.variable):
            return "a word is known only when it runs"
    return programs.reads_only(words)


def _workspace(stage: Stage) -> bool:
    name = programs.program(stage.argv[0])
    allowed = _WORKSPACE.get(name or "")
    if allowed is None or not stage.literal:
        return False
    operands = [word for word in stage.words[1:] if not word.text.startswith("-")]
    options = [word.text for word in stage.words[1:] if word.text.startswith("-")]
    loose = any(word.glob and word.text[:1] in "*?[" for word in stage.words)
    return bool(operands) and not loose and all(re.fullmatch(allowed, option) for option in options)


def _reads_what_it_moved(stages: list[Stage]) -> bool:
    """Whether a file may be looked into under a name that it gets on the way: ``mv a b; cat b/link``.

    Where such a name leads can't be seen before it is there.
    """
    moved: list[str] = []
    for stage in stages:
        name = programs.program(stage.argv[0]) if stage.words else None
        if moved and name == "cd":
            return True
        words = [os.path.normpath(word.text) for word in _operands(stage)]
        if name not in programs.NO_CONTENT and name not in ("mkdir", "touch"):
            wild = any(word.glob for word in stage.words)
            if moved and (wild or any(f"{w}/".startswith(f"{m}/") for w in words for m in moved)):
                return True
            if moved and any(m == "." or m.startswith(("..", "/", "~")) for m in (*moved, *words)):
                return True
        if name in ("cp", "mv"):
            moved += words
    return False


def _operands(stage: Stage) -> list[Word]:
    return [word for word in stage.words[1:] if not word.text.startswith("-")]


def _path_words(stage: Stage) -> Iterator[tuple[str, bool]]:
    """The words that may name a file, and whether wildcards in them count."""
    if not stage.words:
        return
    name = programs.program(stage.argv[0]) or stage.argv[0]
    if name in ("echo", "printf", "set", "exit", "type", "command", "date", "seq", "sleep", "expr"):
        return
    words = list(stage.words[1:])
    if name in programs.PATTERN_FIRST and not any(
        re.match(r"-(?!-)\w*[ef]|--(?:e|re|f)", word.text) for word in words
    ):
        # A number is rather the value of an option (grep -A 3 pattern file).
        first = next((w for w in words if not w.text.startswith("-") and not w.text.isdigit()), None)
        if first is not None:
            words.remove(first)
    for word in words:
        text = word.text
        if "=" in text:
            yield text.split("=", 1)[1], word.glob
        if not text.startswith("-"):
            yield text, word.glob
        # -f/etc/passwd, -fname: the value without a space.
        elif match := re.search(r"[/~].*|\.\..*", text):
            yield match.group(), word.glob
        elif not text.startswith("--") and len(text) > 2:
            yield text[2:], word.glob


def meant(text: str, wildcard: bool, cwd: Path) -> Iterator[Path]:
    """The paths that a word of a command may mean, started in ``cwd``."""
    path = cwd / os.path.expanduser(text)  # noqa: PTH111 - no error for ~unknown
    if not wildcard:
        yield path
        return
    # A wildcard may run through a link that leads elsewhere, so what it matches is looked up.
    count = 0
    for match in itertools.islice(_matches(str(path)), 501):
        count += 1
        yield Path(match)
    if count > 500:
        yield Path("/")
    elif not count:
        head = re.split(r"[*?\[]", text, maxsplit=1)[0]
        yield cwd / os.path.expanduser(head.rpartition("/")[0] or ".")  # noqa: PTH111


def _matches(pattern: str) -> Iterator[str]:
    """What bash may put in the place of a pattern, and rather more.

    ``[^a]``, ``[[:alpha:]]`` and ranges mean another thing here than there, so what begins with a bracket
    stands for anything; ``.*`` is also ``..`` in bash before 5.2.
    """
    parts = [re.sub(r"\[.*", "*", part, flags=re.DOTALL) for part in pattern.split("/")]
    yield from glob.iglob("/".join(parts))  # noqa: PTH207 - Path.glob takes no absolute pattern
    for index, part in enumerate(parts):
        if part.startswith(".") and re.search(r"[*?]", part) and fnmatch.fnmatchcase("..", part):
            yield from _matches("/".join([*parts[:index], "..", *parts[index + 1 :]]))
