"""The code blocks of a Markdown document, as a reader would type them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FENCE = re.compile(r"^```([a-z]*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Snippet:
    """A fenced block: its language, its text, and where it stands."""

    language: str
    code: str
    place: str


def snippets(path: Path, *languages: str) -> list[Snippet]:
    """The fenced blocks of ``path`` in these languages, in order."""
    text = path.read_text(encoding="utf-8")
    return [
        Snippet(match[1], match[2], f"{path.name}:{text.count(chr(10), 0, match.start()) + 1}")
        for match in _FENCE.finditer(text)
        if match[1] in languages
    ]
