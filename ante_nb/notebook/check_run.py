"""Runs a notebook from the top in a fresh kernel, answers replayed, and compares it with what is saved.

``python -m ante_nb.notebook.check_run NOTEBOOK`` prints the first difference; exit status 0 where there is
none, 1 where there is one, 2 where the notebook could not be run. Nothing is sent to a model, and the
notebook's file is not changed; what its cells do they do again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.notebook import check_compare as compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def check(
    path: Path, *, every: bool, tell: Callable[[dict[str, Any]], None], timeout: int | None = None
) -> int:
    """Run and compare.

    Args:
        path: the notebook.
        every: whether it goes on after the first difference.
        tell: called with ``{"cell": n, "of": N}`` before each cell, with ``{"difference": text, "cell": n,
            "id": id}`` for each difference.
        timeout: seconds that one cell may take.

    Returns:
        The number of differences.

    Raises:
        OSError, ValueError: the file cannot be read or is no notebook.
        ImportError: nbclient is not installed.
    """
    from nbclient import NotebookClient

    book, fresh = _read(path), _read(path)
    cells = [n for n, cell in enumerate(fresh.cells) if cell.cell_type == "code" and cell.source.strip()]
    with tempfile.TemporaryDirectory(prefix="ante-check-") as folder:
        report = Path(folder) / "report.jsonl"
        report.touch()
        client = NotebookClient(
            fresh,
            kernel_name=_kernel_name(fresh),
            timeout=timeout,
            allow_errors=True,
            resources={"metadata": {"path": str(path.parent)}},
        )
        environment = {**os.environ, "ANTE_REPLAY": "only", "ANTE_REPLAY_REPORT": str(report)}
        for name in ("JPY_SESSION_NAME", "JPY_PARENT_PID"):
            environment.pop(name, None)
        found = 0
        with client.setup_kernel(env=environment), report.open(encoding="utf-8") as told:
            for count, number in enumerate(cells, 1):
                tell({"cell": count, "of": len(cells)})
                cell, saved = fresh.cells[number], book.cells[number]
                tags = set(cell.metadata.get("tags", ()))
                if "skip-execution" in tags:
                    continue
                before = list(saved.outputs)
                client.execute_cell(cell, number, store_history=True)
                for words in _differences(cell, saved, before, told, tags):
                    found += 1
                    tell(
                        {
                            "difference": words,
                            "cell": number + 1,
                            "id": cell.get("id", ""),
                            "source": _head(cell),
                        }
                    )
                    if not every:
                        return found
    return found


def _read(path: Path) -> Any:
    import nbformat

    read: Any = nbformat.read
    return read(str(path), as_version=4)


def _differences(cell: Any, saved: Any, before: Any, told: Any, tags: set[str]) -> Iterator[str]:
    for line in told:
        yield str(json.loads(line)["text"])
        if json.loads(line)["kind"] == "missing":
            return  # its error says the same again
    if tags & compare.IGNORED_TAGS:
        return
    if saved.execution_count is None and not before:
        # Never run: only an error is a difference.
        before = []
        now = [output for output in cell.outputs if output.output_type == "error"]
    else:
        now = list(cell.outputs)
    words = compare.difference(cell.source, before, now)
    if words:
        yield words


def _head(cell: Any) -> str:
    lines = [line for line in cell.source.splitlines() if line.strip()]
    lines = lines[1:] if lines and lines[0].startswith("%%ante") and len(lines) > 1 else lines
    return lines[0].strip()[:60] if lines else ""


def _kernel_name(book: Any) -> str:
    """The notebook's own kernel where it is installed, else plain Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    name = str(book.metadata.get("kernelspec", {}).get("name") or "python3")
    try:
        KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        return "python3"
    return name


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ante_nb.notebook.check_run", description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--all", action="store_true", help="report every difference, not the first alone")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--timeout", type=int, default=None, help="seconds that one cell may take")
    given = parser.parse_args(arguments)
    # The kernel must end with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def tell(item: dict[str, Any]) -> None:
        if given.json:
            print(json.dumps(item, ensure_ascii=False), flush=True)
        elif "difference" in item:
            print(f"cell {item['cell']} ({item['source']}): {item['difference']}", flush=True)

    try:
        found = check(given.notebook.absolute(), every=given.all, tell=tell, timeout=given.timeout)
    except ImportError as error:
        problem = f"nbclient is needed: `%pip install nbclient` ({error})"
    except (OSError, ValueError) as error:
        problem = f"{given.notebook} cannot be read: {error}"
    except Exception as error:
        problem = f"the notebook could not be run: {type(error).__name__}: {error}"
    else:
        tell({"done": found})
        if not given.json and not found:
            print("no difference")
        return 1 if found else 0
    if given.json:
        tell({"problem": problem})
    else:
        print(problem, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
