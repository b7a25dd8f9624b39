"""``%ante mcp``: the MCP servers of this kernel, and their tools."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.errors import ConfigError
from ante_nb.notebook.printing import say, table

if TYPE_CHECKING:
    from ante_nb.agent.mcp.server import Server
    from ante_nb.notebook.state import KernelState

_EXAMPLE = '{"mcp_servers": {"files": {"command": "uvx", "args": ["mcp-server-filesystem", "."]}}}'


def mcp(state: KernelState, rest: str) -> None:
    """List the servers and their tools; ``restart [NAME]`` and ``stop [NAME]``.

    Raises:
        ConfigError: no such server or word.
    """
    from ante_nb import paths
    from ante_nb.agent.loop_thread import agent_loop
    from ante_nb.agent.mcp.server import HANDSHAKE

    configured = state.runtime.settings().values.mcp_servers
    action, _, name = rest.partition(" ")
    name = name.strip()
    if action not in ("", "restart", "stop") or (name and not action):
        raise ConfigError(f"%ante mcp: {rest!r} is not known", "Say `%ante mcp [restart|stop] [NAME]`.")
    if name and name not in configured:
        known = ", ".join(configured) or "none"
        raise ConfigError(f"there is no MCP server {name!r} in settings.json", f"Known: {known}.")
    if not configured:
        say(f"no MCP servers; they stand in {paths.display(paths.settings())}, like {_EXAMPLE}")
        return
    servers = state.runtime.mcp_servers()

    async def act() -> None:
        if action:
            await servers.stop([name] if name else None)
        if action != "stop":
            await servers.tools(configured, Path.cwd(), HANDSHAKE)

    asyncio.run_coroutine_threadsafe(act(), agent_loop()).result()
    table([(ident, _words(servers.running.get(ident))) for ident in configured])


def _words(server: Server | None) -> str:
    if server is None:
        return "stopped; the next turn starts it"
    if server.state != "ready":
        return f"{server.state}: {server.problem}" if server.problem else server.state
    wanted = server.settings.enabled_tools
    tools = [tool.name for tool in server.tools if wanted is None or tool.name in wanted]
    return f"{len(tools)} tool{'s' * (len(tools) != 1)}: {', '.join(tools)}" if tools else "no tools"
