"""What the panel shows beside the selector: the session's usage, its context, the running turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ante_nb._version import __version__
from ante_nb.errors import AnteError
from ante_nb.messages import Usage

if TYPE_CHECKING:
    from ante_nb.agent.turn import Turn
    from ante_nb.notebook.state import KernelState

_EXCERPT = 200


def session_state(state: KernelState) -> dict[str, Any]:
    """Session, usage and context, from memory and the catalog."""
    runtime = state.runtime
    session = runtime.session
    return {
        "version": __version__,
        "session": {"id": session.id, "turns": session.turns},
        "context": _context(state),
    }


def turn_state(state: KernelState) -> dict[str, Any]:
    """The running turn and what the session has used with it; cheap, for every second of a turn."""
    runtime = state.runtime
    session = runtime.session
    handle = runtime.running
    turn: Turn | None = getattr(handle, "turn", None)
    usage, cost, known = session.usage, session.cost, session.cost_known
    if turn is not None:
        # The session counts a turn once it has ended.
        for step in list(turn.steps):
            usage = usage + (step.usage or Usage())
    share = usage.cache_read / usage.input if usage.input else None
    words = f"${cost:.4f}" + ("" if known else " and what has no known price")
    last = runtime.last_turn
    if not cost and not known:
        words = "unknown"
    elif not cost and last is not None and last.cost_note == "plan":
        words = "plan"
    return {
        "usage": {
            "input": usage.input,
            "output": usage.output,
            "cache_read": usage.cache_read,
            "reasoning": usage.reasoning,
            "cache_share": share,
            "cost": words,
        },
        "running": None if turn is None else _running(turn, handle),
        "queued": list(getattr(runtime, "queued", ())),
        "can_steer": hasattr(runtime, "steer"),
    }


def _running(turn: Turn, handle: Any) -> dict[str, Any]:
    prompt = " ".join(turn.prompt.split())
    return {
        "id": turn.id,
        "prompt": prompt[:_EXCERPT] + ("…" if len(prompt) > _EXCERPT else ""),
        "seconds": max(0.0, time.monotonic() - handle.started_at),
        "steps": len(turn.steps),
        "stopping": handle.cancelled_at is not None,
    }


def _context(state: KernelState) -> dict[str, Any] | None:
    """The context by category; by what the last step took where nothing better is known."""
    runtime = state.runtime
    report = getattr(runtime, "context", None)
    if report is not None:
        try:
            found = report()
        except AnteError:
            return None
        rows = [{"name": row.name, "tokens": row.tokens} for row in found.rows if row.tokens]
        return {"limit": found.limit, "used": found.used, "rows": rows, "estimated": found.estimated}
    try:
        limit = runtime.choose().model.context_limit
    except AnteError:
        limit = None
    last = runtime.last_turn
    used = 0
    if last is not None and last.session_id == runtime.session.id and last.steps and last.steps[-1].usage:
        used = last.steps[-1].usage.input + last.steps[-1].usage.output
    rows = [{"name": "conversation", "tokens": used}] if used else []
    if limit:
        rows.append({"name": "free", "tokens": max(0, limit - used)})
    return {"limit": limit, "used": used, "rows": rows, "estimated": True}
