"""What the panel shows beside the selector: the session's usage, its context, the running turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ante_nb._version import __version__
from ante_nb.messages import Usage

if TYPE_CHECKING:
    from ante_nb.agent.turn import Turn
    from ante_nb.notebook.state import KernelState

_EXCERPT = 200


def session_state(state: KernelState) -> dict[str, Any]:
    """Session and context, from memory and the catalog."""
    session = state.runtime.session
    return {
        "version": __version__,
        "session": {"id": session.id, "turns": session.turns},
        **context_state(state),
    }


def context_state(state: KernelState) -> dict[str, Any]:
    """What takes the model's context, by category. Reads the settings; for a worker thread."""
    found = state.runtime.context()
    rows = [{"name": row.name, "tokens": row.tokens} for row in found.rows if row.tokens]
    whole = {"limit": found.limit, "used": found.used, "rows": rows, "estimated": found.estimated}
    return {"context": whole}


def turn_state(state: KernelState) -> dict[str, Any]:
    """The running turn and what the session has used with it; cheap, for every second of a turn."""
    runtime = state.runtime
    session = runtime.session
    handle = runtime.running
    turn: Turn | None = getattr(handle, "turn", None)
    usage, cost, known, note = session.usage, session.cost, session.cost_known, None
    if turn is not None and not handle.done.is_set():
        # The session counts a turn once it has ended.
        usage += turn.usage or Usage()
        cost += turn.cost or 0.0
        known = known and turn.cost_note != "unknown"
        note = turn.cost_note
    elif runtime.last_turn is not None and runtime.last_turn.session_id == session.id:
        note = runtime.last_turn.cost_note
    words = f"${cost:.4f}" + ("" if known else " and what has no known price")
    if not cost and not known:
        words = "unknown"
    elif not cost and note == "plan":
        words = "plan"
    share = usage.cache_read / usage.input if usage.input else None
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
        "queued": list(runtime.queued),
    }


def _running(turn: Turn, handle: Any) -> dict[str, Any]:
    prompt = " ".join(turn.prompt.split())
    steps = list(turn.steps)
    # A step is a model call and its tool calls: it lasts until each of them has its result.
    unfinished = bool(steps) and any(call.result is None for call in steps[-1].tool_calls)
    return {
        "id": turn.id,
        "prompt": prompt[:_EXCERPT] + ("…" if len(prompt) > _EXCERPT else ""),
        "seconds": max(0.0, time.monotonic() - handle.started_at),
        "step": len(steps) + (not unfinished),
        "stopping": handle.cancelled_at is not None,
    }
