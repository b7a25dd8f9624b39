"""A tool of an MCP server, as the agent's loop sees tools: ``mcp__SERVER__TOOL``."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ante_nb.agent.tools.base import DefaultDecision, Tool, ToolOutcome
from ante_nb.agent.tools.schema import portable
from ante_nb.errors import ToolError
from ante_nb.messages import Image, Text
from ante_nb.providers.spec import ToolSpec

if TYPE_CHECKING:
    from ante_nb.agent.host import ToolContext
    from ante_nb.agent.mcp.server import Server

_LONGEST = 64
"""Characters of a tool's name that every vendor takes."""
_DESCRIPTION = 4_000


class Given(BaseModel):
    """The arguments of a call, as the model gave them; the server's schema has judged them."""

    model_config = ConfigDict(frozen=True)
    values: dict[str, Any]


class ServerTool(Tool):
    """One tool of a server.

    Args:
        server: who runs it.
        tool: the SDK's ``Tool``.
    """

    Arguments = Given
    default: DefaultDecision = "ask"  # type: ignore[misc]

    def __init__(self, server: Server, tool: Any) -> None:
        self._server = server
        self._tool = tool
        self.name = tool_name(server.name, tool.name)  # type: ignore[misc]
        self.description = (tool.description or tool.title or tool.name)[:_DESCRIPTION]  # type: ignore[misc]
        self._schema = portable(tool.input_schema)

    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, self.description, self._schema)

    def parse(self, arguments: dict[str, Any]) -> BaseModel:
        from jsonschema import ValidationError
        from jsonschema.validators import validator_for

        schema = self._tool.input_schema
        try:
            validator_for(schema)(schema).validate(arguments)
        except ValidationError as error:
            where = ".".join(str(step) for step in error.absolute_path) or "arguments"
            raise ToolError(f"{self.name}: {where}: {error.message[:300]}") from None
        except Exception:  # a schema that is none, or that points elsewhere: the server judges
            pass
        return Given(values=arguments)

    def primary(self, arguments: BaseModel) -> str:
        assert isinstance(arguments, Given)
        return json.dumps(arguments.values, ensure_ascii=False) if arguments.values else ""

    def grant(self, arguments: BaseModel) -> str | None:
        return self.name

    def doubt(self, arguments: BaseModel, ctx: ToolContext) -> str:
        hints = self._tool.annotations
        if hints is not None and hints.destructive_hint and not hints.read_only_hint:
            return "its server calls it destructive"
        return ""

    def carries_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        return True

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        assert isinstance(arguments, Given)
        result = await self._server.call(self._tool.name, arguments.values)
        parts = tuple(part for item in result.content for part in _part(item))
        if not parts and result.structured_content is not None:
            parts = (Text(json.dumps(result.structured_content, ensure_ascii=False)),)
        return ToolOutcome(parts or (Text("(no result)"),), is_error=bool(result.is_error))


def tool_name(server: str, tool: str) -> str:
    """``mcp__SERVER__TOOL`` in letters that every vendor takes, cut with a digest where it is too long."""
    name = "__".join(("mcp", _plain(server), _plain(tool)))
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name) or "_"


def _part(item: Any) -> list[Text | Image]:
    match item.type:
        case "text":
            return [Text(item.text)]
        case "image":
            return [Image(item.data, item.mime_type)]
        case "resource":
            text = getattr(item.resource, "text", None)
            return [Text(text if text is not None else f"[binary resource {item.resource.uri}]")]
        case "resource_link":
            return [Text(f"[resource {item.name}: {item.uri}]")]
        case kind:
            return [Text(f"[{kind}, which no model here can read]")]
