"""What an expression of Python is made of: data, known modules and functions, or something unknown."""

from __future__ import annotations

import ast
import re
import string
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ante_nb.agent.permissions import datanames as known
from ante_nb.agent.permissions.bindings import DATA, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOCAL = "local"
"""A function of the code itself, judged where it stands."""
SPECIAL = frozenset(["pandas.set_option", "pandas.option_context", "matplotlib.pyplot.style.use"])
PATHS = {**known.READERS, **known.WRITERS, "builtins.open": ("file",)}
_BY_SHELL = frozenset(
    ["get_ipython", "exit", "quit", "In", "Out", "_", "display", "open", "input", "print", "copyright"]
)


@dataclass(slots=True)
class Analysis:
    """``why`` it is not known what the code does; else ``effect``: what it changes in memory (empty: nothing),
    and the paths that it reads and writes, as they are written there."""

    why: str | None = None
    effect: str = ""
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)


class Refused(Exception):
    """What the code does is not known, for this reason."""


class Expressions(ABC):
    """Follows expressions. A kind is ``data``, ``unknown``, ``local``, ``mod:NAME`` or ``fn:NAME``."""

    def __init__(self, bindings: Mapping[str, str]) -> None:
        self.bindings = bindings
        self.result = Analysis()
        self.relied: dict[str, str] = {}
        """Free names of functions, and what they were taken for: it must stay so."""
        self.local: list[dict[str, str]] = []
        """The names of the functions around."""
        self.outer: dict[str, str] = {}
        """What the function in hand finds around it."""

    def changes(self, what: str) -> None:
        self.result.effect = self.result.effect or what

    def bind_name(self, name: str, kind: str, env: dict[str, str], *, shown: bool = False) -> None:
        self.check_name(name)
        if not shown:
            self.stored(kind)
        if not self.local:
            self.changes(f"it binds {name}")
        if self.relied.get(name, kind) != kind:
            raise Refused(f"it gives {name} another meaning")
        env[name] = kind

    @staticmethod
    def check_name(name: str) -> None:
        if name.startswith("__") or name in _BY_SHELL - {"_"}:
            raise Refused(f"it binds {name}")

    @staticmethod
    def stored(kind: str) -> None:
        if kind == UNKNOWN:
            raise Refused("it keeps a value that is not known")
        if kind.startswith("fn:") and (kind[3:] in PATHS or kind[3:] in SPECIAL):
            raise Refused("it keeps a function that opens files")

    given_back = stored

    def parameters(self, args: ast.arguments, env: dict[str, str]) -> dict[str, str]:
        inner: dict[str, str] = {}
        for default in (*args.defaults, *(value for value in args.kw_defaults if value is not None)):
            self.stored(self.expr(default, env))
        everything = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
        for arg in everything:
            if arg is not None:
                self.check_name(arg.arg)
                if arg.annotation is not None:
                    self.expr(arg.annotation, env)
                inner[arg.arg] = DATA
        self.outer = env
        return inner

    def body_of(self, run: Callable[[], None], inner: dict[str, str]) -> None:
        self.local.append(inner)
        outer, self.outer = self.outer, {**self.outer, **inner}
        try:
            run()
        finally:
            self.local.pop()
            self.outer = outer

    def before(self, name: str) -> str | None:
        if self.local and name in self.outer:
            return self.outer[name]
        try:
            return self.outside(name)
        except Refused:
            return None

    def name(self, name: str, env: dict[str, str]) -> str:
        if name.startswith("__"):
            raise Refused(f"it uses {name}")
        if name in env:
            return env[name]
        if self.local:
            # A function may run later: what it takes from around it must stay what it is.
            kind = self.outer.get(name) or self.outside(name)
            if kind == UNKNOWN:
                raise Refused(f"it uses {name}, which is not known")
            if not kind.startswith("fn:builtins.") or name in self.bindings:
                self.relied.setdefault(name, kind)
            else:
                self.relied[name] = kind
            return kind
        return self.outside(name)

    def outside(self, name: str) -> str:
        bound = self.bindings.get(name)
        if bound is not None:
            if bound.startswith("module:"):
                return f"mod:{bound[7:]}" if bound[7:] in known.MODULES else UNKNOWN
            return _function(bound[9:]) if bound.startswith("function:") else bound
        if name in known.BUILTINS:
            return f"fn:builtins.{name}"
        if name in known.EXCEPTIONS or name in ("Ellipsis", "NotImplemented"):
            return DATA
        raise Refused(f"it uses {name}, which is not known")

    def expr(self, node: ast.expr, env: dict[str, str]) -> str:
        match node:
            case ast.Constant():
                return DATA
            case ast.Name():
                return self.name(node.id, env)
            case ast.List() | ast.Tuple() | ast.Set():
                return self.every(node.elts, env)
            case ast.Dict():
                return self.every([*(key for key in node.keys if key is not None), *node.values], env)
            case ast.Starred() | ast.FormattedValue():
                kind = self.expr(node.value, env)
                if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                    self.expr(node.format_spec, env)
                return kind
            case ast.JoinedStr():
                self.every(node.values, env)
                return DATA
            case ast.BinOp():
                self.power(node)
                return self.every([node.left, node.right], env)
            case ast.UnaryOp():
                return self.every([node.operand], env)
            case ast.BoolOp():
                return self.every(node.values, env)
            case ast.Compare():
                return self.every([node.left, *node.comparators], env)
            case ast.IfExp():
                return self.every([node.test, node.body, node.orelse], env)
            case ast.Slice():
                return self.every([part for part in (node.lower, node.upper, node.step) if part], env)
            case ast.Subscript():
                kind = self.expr(node.value, env)
                if kind.startswith("mod:") or (kind.startswith("fn:") and kind[3:] in PATHS):
                    raise Refused("it looks into a module")
                index = self.expr(node.slice, env)
                return UNKNOWN if UNKNOWN in (kind, index) else DATA
            case ast.Attribute():
                return self.attribute(node, env)
            case ast.Call():
                return self.call(node, env)
            case ast.Lambda():
                inner = self.parameters(node.args, env)
                self.body_of(lambda: self.given_back(self.expr(node.body, inner)), inner)
                return LOCAL
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return self.comprehension(node, env)
            case ast.NamedExpr():
                kind = self.expr(node.value, env)
                self.bind_name(node.target.id, kind, env)
                return kind
            case _:
                raise Refused(f"it uses {type(node).__name__}")

    def every(self, nodes: list[ast.expr], env: dict[str, str]) -> str:
        kinds = [self.expr(node, env) for node in nodes]
        if any(kind.startswith("fn:") and kind[3:] in PATHS for kind in kinds):
            raise Refused("it passes on a function that opens files")
        return UNKNOWN if UNKNOWN in kinds else DATA

    @staticmethod
    def power(node: ast.BinOp) -> None:
        if isinstance(node.op, (ast.Pow, ast.LShift)):
            exponent = node.right.operand if isinstance(node.right, ast.UnaryOp) else node.right
            value = exponent.value if isinstance(exponent, ast.Constant) else None
            # 9**9**9 holds the interpreter for hours, and no interrupt gets through.
            if not isinstance(value, (int, float)) or not -64 <= value <= 64:
                raise Refused("it raises to a power")

    def attribute(self, node: ast.Attribute, env: dict[str, str]) -> str:
        if f".{node.attr}" in self.bindings and self.expr(node.value, env) == DATA:
            return DATA  # a column; what is called goes another way, and a column is not
        kind = self.resolve(node, env)
        if kind == DATA and node.attr in {*known.SAVES, *known.BY_NAME, "query", "eval"} - {"apply"}:
            raise Refused(f"it passes on {node.attr}")
        if kind == DATA and node.attr == "apply":
            raise Refused("it passes on apply")
        return kind

    def resolve(self, node: ast.Attribute, env: dict[str, str]) -> str:
        if node.attr.startswith("_"):
            value = node.value
            shown = isinstance(value, ast.Call) and self.callee(value.func, env) == "fn:builtins.type"
            if node.attr == "__name__" and shown:
                self.expr(value, env)
                return DATA
            raise Refused(f"it uses the attribute {node.attr}")
        kind = self.expr(node.value, env)
        if kind.startswith("mod:"):
            whole = f"{kind[4:]}.{node.attr}"
            if whole not in known.MODULES and node.attr not in known.MODULES.get(kind[4:], ()):
                raise Refused(f"it uses {whole}")
            return named(whole)
        if kind.startswith("fn:"):
            name = kind[3:]
            if node.attr in known.CLASS_METHODS or (name == "builtins.str" and node.attr in known.TEXT):
                return f"fn:{name}.{node.attr}"
            if name == "matplotlib.pyplot.rcParams" and node.attr == "update":
                return f"fn:{name}.update"
        # A class of the standard library has none of these names but its methods.
        if kind in (DATA,) and node.attr in known.ATTRIBUTES:
            return DATA
        if kind == DATA and node.attr == "format" and isinstance(node.value, ast.Constant):
            self.template(node.value.value)
            return DATA
        raise Refused(f"it uses the attribute {node.attr}")

    @staticmethod
    def template(text: object) -> None:
        """``"{0.__class__}".format(x)`` looks into what it is given."""
        try:
            fields = [name for _, name, _, _ in string.Formatter().parse(str(text)) if name is not None]
        except ValueError:
            fields = ["."]
        if not isinstance(text, str) or not all(re.fullmatch(r"\w*", name) for name in fields):
            raise Refused("it uses the attribute format")

    def data(self, node: ast.expr, env: dict[str, str]) -> None:
        if self.expr(node, env) != DATA:
            raise Refused("it changes something that is not known")

    def comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, env: dict[str, str]
    ) -> str:
        inner = dict(env)
        for part in node.generators:
            if part.is_async:
                raise Refused("it awaits")
            kind = self.expr(part.iter, inner)
            for target in ast.walk(part.target):
                if isinstance(target, ast.Name):
                    self.check_name(target.id)
                    inner[target.id] = UNKNOWN if kind == UNKNOWN else DATA
                elif not isinstance(target, (ast.Tuple, ast.List, ast.Starred, ast.Store)):
                    raise Refused("it changes an item")
            for test in part.ifs:
                self.expr(test, inner)
        for walrus in ast.walk(node):
            if isinstance(walrus, ast.NamedExpr):
                raise Refused("it uses NamedExpr")
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        return self.every(parts, inner)

    @abstractmethod
    def callee(self, node: ast.expr, env: dict[str, str]) -> str:
        """The kind of what is called."""

    @abstractmethod
    def call(self, node: ast.Call, env: dict[str, str]) -> str:
        """The kind of what a call gives; it is known what the call does."""


def named(whole: str) -> str:
    return f"mod:{whole}" if whole in known.MODULES else f"fn:{whole}"


def _function(name: str) -> str:
    """A function of the namespace, by where it is defined: ``numpy.sqrt``, ``pandas.core.frame.DataFrame``."""
    module, _, short = name.rpartition(".")
    if module == "builtins":
        return f"fn:{name}" if short in known.BUILTINS else UNKNOWN
    for place in (module, module.partition(".")[0]):
        if short in known.MODULES.get(place, ()):
            # The same object, not only the same name.
            loaded = sys.modules.get(place)
            where = sys.modules.get(module)
            if loaded is not None and where is not None and vars(loaded).get(short) is vars(where).get(short):
                return f"fn:{place}.{short}"
    return UNKNOWN
