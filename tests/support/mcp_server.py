"""A real MCP server over stdio, by the official SDK. Arguments: ``slow`` (starts after a while), ``ends``
(ends at the first call of ``end``)."""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated, Literal

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

server = MCPServer("kitchen")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060"
    "0000000500017a5eab3f0000000049454e44ae426082"
)


class Step(BaseModel):
    what: str
    minutes: int = 5
    after: Step | None = None


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: Annotated[int, Field(description="the second number")] = 1) -> str:
    """Add two numbers."""
    return f"sum {a + b}"


@server.tool()
def cook(step: Step, style: Literal["fried", "boiled"] = "boiled") -> str:
    """Cook something, one step after the other."""
    return f"{style} {step.what} for {step.minutes}"


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def throw_away(name: str) -> str:
    """Throw something away."""
    return f"{name} is gone"


@server.tool()
def picture() -> Image:
    """A picture."""
    return Image(data=PNG, format="png")


@server.tool()
def fail() -> str:
    """Fails."""
    raise ToolError("the oven is cold")


@server.tool()
def wait(seconds: float) -> str:
    """Takes its time."""
    time.sleep(seconds)
    return "waited"


@server.tool()
def end() -> str:
    """Ends the server in mid-call."""
    os._exit(3)


@server.tool()
def environment() -> str:
    """What the server was started with."""
    return " ".join(f"{name}={value}" for name, value in os.environ.items())


if __name__ == "__main__":
    if "slow" in sys.argv:
        time.sleep(float(sys.argv[-1]))
    if "broken" in sys.argv:
        sys.exit("the kitchen is closed, key sk-proj-abcdefghijklmnopqrstuvwxyz0123456789")
    server.run("stdio")
