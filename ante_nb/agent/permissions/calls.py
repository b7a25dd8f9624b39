"""What a call in Python does, where it is known: its paths, and what it may be made to call by name."""

from __future__ import annotations

import ast
import os
import re

from ante_nb.agent.permissions import datanames as known
from ante_nb.agent.permissions.bindings import DATA, UNKNOWN
from ante_nb.agent.permissions.expressions import LOCAL, PATHS, SPECIAL, Expressions, Refused

_HANDLES = frozenset(["io.StringIO", "io.BytesIO"])
# Not figure.hooks, which names functions to call, nor axes.prop_cycle, which is evaluated.
_RC = re.compile(
    r"figure\.(?:figsize|dpi|facecolor|edgecolor|autolayout|titlesize|titleweight)|font\.(?:size|family|sans-serif|serif|weight)"
    r"|axes\.(?:grid|titlesize|titleweight|labelsize|labelweight|facecolor|edgecolor|linewidth|unicode_minus|spines\.\w+)"
    r"|(?:lines|xtick|ytick|legend|grid)\.[\w.]+"
)


class Calls(Expressions):
    """Follows calls."""

    def callee(self, node: ast.expr, env: dict[str, str]) -> str:
        if isinstance(node, ast.Name):
            return self.name(node.id, env)
        if isinstance(node, ast.Attribute):
            return self.resolve(node, env)
        raise Refused("it calls the result of an expression")

    def call(self, node: ast.Call, env: dict[str, str]) -> str:
        kind = self.callee(node.func, env)
        method = kind == DATA
        name = kind[3:] if kind.startswith("fn:") else ""
        if method and not isinstance(node.func, ast.Attribute):
            raise Refused(f"it calls {ast.unparse(node.func)[:40]}")
        if not (method or name or kind == LOCAL):
            raise Refused(f"it calls {ast.unparse(node.func)[:40]}")
        short = node.func.attr if isinstance(node.func, ast.Attribute) else name.rpartition(".")[2]
        path = known.SAVES.get(short, ()) if method else PATHS.get(name, ())
        for keyword in node.keywords:
            self.keyword(keyword, path)
        shows = name.startswith("builtins.") and short in known.SHOWS
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            given = self.expr(argument, env)
            if given.startswith("fn:") and (given[3:] in PATHS or given[3:] in SPECIAL):
                raise Refused("it passes on a function that opens files")
            if given == UNKNOWN and not shows:
                raise Refused("it passes on a value that is not known")
        if short in known.BY_NAME and kind != LOCAL:
            self.by_name(node, env)
        if method:
            self.method(node, short, path, env)
        elif name in PATHS:
            self.file(node, name, path, env)
        elif name:
            self.special(node, name)
        return UNKNOWN if name == "builtins.type" else DATA

    def keyword(self, keyword: ast.keyword, path: tuple[str, ...]) -> None:
        if keyword.arg is None:
            raise Refused("it passes ** to a function")
        if keyword.arg in path:
            return
        if keyword.arg in known.KEYWORDS or keyword.arg.startswith("_"):
            raise Refused(f"it passes {keyword.arg} to a function")
        value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        if keyword.arg == "engine" and value not in known.ENGINES:
            raise Refused("it passes engine to a function")
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
                    raise Refused(f"it calls {text[:40]} by its name")
            case ast.Constant() | ast.Lambda():
                pass
            case ast.List() | ast.Tuple():
                for item in node.elts:
                    self.aggregate(item, env)
            case ast.Dict():
                for item in node.values:
                    self.aggregate(item, env)
            case ast.Name() | ast.Attribute():
                if not self.expr(node, env).startswith(("fn:", LOCAL)):
                    raise Refused("it calls something by its name")
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
                    raise Refused("it calls something by its name")
            case _:
                raise Refused("it calls something by its name")

    def method(self, node: ast.Call, name: str, path: tuple[str, ...], env: dict[str, str]) -> None:
        if path:
            found = _argument(node, path)
            nothing = found is None or (isinstance(found, ast.Constant) and found.value is None)
            if not (nothing and name in known.GIVES_TEXT):
                self.written(literal(found), needs_suffix=name == "savefig")
        if name in ("query", "eval"):
            text = literal(_argument(node, ("expr",)))
            if re.search(r"[()]|__|@(?!\w)", text):
                raise Refused(f"it passes code to {name}")
            for word in re.findall(r"@(\w+)", text):
                self.stored(self.name(word, env))
        if name == "clear" and isinstance(node.func, ast.Attribute):
            root: ast.expr = node.func.value
            while isinstance(root, (ast.Attribute, ast.Subscript)):
                root = root.value
            if not isinstance(root, ast.Name) or root.id in self.bindings:
                raise Refused("it empties a value")
        if name in known.MUTATES:
            self.changes(f"it calls {name}, which may change a value")
        if name in known.DRAWS:
            self.changes("it draws")

    def file(self, node: ast.Call, name: str, path: tuple[str, ...], env: dict[str, str]) -> None:
        found = _argument(node, path)
        if isinstance(found, ast.Call) and self.callee(found.func, env)[3:] in _HANDLES:
            return
        writes = name in known.WRITERS
        if name in ("numpy.save", "numpy.savez") and not literal(found).endswith((".npy", ".npz")):
            raise Refused("it writes a file without a suffix")
        if name == "builtins.open":
            mode = _argument(ast.Call(node.func, node.args[1:], node.keywords), ("mode",))
            how = "r" if mode is None else literal(mode)
            writes = re.fullmatch(r"r[bt]?", how) is None
        elif isinstance(found, ast.Name) and self.expr(found, env) == DATA and writes is False:
            raise Refused("it reads a file that is known only when it runs")
        text = literal(found)
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
            raise Refused("it writes a file without a suffix")
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
                if not re.fullmatch(r"display\.[a-z_.]+", literal(option)):
                    raise Refused("it sets an option")
            if node.keywords or not node.args:
                raise Refused("it sets an option")
        if name.startswith("matplotlib.pyplot.style.") and (
            node.keywords or len(node.args) != 1 or literal(first) not in known.STYLES
        ):
            raise Refused("it uses a style of its own")
        if name == "matplotlib.pyplot.rcParams.update":
            if not isinstance(first, ast.Dict) or len(node.args) != 1 or node.keywords:
                raise Refused("it sets an option of matplotlib")
            for key in first.keys:
                self.rc_key(key)

    @staticmethod
    def rc_key(key: ast.expr | None) -> None:
        if not _RC.fullmatch(literal(key)):
            raise Refused("it sets an option of matplotlib")


def _argument(node: ast.Call, keywords: tuple[str, ...]) -> ast.expr | None:
    if node.args:
        return node.args[0]
    return next((keyword.value for keyword in node.keywords if keyword.arg in keywords), None)


def literal(node: ast.expr | None) -> str:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        raise Refused("it takes a text that is known only when it runs")
    return node.value
