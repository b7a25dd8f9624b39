"""Plain analysis of data in Python: what a piece of code does that uses nothing but known names.

The code is followed statement by statement. Each expression is *data* (numbers, text, frames, arrays,
plots, containers of them), a known module or function, or unknown. Only data is looked into and only
known names are called; what is unknown may be shown, but not passed on, kept or called. So whatever a
name of the allow-lists means on data, it means here. Paths of files are literals, and told.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ante_nb.agent.permissions import datanames as known
from ante_nb.agent.permissions.bindings import DATA, UNKNOWN
from ante_nb.agent.permissions.calls import Calls
from ante_nb.agent.permissions.expressions import LOCAL, Analysis, Refused, named
from ante_nb.agent.permissions.pycode import first_words, odd_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

_SETTABLE = frozenset(["columns", "index", "name", "names"])


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
    except Refused as refused:
        return Analysis(str(refused))
    return run.result


class _Run(Calls):
    """Follows statements."""

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
                raise Refused(f"it uses {type(node).__name__}")

    def merge(self, env: dict[str, str], other: dict[str, str]) -> None:
        """What is known after one of two branches, or a loop of no round, has run."""
        for name in {*env, *other}:
            kinds = {branch[name] if name in branch else self.before(name) for branch in (env, other)} - {
                None
            }
            env[name] = str(kinds.pop()) if len(kinds) == 1 else UNKNOWN

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
            raise Refused("it uses with")
        return kind

    def delete(self, target: ast.expr, env: dict[str, str]) -> None:
        self.changes("it removes variables or items")
        if isinstance(target, ast.Name):
            self.check_name(target.id)
            if target.id not in env or target.id in self.bindings or target.id in self.relied:
                raise Refused(f"it removes {target.id}")
            env.pop(target.id, None)
        elif isinstance(target, ast.Subscript):
            self.data(target.value, env)
            self.expr(target.slice, env)
        else:
            raise Refused("it removes an attribute")

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
                raise Refused("it sets an attribute")

    def imports(self, node: ast.Import | ast.ImportFrom, env: dict[str, str]) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                whole = f"{module}.{alias.name}"
                if node.level or (
                    alias.name not in known.MODULES.get(module, ()) and whole not in known.MODULES
                ):
                    raise Refused(f"it imports {alias.name} from {module or 'a package around it'}")
                self.importable(module)
                self.bind_name(alias.asname or alias.name, named(whole), env)
            else:
                if alias.name not in known.MODULES or alias.name.startswith("matplotlib.pyplot."):
                    raise Refused(f"it imports {alias.name}")
                self.importable(alias.name)
                top = alias.name.partition(".")[0]
                if alias.asname is None and top not in known.MODULES:
                    raise Refused(f"it imports {alias.name}")
                self.bind_name(alias.asname or top, f"mod:{alias.name if alias.asname else top}", env)

    def importable(self, module: str) -> None:
        if module.startswith("matplotlib"):
            self.changes("it draws")

    def function(self, node: ast.FunctionDef, env: dict[str, str]) -> None:
        if node.decorator_list or getattr(node, "type_params", None):
            raise Refused(f"it decorates {node.name}")
        if node.returns is not None:
            self.expr(node.returns, env)
        inner = self.parameters(node.args, env)
        self.bind_name(node.name, LOCAL, env)
        self.body_of(lambda: self.block(node.body, inner), inner)


def _join(one: str, other: str) -> str:
    return UNKNOWN if UNKNOWN in (one, other) else DATA


def _loaded(target: ast.expr) -> ast.expr:
    """The place of ``x += 1`` as it is read first."""
    text = ast.unparse(target)
    return ast.parse(text, mode="eval").body
