"""The rule that "allow for this session" adds, in the words the person sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ante_nb.agent.permissions.rules import Rule, escape

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.agent.permissions.judge import Judgement


def bash_grant(command: str, judgement: Judgement, *, exact: bool) -> str:
    """``Bash(cargo test *)`` for ``cargo test -p foo``: the first two words and whatever follows.

    The command itself where two words say too little: it is dangerous, has several stages, redirects,
    sets or expands something, or an option stands second. ``exact`` asks for that in any case.
    """
    stages = judgement.stages
    if not exact and judgement.verdict != "dangerous" and not judgement.shell.problems and len(stages) == 1:
        words = stages[0].words
        if len(words) >= 2 and not words[1].text.startswith("-"):
            plain = all(word.literal and not word.glob and word.text.strip() for word in words[:2])
            if plain and not any(" " in word.text for word in words[:2]):
                return str(Rule("Bash", f"{escape(words[0].text)} {escape(words[1].text)} *"))
    return str(Rule("Bash", escape(command.strip())))


def path_grant(tool: str, path: Path, cwd: Path) -> str:
    """``Edit(src/a.py)``: this file, from the working directory where it is below it."""
    # ./ in front ties the pattern to that one place; without it any file of the name would match.
    text = "./" + str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)
    return str(Rule(tool, escape(text)))
