"""What is wrong with the permission rules of a settings file, and which of it keeps a turn from starting.

A rule that permits and cannot be read costs a question; one that forbids and cannot be read would let
through what the person meant to keep out. So the first is skipped and told, the second stops the turn.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.agent.permissions.rules import Rule, parse_rule
from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.settings import Settings

TOOLS = (
    "Read",
    "Write",
    "Edit",
    "Glob",
    "Grep",
    "Bash",
    "TodoWrite",
    "AskUser",
    "Python",
    "Variables",
    "Cells",
)
"""The built-in tools, whether or not the surroundings have them all."""
FORM = "A rule is `Tool` or `Tool(glob)`, like `Bash(git push *)` or `Read(**/.env)`."
_MCP = "mcp__"
_OTHER = ("Data",)
"""What rules may name that is no tool: the data policy."""


@dataclass(frozen=True, slots=True)
class RuleReport:
    """``broken``: what is to be forbidden or asked about but cannot be read; ``notices``: all else."""

    broken: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises ``ConfigError`` where it is not known what is forbidden."""
        if self.broken:
            raise ConfigError(self.broken[0], f"{FORM} Correct it, then run the cell again.")


def check_rules(settings: Settings) -> RuleReport:
    """Look at the rules as they stand in the file, those included that loading has left out."""
    given = settings.raw.get("permissions")
    where = paths.display(settings.path or paths.settings())
    if given is None:
        return RuleReport()
    if not isinstance(given, Mapping):
        return RuleReport((f"{where}: `permissions` must be an object with allow, ask and deny",))
    broken: list[str] = []
    notices: list[str] = []
    for effect in ("deny", "ask", "allow"):
        key = f"{where}: `permissions.{effect}`"
        texts = given.get(effect, [])
        if not isinstance(texts, list):
            # A wrong `allow` was told and left out when the file was loaded.
            if effect != "allow":
                broken.append(f"{key} must be a list of rules")
            continue
        rules: list[Rule] = []
        for text in texts:
            try:
                rules.append(parse_rule(text))
            except ConfigError as error:
                if effect != "allow":
                    broken.append(f"{key}: {error.message.rstrip('.')}")
                elif isinstance(text, str):
                    notices.append(f"{key}: {error.message} It is skipped. {FORM}")
        notices += unknown_tools(rules, key)
    return RuleReport(tuple(broken), tuple(notices))


def unknown_tools(rules: Iterable[Rule], where: str) -> list[str]:
    """A line for each rule about a tool that there is not; tools of servers (``mcp__``) may be off."""
    lines = []
    for rule in rules:
        if rule.tool.lower().startswith(_MCP) or any(rule.names(name) for name in (*TOOLS, *_OTHER)):
            continue
        if any(char in rule.tool for char in "*?[") and fnmatch.fnmatchcase(_MCP, rule.tool[: len(_MCP)]):
            continue
        lower = {name.lower(): name for name in TOOLS}
        near = [lower[name] for name in difflib.get_close_matches(rule.tool.lower(), lower, n=2)]
        guess = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(TOOLS)}"
        lines.append(f"{where}: the rule {str(rule)!r} is about no tool that there is ({guess})")
    return lines
