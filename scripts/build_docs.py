"""Writes docs/reference.md from the help that the magics themselves show.

``python scripts/build_docs.py [--check]``; with ``--check`` nothing is written and the exit status is 1
when the file is out of date. One definition of the arguments serves ``%%ante -h``, ``%ante?`` and this page.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "reference.md"

PAGE = """\
# Reference

Made by `make docs` from the magics' own help; edit it there.

## The cell magic

```text
{cell}
```

## The line magic

```text
{line}
```

## The public names

{names}
"""


def shown(code: str) -> str:
    """What a cell prints or displays as plain text."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from traitlets.config import Config

    # No history: its database would outlive the temporary home.
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    with capture_output() as seen:
        shell.run_cell(code)
    parts = [seen.stdout, *(str(output.data.get("text/plain", "")) for output in seen.outputs)]
    return "\n".join(line.rstrip() for line in "\n".join(parts).strip().splitlines())


def page() -> str:
    """The page as it should be."""
    import ante_nb

    # argparse wraps to the terminal; a page has one width, and no home directory of anybody.
    os.environ["COLUMNS"] = "100"
    with tempfile.TemporaryDirectory() as home:
        os.environ.update({"HOME": home, "ANTE_HOME": f"{home}/.ante", "IPYTHONDIR": f"{home}/.ipython"})
        shown("%load_ext ante_nb")
        cell, line = shown("%%ante -h\n-"), shown("%ante help").partition("\n%%ante")[0].rstrip()
    names = "\n".join(
        f"- `{name}`: {(getattr(ante_nb, name).__doc__ or '').strip().splitlines()[0]}"
        for name in ante_nb.__all__
        if not name.startswith("_")
    )
    return PAGE.format(cell=cell, line=line, names=names)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    text = page()
    if args.check:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            print("docs/reference.md is out of date: run `make docs`", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text, encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
