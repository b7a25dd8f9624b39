"""Shell rules stage by stage: a rule that forbids needs one match, a rule that permits all of them."""

from __future__ import annotations

import fnmatch
import os
from typing import TYPE_CHECKING

from ante_nb.agent.permissions.danger import scripts, unwrapped
from ante_nb.agent.permissions.shell import parse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ante_nb.agent.permissions.judge import Judgement
    from ante_nb.agent.permissions.rules import Rule


def all_forms(command: str, judgement: Judgement, depth: int = 0) -> Iterable[str]:
    """Every way to write what a command runs, for rules that forbid.

    The whole text; each stage as written, without quotes, without assignments, by the bare name of its
    program; what ``sudo``, ``env``, ``xargs`` and ``bash -c`` would run.
    """
    yield command
    for stage in judgement.stages:
        yield stage.text
        for argv in unwrapped(stage.argv):
            yield " ".join(argv)
            bare = [argv[0].rpartition("/")[2], *argv[1:]]
            yield " ".join(bare)
            # git --no-pager log, ls -l -- x: by the words alone.
            yield " ".join([bare[0], *(word for word in bare[1:] if not word.startswith("-"))])
            first = next((place for place, word in enumerate(bare[1:], 1) if not word.startswith("-")), None)
            if first is not None:
                yield " ".join([bare[0], *bare[first:]])
        if depth < 3:
            from ante_nb.agent.permissions.judge import judge

            for script in scripts(stage.argv):
                yield from all_forms(script, judge(script), depth + 1)


def may_be_meant(rule: Rule, judgement: Judgement, cwd: Path) -> bool:
    """Whether a command that ``rule`` does not match as text may be another way to write one that it does.

    So it is where the words of the rule, options aside, come up in the words of a stage in their order,
    files compared by where they lead: ``cat -n sub/../.e*`` for ``cat .env``. Too much rather than too
    little: the call is then asked about.
    """
    wanted = [word.strip("'\"") for word in (rule.pattern or "").split()]
    wanted = [word for word in wanted if word not in ("*", "**", "") and not word.startswith("-")]
    if not wanted:
        return True
    for stage in judgement.stages:
        for argv in unwrapped(stage.argv):
            found = iter([_ways(argv[0].rpartition("/")[2], None), *(_ways(w, cwd) for w in argv[1:])])
            if all(any(_like(want, ways, cwd) for ways in found) for want in wanted):
                return True
    return False


def _ways(word: str, cwd: Path | None) -> set[str]:
    """A word of a command, and the files that it may stand for."""
    from ante_nb.agent.permissions.judge import meant

    ways = {word, word.rpartition("=")[2]}
    if cwd is not None:
        for text in tuple(ways):
            ways |= {os.path.realpath(path) for path in meant(text, any(c in text for c in "*?["), cwd)}
    return {way.casefold() for way in ways}


def _like(want: str, ways: set[str], cwd: Path) -> bool:
    place = os.path.realpath(cwd / os.path.expanduser(want))  # noqa: PTH111 - no error for ~unknown
    forms = (want.casefold(), place.casefold(), f"*{want.casefold()}")
    return any(fnmatch.fnmatchcase(way, form) for way in ways for form in forms)


def covered(rules: list[Rule], judgement: Judgement) -> bool:
    """Whether every stage, redirection and assignment of a command is permitted by some rule.

    What can't be taken apart is permitted only by a rule about every command.
    """
    if any(rule.catches_all for rule in rules):
        return True
    shell = judgement.shell
    if shell.opaque or not shell.stages or not rules:
        return False
    # A redirection writes a file, which a rule about the program does not permit: > needs its own.
    texts = [_plain(stage.text) for stage in shell.stages] + list(shell.redirects)
    return all(any(rule.matches_text(text) for rule in rules) for text in texts)


def _plain(text: str) -> str:
    """A stage with white space evened out where that changes nothing."""
    stage = parse(text).stages
    if len(stage) == 1 and stage[0].words and stage[0].literal and not stage[0].assignments:
        joined = " ".join(stage[0].argv)
        return joined if joined.split() == text.split() else text
    return text
