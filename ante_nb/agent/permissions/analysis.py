"""Plain analysis of data in Python: what a piece of code does that uses nothing but known names.

The code is followed statement by statement. Each expression is *data* (numbers, text, frames, arrays,
plots, containers of them), a known module or function, or unknown. Only data is looked into and only
known names are called; what is unknown may be shown, but not passed on, kept or called. So whatever a
name of the allow-lists means on data, it means here. Paths of files are literals, and told.
"""

from __future__ import annotations

import ast
import os
import re
import string
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ante_nb.agent.permissions import datanames as known
from ante_nb.agent.permissions.bindings import DATA, UNKNOWN
from ante_nb.agent.permissions.pycode import first_words, odd_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BY_SHELL = frozenset(
    ["get_ipython", "exit", "quit", "In", "Out", "_", "display", "open", "input", "print", "copyright"]
)
_SETTABLE = frozenset(["columns", "index", "name", "names"])
_LOCAL = "local"
_HANDLES = frozenset(["io.StringIO", "io.BytesIO"])
_SPECIAL = frozenset(["pandas.set_option", "pandas.option_context", "matplotlib.pyplot.style.use"])
_PATHS = {**known.READERS, **known.WRITERS, "builtins.open": ("file",)}
# Not figure.hooks, which names functions to call, nor axes.prop_cycle, which is evaluated.
_RC = re.compile(
    r"figure\.(?:figsize|dpi|facecolor|edgecolor|autolayout|titlesize|titleweight)|font\.(?:size|family|sans-serif|serif|weight)"
    r"|axes\.(?:grid|titlesize|titleweight|labelsize|labelweight|facecolor|edgecolor|linewidth|unicode_minus|spines\.\w+)"
    r"|(?:lines|xtick|ytick|legend|grid)\.[\w.]+"
)


@dataclass(slots=True)
class Analysis:
    """``why`` it is not known what the code does; else ``effect``: what it changes in memory (empty: nothing),
    and the paths that it reads and writes, as they are written there."""

    why: str | None = None
    effect: str = ""
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)


class _Refused(Exception):
    pass


def analyse(code: str, bindings: Mapping[str, str]) -> Analysis:
    """What ``code`` does.

    Args:
        code: the cell as it would run.
        bindings: what its names are bound to now, see :func:`~ante_nb.agent.permissions.bindings.kinds`.
    """
    if odd_lines(code):
        return Analysis("it holds characters or prompts that IPython reads in a way of its own")
    try:
        tree = ast.parse(code)
        run = _Run(bindings)
        why = first_words(code, tree, frozenset([*bindings, "display"]))
        if why:
            return Analysis(why)
        run.block(tree.body, {})
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Analysis("it is not plain Python")
    except _Refused as refused:
        return Analysis(str(refused))
    return run.result


