"""Python code that surely changes nothing: everything it calls resolves to a listed pure name.

A narrow class on purpose. Names of the person's namespace may be passed on (``print(df)``), but neither
called nor looked into: an attribute or a method can do anything.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from keyword import iskeyword
from typing import TYPE_CHECKING

from ante_nb.agent.permissions.programs import names

if TYPE_CHECKING:
    from collections.abc import Container

BUILTINS = names(
    "abs all any ascii bin bool bytes chr complex divmod enumerate float frozenset hash hex id int "
    "isinstance issubclass len list max min oct ord print range repr reversed round set slice "
    "sorted str sum tuple zip"
)
"""Built-in functions that call no code they are given, but for the special methods of their arguments."""

_CONSTANTS = frozenset(["Ellipsis", "NotImplemented"])

MODULES: dict[str, frozenset[str]] = {
    "math": names(
        "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees dist e erf erfc "
        "exp exp2 expm1 fabs floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf "
        "isnan isqrt lcm ldexp lgamma log log10 log1p log2 modf nan nextafter pi pow prod radians "
        "remainder sin sinh sqrt tan tanh tau trunc ulp"
    ),
    "cmath": names("acos asin atan cos e exp inf isclose log log10 nan phase pi polar rect sin sqrt tan tau"),
    "statistics": names(
        "correlation covariance fmean geometric_mean harmonic_mean linear_regression mean median "
        "median_high median_low mode multimode pstdev pvariance quantiles stdev variance"
    ),
    "itertools": names(
        "chain combinations combinations_with_replacement compress islice pairwise permutations product "
        "zip_longest"
    ),
    "operator": names(
        "add and_ contains eq floordiv ge gt le lt mod mul ne neg not_ or_ pos sub truediv xor"
    ),
    "string": names(
        "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits printable punctuation "
        "whitespace"
    ),
    "json": frozenset(["dumps", "loads"]),
    "textwrap": names("dedent indent shorten wrap fill"),
    "collections": frozenset(["Counter", "OrderedDict"]),
    "fractions": frozenset(["Fraction"]),
    "decimal": frozenset(["Decimal"]),
    "datetime": names("date datetime time timedelta timezone"),
    "unicodedata": names("bidirectional category combining name normalize numeric"),
    "platform": names("machine python_implementation python_version system"),
    "sys": names("byteorder getsizeof maxsize platform version version_info"),
}
"""Modules and their names that only compute. None of these functions calls a function it is given."""

TEXT_METHODS = names(
    "capitalize casefold center count encode endswith find index isalnum isalpha isascii isdecimal "
    "isdigit isidentifier islower isnumeric isspace istitle isupper join ljust lower lstrip partition "
    "removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines "
    "startswith strip swapcase title upper zfill"
)
"""Methods of a string literal; not format, which looks into its arguments."""

# No keyword that could take a function (key=, default=, cls=) or a file (print(file=)).
_KEYWORDS = names(
    "sep end start reverse indent sort_keys ensure_ascii strict ndigits base rel_tol abs_tol repeat "
    "fillvalue maxsplit flags width days hours minutes seconds weeks"
)

_HARMLESS = (
    ast.Module, ast.Expr, ast.Expression, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Load, ast.Store,
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.IfExp,
    ast.Subscript, ast.Slice, ast.Starred, ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp,
    ast.comprehension, ast.JoinedStr, ast.FormattedValue, ast.keyword, ast.alias, ast.If, ast.Pass, ast.Assert,
)  # fmt: skip


def unsafe(code: str, loaded: Container[str] | None = None) -> str | None:
    """Why ``code`` is not known to be free of effects, or ``None`` where it is.

    Args:
        code: the cell as it would run.
        loaded: modules that are imported already; only those (and built-in ones) may be imported, for the
            first import of a name can find a file of that name in the working directory.
    """
    if odd_lines(code):
        return "it holds characters or prompts that IPython reads in a way of its own"
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "it is not plain Python"
    modules = sys.modules if loaded is None else loaded
    try:
        check = _Check(code, modules)
        check.body(tree)
        return check.why
    except RecursionError:
        return "it is nested too deeply to judge"


# What str.splitlines takes for the end of a line and Python does not: IPython would see other lines.
_ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")
# IPython takes prompts off the lines of a pasted session: "... %rm *f" is an expression before that.
_PROMPT = re.compile(r"[ \t]*(?:>>>|\.\.\.|In ?\[)", re.MULTILINE)


def odd_lines(code: str) -> bool:
    """Whether IPython may run other lines than those that the parser sees."""
    return _ODD.search(code) is not None or _PROMPT.search(code) is not None


def first_words(code: str, tree: ast.Module, bound: Container[str]) -> str | None:
    """Why IPython may take a line for a magic without its ``%``, or ``None``.

    It does so with a cell of one line whose first word is no variable: ``rm *f``, ``cd -b``.
    """
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    stored |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    stored |= {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    single = len(code.strip().splitlines()) == 1
    for statement in tree.body:
        word = re.match(r"\w+", ast.get_source_segment(code, statement) or "")
        if word is None or word[0].isdigit() or iskeyword(word[0]) or isinstance(statement, ast.Assign):
            continue
        name = word[0]
        if name not in bound and not hasattr(builtins, name) and (single or name not in stored):
            # f"..." and the like begin with no name.
            if isinstance(statement, ast.Expr) and _quoted(ast.get_source_segment(code, statement) or ""):
                continue
            return f"a line begins with {name}"
    return None


class _Check:
    def __init__(self, code: str, loaded: Container[str]) -> None:
        self.why: str | None = None
        self.loaded = loaded
        self.modules: set[str] = set()
        self.imported: dict[str, str] = {}
        self.local: set[str] = set()
        self.code = code

    def refuse(self, why: str) -> None:
        self.why = self.why or why

    def body(self, tree: ast.Module) -> None:
        # Python looks a name up wherever it was bound, so bindings are collected before uses are judged.
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self.imports(node)
            elif isinstance(node, ast.ImportFrom):
                self.imports_from(node)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.local.add(node.id)
        for name in self.local & (BUILTINS | self.modules | set(self.imported)):
            self.refuse(f"it gives {name} another meaning")
        comprehended = {
            target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.comprehension)
            for target in ast.walk(node.target)
            if isinstance(target, ast.Name)
        }
        for name in sorted(self.local - comprehended):
            self.refuse(f"it binds {name}")
        for statement in tree.body:
            self.first_word(statement)
        self.node(tree)

    def first_word(self, statement: ast.stmt) -> None:
        """IPython reads a line that begins with a magic's name as that magic: ``rm *f``, ``cd ..``, ``exit``."""
        line = self.code.splitlines()[statement.lineno - 1] if self.code else ""
        word = ""
        for char in line.lstrip():
            if not (char.isalnum() or char == "_"):
                break
            word += char
        known = BUILTINS | _CONSTANTS | self.modules | set(self.imported)
        keywords = ("import", "from", "if", "assert", "pass", "not", "None", "True", "False")
        if (
            word
            and not word[0].isdigit()
            and word not in known
            and word not in keywords
            and not _quoted(line)
        ):
            self.refuse(f"a line begins with {word}")
        if ";" in line:
            self.refuse("it has several statements on a line")

    def imports(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name not in MODULES or alias.asname:
                self.refuse(f"it imports {alias.name}")
            elif alias.name not in sys.builtin_module_names and alias.name not in self.loaded:
                self.refuse(f"{alias.name} is not loaded yet")
            self.modules.add(alias.name)

    def imports_from(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level or module not in MODULES:
            self.refuse(f"it imports from {module or 'a package around it'}")
        elif module not in sys.builtin_module_names and module not in self.loaded:
            self.refuse(f"{module} is not loaded yet")
        for alias in node.names:
            if alias.name not in MODULES.get(module, ()) or alias.asname:
                self.refuse(f"it imports {alias.name} from {module}")
            if alias.name in BUILTINS:
                self.refuse(f"it gives {alias.name} another meaning")
            self.imported[alias.name] = module

    def node(self, node: ast.AST) -> None:
        if self.why is not None:
            return
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return
        if isinstance(node, ast.Call):
            self.call(node)
            return
        if isinstance(node, ast.Attribute):
            self.attribute(node)
            return
        if isinstance(node, ast.Name):
            self.name(node)
            return
        if not isinstance(node, _HARMLESS):
            self.refuse(f"it uses {type(node).__name__}")
            return
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            self.refuse("it changes an item")
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Pow, ast.LShift)):
            # 9**9**9 holds the interpreter for hours, and no interrupt gets through.
            exponent = node.right
            if not (isinstance(exponent, ast.Constant) and exponent.value in range(-8, 9)):
                self.refuse("it raises to a power")
        if isinstance(node, ast.comprehension) and node.is_async:
            self.refuse("it awaits")
        for child in ast.iter_child_nodes(node):
            self.node(child)

    def name(self, node: ast.Name) -> None:
        if node.id.startswith("__") or node.id in ("exit", "quit", "get_ipython", "In", "Out"):
            self.refuse(f"it uses {node.id}")

    def attribute(self, node: ast.Attribute) -> None:
        owner = node.value
        pure = (
            isinstance(node.ctx, ast.Load)
            and isinstance(owner, ast.Name)
            and owner.id in self.modules
            and node.attr in MODULES.get(owner.id, ())
        )
        if not pure:
            self.refuse(f"it uses the attribute {node.attr}")

    def call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name):
            if function.id not in BUILTINS and function.id not in self.imported:
                self.refuse(f"it calls {function.id}")
        elif isinstance(function, ast.Attribute):
            owner = function.value
            literal = isinstance(owner, ast.Constant) and isinstance(owner.value, str)
            if not (literal and function.attr in TEXT_METHODS):
                self.attribute(function)
        else:
            self.refuse("it calls the result of an expression")
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg not in _KEYWORDS:
                self.refuse(f"it passes {keyword.arg or '**'} to a function")
            self.node(keyword.value)
        for argument in node.args:
            self.node(argument)


def _quoted(line: str) -> bool:
    """Whether a line begins with a string with a prefix, such as ``f"..."``."""
    return re.match(r"\s*[rbfuRBFU]{1,2}['\"]", line) is not None
