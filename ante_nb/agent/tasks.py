"""The agent's task list at a place of the session's tree: what TodoWrite has written on the way there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ante_nb.agent.session import Session
    from ante_nb.messages import Message

Tasks = list[dict[str, str]]
"""Dicts with ``content``, ``active_form`` and ``status`` (``pending``, ``in_progress``, ``completed``)."""

_MARKS = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]"}
_HEADING = "The task list (TodoWrite):"


def tasks_at(session: Session, node: str | None) -> Tasks:
    """The task list of the turns that lead to ``node``; empty where there is none."""
    for entry in reversed(session.path(node)) if node is not None else ():
        # A turn that was compacted has lost the call, and says itself what the list was.
        found = entry.tasks if entry.tasks is not None else tasks_in(entry.messages)
        if found is not None:
            return [dict(task) for task in found]
    return []


def tasks_in(messages: Sequence[Message]) -> Tasks | None:
    """The list of the last TodoWrite call that was carried out; ``None`` where there is none."""
    done: set[str] = set()
    for message in reversed(messages):
        if message.role == "tool":
            done = {result.call_id for result in message.tool_results if not result.is_error}
            continue
        for call in reversed(message.tool_calls):
            if call.name == "TodoWrite" and call.id in done:
                tasks = _tasks(call.arguments)
                if tasks is not None:
                    return tasks
    return None


def _tasks(arguments: Any) -> Tasks | None:
    from pydantic import ValidationError

    from ante_nb.agent.tools.todo import TodoArguments, as_tasks

    try:
        return as_tasks(TodoArguments.model_validate(arguments))
    except ValidationError as error:
        logger.warning("a recorded task list cannot be read: %s", error)
        return None


def listing(tasks: Tasks) -> str:
    """The list as lines."""
    return "\n".join(f"{_MARKS.get(task['status'], '[ ]')} {task['content']}" for task in tasks)


def with_tasks(summary: str, tasks: Tasks) -> str:
    """A summary that ends with the task list as it stands; what is done needs no list."""
    if all(task["status"] == "completed" for task in tasks):
        return summary
    return f"{summary.rstrip()}\n\n{_HEADING}\n{listing(tasks)}"


def tasks_words(tasks: Tasks) -> str:
    """How far the list is, in a line; nothing where there is none, or where all of it is done."""
    left = [task for task in tasks if task["status"] != "completed"]
    if not left:
        return ""
    now = next((task for task in left if task["status"] == "in_progress"), left[0])
    words = " ".join(now["content"].split())
    return (
        f"its task list: {len(tasks) - len(left)} of {len(tasks)} done, "
        f"{'now' if now['status'] == 'in_progress' else 'next'}: {words if len(words) <= 60 else words[:59] + '…'}"
    )
