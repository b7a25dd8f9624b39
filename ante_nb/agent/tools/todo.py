"""TodoWrite: the agent's task list, shown to the person."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from pydantic import AliasChoices, BaseModel, Field, field_validator

from ante_nb.agent.tasks import Tasks, listing
from ante_nb.agent.tools.base import (
    DefaultDecision,
    Footprint,
    Tool,
    ToolArguments,
    ToolOutcome,
    text_outcome,
)

if TYPE_CHECKING:
    from ante_nb.agent.host import ToolContext


class Todo(ToolArguments):
    content: str = Field(min_length=1, description="The task, as an order: Run the tests")
    status: Literal["pending", "in_progress", "completed"] = Field("pending")
    active_form: str = Field(
        "",
        validation_alias=AliasChoices("active_form", "activeForm"),
        description="The task while it is done: Running the tests",
    )


class TodoArguments(ToolArguments):
    todos: list[Todo] = Field(description="The whole list; it replaces the old one.")

    @field_validator("todos", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        # Several open models send nested lists as a JSON string.
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value


class TodoWrite(Tool):
    """The task list of the session; each call replaces it."""

    name = "TodoWrite"
    description = (
        "Keep the task list of work that has several steps. Send the whole list each time; have at most "
        "one task in_progress, and mark a task completed as soon as it is."
    )
    Arguments: ClassVar[type[BaseModel]] = TodoArguments
    default: ClassVar[DefaultDecision] = "allow"

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        return Footprint(writes=frozenset({"todo"}))

    def summary(self, arguments: BaseModel) -> str:
        count = len(cast("TodoArguments", arguments).todos)
        return f"{self.name}: {count} task{'s' * (count != 1)}"

    def detail(self, arguments: BaseModel, ctx: ToolContext) -> str:
        return listing(as_tasks(cast("TodoArguments", arguments)))

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        todos = as_tasks(cast("TodoArguments", arguments))
        ctx.state.todos = todos
        done = sum(todo["status"] == "completed" for todo in todos)
        return text_outcome(
            f"The task list has {len(todos)} tasks, {done} completed.\n{listing(todos)}".rstrip(),
            display={"kind": "todo", "todos": todos},
            trusted=True,
            verbatim=True,
        )


def as_tasks(arguments: TodoArguments) -> Tasks:
    """The list as the session keeps it."""
    return [
        {"content": todo.content, "active_form": todo.active_form or todo.content, "status": todo.status}
        for todo in arguments.todos
    ]
