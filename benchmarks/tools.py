"""What recording a turn for undo costs, beside a bare walk of the same tree.

A bare walk is ``os.walk`` with an ``os.lstat`` of every file. Recording walks the tree twice: before the
first call that may change any file, and at the end. The first time a directory is seen its files are read
and kept as well.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from common import Row, median, p95

if TYPE_CHECKING:
    from collections.abc import Callable


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
        bare, begins, ends, both = [], [], [], []
        for number in range(runs):
            bare.append(timed(lambda: bare_walk(str(root))))
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
        Row("both together", median(both), "ms", "bare walk", walk, p95=p95(both), n=runs),
        Row("a directory never seen before, files kept", first, "ms", "bare walk", walk),
    ]  # fmt: skip


def measure(quick: bool = False) -> list[Row]:
    return checkpoints(quick)
