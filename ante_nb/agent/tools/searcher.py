"""The stand-in for ripgrep: reads a request from standard input, writes what ``rg --null`` would.

Runs as a child process (see ``grep.py``). It differs from ripgrep in the dialect of regular
expressions, which is Python's.
"""

from __future__ import annotations

import bisect
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BYTES = 64 * 1024 * 1024
_MOST_COLUMNS = 2_000

# The types that people ask for, as ripgrep defines them.
TYPES: dict[str, tuple[str, ...]] = {
    "c": ("*.c", "*.h", "*.C", "*.H", "*.cats"),
    "cpp": ("*.cpp", "*.cc", "*.cxx", "*.hpp", "*.hh", "*.hxx", "*.h", "*.inl"),
    "cs": ("*.cs",),
    "css": ("*.css", "*.scss"),
    "csv": ("*.csv",),
    "go": ("*.go",),
    "html": ("*.html", "*.htm", "*.ejs"),
    "java": ("*.java", "*.jsp", "*.jspx", "*.properties"),
    "js": ("*.js", "*.jsx", "*.vue", "*.cjs", "*.mjs"),
    "json": ("*.json", "composer.lock", "*.sarif"),
    "julia": ("*.jl",),
    "jupyter": ("*.ipynb", "*.jpynb"),
    "kotlin": ("*.kt", "*.kts"),
    "lua": ("*.lua",),
    "make": ("Makefile", "makefile", "GNUmakefile", "*.mk", "*.mak"),
    "markdown": ("*.md", "*.markdown", "*.mdown", "*.mkdn", "*.mkd", "*.mdwn", "*.mdx"),
    "php": ("*.php",),
    "py": ("*.py", "*.pyi"),
    "r": ("*.R", "*.r", "*.Rmd", "*.rmd", "*.Rnw", "*.rnw"),
    "ruby": ("*.rb", "Gemfile", "Rakefile", "*.gemspec"),
    "rust": ("*.rs",),
    "sh": ("*.sh", "*.bash", "*.zsh", "*.ksh", ".bashrc", ".zshrc", ".profile", ".bash_profile"),
    "sql": ("*.sql", "*.psql"),
    "swift": ("*.swift",),
    "tex": ("*.tex", "*.ltx", "*.cls", "*.sty", "*.bib"),
    "toml": ("*.toml", "Cargo.lock"),
    "ts": ("*.ts", "*.tsx", "*.cts", "*.mts"),
    "txt": ("*.txt",),
    "xml": ("*.xml", "*.xsd", "*.xsl", "*.xslt", "*.svg"),
    "yaml": ("*.yaml", "*.yml"),
}
TYPES |= {"python": TYPES["py"], "md": TYPES["markdown"], "typescript": TYPES["ts"], "rs": TYPES["rust"]}


def main() -> None:
    """Search by the request on standard input; exit code 0 found, 1 nothing, 2 an error on stderr."""
    request = json.load(sys.stdin)
    try:
        found = search(request, sys.stdout.buffer)
    except (ValueError, re.error) as error:
        sys.stderr.write(str(error))
        sys.exit(2)
    except BrokenPipeError:
        os._exit(0)
    sys.exit(0 if found else 1)


def search(request: dict[str, Any], out: Any) -> bool:
    """Write all matches to ``out``. Raises ``ValueError`` or ``re.error`` for a bad request."""
    flags = re.MULTILINE | (re.IGNORECASE if request["ignore_case"] else 0)
    if request["multiline"]:
        flags |= re.DOTALL
    pattern = re.compile(request["pattern"], flags)
    mode = request["output_mode"]
    after = request["after"] or request["context"]
    before = request["before"] or request["context"]
    first = True
    for path in files(request):
        text = _load(path)
        if text is None:
            continue
        lines = text.split("\n")
        if lines[-1] == "":
            lines.pop()
        hits = _hits(pattern, text, lines, multiline=request["multiline"])
        if not hits:
            continue
        head = os.fsencode(path) + b"\0"
        if mode == "files_with_matches":
            out.write(head)
        elif mode == "count":
            out.write(head + f"{len(hits)}\n".encode())
        else:
            for block in _blocks(hits, len(lines), before, after):
                if not first and (before or after):
                    out.write(b"--\n")
                first = False
                for number in block:
                    mark = ":" if number in hits else "-"
                    line = lines[number].rstrip("\r")
                    if len(line) > _MOST_COLUMNS:
                        line = line[:_MOST_COLUMNS] + " [... omitted end of long line]"
                    out.write(head + f"{number + 1}{mark}{line}\n".encode("utf-8", "replace"))
        first = False
        out.flush()
    return not first


def files(request: dict[str, Any]) -> Iterator[str]:
    """The files to search, in path order. Raises ``ValueError`` for an unknown type or a bad glob."""
    from ante_nb.agent.tools.ignore import globs, walk

    root = Path(request["root"])
    wanted = None
    if request["type"]:
        try:
            wanted = globs("{" + ",".join((*TYPES[request["type"]], "\0")) + "}")
        except KeyError:
            raise ValueError(f"unrecognized file type: {request['type']}") from None
    matcher = globs(request["glob"]) if request["glob"] and not request["glob"].startswith("!") else None
    unwanted = globs(request["glob"][1:]) if request["glob"] and request["glob"].startswith("!") else None
    if root.is_file():
        yield str(root)
        return
    for entry in walk(root):
        if entry.is_symlink():
            continue
        relative = os.path.relpath(entry.path, root)
        if wanted is not None and not wanted.match_file(relative):
            continue
        if matcher is not None and not matcher.match_file(relative):
            continue
        if unwanted is not None and unwanted.match_file(relative):
            continue
        yield entry.path


def _load(path: str) -> str | None:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError:
        return None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    # ripgrep takes a file with a NUL byte for binary and leaves it out.
    if b"\0" in data:
        return None
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


def _hits(pattern: re.Pattern[str], text: str, lines: list[str], *, multiline: bool) -> set[int]:
    """Indexes of the lines that a match touches."""
    if not multiline:
        return {number for number, line in enumerate(lines) if pattern.search(line)}
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    hits: set[int] = set()
    for match in pattern.finditer(text):
        low = bisect.bisect_right(starts, match.start()) - 1
        high = bisect.bisect_right(starts, max(match.start(), match.end() - 1)) - 1
        hits.update(range(low, min(high, len(lines) - 1) + 1))
    return hits


def _blocks(hits: set[int], total: int, before: int, after: int) -> Iterator[list[int]]:
    block: list[int] = []
    for hit in sorted(hits):
        low, high = max(0, hit - before), min(total - 1, hit + after)
        if block and low > block[-1] + 1:
            yield block
            block = []
        block.extend(range(max(low, block[-1] + 1) if block else low, high + 1))
    if block:
        yield block
