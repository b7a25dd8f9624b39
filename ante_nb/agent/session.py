"""A session: the tree of its turns, and the conversation that leads to a turn.

A cell that ran before and runs again starts where its old turn started; the old branch is kept. So
running all cells of a notebook twice in one kernel gives the same tree, and a changed cell does not
see its own earlier answer.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ante_nb.agent.journal import Journal, now
from ante_nb.ids import new_id
from ante_nb.messages import Message, Text, Thinking, ToolCall, ToolResult, Usage, with_parts

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.agent.tools.base import ToolState
    from ante_nb.agent.turn import Turn


@dataclass(slots=True)
class Node:
    """A turn's place in the tree. ``messages`` is what it adds to the conversation.

    Running the same prompt at the same place again is the same node: its newest run counts.
    """

    id: str
    parent: str | None
    cell: str
    prompt: str
    turn_id: str
    messages: tuple[Message, ...] = ()
    runs: int = 1


def node_id(
    parent: str | None,
    prompt: str,
    attachments: tuple[str, ...],
    provider: str,
    model: str,
    thinking: str | None,
) -> str:
    """The id of a turn in the tree: SHA-256 of where it starts, what it says and who is asked."""
    record = [parent, prompt, list(attachments), provider, model, thinking]
    data = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()


@dataclass(slots=True)
class Session:
    """One conversation with its branches.

    ``secret`` keys the envelopes around tool results, so that a conversation that is sent again has
    the same bytes.
    """

    id: str = field(default_factory=lambda: new_id("ses"))
    home: Path | None = None
    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    nodes: dict[str, Node] = field(default_factory=dict)
    by_cell: dict[str, str] = field(default_factory=dict)
    head: str | None = None
    prompts: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float = 0.0
    cost_known: bool = True
    turns: int = 0
    started: str = field(default_factory=now)
    first_prompt: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    """What the surroundings want kept in ``meta.json`` (notebook path, kernel id)."""
    told: set[str] = field(default_factory=set)
    """Warnings that the person has seen."""
    _journal: Journal | None = None
    _tool_state: ToolState | None = None

    @property
    def journal(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(self.id, self.home)
        return self._journal

    @property
    def tool_state(self) -> ToolState:
        """What the tools remember between the turns of this session."""
        if self._tool_state is None:
            from ante_nb import paths
            from ante_nb.agent.tools.base import ToolState

            self._tool_state = ToolState(
                session_id=self.id, session_secret=self.secret, home=self.home or paths.home()
            )
        return self._tool_state

    def parent_for(self, cell: str | None, *, append: bool = False) -> tuple[str | None, str]:
        """Where a prompt of ``cell`` starts: its parent node, and the key the cell is known by.

        Without a cell id (nbclient sends none) a prompt is the n-th of its kernel. ``append`` goes on
        from the last turn, whatever the cell said before.
        """
        self.prompts += 1
        key = cell or f"#{self.prompts}"
        known = self.by_cell.get(key)
        if append or known is None:
            return self.head, key
        parent = self.nodes[known].parent
        if parent is not None:
            # The cell above may have been changed and run again since: go on from what it says now,
            # unless that answer came after one of this cell (`--append` makes such orders).
            now = self.by_cell.get(self.nodes[parent].cell, parent)
            if all(entry.cell != key for entry in self._path(now)):
                parent = now
        return parent, key

    def conversation(self, node: str | None) -> list[Message]:
        """All messages from the root to and with ``node``."""
        return [message for entry in reversed(self._path(node)) for message in entry.messages]

    def _path(self, node: str | None) -> list[Node]:
        """``node`` and what it goes on from, up to the root."""
        path: list[Node] = []
        while node is not None:
            path.append(self.nodes[node])
            node = path[-1].parent
        return path

    def keep(self, node: Node, turn: Turn) -> None:
        """Put a turn that has ended into the tree, and make it the place to go on from.

        A turn that left nothing to build on (it failed before any answer) is not put there, so that a
        prompt that the vendor refuses cannot spoil the turns after it.
        """
        self.turns += 1
        if turn.usage is not None:
            self.usage += turn.usage
        if turn.cost is not None:
            self.cost += turn.cost
        elif turn.steps and turn.cost_note != "plan":
            self.cost_known = False
        if not node.messages:
            return
        old = self.nodes.get(node.id)
        if old is not None:
            node.runs = old.runs + 1
        self.nodes[node.id] = node
        self.by_cell[node.cell] = node.id
        self.head = node.id

    def write_meta(self) -> None:
        self.journal.write_meta(
            {
                "v": 1,
                "id": self.id,
                "started": self.started,
                "updated": now(),
                "first_user_message": self.first_prompt[:200],
                "turns": self.turns,
                "head": self.head,
                "secret": self.secret.hex(),
                "usage": self.usage.to_dict(),
                **self.meta,
            }
        )


def settled(messages: list[Message], *, finished: bool) -> tuple[Message, ...]:
    """The messages of a turn made fit to be sent again: every tool call answered, nothing half-said.

    Args:
        messages: the prompt and what followed.
        finished: whether the last assistant message is complete. If not, its unsigned thinking and its
            tool calls are dropped and its text is kept.
    """
    out = list(messages)
    if not finished and out and out[-1].role == "assistant":
        parts = tuple(
            part
            for part in out[-1].parts
            if (isinstance(part, Text) and part.text) or (isinstance(part, Thinking) and part.signature)
        )
        last = out.pop()
        if any(isinstance(part, Text) for part in parts):
            out.append(with_parts(last, parts))
    closed: list[Message] = []
    for message, after in zip(out, [*out[1:], None], strict=True):
        if message.role == "assistant" and not message.parts:
            continue
        closed.append(message)
        # By place, not by id alone: some servers use the same call ids in every step.
        answered = {result.call_id for result in after.tool_results} if after is not None else set()
        orphans = [call for call in message.tool_calls if call.id not in answered]
        if orphans:
            closed.append(Message("tool", tuple(interrupted_result(call) for call in orphans)))
    return tuple(closed)


def interrupted_result(call: ToolCall) -> ToolResult:
    """The answer to a call that was stopped or never started."""
    return ToolResult(call.id, (Text("Interrupted by the user before it finished."),), is_error=True)
