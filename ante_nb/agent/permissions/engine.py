"""Whether a tool call may run, must be asked about, or may not.

The order is: deny rules, what the person granted in this session, ask rules, allow rules, and the
defaults of the mode. No sandbox is claimed: what an allowed command does is not watched.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from ante_nb.agent.permissions.credentials import MAY_SHOW, WHY, is_kept, may_show
from ante_nb.agent.permissions.gitconfig import runs_programs
from ante_nb.agent.permissions.grants import bash_grant, path_grant
from ante_nb.agent.permissions.judge import Judgement, judge
from ante_nb.agent.permissions.rules import Rule, escape, parse_rule, parse_rules
from ante_nb.agent.tools.paths import inside, real, roots_of
from ante_nb.errors import ConfigError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import BaseModel

    from ante_nb.agent.host import ToolContext
    from ante_nb.agent.tools.base import Tool

Mode: TypeAlias = Literal["strict", "auto", "yolo"]
MODES: tuple[Mode, ...] = get_args(Mode)
Action: TypeAlias = Literal["allow", "ask", "deny"]

# Directories whose files are run or obeyed by something else: a hook, a key file, our own settings.
_PROTECTED = frozenset({".git", ".hg", ".svn", ".ssh", ".gnupg", ".ante", ".vscode", ".idea", ".github"})
_PROTECTED_FILES = frozenset(
    {
        ".bashrc",
        ".zshrc",
        ".profile",
        ".bash_profile",
        ".zprofile",
        ".envrc",
        ".gitconfig",
        ".pre-commit-config.yaml",
    }
)
_PATH_TOOLS = ("Read", "Write", "Edit", "Glob", "Grep")


@dataclass(frozen=True, slots=True)
class Decision:
    """``reason`` says why, for the person or (a denial) the model; ``grant`` is the rule that "allow for
    this session" would add."""

    action: Action
    reason: str = ""
    grant: str = ""


@dataclass(slots=True)
class _Facts:
    """What there is to know about one call before any rule is looked at."""

    name: str
    primary: str
    cwd: Path
    paths: list[Path] = field(default_factory=list)
    """Absolute paths of a file tool's call, as written and with links followed."""
    touched: list[Path] = field(default_factory=list)
    """Paths that a shell command names."""
    judgement: Judgement | None = None
    uncertain: str = ""
    """Why the call can't be known to be harmless; empty where it can or where that is no question."""
    code: str | None = None
    """Python that the call has run by another way than the Python tool."""
    effect: str = ""
    """What code that is known changes in memory."""
    decision: str = "ask"
    doubt: str = ""
    grant: str | None = None
    outside: str = ""
    """The path outside the allowed directories, or protected, that the call would touch."""


