"""Shell rules stage by stage: a rule that forbids needs one match, a rule that permits all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ante_nb.agent.permissions.danger import scripts, unwrapped
from ante_nb.agent.permissions.shell import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

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
            yield " ".join([argv[0].rpartition("/")[2], *argv[1:]])
        if depth < 3:
            from ante_nb.agent.permissions.judge import judge

            for script in scripts(stage.argv):
                yield from all_forms(script, judge(script), depth + 1)


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