class _Run:
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

    # ------------------------------------------------------------------------------------- statements

    def block(self, body: list[ast.stmt], env: dict[str, str]) -> None:
        for statement in body:
            self.statement(statement, env)

    def statement(self, node: ast.stmt, env: dict[str, str]) -> None:
        match node:
            case ast.Expr():
                self.expr(node.value, env)
            case ast.Assign():
                kind = self.expr(node.value, env)
                for target in node.targets:
                    self.bind(target, kind, env)
            case ast.AnnAssign(value=ast.expr() as value, target=ast.Name() as name):
                self.expr(node.annotation, env)
                self.bind(name, self.expr(value, env), env)
            case ast.AugAssign():
                kind = self.expr(node.value, env)
                place = ast.copy_location(_loaded(node.target), node)
                self.bind(node.target, _join(kind, self.expr(place, env)), env)
            case ast.For():
                kind = self.expr(node.iter, env)
                before = dict(env)
                for _ in range(2):  # what the first round binds, the second reads
                    self.bind(node.target, kind, env)
                    self.block(node.body, env)
                    self.merge(env, before)
                self.block(node.orelse, env)
            case ast.While():
                before = dict(env)
                for _ in range(2):
                    self.expr(node.test, env)
                    self.block(node.body, env)
                    self.merge(env, before)
                self.block(node.orelse, env)
            case ast.If():
                self.expr(node.test, env)
                other = dict(env)
                self.block(node.body, env)
                self.block(node.orelse, other)
                self.merge(env, other)
            case ast.With():
                for item in node.items:
                    kind = self.context(item.context_expr, env)
                    if item.optional_vars is not None:
                        self.bind(item.optional_vars, kind, env)
                self.block(node.body, env)
            case ast.Try():
                before = dict(env)
                self.block([*node.body, *node.orelse], env)
                self.merge(env, before)
                for handler in node.handlers:
                    caught = dict(env)
                    if handler.type is not None:
                        self.expr(handler.type, caught)
                    if handler.name:
                        self.bind_name(handler.name, UNKNOWN, caught, shown=True)
                    self.block(handler.body, caught)
                    caught.pop(handler.name or "", None)
                    self.merge(env, caught)
                self.block(node.finalbody, env)
            case ast.FunctionDef():
                self.function(node, env)
            case ast.Return() if self.local:
                if node.value is not None:
                    self.given_back(self.expr(node.value, env))
            case ast.Import() | ast.ImportFrom():
                self.imports(node, env)
            case ast.Raise(exc=ast.expr() as error, cause=None):
                self.stored(self.expr(error, env))
            case ast.Assert():
                self.expr(node.test, env)
                if node.msg is not None:
                    self.expr(node.msg, env)
            case ast.Delete():
                for target in node.targets:
                    self.delete(target, env)
            case ast.Pass() | ast.Break() | ast.Continue():
                pass
            case _:
                raise _Refused(f"it uses {type(node).__name__}")

    def merge(self, env: dict[str, str], other: dict[str, str]) -> None:
        """What is known after one of two branches, or a loop of no round, has run."""
        for name in {*env, *other}:
            kinds = {branch[name] if name in branch else self.before(name) for branch in (env, other)} - {
                None
            }
            env[name] = str(kinds.pop()) if len(kinds) == 1 else UNKNOWN

    def before(self, name: str) -> str | None:
        if self.local and name in self.outer:
            return self.outer[name]
        try:
            return self.outside(name)
        except _Refused:
            return None

    def context(self, node: ast.expr, env: dict[str, str]) -> str:
        kind = self.expr(node, env)
        function = self.callee(node.func, env) if isinstance(node, ast.Call) else ""
        if function not in (
            "fn:builtins.open",
            "fn:pandas.option_context",
            "fn:numpy.errstate",
            "fn:numpy.printoptions",
            "fn:warnings.catch_warnings",
            "fn:matplotlib.pyplot.style.context",
        ):
            raise _Refused("it uses with")
        return kind

    def delete(self, target: ast.expr, env: dict[str, str]) -> None:
        self.changes("it removes variables or items")
        if isinstance(target, ast.Name):
            self.check_name(target.id)
            if self.bindings.get(target.id) == UNKNOWN or target.id in self.relied:
                raise _Refused(f"it removes {target.id}")
            env.pop(target.id, None)
        elif isinstance(target, ast.Subscript):
            self.data(target.value, env)
            self.expr(target.slice, env)
        else:
            raise _Refused("it removes an attribute")

    def bind(self, target: ast.expr, kind: str, env: dict[str, str]) -> None:
        match target:
            case ast.Name():
                self.bind_name(target.id, kind, env)
            case ast.Tuple() | ast.List():
                for item in target.elts:
                    self.bind(item, kind if kind == UNKNOWN else DATA, env)
            case ast.Starred():
                self.bind(target.value, kind, env)
            case ast.Subscript():
                self.stored(kind)
                self.changes("it changes an item")
                if self.expr(target.value, env) == "fn:matplotlib.pyplot.rcParams":
                    self.rc_key(target.slice)
                else:
                    self.data(target.value, env)
                    self.stored(self.expr(target.slice, env))
            case ast.Attribute() if target.attr in _SETTABLE:
                self.stored(kind)
                self.changes(f"it sets {target.attr}")
                self.data(target.value, env)
            case _:
                raise _Refused("it sets an attribute")

    def bind_name(self, name: str, kind: str, env: dict[str, str], *, shown: bool = False) -> None:
        self.check_name(name)
        if not shown:
            self.stored(kind)
        if not self.local:
            self.changes(f"it binds {name}")
        if self.relied.get(name, kind) != kind:
            raise _Refused(f"it gives {name} another meaning")
        env[name] = kind

    @staticmethod
    def check_name(name: str) -> None:
        if name.startswith("__") or name in _BY_SHELL - {"_"}:
            raise _Refused(f"it binds {name}")

    @staticmethod
    def stored(kind: str) -> None:
        if kind == UNKNOWN:
            raise _Refused("it keeps a value that is not known")
        if kind.startswith("fn:") and (kind[3:] in _PATHS or kind[3:] in _SPECIAL):
            raise _Refused("it keeps a function that opens files")

    given_back = stored

    def imports(self, node: ast.Import | ast.ImportFrom, env: dict[str, str]) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                whole = f"{module}.{alias.name}"
                if node.level or (
                    alias.name not in known.MODULES.get(module, ()) and whole not in known.MODULES
                ):
                    raise _Refused(f"it imports {alias.name} from {module or 'a package around it'}")
                self.importable(module)
                self.bind_name(alias.asname or alias.name, _named(whole), env)
            else:
                if alias.name not in known.MODULES or alias.name.startswith("matplotlib.pyplot."):
                    raise _Refused(f"it imports {alias.name}")
                self.importable(alias.name)
                top = alias.name.partition(".")[0]
                if alias.asname is None and top not in known.MODULES:
                    raise _Refused(f"it imports {alias.name}")
                self.bind_name(alias.asname or top, f"mod:{alias.name if alias.asname else top}", env)

    def importable(self, module: str) -> None:
        if module.startswith("matplotlib"):
            self.changes("it draws")

    def function(self, node: ast.FunctionDef, env: dict[str, str]) -> None:
        if node.decorator_list or getattr(node, "type_params", None):
            raise _Refused(f"it decorates {node.name}")
        if node.returns is not None:
            self.expr(node.returns, env)
        inner = self.parameters(node.args, env)
        self.bind_name(node.name, _LOCAL, env)
        self.body_of(lambda: self.block(node.body, inner), inner)

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

    # ------------------------------------------------------------------------------------ expressions

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
                if kind.startswith("mod:") or (kind.startswith("fn:") and kind[3:] in _PATHS):
                    raise _Refused("it looks into a module")
                index = self.expr(node.slice, env)
                return UNKNOWN if UNKNOWN in (kind, index) else DATA
            case ast.Attribute():
                return self.attribute(node, env)
            case ast.Call():
                return self.call(node, env)
            case ast.Lambda():
                inner = self.parameters(node.args, env)
                self.body_of(lambda: self.given_back(self.expr(node.body, inner)), inner)
                return _LOCAL
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return self.comprehension(node, env)
            case ast.NamedExpr():
                kind = self.expr(node.value, env)
                self.bind(node.target, kind, env)
                return kind
            case _:
                raise _Refused(f"it uses {type(node).__name__}")

    def every(self, nodes: list[ast.expr], env: dict[str, str]) -> str:
        kinds = [self.expr(node, env) for node in nodes]
        if any(kind.startswith("fn:") and kind[3:] in _PATHS for kind in kinds):
            raise _Refused("it passes on a function that opens files")
        return UNKNOWN if UNKNOWN in kinds else DATA

    @staticmethod
    def power(node: ast.BinOp) -> None:
        if isinstance(node.op, (ast.Pow, ast.LShift)):
            exponent = node.right.operand if isinstance(node.right, ast.UnaryOp) else node.right
            value = exponent.value if isinstance(exponent, ast.Constant) else None
            # 9**9**9 holds the interpreter for hours, and no interrupt gets through.
            if not isinstance(value, (int, float)) or not -64 <= value <= 64:
                raise _Refused("it raises to a power")

    def name(self, name: str, env: dict[str, str]) -> str:
        if name.startswith("__"):
            raise _Refused(f"it uses {name}")
        if name in env:
            return env[name]
        if self.local:
            # A function may run later: what it takes from around it must stay what it is.
            kind = self.outer.get(name) or self.outside(name)
            if kind == UNKNOWN:
                raise _Refused(f"it uses {name}, which is not known")
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
        raise _Refused(f"it uses {name}, which is not known")

    def attribute(self, node: ast.Attribute, env: dict[str, str]) -> str:
        kind = self.resolve(node, env)
        if kind == DATA and node.attr in {*known.SAVES, *known.BY_NAME, "query", "eval"} - {"apply"}:
            raise _Refused(f"it passes on {node.attr}")
        if kind == DATA and node.attr == "apply":
            raise _Refused("it passes on apply")
        return kind

    def resolve(self, node: ast.Attribute, env: dict[str, str]) -> str:
        if node.attr.startswith("_"):
            value = node.value
            shown = isinstance(value, ast.Call) and self.callee(value.func, env) == "fn:builtins.type"
            if node.attr == "__name__" and shown:
                self.expr(value, env)
                return DATA
            raise _Refused(f"it uses the attribute {node.attr}")
        kind = self.expr(node.value, env)
        if kind.startswith("mod:"):
            whole = f"{kind[4:]}.{node.attr}"
            if whole not in known.MODULES and node.attr not in known.MODULES.get(kind[4:], ()):
                raise _Refused(f"it uses {whole}")
            return _named(whole)
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
        raise _Refused(f"it uses the attribute {node.attr}")

    @staticmethod
    def template(text: object) -> None:
        """``"{0.__class__}".format(x)`` looks into what it is given."""
        try:
            fields = [name for _, name, _, _ in string.Formatter().parse(str(text)) if name is not None]
        except ValueError:
            fields = ["."]
        if not isinstance(text, str) or not all(re.fullmatch(r"\w*", name) for name in fields):
            raise _Refused("it uses the attribute format")

    def data(self, node: ast.expr, env: dict[str, str]) -> None:
        if self.expr(node, env) != DATA:
            raise _Refused("it changes something that is not known")

    def comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, env: dict[str, str]
    ) -> str:
        inner = dict(env)
        for part in node.generators:
            if part.is_async:
                raise _Refused("it awaits")
            kind = self.expr(part.iter, inner)
            for target in ast.walk(part.target):
                if isinstance(target, ast.Name):
                    self.check_name(target.id)
                    inner[target.id] = UNKNOWN if kind == UNKNOWN else DATA
                elif not isinstance(target, (ast.Tuple, ast.List, ast.Starred, ast.Store)):
                    raise _Refused("it changes an item")
            for test in part.ifs:
                self.expr(test, inner)
        for walrus in ast.walk(node):
            if isinstance(walrus, ast.NamedExpr):
                raise _Refused("it uses NamedExpr")
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        return self.every(parts, inner)

    # ------------------------------------------------------------------------------------------ calls

    def callee(self, node: ast.expr, env: dict[str, str]) -> str:
        if isinstance(node, ast.Name):
            return self.name(node.id, env)
        if isinstance(node, ast.Attribute):
            return self.resolve(node, env)
        raise _Refused("it calls the result of an expression")

    def call(self, node: ast.Call, env: dict[str, str]) -> str:
        kind = self.callee(node.func, env)
        method = kind == DATA
        name = kind[3:] if kind.startswith("fn:") else ""
        if method and not isinstance(node.func, ast.Attribute):
            raise _Refused(f"it calls {ast.unparse(node.func)[:40]}")
        if not (method or name or kind == _LOCAL):
            raise _Refused(f"it calls {ast.unparse(node.func)[:40]}")
        short = node.func.attr if isinstance(node.func, ast.Attribute) else name.rpartition(".")[2]
        path = known.SAVES.get(short, ()) if method else _PATHS.get(name, ())
        for keyword in node.keywords:
            self.keyword(keyword, path)
        shows = name.startswith("builtins.") and short in known.SHOWS
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            given = self.expr(argument, env)
            if given.startswith("fn:") and (given[3:] in _PATHS or given[3:] in _SPECIAL):
                raise _Refused("it passes on a function that opens files")
            if given == UNKNOWN and not shows:
                raise _Refused("it passes on a value that is not known")
        if short in known.BY_NAME and kind != _LOCAL:
            self.by_name(node, env)
        if method:
            self.method(node, short, path, env)
        elif name in _PATHS:
            self.file(node, name, path, env)
        elif name:
            self.special(node, name)
        return UNKNOWN if name == "builtins.type" else DATA

    def keyword(self, keyword: ast.keyword, path: tuple[str, ...]) -> None:
        if keyword.arg is None:
            raise _Refused("it passes ** to a function")
        if keyword.arg in path:
            return
        if keyword.arg in known.KEYWORDS or keyword.arg.startswith("_"):
            raise _Refused(f"it passes {keyword.arg} to a function")
        value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        if keyword.arg == "engine" and value not in known.ENGINES:
            raise _Refused("it passes engine to a function")
        if keyword.arg == "inplace" and value is not False:
            self.changes("it changes a value in place")
        if keyword.arg == "out":
            self.changes("it changes a value in place")

    def by_name(self, node: ast.Call, env: dict[str, str]) -> None:
        """Each string that may name a method names an aggregate."""
        short = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        table = short in ("pivot_table", "crosstab")
        for argument in node.args[3:] if table else node.args:
            self.aggregate(argument, env)
        for keyword in node.keywords:
            if table and keyword.arg != "aggfunc":
                continue
            value = keyword.value
            if keyword.arg in ("axis", "result_type", "raw", "return_dtype", "include_groups", "args"):
                continue
            # total=("sales", "sum"): the column, and what is done to it.
            if (
                isinstance(value, ast.Tuple)
                and len(value.elts) == 2
                and keyword.arg not in ("func", "aggfunc")
            ):
                value = value.elts[1]
            self.aggregate(value, env)

    def aggregate(self, node: ast.expr, env: dict[str, str]) -> None:
        match node:
            case ast.Constant(value=str() as text):
                if text not in known.AGGREGATES:
                    raise _Refused(f"it calls {text[:40]} by its name")
            case ast.Constant() | ast.Lambda():
                pass
            case ast.List() | ast.Tuple():
                for item in node.elts:
                    self.aggregate(item, env)
            case ast.Dict():
                for item in node.values:
                    self.aggregate(item, env)
            case ast.Name() | ast.Attribute():
                if not self.expr(node, env).startswith(("fn:", _LOCAL)):
                    raise _Refused("it calls something by its name")
            case ast.Call() | ast.BinOp() | ast.Compare():
                # Of polars' expressions: pl.col("x").sum().
                first: ast.AST = node
                while isinstance(first, (ast.Call, ast.Attribute, ast.BinOp, ast.Compare, ast.Subscript)):
                    first = (
                        first.func
                        if isinstance(first, ast.Call)
                        else first.left
                        if isinstance(first, (ast.BinOp, ast.Compare))
                        else first.value
                    )
                if not isinstance(first, ast.Name) or self.name(first.id, env) != "mod:polars":
                    raise _Refused("it calls something by its name")
            case _:
                raise _Refused("it calls something by its name")

    def method(self, node: ast.Call, name: str, path: tuple[str, ...], env: dict[str, str]) -> None:
        if path:
            found = _argument(node, path)
            nothing = found is None or (isinstance(found, ast.Constant) and found.value is None)
            if not (nothing and name in known.GIVES_TEXT):
                self.written(_literal(found), needs_suffix=name == "savefig")
        if name in ("query", "eval"):
            text = _literal(_argument(node, ("expr",)))
            if re.search(r"[()]|__|@(?!\w)", text):
                raise _Refused(f"it passes code to {name}")
            for word in re.findall(r"@(\w+)", text):
                self.stored(self.name(word, env))
        if name in known.MUTATES:
            self.changes(f"it calls {name}, which may change a value")
        if name in known.DRAWS:
            self.changes("it draws")

    def file(self, node: ast.Call, name: str, path: tuple[str, ...], env: dict[str, str]) -> None:
        found = _argument(node, path)
        if isinstance(found, ast.Call) and self.callee(found.func, env)[3:] in _HANDLES:
            return
        writes = name in known.WRITERS
        if name in ("numpy.save", "numpy.savez") and not _literal(found).endswith((".npy", ".npz")):
            raise _Refused("it writes a file without a suffix")
        if name == "builtins.open":
            mode = _argument(ast.Call(node.func, node.args[1:], node.keywords), ("mode",))
            how = "r" if mode is None else _literal(mode)
            writes = re.fullmatch(r"r[bt]?", how) is None
        elif isinstance(found, ast.Name) and self.expr(found, env) == DATA and writes is False:
            raise _Refused("it reads a file that is known only when it runs")
        text = _literal(found)
        if writes:
            self.written(text, needs_suffix=name != "builtins.open")
            return
        self.result.reads.append(text)
        if name.startswith("numpy."):
            # It takes a packed file of the name where there is no plain one.
            self.result.reads += [text + end for end in (".gz", ".bz2", ".xz")]

    def written(self, text: str, *, needs_suffix: bool) -> None:
        """``needs_suffix``: the function would add one of its own, and so write another file."""
        if needs_suffix and not os.path.splitext(text)[1]:  # noqa: PTH122 - as the libraries do it
            raise _Refused("it writes a file without a suffix")
        self.result.writes.append(text)
        self.changes("it writes a file")

    def special(self, node: ast.Call, name: str) -> None:
        if name.startswith(("matplotlib.", "numpy.random.", "random.")):
            self.changes("it draws" if name.startswith("m") else "it uses up random numbers")
        if name in (
            "warnings.filterwarnings",
            "warnings.simplefilter",
            "numpy.set_printoptions",
            "builtins.next",
        ):
            self.changes("it changes a setting")
        if name in ("numpy.put", "numpy.fill_diagonal", "numpy.place", "numpy.putmask", "json.dump"):
            self.changes("it changes a value")
        first = node.args[0] if node.args else None
        if name in ("pandas.set_option", "pandas.option_context", "pandas.reset_option"):
            self.changes("it changes a setting")
            for option in node.args[::2]:
                if not re.fullmatch(r"display\.[a-z_.]+", _literal(option)):
                    raise _Refused("it sets an option")
            if node.keywords or not node.args:
                raise _Refused("it sets an option")
        if name.startswith("matplotlib.pyplot.style.") and (
            node.keywords or len(node.args) != 1 or _literal(first) not in known.STYLES
        ):
            raise _Refused("it uses a style of its own")
        if name == "matplotlib.pyplot.rcParams.update":
            if not isinstance(first, ast.Dict) or len(node.args) != 1 or node.keywords:
                raise _Refused("it sets an option of matplotlib")
            for key in first.keys:
                self.rc_key(key)

    @staticmethod
    def rc_key(key: ast.expr | None) -> None:
        if not _RC.fullmatch(_literal(key)):
            raise _Refused("it sets an option of matplotlib")


def _named(whole: str) -> str:
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


def _join(one: str, other: str) -> str:
    return UNKNOWN if UNKNOWN in (one, other) else DATA


def _loaded(target: ast.expr) -> ast.expr:
    """The place of ``x += 1`` as it is read first."""
    text = ast.unparse(target)
    return ast.parse(text, mode="eval").body


def _argument(node: ast.Call, keywords: tuple[str, ...]) -> ast.expr | None:
    if node.args:
        return node.args[0]
    return next((keyword.value for keyword in node.keywords if keyword.arg in keywords), None)


def _literal(node: ast.expr | None) -> str:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        raise _Refused("it takes a text that is known only when it runs")
    return node.value