class Permissions:
    """The rules of a session and the decisions that follow from them.

    Args:
        mode: ``strict``, ``auto`` or ``yolo``.
        rules: texts under ``allow``, ``ask`` and ``deny``; ``problems`` tells of those that are no rules.
        grants: rules that the person granted before in this session.
        forbid_yolo: an administrator's word; then ``yolo`` is an error.

    ``mode`` may be set at any time and holds from the next call on.

    Raises:
        ConfigError: an unknown mode, or yolo where it is forbidden.
    """

    def __init__(
        self,
        mode: str = "strict",
        rules: Mapping[str, Iterable[object]] | None = None,
        grants: Iterable[str] = (),
        *,
        forbid_yolo: bool = False,
    ) -> None:
        self.forbid_yolo = forbid_yolo
        self.problems: list[str] = []
        self._rules: dict[str, list[Rule]] = {}
        given = dict(rules or {})
        for effect in ("allow", "ask", "deny"):
            self._rules[effect], problems = parse_rules(given.pop(effect, ()))
            self.problems += problems
        self.problems += [f"{key!r} is no kind of permission rule: allow, ask or deny." for key in given]
        self._grants: list[Rule] = [parse_rule(text) for text in grants]
        self._mode: Mode = "strict"
        self.mode = mode

    @property
    def mode(self) -> str:
        """``strict``, ``auto`` or ``yolo``."""
        return self._mode

    @mode.setter
    def mode(self, value: str) -> None:
        name = next((mode for mode in MODES if mode == str(value).lower()), None)
        if name is None:
            raise ConfigError(f"There is no permission mode {value!r}.", "Use strict, auto or yolo.")
        if name == "yolo" and self.forbid_yolo:
            raise ConfigError("The yolo mode is forbidden by this system's settings.", "Use strict or auto.")
        self._mode = name

    @property
    def grants(self) -> tuple[str, ...]:
        """The rules granted in this session."""
        return tuple(str(rule) for rule in self._grants)

    def allow(self, rule: str) -> None:
        """Add an allow rule (``--allow RULE``). Raises ``ConfigError`` where it is none."""
        self._rules["allow"].append(parse_rule(rule))

    def rule_for(self, tool: str, text: str) -> Action | None:
        """What the rules say that name ``tool`` itself (no wildcard), about ``text``; ``None``: nothing."""

        def says(rules: Iterable[Rule]) -> bool:
            return any(rule.tool.lower() == tool.lower() and rule.matches_text(text) for rule in rules)

        if says(self._rules["deny"]):
            return "deny"
        return "allow" if says(self._grants) or says(self._rules["allow"]) else None

    def grant(self, rule: str) -> None:
        """Add what the person granted: it comes before ask rules, never before deny rules."""
        parsed = parse_rule(rule)
        if parsed not in self._grants:
            self._grants.append(parsed)

    def for_turn(self, mode: str | None = None, allow: Iterable[str] = ()) -> Permissions:
        """The same rules with a cell's ``--mode`` and ``--allow``; grants given in it are the session's.

        Raises:
            ConfigError: a wrong mode or rule.
        """
        turn = Permissions(mode or self._mode, forbid_yolo=self.forbid_yolo)
        turn._rules = {effect: list(rules) for effect, rules in self._rules.items()}
        turn._grants = self._grants
        turn.problems = list(self.problems)
        for rule in allow:
            turn.allow(rule)
        return turn

    # ------------------------------------------------------------------------------------- the decision

    def decide(self, tool: Tool, arguments: BaseModel, ctx: ToolContext) -> Decision:
        """What is to happen with a call of ``tool`` with checked ``arguments``.

        Also tells ``ctx.state`` which files its rules keep from being read, so that Glob and Grep leave
        them out of what they find.
        """
        ctx.state.hidden = self.hidden(Path(ctx.host.cwd))
        if self._mode == "yolo":
            return Decision("allow", "yolo mode")
        facts = self._facts(tool, arguments, ctx)
        guarded = bool(facts.uncertain) and self._has_deny()
        grant = self._grant_text(facts, guarded)
        if any(is_kept(path) for path in (*facts.paths, *facts.touched)):
            return Decision("deny", WHY)
        denied = self._denied(facts)
        if denied is not None:
            return Decision("deny", f"the rule deny {denied} forbids it")
        for rule in self._grants:
            if self._granted(rule, facts) and (not guarded or rule.exact) and not facts.doubt:
                return Decision("allow", f"{rule} was granted for this session")
        for rule in self._rules["ask"]:
            if self._touches(rule, facts):
                return Decision("ask", f"the rule ask {rule} holds", grant)
        if self._allowed(facts):
            if not guarded:
                return Decision("allow", "an allow rule holds")
            why = f"{facts.uncertain}, and a deny rule may be about it"
            return Decision("ask", why, grant)
        if guarded:
            return Decision("ask", f"{facts.uncertain}, and a deny rule may be about it", grant)
        return self._default(tool, facts, grant)

    def hidden(self, cwd: Path) -> Callable[[str], bool]:
        """A test for absolute paths: whether the file is in the credential store, or a deny rule keeps it
        from being read."""
        if self._mode == "yolo":
            return lambda path: False
        rules = [rule for rule in self._rules["deny"] if rule.names("Read")]
        folders: dict[str, bool] = {}  # looked up once each: a search may find very many files

        def test(path: str) -> bool:
            folder = os.path.dirname(path)  # noqa: PTH120
            if folder not in folders:
                folders[folder] = is_kept(Path(folder))
            return folders[folder] or any(
                rule.matches_path(form, cwd, broadly=True) for rule in rules for form in _forms(Path(path))
            )

        return test

    # ---------------------------------------------------------------------------------------- the facts

    def _facts(self, tool: Tool, arguments: BaseModel, ctx: ToolContext) -> _Facts:
        cwd = real(Path(ctx.host.cwd))
        facts = _Facts(tool.name, tool.primary(arguments), cwd)
        facts.decision, facts.grant = tool.decision(arguments), tool.grant(arguments)
        facts.code, facts.doubt = tool.python_code(arguments, ctx), tool.doubt(arguments, ctx)
        roots = roots_of(ctx)
        try:
            facts.paths = [form for path in tool.paths(arguments, ctx) for form in _forms(path)]
        except ToolError as error:
            facts.outside = error.message
        if tool.name == "Bash":
            self._bash_facts(facts, roots, ctx.host.env)
        elif tool.name == "Python" or facts.code is not None:
            self._python_facts(facts, roots, ctx)
        for path in facts.paths:
            if not inside(path, roots):
                facts.outside = f"{path} is outside the working directory"
            elif tool.writes and _protected(path, cwd):
                facts.outside = f"{path.name} is a file that other programs obey"
        return facts

    def _bash_facts(self, facts: _Facts, roots: list[Path], env: Mapping[str, str]) -> None:
        verdict = judge(facts.primary)
        if verdict.verdict != "dangerous" and verdict.runs("git"):
            why = runs_programs(facts.cwd, env)
            if why:
                reason = why if verdict.verdict == "safe" else verdict.reason
                verdict = replace(verdict, verdict="unknown", reason=reason, workspace=False)
        facts.judgement = verdict
        facts.touched = [form for path in verdict.paths(facts.cwd) for form in _forms(path)]
        outer = [p for p in facts.touched if str(p) != "/dev/null" and not inside(p, roots)]
        if outer:
            facts.outside = f"{outer[0]} is outside the working directory"
        elif may_show(verdict, facts.touched, facts.cwd):
            facts.outside = MAY_SHOW
        elif (
            verdict.workspace
            and verdict.verdict != "safe"
            and any(_protected(path, facts.cwd) for path in facts.touched)
        ):
            facts.outside = "it changes a file that other programs obey"
        if verdict.verdict != "safe":
            facts.uncertain = verdict.reason
        elif self._has_path_deny() and verdict.shows_files():
            facts.uncertain = "it shows what is in files"
        elif self._may_be_denied(facts, verdict):
            facts.uncertain = "it may be another way to write what is denied"

    def _python_facts(self, facts: _Facts, roots: list[Path], ctx: ToolContext) -> None:
        from ante_nb.agent.permissions.pycode import unsafe

        code = facts.primary if facts.code is None else facts.code
        facts.uncertain = unsafe(code) or ""
        if not facts.uncertain or ctx.bindings is None:
            return
        from ante_nb.agent.permissions.analysis import analyse
        from ante_nb.agent.permissions.bindings import shadowing

        found = analyse(code, ctx.bindings)
        if found.why is None and any(rule.names("Python") for rule in self._rules["deny"]):
            # What is forbidden there is a text; the same can be written in many ways.
            found.why = "it is no plain computation"
        if found.why is None and (other := shadowing(roots)):
            found.why = f"{other} in the working directory would be imported in place of a library"
        facts.uncertain = found.why or ""
        if found.why is not None:
            return
        facts.effect = found.effect
        for text in (*found.reads, *found.writes):
            path = Path(os.path.normpath(facts.cwd / os.path.expanduser(text)))  # noqa: PTH111
            # Addresses (file:x is one for pandas), patterns, and directories, of which polars reads all files.
            address = re.match(r"[A-Za-z][\w+.-]*:", text)
            if address or any(char in text for char in "*?[|{\0") or path.is_dir():
                facts.uncertain = f"it opens {text[:60]}"
                return
            forms = _forms(path)
            facts.touched += forms
            if not all(inside(form, roots) for form in forms):
                facts.outside = f"{path} is outside the working directory"
            elif text in found.writes and (path.suffix == ".ipynb" or _protected(path, facts.cwd)):
                facts.outside = f"{path.name} is a file that other programs obey"

    def _may_be_denied(self, facts: _Facts, verdict: Judgement) -> bool:
        from ante_nb.agent.permissions.stages import may_be_meant

        rules = [rule for rule in self._rules["deny"] if rule.names("Bash") and not rule.catches_all]
        return any(may_be_meant(rule, verdict, facts.cwd) for rule in rules)

    def _has_deny(self) -> bool:
        return any(
            rule.names(tool) for rule in self._rules["deny"] for tool in ("Bash", "Python", *_PATH_TOOLS)
        )

    def _has_path_deny(self) -> bool:
        return any(rule.names(tool) for rule in self._rules["deny"] for tool in _PATH_TOOLS)

    # -------------------------------------------------------------------------------------- the matching

    def _denied(self, facts: _Facts) -> Rule | None:
        for rule in self._rules["deny"]:
            if self._touches(rule, facts):
                return rule
            # A shell command that names a file which no tool may read or write.
            if (
                facts.touched
                and rule.pattern is not None
                and any(rule.names(tool) for tool in ("Read", "Write", "Edit"))
                and any(rule.matches_path(path, facts.cwd, broadly=True) for path in facts.touched)
            ):
                return rule
        return None

    def _touches(self, rule: Rule, facts: _Facts) -> bool:
        """Whether a rule that restricts is about any part of a call."""
        if facts.code is not None and rule.names("Python") and rule.matches_text(facts.code):
            return True
        if not rule.names(facts.name):
            # Write and Edit do the same to a file: what must not be edited must not be written over.
            twin = {"Write": "Edit", "Edit": "Write"}.get(facts.name)
            if twin is None or rule.catches_all or not rule.names(twin) or rule not in self._rules["deny"]:
                return False
        if rule.catches_all:
            return True
        if facts.judgement is not None:
            from ante_nb.agent.permissions.stages import all_forms

            return any(rule.matches_text(form) for form in all_forms(facts.primary, facts.judgement))
        if any(rule.matches_path(path, facts.cwd, broadly=True) for path in facts.paths):
            return True
        return rule.matches_text(facts.primary)

    def _allowed(self, facts: _Facts) -> bool:
        rules = [rule for rule in self._rules["allow"] if rule.names(facts.name)]
        if facts.judgement is not None:
            from ante_nb.agent.permissions.stages import covered

            return covered(rules, facts.judgement)
        return any(self._covers(rule, facts) for rule in rules)

    def _granted(self, rule: Rule, facts: _Facts) -> bool:
        if not rule.names(facts.name):
            return False
        if facts.judgement is not None:
            from ante_nb.agent.permissions.stages import covered

            if rule.exact and rule.matches_text(facts.primary):
                return True
            # What was granted for `git push *` was not granted for `git push --force`.
            harmless = facts.judgement.verdict != "dangerous" and not facts.outside
            return harmless and covered([rule], facts.judgement)
        return self._covers(rule, facts)

    def _covers(self, rule: Rule, facts: _Facts) -> bool:
        """Whether a rule that permits is about the whole of a call."""
        if not facts.paths:
            return rule.matches_text(facts.primary)
        if facts.name in ("Glob", "Grep") and not facts.outside:
            return rule.matches_text(facts.primary) or self._covers_paths(rule, facts)
        if facts.outside and rule.catches_all:
            return False
        return self._covers_paths(rule, facts)

    @staticmethod
    def _covers_paths(rule: Rule, facts: _Facts) -> bool:
        return all(rule.matches_path(path, facts.cwd, broadly=False) for path in facts.paths)

    # -------------------------------------------------------------------------------------- the defaults

    def _default(self, tool: Tool, facts: _Facts, grant: str) -> Decision:
        if facts.outside:
            return Decision("ask", facts.outside, grant)
        if facts.judgement is not None:
            return self._default_bash(facts, grant)
        if tool.name == "Python":
            if facts.uncertain:
                return Decision("ask", facts.uncertain, grant)
            if not facts.effect:
                return Decision("allow", "the code only computes")
            if self._mode == "auto":
                return Decision("allow", "auto mode: the code only works on data")
            return Decision("ask", facts.effect, grant)
        if facts.code is not None and self._mode == "auto":
            if not facts.uncertain:
                return Decision("allow", "auto mode: the code only computes")
            return Decision("ask", facts.uncertain, grant)
        if facts.doubt:
            return Decision("ask", facts.doubt, grant)
        if facts.decision == "allow" or self._mode == "auto":
            return Decision("allow", f"{self._mode} mode")
        return Decision("ask", f"{tool.name} is asked about in strict mode", grant)

    def _default_bash(self, facts: _Facts, grant: str) -> Decision:
        verdict = cast("Judgement", facts.judgement)
        if verdict.verdict == "safe":
            return Decision("allow", "the command only reads")
        if self._mode == "auto" and verdict.workspace and verdict.verdict == "unknown":
            return Decision("allow", "auto mode: the command changes files of the working directory only")
        return Decision("ask", verdict.reason, grant)

    def _grant_text(self, facts: _Facts, guarded: bool) -> str:
        if facts.judgement is not None:
            exact = guarded or bool(facts.outside)
            return bash_grant(facts.primary, facts.judgement, exact=exact)
        if facts.name == "Python":
            return str(Rule("Python", escape(facts.primary.strip()))) if guarded else "Python"
        if facts.grant is not None:
            # Where a deny rule stands, only an exact rule holds for code: there is none to offer.
            return "" if guarded or facts.doubt else facts.grant
        if facts.paths:
            return path_grant(facts.name, facts.paths[-1], facts.cwd)
        return facts.name


def _forms(path: Path) -> list[Path]:
    """A path as written (``..`` taken out) and where it really leads."""
    lexical = Path(os.path.normpath(path))
    try:
        physical = real(path)
    except ToolError:
        return [lexical]
    return [lexical, physical] if physical != lexical else [lexical]


def _protected(path: Path, cwd: Path) -> bool:
    parts: tuple[Any, ...] = path.relative_to(cwd).parts if path.is_relative_to(cwd) else path.parts
    lower = [str(part).lower() for part in parts]
    return any(part in _PROTECTED for part in lower) or bool(lower and lower[-1] in _PROTECTED_FILES)
