"""Runs a notebook from the top and shows in the terminal, live, what its cells show.

``python scripts/demo.py notebooks/quickstart.ipynb build/quickstart.ipynb``

Exit status: 0 when every cell ran, 1 when one failed (the copy is written all the same).
"""

from __future__ import annotations

import argparse
import html.parser
import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_BLOCKS = {
    "p",
    "div",
    "li",
    "tr",
    "pre",
    "summary",
    "details",
    "h1",
    "h2",
    "h3",
    "h4",
    "table",
    "ul",
    "ol",
    "br",
}


class _Words(html.parser.HTMLParser):
    """The text of an HTML output, one line per block."""

    def __init__(self) -> None:
        super().__init__()
        self.out: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("style", "script")
        if tag in _BLOCKS:
            self.out.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("style", "script")
        if tag in _BLOCKS:
            self.out.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.out.append(data)


def words(data: dict[str, Any]) -> str:
    """The text of a display: of its HTML where it has some, else its plain text."""
    if "text/html" in data:
        parser = _Words()
        parser.feed(data["text/html"])
        parser.close()
        text = "".join(parser.out)
    else:
        text = str(data.get("text/plain", ""))
    return re.sub(r"\n\s*\n+", "\n", _ANSI.sub("", text)).strip("\n")


class Live:
    """Prints displays as they come; of an updated display only what it has more than before."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self.open = ""
        self.column = 0

    def write(self, text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self.column = len(text) - text.rfind("\n") - 1

    def fresh_line(self) -> None:
        if self.column:
            self.write("\n")

    def display(self, display_id: str, text: str) -> None:
        before = self.shown.get(display_id, "")
        if not text or text == before:
            return
        self.shown[display_id] = text
        if before.startswith("…") and text.startswith("…"):
            return  # a counter that a cell rewrites in place; one line of it is enough here
        if before and self.open == display_id and text.startswith(before):
            self.write(text[len(before) :])
            return
        self.fresh_line()
        if before:
            # Something changed further up: a terminal can't go back, so say the new lines only.
            old = set(before.splitlines())
            text = "\n".join(line for line in text.splitlines() if line not in old)
        self.write(text)
        self.open = display_id


class Demo(NotebookClient):
    """A notebook client that shows messages when they arrive."""

    live = Live()

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        kind, content = msg["msg_type"], msg["content"]
        if kind == "stream":
            if self.live.open != "stream":
                self.live.fresh_line()
            self.live.write(_ANSI.sub("", content["text"]).replace("\r", "\n"))
            self.live.open = "stream"
        elif kind in ("display_data", "execute_result", "update_display_data"):
            display_id = content.get("transient", {}).get("display_id") or msg["header"]["msg_id"]
            self.live.display(display_id, words(content["data"]))
        elif kind == "error":
            self.live.fresh_line()
            self.live.write(_ANSI.sub("", "\n".join(content["traceback"])))
        return super().process_message(msg, cell, cell_index)

    async def async_execute_cell(self, cell: Any, cell_index: int, *args: Any, **options: Any) -> Any:
        self.live.fresh_line()
        if cell.cell_type == "markdown":
            self.live.write(f"\n{cell.source}\n")
        elif cell.source.strip():
            prompt = "\n".join("  | " + line for line in cell.source.splitlines())
            self.live.write(f"\n{prompt}\n")
            self.live.open = ""
        return await super().async_execute_cell(cell, cell_index, *args, **options)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("copy", type=Path, help="where the executed notebook goes")
    parser.add_argument("--timeout", type=float, default=600, help="seconds per cell")
    args = parser.parse_args(argv)

    book = nbformat.read(args.notebook, as_version=4)
    client = Demo(
        book,
        timeout=args.timeout,
        kernel_name="python3",
        # Its start-up warnings are about remote kernels; this one listens on loopback only.
        extra_arguments=["--log-level=ERROR"],
        # The same folder as the notebook itself, as when a person opens it.
        resources={"metadata": {"path": str(args.notebook.resolve().parent)}},
    )
    began, failed = time.monotonic(), ""
    try:
        client.execute()
    except CellExecutionError:
        failed = "a cell failed (see above)"
    except DeadKernelError:
        failed = "the kernel died"
    args.copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, args.copy)
    client.live.fresh_line()
    print()
    if failed:
        print(f"Stopped: {failed}. The notebook as far as it ran: {args.copy}", file=sys.stderr)
        return 1
    print(f"Ran {args.notebook} in {time.monotonic() - began:.0f} s. With its outputs: {args.copy}")
    print("`make lab` opens it in JupyterLab.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
