"""What two runs of a cell show, compared: the saved one, and the one in a fresh kernel."""

from __future__ import annotations

import re
from typing import Any

from ante_nb.notebook.render.answer import ANSWER_START
from ante_nb.notebook.render.cards import TURN_MIME

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\x1b\]8;[^\x1b\x07]*(?:\x1b\\|\x07)")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")
# The mark of a tool's result is another one in every session.
_MARK = re.compile(r'(</?tool_output id=)(["\'])[0-9a-f]{16}\2')
_SHOWN = 120

IGNORED_TAGS = frozenset({"ante-ignore", "nbval-ignore-output", "nbval-skip", "skip-execution"})
"""Tags of cells whose outputs are expected to differ (a clock, a random number)."""

Outputs = list[dict[str, Any]]


def is_prompt(source: str, outputs: Outputs) -> bool:
    """Whether the cell is a prompt: by its magic or, in ante-kernel, by the turn's record in what it shows."""
    return source.lstrip().startswith("%%ante") or any(
        TURN_MIME in output.get("data", {}) for output in outputs
    )


def is_command(source: str) -> bool:
    """Whether the cell is a command to the agent: what it prints is the state of this run."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    # A second %load_ext in one kernel, as of a Run All, says so.
    own = ("%ante", "%load_ext ante_nb", "%reload_ext ante_nb", "#")
    return bool(lines) and all(line.startswith(own) for line in lines)


def difference(source: str, saved: Outputs, now: Outputs) -> str:
    """The first difference in words; empty where the cell shows the same."""
    before, after = _error(saved), _error(now)
    if before != after:
        if not before:
            return f"it ends in an error now: {_cut(after)}"
        return f"it ended in {_cut(before)}, and {f'in {_cut(after)}' if after else 'runs through'} now"
    if is_command(source):
        return ""
    if is_prompt(source, now):
        old, new = _answer(saved), _answer(now)
        same = not old or old == new
        return "" if same else f"the saved answer is another one than the recorded: {_first(old, new)}"
    for what in ("stdout", "stderr"):
        old, new = _stream(saved, what), _stream(now, what)
        if old != new and what == "stdout":
            return f"what it prints differs: {_first(old, new)}"
    shown, shows = _shown(saved), _shown(now)
    for number, (old, new) in enumerate(zip(shown, shows, strict=False), 1):
        if old != new:
            return f"output {number} differs: {_first(old, new)}"
    if len(shown) != len(shows):
        return f"it showed {len(shown)} output{'s' * (len(shown) != 1)}, now {len(shows)}"
    return ""


def _text(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _plain(text: str) -> str:
    lines = []
    text = _MARK.sub(r"\1…", _ADDRESS.sub("0x…", _ANSI.sub("", text)))
    for line in text.split("\n"):
        # A progress bar is what it came to.
        lines.append(line.rstrip("\r").rpartition("\r")[2].rstrip())
    return "\n".join(lines).strip("\n")


def _error(outputs: Outputs) -> str:
    found = next((o for o in outputs if o.get("output_type") == "error"), None)
    return "" if found is None else _plain(f"{found.get('ename')}: {found.get('evalue')}")


def _stream(outputs: Outputs, name: str) -> str:
    parts = [
        _text(o.get("text", "")) for o in outputs if o.get("output_type") == "stream" and o["name"] == name
    ]
    return _plain("".join(parts))


def _shown(outputs: Outputs) -> list[str]:
    """Each result and display as text; of an image that it is one, for its bytes differ by version."""
    shown = []
    for output in outputs:
        if output.get("output_type") not in ("execute_result", "display_data"):
            continue
        data = output.get("data", {})
        images = sorted(kind for kind in data if kind.startswith("image/"))
        if images:
            shown.append(f"({images[0]})")
            continue
        kind = next((k for k in ("text/plain", "text/markdown", "text/html") if k in data), "")
        shown.append(_plain(_text(data[kind])) if kind else f"({', '.join(sorted(data))})")
    return shown


def _answer(outputs: Outputs) -> str:
    """The answer of a prompt cell, without white space: it is cut into outputs by the clock."""
    return "".join(
        "".join(_text(output["data"].get("text/plain", "")).split())
        for output in outputs
        if _text(output.get("data", {}).get("text/html", "")).startswith(ANSWER_START)
    )


def _first(old: str, new: str) -> str:
    lines, others = old.split("\n"), new.split("\n")
    for number, (before, after) in enumerate(zip(lines, others, strict=False), 1):
        if before != after:
            where = f"line {number} " if len(lines) > 1 else ""
            at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
            start = max(0, at - 40) if len(before) > _SHOWN or len(after) > _SHOWN else 0
            return f"{where}was {_cut(before[start:])!r}, is {_cut(after[start:])!r}"
    return f"{len(lines)} lines before, {len(others)} now"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
