"""Sessions that were recorded: found, read back, gone on with, forked, rewound."""

from __future__ import annotations

from ante_nb.agent.sessions.listing import SessionInfo, find_session, list_sessions
from ante_nb.agent.sessions.reading import load_session
from ante_nb.agent.sessions.resuming import Resumed, resume

__all__ = ["Resumed", "SessionInfo", "find_session", "list_sessions", "load_session", "resume"]
