"""What ended a turn, as a card: what happened and what to do next."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from ante_nb.notebook.render.allowlist import IGNORE_MATH, clean
from ante_nb.notebook.render.styles import BAD, FAINT, STOP, WARN
from ante_nb.notebook.render.words import clip
from ante_nb.redact import redact
from ante_nb.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.errors import AnteError

__all__ = ["error_card", "next_step"]

_LIMIT = 2_000

_NEXT: Mapping[str, str] = {
    "interrupted": "The session goes on from here: ask on in a new cell, or run this one again.",
    "max_steps": "Ask to go on in a new cell, or run this one again with a larger --max-steps.",
    "failed": "Run the cell again; `%ante doctor` checks keys, network and settings.",
}
_HEADS: Mapping[str, tuple[str, str, str]] = {
    "interrupted": ("■", "Interrupted", WARN),
    "max_steps": ("■", "Stopped", WARN),
}


def next_step(error: AnteError, status: str) -> str:
    """The error's own hint, else what helps after an end of this kind."""
    return error.hint or _NEXT.get(status, _NEXT["failed"])


def error_card(turn: Any) -> tuple[str, str] | None:
    """``(html, plain)`` for a :class:`~ante_nb.agent.turn.Turn` that has not completed, else ``None``.

    The same stands in one line as the cell's error, which ends a run of all cells; this is what a person
    reads, also in a notebook that was saved with ``--keep-going``.
    """
    error = turn.error
    if error is None:
        return None
    mark, head, style = _HEADS.get(turn.status, ("✗", "Failed", BAD))
    message = visible(clip(redact(error.message), _LIMIT))
    advice = visible(clip(redact(next_step(error, turn.status)), _LIMIT))
    kept = "What stands above is kept." if any(step.text or step.tool_calls for step in turn.steps) else ""
    html = (
        f'<div class="{IGNORE_MATH}" style="{STOP}" role="alert" aria-label="Error">'
        f'<span style="{style}">{mark} <strong>{head}:</strong></span> {escape(message)}'
        f"<br><strong>Next:</strong> {escape(advice)}"
        + (f'<br><span style="{FAINT}">{kept}</span>' if kept else "")
        + "</div>\n"
    )
    plain = "\n".join(filter(None, (f"[{head}] {message}", f"  next: {advice}", f"  {kept}" if kept else "")))
    return clean(html), plain + "\n"
