"""The servers of a kernel: started at the first turn that may use them, ended with the kernel."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ante_nb.agent.mcp.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ante_nb.agent.tools.base import Tool
    from ante_nb.settings_schema import McpServer

WAIT = 10.0
"""Seconds that a turn waits for servers that are starting; their tools come with the next one then."""
RESTARTS = 3
"""How often a server that failed is started again by itself."""


@dataclass(slots=True)
class McpServers:
    """What runs, by the name in the settings."""

    running: dict[str, Server] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    _lock: asyncio.Lock | None = None

    async def tools(
        self, configured: Mapping[str, McpServer], cwd: Path, wait: float | None = None
    ) -> tuple[dict[str, Tool], tuple[str, ...]]:
        """The tools of the configured servers, by name, and what there is to tell (each line once).

        Servers that are not configured any more are ended, changed ones started anew; ``wait`` is how
        many seconds those that start are waited for. Call on the agent's loop.
        """
        from ante_nb.agent.mcp.tool import ServerTool

        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            await self._end(configured)
            for name, settings in configured.items():
                self._begin(name, settings, cwd)
            servers = list(self.running.values())
            waits = [asyncio.ensure_future(server.settled()) for server in servers]
            if waits:
                try:
                    await asyncio.wait(waits, timeout=WAIT if wait is None else wait)
                finally:
                    for waiting in waits:
                        waiting.cancel()
                await asyncio.gather(*(server.list_again() for server in servers))
        tools: dict[str, Tool] = {}
        for server in servers:
            wanted = server.settings.enabled_tools
            for tool in server.tools if server.state == "ready" else ():
                if wanted is None or tool.name in wanted:
                    made = ServerTool(server, tool)
                    tools.setdefault(made.name, made)
        news = [line for server in servers for line in self._news(server)]
        return tools, tuple(news)

    def _begin(self, name: str, settings: McpServer, cwd: Path) -> None:
        known = self.running.get(name)
        if known is not None and known.state in ("starting", "ready"):
            return
        if known is not None:
            self.failures[name] = self.failures.get(name, 0) + 1
            if self.failures[name] > RESTARTS:
                return
        server = self.running[name] = Server(name, settings, cwd)
        server.start()

    async def _end(self, configured: Mapping[str, McpServer]) -> None:
        gone = [name for name, server in self.running.items() if configured.get(name) != server.settings]
        for name in gone:
            self.failures.pop(name, None)
        await self.stop(gone)

    def _news(self, server: Server) -> list[str]:
        if server.state == "ready":
            self.told -= {line for line in self.told if line.startswith(f"{server.name} ")}
            return []
        line = (
            f"the MCP server {server.name} is still starting; its tools come with the next turn."
            if server.state == "starting"
            else f"the MCP server {server.name} does not run: {server.problem}. `%ante mcp restart` tries again."
        )
        key = f"{server.name} {line}"
        if key in self.told:
            return []
        self.told.add(key)
        return [line]

    async def stop(self, names: list[str] | None = None) -> list[str]:
        """End these servers (all without names); the next turn starts those that are configured.

        Returns:
            The names of those that were known here.
        """
        chosen = list(self.running) if names is None else [name for name in names if name in self.running]
        ended = [self.running.pop(name) for name in chosen]
        for name in chosen:
            self.failures.pop(name, None)
        await asyncio.gather(*(server.aclose() for server in ended))
        return chosen

    async def aclose(self) -> None:
        """End them all."""
        await self.stop()
