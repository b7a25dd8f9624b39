"""``@ante_nb.tool``: a typed Python function of the person's becomes a tool.

The function runs where the person's variables live, on their thread, like a cell: it may use anything of
the notebook, and an ``async`` one is awaited. Its arguments are checked against its annotations first.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, create_model

from ante_nb.agent.tools.base import DefaultDecision, Footprint, Tool, ToolOutcome
from ante_nb.errors import ConfigError, ToolError
from ante_nb.log import logger
from ante_nb.messages import Image, Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.host import ToolContext

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""What every vendor takes as a tool's name."""
REGISTERED: dict[str, FunctionTool] = {}
"""The person's tools, by name, in the order they were made."""


class FunctionTool(Tool):
    """A function as a tool.

    Args:
        function: what to call; plain or ``async``.
        name, description: default to the function's name and docstring.
        default: ``ask`` (before each call, in strict mode) or ``allow``.

    Raises:
        ConfigError: no name that vendors take, a name of a built-in tool, or parameters that cannot be
            described to a model.
    """

    Arguments: ClassVar[type[BaseModel]]

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        description: str | None,
        default: DefaultDecision,
    ) -> None:
        self.function = function
        chosen = str(name or getattr(function, "__name__", ""))
        if not _NAME.fullmatch(chosen):
            raise ConfigError(
                f"{chosen!r} cannot be the name of a tool",
                "Use letters, digits, _ and -, beginning with a letter: `@ante_nb.tool(name=...)`.",
            )
        self.name = chosen  # type: ignore[misc]
        doc = inspect.getdoc(function) or ""
        self.description = description or doc or f"The person's function {chosen}."  # type: ignore[misc]
        self.default = default  # type: ignore[misc]
        self.Arguments = _arguments_of(function, chosen)  # type: ignore[misc]

    def primary(self, arguments: BaseModel) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in _given(arguments).items())

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        return Footprint(writes=frozenset({"kernel", "file:"}))

    def carries_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        return True

    def without_data(self, arguments: BaseModel, outcome: ToolOutcome, policy: str) -> str:
        return outcome.described.get(policy) or super().without_data(arguments, outcome, policy)

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        from ante_nb.describe import describe

        given = _given(arguments)
        try:
            result = await ctx.host.call(lambda: self.function(**given))
        except Exception as error:
            # A result and no raise: what the message quotes is the data policy's affair, like any value.
            logger.info("the tool %s raised %s", self.name, type(error).__name__)
            kind = type(error).__name__
            words = str(error) if isinstance(error, ToolError) else f"{self.name} failed: {kind}: {error}"
            closed = f"{self.name} failed: {kind}"
            return ToolOutcome((Text(words),), is_error=True, described={"schema": closed, "stats": closed})
        parts = tuple(_parts(result))
        told = {policy: str(describe(result, policy)) for policy in ("schema", "stats")}
        return ToolOutcome(parts or (Text("(no result)"),), described=told)


def _given(arguments: BaseModel) -> dict[str, Any]:
    # Not model_dump(): nested models stay what the function's annotations say they are.
    return {name: getattr(arguments, name) for name in type(arguments).model_fields}


def _arguments_of(function: Callable[..., Any], name: str) -> type[BaseModel]:
    try:
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
    except (NameError, TypeError, ValueError) as error:
        raise ConfigError(f"the parameters of {name} cannot be read: {error}") from None
    fields: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigError(
                f"{name}: the parameter {parameter.name} cannot be given by name",
                "A tool's parameters are all plain or keyword-only.",
            )
        if parameter.name not in hints:
            raise ConfigError(
                f"{name}: the parameter {parameter.name} has no type",
                f"Annotate it, like `{parameter.name}: str`.",
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], Field(default))
    try:
        model: type[BaseModel] = create_model(
            f"{name}_arguments",
            __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False),
            **fields,
        )
        model.model_json_schema()
    except (PydanticUserError, TypeError, NameError) as error:
        line = str(error).splitlines()[0]
        raise ConfigError(
            f"{name}: a parameter's type cannot be described to a model: {line}",
            "Use str, int, float, bool, lists, dicts, Literal, dataclasses or pydantic models.",
        ) from None
    return model


def _parts(result: Any) -> list[Text | Image]:
    """What a function has returned, for a model: text as it is, images as such, the rest as JSON or repr."""
    import json

    if result is None:
        return []
    if isinstance(result, str):
        return [Text(result)]
    if isinstance(result, Image):
        return [result]
    if isinstance(result, BaseModel):
        return [Text(result.model_dump_json())]
    png = getattr(result, "_repr_png_", None)
    if callable(png):
        import base64

        data = png()
        data = data[0] if isinstance(data, tuple) else data
        if isinstance(data, bytes):
            return [Image(base64.b64encode(data).decode(), "image/png")]
    try:
        return [Text(json.dumps(result, ensure_ascii=False))]
    except (TypeError, ValueError):
        from ante_nb.describe import describe

        return [Text(str(describe(result, "full")))]


@overload
def tool(function: Callable[..., Any], /) -> Callable[..., Any]: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, allow: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    allow: bool = False,
) -> Any:
    """Offer a typed function to the model as a tool; a second one of the same name replaces the first.

    Args:
        function: plain or ``async``; its annotations are the schema of its arguments
            (``Annotated[int, Field(description=...)]`` describes one), its docstring tells the model what
            it is for.
        name, description: in place of the function's own.
        allow: call it without asking in strict mode.

    Returns:
        The function itself, unchanged.

    Raises:
        ConfigError: the name or a parameter cannot be offered; the message says which and why.
    """
    if function is None:
        return lambda real: _offer(real, name, description, allow)
    return _offer(function, name, description, allow)


def _offer(
    function: Callable[..., Any], name: str | None, description: str | None, allow: bool
) -> Callable[..., Any]:
    from ante_nb.agent.permissions.check import TOOLS

    made = FunctionTool(function, name, description, "allow" if allow else "ask")
    taken = next((known for known in TOOLS if known.lower() == made.name.lower()), None)
    if taken is not None:
        raise ConfigError(
            f"{made.name} is the name of a built-in tool", "Give it another: `@ante_nb.tool(name=...)`."
        )
    REGISTERED.pop(made.name, None)
    REGISTERED[made.name] = made
    return function


def remove(name: str) -> bool:
    """Take a tool back; ``False`` where there is none of that name."""
    return REGISTERED.pop(name, None) is not None


__all__ = ["REGISTERED", "FunctionTool", "ToolError", "remove", "tool"]
