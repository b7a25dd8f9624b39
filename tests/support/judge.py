"""A working directory with some files, and the permissions' decisions about calls in it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ante_nb.agent.host import ToolContext
from ante_nb.agent.permissions.bindings import kinds
from ante_nb.agent.tools import builtin_tools
from ante_nb.agent.tools.base import ToolState
from ante_nb.messages import ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ante_nb.agent.permissions import Decision, Permissions

_ARGUMENT = {
    "Bash": "command",
    "Python": "code",
    "Read": "file_path",
    "Glob": "pattern",
}


class Desk:
    """Decides on calls in ``cwd``, as a turn in a kernel would."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.host: Any = SimpleNamespace(
            cwd=cwd, env=dict(os.environ), notebook_path=None, has_python=True, has_cells=False
        )
        self.tools = builtin_tools(self.host)

    def decide(
        self,
        permissions: Permissions,
        tool: str,
        arguments: dict[str, Any],
        space: Mapping[str, Any] | None = None,
    ) -> Decision:
        """``space`` is the person's namespace, where Python is judged."""
        context = ToolContext(self.host, ToolCall("c", tool, arguments), ToolState())
        if space is not None:
            context.bindings = kinds(space, space)
        chosen = self.tools[tool]
        return permissions.decide(chosen, chosen.parse(arguments), context)


def judged(
    desk: Desk, permissions: Permissions, tool: str, words: str, space: Mapping[str, Any] | None = None
) -> Decision:
    """The decision about a call with one argument, or about a Write or Edit of a file."""
    if tool == "Write":
        arguments: dict[str, Any] = {"file_path": words, "content": "x"}
    elif tool == "Edit":
        arguments = {"file_path": words, "old_string": "a", "new_string": "b"}
    elif tool == "Grep":
        arguments = {"pattern": ".", "path": words}
    else:
        arguments = {_ARGUMENT[tool]: words}
    return desk.decide(permissions, tool, arguments, space)
