"""AskUser: the model asks the person, and the turn waits for the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import BaseModel, Field, field_validator

from ante_nb.agent.host import Question
from ante_nb.agent.tools.base import (
    DefaultDecision,
    Footprint,
    Tool,
    ToolArguments,
    ToolOutcome,
    text_outcome,
)
from ante_nb.redact import redact

if TYPE_CHECKING:
    from ante_nb.agent.host import ToolContext

NOBODY = (
    "Nobody is there to answer. Go on with the most sensible assumption and say which one you made, "
    "or end with the question."
)


class AskedQuestion(ToolArguments):
    question: str = Field(min_length=1, max_length=2_000, description="One question, complete in itself")
    header: str = Field("", max_length=80, description="What it is about, in one or two words")
    options: list[str] = Field(
        default_factory=list, max_length=12, description="What can be chosen; empty asks for free text"
    )
    multiple: bool = Field(False, description="Whether several options may be chosen")
    custom: bool = Field(True, description="Whether an answer beside the options is welcome")

    @field_validator("options", mode="before")
    @classmethod
    def _labels(cls, value: Any) -> Any:
        # Models know this tool from elsewhere with options as objects that have a label.
        if isinstance(value, list):
            return [item.get("label", item) if isinstance(item, dict) else item for item in value]
        return value


class AskUserArguments(ToolArguments):
    questions: list[AskedQuestion] = Field(min_length=1, max_length=4)

    @field_validator("questions", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        # Several open models send nested lists as a JSON string.
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value


class AskUser(Tool):
    """Up to four questions at once; where nobody is there, the model is told so."""

    name = "AskUser"
    description = (
        "Ask the person one to four questions and wait for the answers. Only for what you cannot find out "
        "yourself and what would change the work; offer options where there are any."
    )
    Arguments: ClassVar[type[BaseModel]] = AskUserArguments
    default: ClassVar[DefaultDecision] = "allow"

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        return Footprint(writes=frozenset({"person"}))

    def primary(self, arguments: BaseModel) -> str:
        return " ".join(item.question for item in cast("AskUserArguments", arguments).questions)

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        asked = cast("AskUserArguments", arguments).questions
        questions = tuple(
            Question(
                redact(item.header),
                redact(item.question),
                tuple(redact(option) for option in item.options),
                item.multiple,
                item.custom,
            )
            for item in asked
        )
        answers = await ctx.host.ask_user(questions)
        if answers is None:
            return text_outcome(NOBODY, trusted=True, verbatim=True)
        lines = [
            f"{question.question}\n-> {', '.join(answer) or '(not answered)'}"
            for question, answer in zip(questions, answers, strict=True)
        ]
        return text_outcome("\n".join(lines), trusted=True, verbatim=True)
