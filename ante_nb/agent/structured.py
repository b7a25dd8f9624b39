"""``schema=``: the turn ends with a value instead of prose.

The model gets one more tool, ``Answer``, whose arguments are the schema. Its call ends the turn; one
that does not fit is refused with the reason, so that the model can correct it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from ante_nb.agent.tools.base import Tool, ToolArguments, ToolOutcome, text_outcome
from ante_nb.errors import ConfigError, ToolError
from ante_nb.providers.spec import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from ante_nb.agent.host import ToolContext

NAME = "Answer"
_MISSING = object()


class _Given(ToolArguments):
    given: dict[str, Any]


class AnswerTool(Tool):
    """The tool that ends a turn with a value.

    Args:
        schema: a pydantic model, dataclass, ``TypedDict`` or other type, or a JSON schema (``dict``).

    Raises:
        ConfigError: no schema can be made of it.
    """

    name = NAME
    description = "Give the final answer. Call it exactly once, when everything is done."
    Arguments = _Given
    default = "allow"

    def __init__(self, schema: Any) -> None:
        self.value: Any = _MISSING
        self._schema, self._validate = _json_schema(schema) if isinstance(schema, dict) else _of_type(schema)
        reference = self._schema.get("$ref", "")
        if reference.startswith("#/$defs/"):
            # A recursive type: vendors want to see at the top that it is an object.
            definitions = self._schema.get("$defs", {})
            self._schema = {**definitions.get(reference.removeprefix("#/$defs/"), {}), "$defs": definitions}
        # A tool's arguments are an object; anything else travels inside of one.
        self._wrapped = self._schema.get("type") != "object"
        if self._wrapped:
            definitions = self._schema.pop("$defs", None)
            self._schema = {"type": "object", "properties": {"value": self._schema}, "required": ["value"]}
            if definitions:
                self._schema["$defs"] = definitions

    @property
    def answered(self) -> bool:
        return self.value is not _MISSING

    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, self.description, self._schema)

    def parse(self, arguments: dict[str, Any]) -> BaseModel:
        return _Given(given=arguments)

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        assert isinstance(arguments, _Given)
        given = arguments.given
        try:
            self.value = self._validate(given["value"] if self._wrapped else given)
        except KeyError:
            raise ToolError("Answer: the argument `value` is missing.", "Call Answer again.") from None
        except ValueError as error:
            raise ToolError(
                f"Answer does not fit: {_reason(error)}", "Correct it and call Answer again."
            ) from None
        return text_outcome("Accepted.", trusted=True)


def _reason(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        lines = [
            f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}"
            for item in error.errors(include_url=False)
        ]
        return "; ".join(lines[:8])
    return str(error).splitlines()[0]


def _of_type(schema: Any) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(schema)
        # What is to be checked came as JSON: a date is a string there, a tuple a list.
        return adapter.json_schema(), lambda value: adapter.validate_json(json.dumps(value))
    except (PydanticSchemaGenerationError, TypeError, ValueError) as error:
        raise ConfigError(
            f"schema= cannot be made of {schema!r}: {str(error).splitlines()[0]}",
            "Pass a pydantic model, a dataclass, a TypedDict, a type like list[str], or a JSON schema.",
        ) from error


def _json_schema(schema: dict[str, Any]) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    try:
        import jsonschema
    except ImportError:
        raise ConfigError(
            "a JSON schema needs the package jsonschema",
            "Type `%pip install jsonschema`, or pass a pydantic model.",
        ) from None
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ConfigError(f"schema= is no valid JSON schema: {error.message}") from error
    validator = jsonschema.Draft202012Validator(schema)

    def validate(value: Any) -> Any:
        try:
            validator.validate(value)
        except jsonschema.ValidationError as error:
            raise ValueError(f"{error.json_path}: {error.message}") from None
        return value

    return dict(schema), validate
