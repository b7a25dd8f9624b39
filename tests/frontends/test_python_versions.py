"""Python 3.11 to 3.14: what the project says of them is the same everywhere, and the code keeps to the oldest."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib

import pytest
from support.ante import ROOT

VERSIONS = ["3.11", "3.12", "3.13", "3.14"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted((ROOT / "ante_nb").rglob("*.py"))


def test_every_version_is_declared_and_in_the_matrix() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    named = [row.rpartition(" ")[2] for row in PROJECT["project"]["classifiers"] if ":: 3." in row]
    assert named == VERSIONS
    matrix = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert re.search(r"python: \[(.*)\]", matrix)[1] == ", ".join(f'"{version}"' for version in VERSIONS)  # type: ignore[index]


def test_the_oldest_version_can_read_every_file() -> None:
    for path in SOURCES:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 11))


@pytest.mark.parametrize("version", VERSIONS)
def test_no_syntax_that_a_version_lacks(version: str) -> None:
    """ruff knows which syntax came and went with which version."""
    target = "py" + version.replace(".", "")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E9,F63,F7", "--target-version", target, "ante_nb"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


# Module -> (what must not be used, the version that lacks it). Names that are gone in 3.12, 3.13 or 3.14.
GONE = {
    "imp": "3.12", "distutils": "3.12", "asynchat": "3.12", "asyncore": "3.12", "pkg_resources": "3.12",
    "cgi": "3.13", "crypt": "3.13", "imghdr": "3.13", "mailcap": "3.13", "pipes": "3.13", "sndhdr": "3.13",
    "telnetlib": "3.13", "uu": "3.13", "xdrlib": "3.13",
}  # fmt: skip


def test_no_module_that_a_later_version_lacks() -> None:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [
                f"{path.name}:{node.lineno}: {name}" for name in names if name.partition(".")[0] in GONE
            ]
            # Gone from asyncio in 3.14; the loop is always the running one.
            if isinstance(node, ast.Attribute) and node.attr in (
                "get_event_loop_policy",
                "set_child_watcher",
            ):
                found.append(f"{path.name}:{node.lineno}: {node.attr}")
    assert found == []


def test_no_return_in_a_finally_block() -> None:
    """A SyntaxWarning from 3.14 on (PEP 765)."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Try):
                found += [
                    f"{path.name}:{inner.lineno}"
                    for statement in node.finalbody
                    for inner in ast.walk(statement)
                    if isinstance(inner, ast.Return)
                ]
    assert found == []
