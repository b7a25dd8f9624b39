"""The versions of ipykernel: what the package requires, what it warns of, and what it does on a real old one."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from support.ante import ROOT, point_at
from support.kernel import Kernel

from ante_nb.notebook import kernel_version

if TYPE_CHECKING:
    from pathlib import Path

    from support.chat_server import ChatServer

ALL = ["6.29.5", "6.30.1", "6.31.0", "6.32.0", "7.0.1", "7.1.0", "7.2.0", "7.3.0", "7.4.0", "7.10.0", "8.0.0"]


@pytest.mark.parametrize("version", ALL)
def test_what_is_required_and_what_is_warned_of_are_the_same(version: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [required] = [row for row in map(Requirement, project["dependencies"]) if row.name == "ipykernel"]
    assert required.specifier.contains(version) == (kernel_version.problem(version) is None)


def run_as(version: str | None, chat_server: ChatServer, home: Path, cwd: Path) -> list[str]:
    """What the loading cell, two prompts and ``%ante doctor`` show in a kernel of that version."""
    with Kernel(cwd=cwd, env=point_at(chat_server, home)) as kernel:
        if version:
            # Where pip's pin was bypassed the running module still says what it is.
            kernel.run(f"import ipykernel; ipykernel.__version__ = {version!r}")
        cells = ["%load_ext ante_nb", "%%ante\nhello", "%%ante\nagain", "%ante doctor"]
        return [kernel.run(cell).stdout for cell in cells]


def test_a_kernel_that_dies_of_interrupts_is_warned_of_once(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    loaded, first, second, _ = run_as("7.2.0", chat_server, isolated_home, tmp_path)
    assert re.fullmatch(r"ante: this kernel runs ipykernel 7\.2\.0, which .*\n", loaded)
    assert "ipykernel>=7.4" in loaded
    assert "ipykernel" not in first + second


def test_a_good_kernel_is_not_warned_of(chat_server: ChatServer, isolated_home: Path, tmp_path: Path) -> None:
    loaded, first, second, doctor = run_as(None, chat_server, isolated_home, tmp_path)
    assert loaded == "" and "ipykernel" not in first + second
    assert re.search(r"ipykernel \d+\.\d+", doctor)
