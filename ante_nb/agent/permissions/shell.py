"""A shell command taken apart by a real parser (tree-sitter-bash), and what is said about it.

The parse says which programs a command runs with which words, wherever they stand: in pipes, lists,
substitutions. Whatever is not plainly static becomes a *problem*, and a command with a problem is never
taken for safe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

UNPARSED = "it can't be parsed"
TOO_LONG = "it is too long to judge"
# The parser takes seconds over longer nonsense: its error recovery is not linear.
_MOST_CHARS = 8_000
_CONTAINERS = frozenset({"program", "list", "pipeline", "subshell", "compound_statement", "negated_command"})
_JOINTS = frozenset({"|", "&&", "||", ";", "\n", "(", ")", "{", "}", "!"})
# What bash and the parser both take as one plain word; anything else might be read differently.
_PLAIN = re.compile(r"(?:\\[^\n]|[^\s;&|<>()$`\"'\\\x00-\x1f\x7f])+\Z")
_GAP = re.compile(r"(?:[ \t\n]|\\\n)*\Z")
_ODD = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\x80-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]"
)
_OTHER_HOME = re.compile(r"(?:^|[=:])~(?:[-+]|\d)")
_QUIET_REDIRECT = re.compile(r"(?:\d*>&\d+|\d*(?:>|>>|<)\s*/dev/null|&>>?\s*/dev/null)\Z")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command: ``text`` with quotes taken off.

    ``literal`` is false where the shell decides at run time what it is; ``variable`` where only plain
    ``$NAME`` expansions stand in the way of that; ``glob`` where file names may be put in its place.
    """

    text: str
    literal: bool = True
    variable: bool = False
    glob: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """One simple command: its source text and its words; ``assignments`` as ``NAME=value`` before it."""

    text: str
    words: tuple[Word, ...] = ()
    assignments: tuple[str, ...] = ()

    @property
    def argv(self) -> list[str]:
        return [word.text for word in self.words]

    @property
    def literal(self) -> bool:
        return all(word.literal for word in self.words)


@dataclass(slots=True)
class Shell:
    """A command taken apart.

    ``stages`` holds every simple command, those inside substitutions and control structures too;
    ``redirects`` the redirections that touch files; ``problems`` why it can't be called safe; ``opaque``
    says that even its programs are not all known (it can't be parsed, or a name comes from a variable).
    """

    stages: list[Stage] = field(default_factory=list)
    redirects: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    opaque: bool = False


@lru_cache(maxsize=1)
def _parser() -> Parser:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


@lru_cache(maxsize=256)
def parse(command: str) -> Shell:
    """Take ``command`` apart. Never raises; the result is shared, so don't change it."""
    shell = Shell()
    if len(command) > _MOST_CHARS:
        return Shell(problems=[TOO_LONG], opaque=True)
    source = command.encode("utf-8", "surrogatepass")
    root = _parser().parse(source).root_node
    if len(command.splitlines()) > 400 or command.count(";") + command.count("|") > 400:
        return Shell(problems=[TOO_LONG], opaque=True)
    if root.has_error:
        shell.problems.append(UNPARSED)
        shell.opaque = True
    if _ODD.search(command):
        shell.problems.append("it holds control or invisible characters")
        shell.opaque = True
    try:
        _Walk(source, shell).container(root)
    except RecursionError:
        return Shell(problems=[UNPARSED], opaque=True)
    if not shell.opaque and not _gaps_are_blank(root, source):
        shell.problems.append(UNPARSED)
        shell.opaque = True
    if not shell.stages and not shell.problems:
        shell.problems.append("it runs nothing")
    return shell


def _gaps_are_blank(root: Node, source: bytes) -> bool:
    """Whether the parse accounts for every character: what it skipped, bash may not."""
    position = 0
    stack = [root]
    while stack:
        node = stack.pop()
        if node.child_count and node.type not in ("string", "heredoc_body"):
            stack.extend(reversed(node.children))
            continue
        gap = source[position : node.start_byte].decode("utf-8", "replace")
        if node.start_byte > position and not _GAP.match(gap):
            return False
        position = max(position, node.end_byte)
    return _GAP.match(source[position:].decode("utf-8", "replace")) is not None


