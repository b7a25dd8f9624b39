"""What must be true of the tree as a whole: style, types, imports, names, documents."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ante_nb"


def run(*command: str) -> str:
    """Run a tool of this interpreter in the tree; its output where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@cache
def tracked() -> tuple[Path, ...]:
    """The files of the project: what git knows, or (in a source archive) what is there."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60
        )
        names = [name for name in listing.stdout.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]
        names = [name for name in names if not re.search(r"(^|/)(\.[^/]*|build|dist|__pycache__)/", name)]
    return tuple(path for path in (ROOT / name for name in names) if path.is_file())


# ------------------------------------------------------------------------------------ style and types


def test_ruff_finds_nothing() -> None:
    assert run("ruff", "check", "--quiet", ".") == ""


def test_everything_is_formatted() -> None:
    assert run("ruff", "format", "--check", "--quiet", ".") == ""


@pytest.mark.timeout(600)
def test_types_are_strict() -> None:
    assert run("mypy", "--no-error-summary", "ante_nb") == ""
    assert (PACKAGE / "py.typed").exists()


# ------------------------------------------------------------------------------------------- imports

EXPORTED = [
    "AnteError",
    "ConfigError",
    "ProviderError",
    "Step",
    "Turn",
    "TurnError",
    "__version__",
    "ask",
    "ask_async",
    "load_ipython_extension",
    "map",
    "tool",
    "unload_ipython_extension",
]


def test_exported_names_are_the_intended_ones() -> None:
    import ante_nb

    assert ante_nb.__all__ == EXPORTED == sorted(EXPORTED)
    assert dir(ante_nb) == EXPORTED
    for name in EXPORTED:
        assert getattr(ante_nb, name) is not None
    with pytest.raises(AttributeError):
        ante_nb.no_such_name  # noqa: B018


# Costly to import, or no business of a notebook that has not asked anything yet.
LATE = (
    "httpx", "httpx2", "pydantic", "pydantic_core", "websockets", "anywidget", "ipywidgets", "nh3",
    "markdown_it", "mdit_py_plugins", "tree_sitter", "xllamacpp", "llama_cpp", "pathspec", "filelock",
    "nest_asyncio", "nest_asyncio2", "huggingface_hub", "PIL", "pypdf", "matplotlib", "pandas", "numpy",
    "ante_nb.agent", "ante_nb.providers", "ante_nb.local", "ante_nb.widgets", "ante_nb.api",
)  # fmt: skip


def late_ones(modules: set[str]) -> list[str]:
    return sorted(
        name for name in modules if any(name == late or name.startswith(late + ".") for late in LATE)
    )


def test_import_alone_imports_next_to_nothing() -> None:
    code = "import sys; before = set(sys.modules); import ante_nb; print(sorted(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    new = set(ast.literal_eval(out.stdout))
    assert late_ones(new) == []
    assert {name for name in new if name.startswith("ante_nb")} == {"ante_nb", "ante_nb._version"}


def test_load_ext_is_silent_and_imports_nothing_heavy(kernel, isolated_home) -> None:  # type: ignore[no-untyped-def]
    before = set(kernel.value("sorted(__import__('sys').modules)"))
    files = {path for path in isolated_home.rglob("*") if ".ante" in path.parts}
    loaded = kernel.run("%load_ext ante_nb")
    assert (loaded.status, loaded.outputs) == ("ok", [])
    new = set(kernel.value("sorted(__import__('sys').modules)")) - before
    assert late_ones(new) == []
    assert {path for path in isolated_home.rglob("*") if ".ante" in path.parts} == files


# Rooms from the ground up; a room may import from its own height (only itself) and from below.
HEIGHT = {
    "": 0, "_version": 0, "messages": 0, "errors": 0, "envelope": 0, "ids": 0, "offline": 0, "redact": 0, "log": 0, "paths": 0,
    "visible": 0,
    "providers.spec": 1,  # pure values: what a choice is
    "settings_schema": 2, "settings": 3,
    "providers": 4,
    "local": 5,
    "describe": 1,
    "agent": 6,
    "notebook": 7,
    "api": 8, "widgets": 8, "kernel": 8,
    "mapping": 9,
    "magics": 9,
}  # fmt: skip
GROUND = {name for name, height in HEIGHT.items() if height == 0}


def imported(path: Path) -> list[tuple[int, str]]:
    """Every module that a file imports, anywhere in it, with the line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found.append((node.lineno, node.module or ""))
            if node.module == "ante_nb":
                found += [(node.lineno, f"ante_nb.{alias.name}") for alias in node.names]
    return found


