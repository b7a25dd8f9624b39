"""One server: started, asked for its tools, called, ended. All of it in one task of the agent's loop."""

from __future__ import annotations

import asyncio
import importlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ante_nb.errors import ToolError
from ante_nb.log import logger
from ante_nb.redact import redact, register

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from ante_nb.settings_schema import McpServer

HANDSHAKE = 60.0
"""Seconds that a server has to start and to name its tools."""
CALL = 600.0
"""Seconds that one call may take; ``ANTE_MCP_TOOL_TIMEOUT`` sets another number."""
_PAGES = 50
_SECRET = ("key", "token", "secret", "password", "auth")


@dataclass(slots=True)
class Server:
    """A configured server.

    ``state`` is ``starting``, ``ready``, ``failed`` or ``ended``; ``problem`` says why it does not run;
    ``tools`` are the SDK's ``Tool`` objects, as the server named them last.
    """

    name: str
    settings: McpServer
    cwd: Path
    state: str = "starting"
    problem: str = ""
    tools: list[Any] = field(default_factory=list)
    changed: bool = False
    """Whether the server says that its tools are others now."""
    _client: Any = None
    _lost: str = ""
    _task: asyncio.Task[None] | None = None
    _settled: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        """Start it; returns at once. Call on the agent's loop."""
        for name, value in self.settings.env.items():
            if any(word in name.lower() for word in _SECRET):
                register(value)
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"mcp {self.name}")

    async def settled(self) -> None:
        """Returns when it is known whether the server runs."""
        await self._settled.wait()

    async def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        """Call a tool; the SDK's ``CallToolResult``.

        Raises:
            ToolError: the server does not run, does not answer in time, or refuses.
        """
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        if self.state != "ready" or self._task is None:
            raise ToolError(f"the MCP server {self.name} does not run: {self.problem or self.state}")
        call = asyncio.ensure_future(self._client.call_tool(tool, arguments, read_timeout_seconds=timeout()))
        try:
            done, _ = await asyncio.wait({call, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if call in done:
                return call.result()
        except MCPError as error:
            if error.error.code == CONNECTION_CLOSED:
                self._lost = "it has ended by itself"
                self._closing.set()
            raise ToolError(f"{self.name}: {redact(str(error))}") from None
        except Exception as error:
            raise ToolError(f"{self.name}: {type(error).__name__}: {redact(str(error))}") from None
        finally:
            call.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await call
        raise ToolError(f"the MCP server {self.name} ended in mid-call: {self.problem}")

    async def list_again(self) -> None:
        """Ask for the tools anew, where the server said that they changed."""
        if self.state == "ready" and self.changed:
            self.changed = False
            try:
                async with asyncio.timeout(HANDSHAKE):
                    self.tools = await _all_tools(self._client)
            except Exception as error:
                logger.warning("the tools of the MCP server %s could not be read: %s", self.name, error)

    async def aclose(self) -> None:
        """End it; its process is gone when this returns."""
        self._closing.set()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task

    async def _live(self) -> None:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            try:
                await self._talk(said)
                self.state, self.problem = (
                    ("failed" if self._lost else "ended"),
                    self._lost or "it was stopped",
                )
            except asyncio.CancelledError:
                self.state, self.problem = "ended", "it was stopped"
                raise
            except BaseException as error:
                self.state = "failed"
                self.problem = _why(error, said, self.settings.command)
                logger.warning("the MCP server %s: %s", self.name, self.problem, exc_info=error)
            finally:
                self._client = None
                self._settled.set()

    async def _talk(self, said: IO[str]) -> None:
        # Seconds where the files are cold; meanwhile this loop has other work.
        await asyncio.to_thread(importlib.import_module, "mcp.client.client")
        from mcp import StdioServerParameters, stdio_client
        from mcp.client.client import Client

        # Of the kernel's environment the SDK hands on what a program needs (HOME, PATH ...), and no keys.
        parameters = StdioServerParameters(
            command=self.settings.command, args=self.settings.args, env=self.settings.env, cwd=self.cwd
        )
        transport = stdio_client(parameters, errlog=said)  # type: ignore[arg-type]

        async def heard(message: Any) -> None:
            if type(message).__name__ == "ToolListChangedNotification":
                self.changed = True

        client = Client(transport, message_handler=heard, cache=None)
        async with asyncio.timeout(HANDSHAKE) as limit, client:
            self.tools = await _all_tools(client)
            limit.reschedule(None)
            self._client, self.state = client, "ready"
            self._settled.set()
            await self._closing.wait()


async def _all_tools(client: Any) -> list[Any]:
    tools: list[Any] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if not cursor:
            break
    return tools


def timeout() -> float:
    """Seconds that a call may take."""
    try:
        return max(1.0, float(os.environ.get("ANTE_MCP_TOOL_TIMEOUT", "") or CALL))
    except ValueError:
        return CALL


def _why(error: BaseException, said: IO[str], command: str) -> str:
    """One line for the person: the reason, and the last line that the server wrote to stderr."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, FileNotFoundError):
        return f"there is no program {command!r}"
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("mcp"):
        return "it needs the MCP client: pip install 'ante_nb[mcp]'"
    reason = (
        f"it did not answer within {HANDSHAKE:.0f} s"
        if isinstance(error, TimeoutError)
        else f"{type(error).__name__}: {error}".rstrip(": ")
    )
    said.seek(0)
    lines = [line.strip() for line in said.read().splitlines() if line.strip()]
    return redact(f"{reason} ({lines[-1][:300]})" if lines else reason)
