"""What the benchmarks share: rows of the table, the loopback server in a process of its own, kernels."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.ante import machine, point_at  # noqa: E402
from support.chat_server import Control  # noqa: E402
from support.kernel import Kernel  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass
class Row:
    """One line of the table.

    ``value`` in ``unit``; ``beside`` what it is compared with, measured in the same run; ``aim`` the
    greatest value that is good enough, in words of the value (``limit``) or of the ratio
    (``ratio_limit``).
    """

    name: str
    value: float
    unit: str
    beside: str = ""
    other: float | None = None
    limit: float | None = None
    ratio_limit: float | None = None
    p95: float | None = None
    n: int = 1

    @property
    def ratio(self) -> float | None:
        return self.value / self.other if self.other else None

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; ``None`` where there is none."""
        told = []
        if self.limit is not None:
            told.append(self.value <= self.limit)
        if self.ratio_limit is not None and self.ratio is not None:
            told.append(self.ratio <= self.ratio_limit)
        return all(told) if told else None


def table(rows: Sequence[Row]) -> str:
    """The rows as text."""
    lines = [("", "p50", "p95", "unit", "n", "beside", "", "ratio", "aim", "met")]
    for row in rows:
        aims = [f"<= {row.limit:g}"] if row.limit is not None else []
        aims += [f"<= {row.ratio_limit:g} x"] if row.ratio_limit is not None else []
        lines.append(
            (
                row.name,
                f"{row.value:.4g}",
                f"{row.p95:.4g}" if row.p95 is not None else "",
                row.unit,
                str(row.n),
                row.beside,
                f"{row.other:.4g}" if row.other is not None else "",
                f"{row.ratio:.3g}" if row.ratio is not None else "",
                ", ".join(aims),
                {True: "yes", False: "NO", None: ""}[row.met],
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def write(name: str, rows: Sequence[Row], folder: str = "results") -> Path:
    """Store the rows with the machine's description in ``benchmarks/<folder>/<name>.json``."""
    path = ROOT / "benchmarks" / folder / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    data = {
        "machine": machine(),
        "rows": [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in rows],
    }
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return path


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def p95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


@contextmanager
def server() -> Iterator[Control]:
    """The scripted Chat Completions server, in its own process so that its work is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        command = [
            sys.executable,
            "-m",
            "support.chat_server",
            "--port-file",
            str(port_file),
            "--watch-stdin",
        ]
        process = subprocess.Popen(command, cwd=ROOT / "tests", stdin=subprocess.PIPE)
        try:
            end = time.monotonic() + 60
            while not port_file.exists():
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("the loopback server did not start")
                time.sleep(0.02)
            yield Control(f"http://127.0.0.1:{port_file.read_text().strip()}")
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


@contextmanager
def kernel(
    control: Control | None = None, *, python: str = sys.executable, load: str | None = None
) -> Iterator[Kernel]:
    """A kernel in an empty home, its provider the loopback server; ``load`` an extension to load."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        env: dict[str, str | None] = {
            name: None for name in os.environ if name.startswith(("ANTE_", "MODEL_"))
        }
        env |= {"HOME": folder, "ANTE_HOME": str(home / ".ante"), "IPYTHONDIR": str(home / ".ipython")}
        env["ANTE_SYSTEM_SETTINGS"] = str(home / "none.json")
        if control is not None:
            env |= point_at(control, home)  # type: ignore[arg-type]  # only its url is used
        work = home / "work"
        work.mkdir()
        with Kernel(cwd=work, env=env, python=python) as running:
            if load:
                loaded = running.run(f"%load_ext {load}", timeout=120)
                if loaded.status != "ok":
                    raise RuntimeError(loaded.text)
            yield running


def prompt(running: Kernel, text: str, flags: str = "", timeout: float = 600) -> Any:
    """A ``%%ante`` cell; its outcome. Raises ``RuntimeError`` where it fails."""
    outcome = running.run(f"%%ante {flags}\n{text}", timeout)
    if outcome.status != "ok":
        raise RuntimeError(outcome.text)
    return outcome