def room(module: str) -> str:
    inside = module.partition(".")[2]
    return next(
        (name for name in HEIGHT if "." in name and inside.startswith(name)), inside.partition(".")[0]
    )


def test_imports_point_only_downwards() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        own = room(module)
        if module == "ante_nb":  # the door: it names every public room, and imports none at import time
            continue
        assert own in HEIGHT, (
            f"{path.relative_to(ROOT)}: a new room; give it a height in {Path(__file__).name}"
        )
        for line, name in imported(path):
            if not name.startswith("ante_nb"):
                continue
            other = room(name)
            if other in ("__version__", "_version") or other == own or other not in HEIGHT:
                continue
            together = own in GROUND and other in GROUND
            if not together and HEIGHT[other] >= HEIGHT[own]:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {own} imports {name}")
    assert wrong == []


def test_foreign_imports_stay_in_their_rooms() -> None:
    jupyter = {"IPython", "ipykernel", "ipywidgets", "anywidget", "traitlets", "comm"}
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for line, module in imported(path):
            top = module.partition(".")[0]
            if top in ("httpx", "httpx2") and name != "providers/transports/http.py":
                wrong.append(f"{name}:{line}: {module} belongs in providers/transports/http.py alone")
            if top in jupyter and name.startswith(("agent/", "providers/", "local/", "messages", "errors")):
                wrong.append(f"{name}:{line}: {module} is no business of this room")
    assert wrong == []


# ----------------------------------------------------------------------------------------- documents


def test_changelog_names_the_version() -> None:
    from ante_nb import __version__

    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(__version__)}\]", text, re.MULTILINE)


# Written so that this file does not match itself.
FORBIDDEN = (
    r"/wor[k]/", r"/tmp/pla[n]", r"/roo[t]/", r"shared/referenc[e]", r"before-sto[p]", r"\.librar[y]/",
    r"(?i)co-authored-b[y]", r"(?i)generated (by|with) (an? )?(ai|llm|claude|chatgpt|copilo[t])",
    r"issues sho[w]", r"(?m)^(<<<<<<<|>>>>>>>) ",
)  # fmt: skip


def test_no_words_or_paths_of_the_workshop() -> None:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" in data:
            continue
        text = data.decode("utf-8", "replace")
        for pattern in FORBIDDEN:
            match = re.search(pattern, text)
            if match:
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{path.relative_to(ROOT)}:{line}: {match.group(0)!r}")
    assert found == []


def test_json_files_and_notebooks_are_well_formed() -> None:
    for path in tracked():
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".ipynb":
            import nbformat

            nbformat.validate(nbformat.read(path, as_version=4))


def test_links_between_documents_lead_somewhere() -> None:
    missing = []
    for path in tracked():
        if path.suffix != ".md":
            continue
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            name = target.partition("#")[0]
            if name and not re.match(r"[a-z]+:", name) and not (path.parent / name).exists():
                missing.append(f"{path.relative_to(ROOT)}: {target}")
    assert missing == []


def test_documents_name_only_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in tracked():
        if path.suffix == ".md":
            for target in re.findall(
                r"`make ([a-z-]+)`|^make ([a-z-]+)", path.read_text("utf-8"), re.MULTILINE
            ):
                assert (target[0] or target[1]) in targets, f"{path.name}: make {target[0] or target[1]}"