class _Walk:
    def __init__(self, source: bytes, shell: Shell) -> None:
        self.source = source
        self.shell = shell

    def text(self, node: Node) -> str:
        return self.source[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def problem(self, why: str) -> None:
        if why not in self.shell.problems:
            self.shell.problems.append(why)

    def container(self, node: Node) -> None:
        for child in node.children:
            self.statement(child)

    def statement(self, node: Node) -> None:
        kind = node.type
        if kind in _CONTAINERS:
            self.container(node)
        elif kind == "command":
            self.command(node)
        elif kind == "redirected_statement":
            for child in node.children:
                if child.type.endswith("_redirect"):
                    self.redirect(child)
                else:
                    self.statement(child)
        elif kind == "test_command" and self.text(node).startswith("[ "):
            self.bracket(node)
        elif kind == "comment":
            self.comment(node)
        elif kind in _JOINTS:
            return
        elif kind == "&":
            self.problem("it runs in the background")
        elif kind == "|&":
            self.problem("it redirects")
        elif kind in ("variable_assignment", "variable_assignments"):
            self.problem("it sets variables")
            self.shell.stages.append(Stage(self.text(node), (), (self.text(node),)))
            self.nested(node)
        else:
            self.problem(f"it uses {kind.replace('_', ' ')}")
            if kind in ("declaration_command", "unset_command", "test_command"):
                self.shell.stages.append(Stage(self.text(node)))
            elif kind == "function_definition":
                # A function can take the name of any program.
                self.shell.opaque = True
            self.nested(node)

    def nested(self, node: Node) -> None:
        """Find the commands inside something that is judged no further."""
        for child in node.children:
            if child.type in (
                "command",
                "redirected_statement",
                "variable_assignment",
                "declaration_command",
            ):
                self.statement(child)
            elif child.type == "function_definition":
                self.shell.opaque = True
                self.nested(child)
            elif child.type.endswith("_redirect"):
                self.redirect(child)
            else:
                self.nested(child)

    def comment(self, node: Node) -> None:
        before = self.source[: node.start_byte]
        if before and (before[-1:] not in (b" ", b"\t", b"\n", b";") or before[-2:-1] == b"\\"):
            self.problem(UNPARSED)
            self.shell.opaque = True

    def redirect(self, node: Node) -> None:
        text = " ".join(self.text(node).split())
        if node.type == "file_redirect" and _QUIET_REDIRECT.match(text):
            return  # 2>&1, 2>/dev/null: no file is touched
        self.problem("it redirects")
        if node.type == "file_redirect":
            self.shell.redirects.append(text.lstrip("0123456789"))
        self.nested(node)

    def bracket(self, node: Node) -> None:
        words: list[Word] = []
        stack = list(reversed(node.children))
        while stack:
            child = stack.pop()
            if child.child_count and child.type not in ("string", "concatenation", "simple_expansion"):
                stack.extend(reversed(child.children))
            elif child.type in ("word", "number", "string", "raw_string", "concatenation"):
                words.append(self.word(child))
            elif child.type in ("[", "]", "test_operator", "=", "==", "!=", "!"):
                words.append(Word(self.text(child)))
            else:
                self.problem("it uses an expansion")
                self.nested(child)
                words.append(Word(self.text(child), literal=False))
        self.shell.stages.append(Stage(self.text(node), tuple(words)))

    def command(self, node: Node) -> None:
        words: list[Word] = []
        assignments: list[str] = []
        for child in node.children:
            if child.type == "variable_assignment":
                self.problem("it sets variables")
                assignments.append(self.text(child))
                self.nested(child)
            elif child.type.endswith("_redirect"):
                self.redirect(child)
            elif child.type == "command_name":
                word = self.word(child.children[0]) if child.child_count else Word(self.text(child))
                if not word.literal or word.glob:
                    self.problem("the name of a program is known only when it runs")
                    self.shell.opaque = True
                words.append(word)
            else:
                words.append(self.word(child))
        self.shell.stages.append(Stage(self.text(node), tuple(words), tuple(assignments)))

    def word(self, node: Node) -> Word:
        kind, raw = node.type, self.text(node)
        if kind != "raw_string" and _OTHER_HOME.search(raw):
            # ~+ is the working directory, ~- the one before it, ~2 one of a stack.
            self.problem("it names a directory that is known only when it runs")
        if kind in ("word", "number", "test_operator") and not node.child_count:
            if not _PLAIN.match(raw):
                self.problem(UNPARSED)
                self.shell.opaque = True
                return Word(raw, literal=False)
            bare = re.sub(r"\\.", "", raw, flags=re.DOTALL)
            if ("{" in bare or "}" in bare) and raw != "{}":
                self.problem("it uses brace expansion")
                return Word(raw, literal=False)
            return Word(re.sub(r"\\(.)", r"\1", raw), glob=any(char in bare for char in "*?["))
        if kind == "raw_string":
            return Word(raw[1:-1])
        if kind == "string":
            return self.string(node)
        if kind == "concatenation":
            return self.concatenation(node, raw)
        if kind == "simple_expansion":
            return Word(raw, literal=False, variable=True, glob=True)
        self.problem(
            {
                "command_substitution": "it runs a command inside another",
                "process_substitution": "it runs a command inside another",
                "ansi_c_string": "it uses an escaped string",
                "comment": UNPARSED,
            }.get(kind, "it uses an expansion")
        )
        self.nested(node)
        return Word(raw, literal=False)

    def string(self, node: Node) -> Word:
        variable = False
        for child in node.children:
            if child.type in ('"', "string_content"):
                continue
            if child.type == "simple_expansion":
                variable = True
                continue
            self.problem(
                "it runs a command inside another"
                if child.type == "command_substitution"
                else "it uses an expansion"
            )
            self.nested(node)
            return Word(self.text(node), literal=False)
        body = self.text(node)[1:-1]
        # A bare $ or ` in the text would be an expansion that the parser has overlooked.
        if not variable and re.search(r"(?<!\\)(?:\\\\)*[`]|(?<!\\)(?:\\\\)*\$[\w({\[@*#?$!-]", body):
            self.problem("it uses an expansion")
            return Word(body, literal=False)
        return Word(re.sub(r"\\([\"\\$`])", r"\1", body), literal=not variable, variable=variable)

    def concatenation(self, node: Node, raw: str) -> Word:
        bare = "".join(self.text(part) for part in node.children if part.type == "word")
        if "{" in bare or "}" in bare:
            self.problem("it uses brace expansion")
            self.nested(node)
            return Word(raw, literal=False)
        parts = [self.word(part) for part in node.children]
        return Word(
            "".join(part.text for part in parts),
            literal=all(part.literal for part in parts),
            variable=all(part.literal or part.variable for part in parts)
            and any(part.variable for part in parts),
            glob=any(part.glob for part in parts),
        )
