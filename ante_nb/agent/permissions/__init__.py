"""Which tool calls run, which are asked about, which are refused."""

from ante_nb.agent.permissions.check import RuleReport, check_rules, unknown_tools
from ante_nb.agent.permissions.engine import MODES, Decision, Mode, Permissions
from ante_nb.agent.permissions.judge import classify
from ante_nb.agent.permissions.rules import Rule, parse_rule, parse_rules

__all__ = [
    "MODES",
    "Decision",
    "Mode",
    "Permissions",
    "Rule",
    "RuleReport",
    "check_rules",
    "classify",
    "parse_rule",
    "parse_rules",
    "unknown_tools",
]
