"""The approval card: what a tool call would do, and the buttons."""

from __future__ import annotations

from typing import Any

from traitlets import Dict, List, Unicode

from ante_nb.widgets.asking_card import AskingCard


class ApprovalCard(AskingCard):
    """Sends ``{"kind": "answer", "answer": once | session | always | deny, "feedback": text}``.

    Traits hold plain text only; the script never makes HTML of it.
    """

    script = "approval_card.js"

    summary = Unicode("").tag(sync=True)
    reason = Unicode("").tag(sync=True)
    """Why the call is asked about."""
    grant = Unicode("").tag(sync=True)
    """The rule that "for this session" adds; without one there is only "once"."""
    blocks: List[dict[str, Any]] = List(Dict()).tag(sync=True)
    """What would run or change; ``kind`` is ``code``, ``diff``, ``stages`` or ``text``."""
