"""Permission rules: ``Tool`` or ``Tool(glob)``, and what they match."""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pathspec import GitIgnoreSpec

Effect: TypeAlias = Literal["allow", "ask", "deny"]
_FORM = re.compile(r"\s*([\w*?\[\]!.-]+)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: ``tool`` is a glob for tool names in any case, ``pattern`` one for the primary argument.

    ``pattern`` is ``None`` for a rule about every call of the tool.
    """

    tool: str
    pattern: str | None = None

    def __str__(self) -> str:
        return self.tool if self.pattern is None else f"{self.tool}({self.pattern})"

    @property
    def catches_all(self) -> bool:
        return self.pattern is None or self.pattern.strip() in ("*", "**")

    @property
    def exact(self) -> bool:
        """Whether the pattern stands for one argument only (a wildcard in brackets is a plain character)."""
        return self.pattern is not None and not re.search(r"[*?\[]", re.sub(r"\[[*?\[]\]", "", self.pattern))

    def names(self, tool: str) -> bool:
        return fnmatch.fnmatchcase(tool.lower(), self.tool.lower())

    def matches_text(self, text: str) -> bool:
        """Whether the pattern matches a text whole; a last `` *`` may stand for nothing at all."""
        if self.catches_all:
            return True
        return _text_pattern(self.pattern or "").match(text.strip()) is not None

    def matches_path(self, path: Path, cwd: Path, *, broadly: bool) -> bool:
        """Whether the pattern, read as a gitignore pattern, matches an absolute path.

        A relative pattern counts from the working directory, an absolute one or one with ``~`` from where
        it says. ``broadly`` is for rules that forbid: letter case is ignored, a pattern without a slash
        holds anywhere, and ``*`` also runs over slashes. Without it a rule covers nothing outside the
        working directory unless it names the place.
        """
        if self.catches_all:
            return broadly or path.is_relative_to(cwd)
        pattern = _unquoted(self.pattern or "")
        absolute = pattern.startswith(("/", "~"))
        if absolute:
            full = os.path.normpath(os.path.expanduser(pattern))  # noqa: PTH111 - no error for ~unknown
            pattern = full + ("/" if pattern.endswith("/") else "")
            target = str(path).lstrip("/")
        elif path.is_relative_to(cwd):
            if pattern.startswith("./"):
                pattern = pattern[1:]  # tied to the working directory, where a bare name is not
            target = str(path.relative_to(cwd))
        elif broadly and "/" not in pattern.rstrip("/"):
            target = str(path).lstrip("/")
        else:
            return False
        if broadly:
            # Some file systems take é and e + ´ for the same name.
            pattern, target = (unicodedata.normalize("NFC", text).lower() for text in (pattern, target))
            if fnmatch.fnmatchcase(target, pattern.lstrip("/")):
                return True
        return _path_pattern(pattern).match_file(target)


def _unquoted(pattern: str) -> str:
    text = pattern.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


@lru_cache(maxsize=512)
def _text_pattern(pattern: str) -> re.Pattern[str]:
    body = pattern.strip()
    if body.endswith(" *"):
        # `cargo test *` is also about `cargo test`.
        return re.compile(f"(?:{fnmatch.translate(body[:-2])}|{fnmatch.translate(body)})", re.DOTALL)
    return re.compile(fnmatch.translate(body), re.DOTALL)


@lru_cache(maxsize=512)
def _path_pattern(pattern: str) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(["\\" + pattern if pattern[:1] in "!#" else pattern])


def parse_rule(text: object) -> Rule:
    """A rule from its text.

    Raises:
        ConfigError: it is no rule.
    """
    if not isinstance(text, str):
        raise ConfigError(f"{text!r} is no permission rule.", "A rule is a text such as Bash(git log *).")
    found = _FORM.match(text)
    if found is None or (found.group(2) is not None and not found.group(2).strip()):
        raise ConfigError(
            f"{text!r} is no permission rule.", "Write Tool or Tool(pattern), such as Edit(src/**)."
        )
    pattern = found.group(2)
    rule = Rule(found.group(1), pattern)
    try:
        if pattern is not None:
            _text_pattern(pattern)
            _path_pattern(_unquoted(pattern))
    except (ValueError, re.error) as error:
        raise ConfigError(f"The pattern of the permission rule {text!r} is wrong: {error}.") from None
    return rule


def parse_rules(texts: Iterable[object]) -> tuple[list[Rule], list[str]]:
    """The rules among ``texts``, and a line about each that is none; a wrong one spoils no other."""
    rules: list[Rule] = []
    problems: list[str] = []
    for text in texts:
        try:
            rules.append(parse_rule(text))
        except ConfigError as error:
            problems.append(f"{error} It is skipped.")
    return rules, problems


def escape(text: str) -> str:
    """``text`` as a pattern that matches only itself."""
    return re.sub(r"([*?\[])", r"[\1]", text)
