"""The agent's built-in tools, and the choice among tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.agent.host import Host
    from ante_nb.agent.tools.base import Tool


def builtin_tools(host: Host) -> dict[str, Tool]:
    """The tools that work in ``host``'s surroundings, by name, in the order the model sees them."""
    from ante_nb.agent.tools.ask_user import AskUser
    from ante_nb.agent.tools.bash import Bash
    from ante_nb.agent.tools.cells import Cells
    from ante_nb.agent.tools.edit import Edit
    from ante_nb.agent.tools.glob import Glob
    from ante_nb.agent.tools.grep import Grep
    from ante_nb.agent.tools.python import Python
    from ante_nb.agent.tools.read import Read
    from ante_nb.agent.tools.todo import TodoWrite
    from ante_nb.agent.tools.variables import Variables
    from ante_nb.agent.tools.write import Write

    tools: list[Tool] = [Read(), Write(), Edit(), Glob(), Grep(), Bash(), TodoWrite(), AskUser()]
    if host.has_python:
        tools += [Python(), Variables()]
    if host.has_cells:
        tools.append(Cells())
    return {tool.name: tool for tool in tools}


def select(tools: Mapping[str, Tool], choice: str | None) -> dict[str, Tool]:
    """The tools that ``choice`` names.

    Args:
        choice: ``None`` or ``all`` for all of them, ``none`` for none, else names and globs separated
            by commas or spaces (``Read,Grep,mcp__*``), in any case.

    Raises:
        ConfigError: a name that no tool has. A glob may match nothing: its server may be off.
    """
    import difflib
    import fnmatch
    import re

    from ante_nb.errors import ConfigError

    if choice is None or choice.strip().lower() == "all":
        return dict(tools)
    words = [word for word in re.split(r"[,\s]+", choice) if word]
    if [word.lower() for word in words] == ["none"]:
        return {}
    chosen: set[str] = set()
    by_lower = {name.lower(): name for name in tools}
    for word in words:
        found = [name for low, name in by_lower.items() if fnmatch.fnmatchcase(low, word.lower())]
        if not found and not any(char in word for char in "*?["):
            near = [by_lower[low] for low in difflib.get_close_matches(word.lower(), by_lower, n=3)]
            known = f"Did you mean {' or '.join(near)}?" if near else f"Known tools: {', '.join(tools)}."
            raise ConfigError(f"There is no tool {word!r}.", f"{known} `none` turns tools off.")
        chosen.update(found)
    if not words:
        raise ConfigError(
            "The choice of tools is empty.", "Name tools, e.g. `Read,Grep`, or `none` for no tools."
        )
    return {name: tool for name, tool in tools.items() if name in chosen}
