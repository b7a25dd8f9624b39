"""What tools cost: recording a turn for undo, Grep and Glob beside ripgrep, Variables on frames of any size.

Undo is measured beside a bare walk of the same tree: ``os.walk`` with an ``os.lstat`` of every file.
Recording walks the tree twice: before the first call that may change any file, and at the end. So both
together cannot cost less than two walks; the floor beside which they stand as well is the cheapest walk that
Python has for looking at every file, ``os.listdir`` and ``os.stat`` by directory descriptor, done twice. The
first time a directory is seen its files are read and kept as well.

Grep uses ``rg`` where it is on PATH and a process of its own elsewhere; each is measured, beside ``rg`` if it
is there.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from common import Row, median, p95
from support.tools import Bench

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES = (10_000, 100_000, 1_000_000, 10_000_000)


def plant(root: Path, files: int = 10_000) -> None:
    """A tree of small text files, 100 in a directory, written long enough ago to be sure of."""
    old = time.time() - 3600
    for number in range(files):
        folder = root / f"part{number // 1000}" / f"group{number // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"module_{number}.py"
        path.write_text(f"value = {number}\n" * 40)
        os.utime(path, (old, old))
    (root / ".gitignore").write_text("*.log\nbuild/\n")


def bare_walk(root: str) -> int:
    count = 0
    for directory, _, names in os.walk(root):
        for name in names:
            os.lstat(os.path.join(directory, name))
            count += 1
    return count


def cheapest_walk(root: str) -> int:
    """Every file looked at with as little around it as Python allows."""
    count, queue = 0, [root + "/"]
    while queue:
        prefix = queue.pop()
        directory = os.open(prefix, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in os.listdir(directory):
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                count += 1
                if found.st_mode & 0o170000 == 0o040000:
                    queue.append(f"{prefix}{name}/")
        finally:
            os.close(directory)
    return count


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def checkpoints(quick: bool = False) -> list[Row]:
    from ante_nb.agent.undo.store import Record
    from ante_nb.agent.undo.workspace import Workspace

    runs = 7 if quick else 31
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "work"
        plant(root)
        time.sleep(2.5)  # younger files are read again at the next look
        room = Workspace(root, Path(folder) / "home")
        first = timed(lambda: room.begin(Record("first", "turn")))
        room.finish(Record("first", "turn", facts={"walked": True}), frozenset())
        bare, floor, begins, ends, both = [], [], [], [], []
        for number in range(runs):
            bare.append(timed(lambda: bare_walk(str(root))))
            floor.append(2 * timed(lambda: cheapest_walk(str(root))))
            record = Record(f"turn{number}", "turn")
            begins.append(timed(lambda record=record: room.begin(record)))
            (root / "part0/group0/module_0.py").write_text(f"changed = {number}\n")
            ends.append(timed(lambda record=record: room.finish(record, frozenset())))
            both.append(begins[-1] + ends[-1])
        room.store.close()
    walk = median(bare)
    return [
        Row("before the first call, 10,000 files", median(begins), "ms", "bare walk", walk, ratio_limit=1.2,
            p95=p95(begins), n=runs),
        Row("at the end of the turn, 1 file changed", median(ends), "ms", "bare walk", walk, ratio_limit=1.2,
            p95=p95(ends), n=runs),
        Row("both together", median(both), "ms", "bare walk", walk, ratio_limit=1.2, p95=p95(both), n=runs),
        Row("both together", median(both), "ms", "cheapest walk, twice", median(floor), ratio_limit=1.2,
            p95=p95(both), n=runs),
        Row("a directory never seen before, files kept", first, "ms", "bare walk", walk),
    ]  # fmt: skip


def searches(quick: bool = False) -> list[Row]:
    """Grep and Glob on a tree of 100,000 files (``quick``: 10,000)."""
    files, runs = (10_000, 3) if quick else (100_000, 7)
    rg = shutil.which("rg")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "work", Path(folder) / "home")
        plant(bench.cwd, files)
        path = bench.host.env.get("PATH", "")
        where = f"{files:,} files"

        def tool(name: str, path: str, **arguments: object) -> float:
            bench.host.env["PATH"] = path
            return timed(lambda: asyncio.run(bench.text(name, **arguments)))

        def ripgrep(*words: str) -> float:
            command = [str(rg), "--no-config", *words]
            return timed(
                lambda: subprocess.run(command, cwd=bench.cwd, stdout=subprocess.DEVNULL, check=False)
            )

        wanted = f"value = {files - 1}"
        # Alternating, so that a slower minute of the machine is in all of them alike.
        taken: dict[str, list[float]] = {
            name: [] for name in ("grep", "own", "glob", "rg", "sorted", "files")
        }
        for number in range(runs + 1):
            if number < 4:  # it takes half a minute
                taken["own"].append(tool("Grep", "/nonexistent", pattern=wanted))
            taken["glob"].append(tool("Glob", path, pattern="**/module_77*.py"))
            if rg:
                taken["grep"].append(tool("Grep", path, pattern=wanted))
                taken["rg"].append(ripgrep("--files-with-matches", wanted, "."))
                taken["sorted"].append(ripgrep("--files-with-matches", "--sort=path", wanted, "."))
                taken["files"].append(ripgrep("--files", "--sortr=modified", "--glob=**/module_77*.py", "."))

    def row(name: str, key: str, beside: str, other: str) -> Row:
        values = taken[key][1:]  # the first one warms the system's caches
        others = taken[other][1:]
        return Row(f"{name}, {where}", median(values), "ms", beside if others else "no rg here",
                   median(others) if others else None, p95=p95(values), n=len(values))  # fmt: skip

    rows = [
        row("Grep without rg", "own", "rg -l", "rg"),
        row("Glob", "glob", "rg --files --sortr=modified", "files"),
    ]
    if rg:
        rows[:0] = [
            row("Grep by rg", "grep", "rg -l", "rg"),
            row("Grep by rg", "grep", "rg -l --sort=path", "sorted"),
        ]
    return rows


def frames(quick: bool = False) -> list[Row]:
    """The Variables tool on one pandas frame, by its number of rows."""
    import numpy as np
    import pandas as pd

    runs = 7 if quick else 31
    rows: list[Row] = []
    least: float | None = None
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        work.mkdir()
        bench = Bench(work, Path(folder) / "home")
        dice = np.random.default_rng(1)
        for count in FRAMES[:2] if quick else FRAMES:
            bench.host.space["df"] = pd.DataFrame(
                {
                    "price": dice.normal(size=count),
                    "amount": dice.integers(0, 1_000, count),
                    "when": pd.date_range("2020-01-01", periods=count, freq="s"),
                    "city": pd.Categorical.from_codes(dice.integers(0, 3, count), ["Rome", "Oslo", "Bern"]),
                    "note": pd.array(
                        dice.choice(np.array(["a", "bb", None], dtype=object), count), dtype="str"
                    ),
                }
            )
            taken = [
                timed(lambda: asyncio.run(bench.text("Variables", names=["df"]))) for _ in range(runs + 1)
            ][1:]
            least = least if least is not None else median(taken)
            rows.append(
                Row(f"Variables, frame of {count:,} rows", median(taken), "ms", f"{FRAMES[0]:,} rows", least,
                    ratio_limit=2.0, p95=p95(taken), n=runs)
            )  # fmt: skip
            del bench.host.space["df"]
    return rows


def measure(quick: bool = False) -> list[Row]:
    return [*checkpoints(quick), *searches(quick), *frames(quick)]
