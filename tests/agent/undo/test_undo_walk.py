"""The walk that remembers finds what a walk that remembers nothing finds."""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from ante_nb.agent.undo.scan import Scan, Scanner

if TYPE_CHECKING:
    from pathlib import Path


def flat(scan: Scan) -> dict[str, tuple[int, ...]]:
    return {
        directory + name: sig
        for directory, folder in scan.folders.items()
        for name, sig in folder.entries.items()
    }


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory counts as old as soon as it was made, so that what was remembered is used."""
    from ante_nb.agent.undo import scan

    monkeypatch.setattr(scan, "_GRAIN", 0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("aged")
def test_after_any_change_the_walk_finds_what_a_new_one_finds(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    root = tmp_path / "work"
    root.mkdir()
    (root / ".gitignore").write_text("*.log\nbuild/\n")
    names = ["a.py", "b.log", "build", "src", "c", ".gitignore"]
    scanner = Scanner(str(root))
    for _ in range(150):
        folders = [root, *(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())]
        path = dice.choice(folders[:12]) / dice.choice(names)
        deed = dice.randrange(7)
        if deed <= 1 and not path.is_dir() and not path.is_symlink():
            path.write_text(dice.choice(["x", "yy", "*.py\n", "!b.log\n"]))
        elif deed == 2:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif os.path.lexists(path):
                path.unlink()
        elif deed == 3 and not os.path.lexists(path) and len(path.parts) - len(root.parts) < 4:
            path.mkdir()
        elif deed == 4 and not os.path.lexists(path):
            path.symlink_to("nowhere")
        elif deed == 5 and path.is_file() and not path.is_symlink():
            # The same size, and the time as before: only the time of the inode's change tells.
            stamp = path.stat().st_mtime_ns
            path.write_bytes(bytes(reversed(path.read_bytes())))
            os.utime(path, ns=(stamp, stamp))
        elif deed == 6 and os.path.lexists(path) and not path.is_symlink():
            path.chmod(dice.choice([0o700, 0o755]))
        time.sleep(0.012)  # beyond the grain of the clock, as this test takes the 2 s for it away
        assert flat(scanner.scan()) == flat(Scanner(str(root)).scan())


@pytest.mark.usefixtures("aged")
def test_an_unchanged_directory_is_the_same_object_and_a_changed_one_is_not(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.txt").write_text("1")
    time.sleep(0.02)
    scanner = Scanner(str(tmp_path))
    first = scanner.scan()
    assert set(first.folders) == {"", "one/", "two/"}
    (tmp_path / "two" / "file.txt").write_text("2")
    second = scanner.scan()
    assert second.folders["one/"] is first.folders["one/"]
    assert second.folders["two/"] is not first.folders["two/"]
    assert second.folders["two/"].entries != first.folders["two/"].entries


def test_a_directory_that_was_just_changed_is_listed_anew(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("1")
    scanner = Scanner(str(tmp_path))
    first, second = scanner.scan(), scanner.scan()
    assert second.folders[""] is not first.folders[""]
    assert flat(first) == flat(second)
