"""Logs by day, and found by one grep."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

GREP = 'grep "transport selected" ~/.ante/logs/ante.*.log.*'


def log(home: Path, words: str) -> None:
    code = f"from ante_nb.log import configure; configure().info({words!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def grep(home: Path) -> list[str]:
    done = subprocess.run(["bash", "-c", GREP], capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_a_day_has_a_folder_and_one_grep_finds_each_line_once(isolated_home: Path) -> None:
    logs = isolated_home / ".ante" / "logs"
    log(isolated_home, "transport selected: one")
    log(isolated_home, "transport selected: two sk-ant-api03-AAAABBBBCCCCDDDD1234")
    files = list(logs.glob("*/ante.*.log.*"))
    assert len(files) == 2
    assert all(
        path.name.endswith(path.parent.name) and path.stat().st_mode & 0o777 == 0o600 for path in files
    )
    lines = grep(isolated_home)
    assert len(lines) == 2 and not any("AAAABBBB" in line for line in lines)
    recursive = subprocess.run(
        ["grep", "-r", "transport selected", str(logs)], capture_output=True, text=True, check=False
    )
    assert len(recursive.stdout.splitlines()) == 2


def test_a_day_that_was_deleted_leaves_no_link(isolated_home: Path) -> None:
    logs = isolated_home / ".ante" / "logs"
    log(isolated_home, "transport selected: one")
    for day in logs.iterdir():
        if day.is_dir():
            shutil.rmtree(day)
    log(isolated_home, "transport selected: two")
    [line] = grep(isolated_home)
    assert line.endswith("two")
