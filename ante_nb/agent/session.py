"""A session: the tree of its turns, and the conversation that leads to a turn.

A cell that ran before and runs again starts where its old turn started; the old branch is kept. So
running all cells of a notebook twice in one kernel gives the same tree, and a changed cell does not
see its own earlier answer.

What happens to a session is in its journal; :mod:`ante_nb.agent.sessions` reads it back.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ante_nb.agent.journal import VERSION, Journal, now
from ante_nb.ids import new_id
from ante_nb.messages import Message, Text, Thinking, ToolCall, ToolResult, Usage, with_parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ante_nb.agent.tools.base import ToolState
    from ante_nb.agent.turn import Turn


@dataclass(slots=True)
class Node:
    """A turn's place in the tree. ``messages`` is what it adds to the conversation.

    Running the same prompt at the same place again is the same node: its newest run counts.
    ``replaces``: the conversation begins with this node's messages; they stand for all before it (a
    summary).
    """

    id: str
    parent: str | None
    cell: str
    prompt: str
    turn_id: str
    messages: tuple[Message, ...] = ()
    runs: int = 1
    replaces: bool = False
    base: int = 0
    """With ``replaces``: how many of the messages stand for what was before the turn's own prompt."""
    tasks: list[dict[str, str]] | None = None
    """The task list that the turn left, where its messages may not say so."""

    def to_dict(self) -> dict[str, Any]:
        """The node as plain JSON values."""
        return {
            "node": self.id,
            "parent": self.parent,
            "cell": self.cell,
            "prompt": self.prompt,
            "turn": self.turn_id,
            "messages": [message.to_dict() for message in self.messages],
            "runs": self.runs,
            "replaces": self.replaces,
            "base": self.base,
            "tasks": self.tasks,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Node:
        """The inverse of :meth:`to_dict`."""
        return cls(
            id=data["node"],
            parent=data.get("parent"),
            cell=data.get("cell", ""),
            prompt=data.get("prompt", ""),
            turn_id=data.get("turn", ""),
            messages=tuple(Message.from_dict(item) for item in data.get("messages", ())),
            runs=data.get("runs", 1),
            replaces=bool(data.get("replaces")),
            base=data.get("base", 0),
            tasks=data.get("tasks"),
        )


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
    title: str = ""
    """What the person calls it."""
    forked_from: str = ""
    """The session that this one was made from."""
    nodes: dict[str, Node] = field(default_factory=dict)
    by_cell: dict[str, str] = field(default_factory=dict)
    head: str | None = None
    prompts: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float = 0.0
    cost_known: bool = True
    turns: int = 0
    steps: int = 0
    seconds: float = 0.0
    """Of all turns, the time in which they waited for the person included."""
    started: str = field(default_factory=now)
    first_prompt: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    """What the surroundings want kept in ``meta.json`` (``notebook``, ``kernel``, ``cwd``)."""
    beside: dict[str, Any] = field(default_factory=dict)
    """The same for ``kernel.json``: the variables of the kernel, which may be many."""
    told: set[str] = field(default_factory=set)
    """Warnings that the person has seen."""
    news: list[str] = field(default_factory=list)
    """What the person is told of it with its next turn."""
    damage: list[str] = field(default_factory=list)
    """What could not be read back of its record."""
    cut_off: str = ""
    """The prompt of the turn that was running when the last process ended, where one was."""
    _journal: Journal | None = None
    _tool_state: ToolState | None = None

    @property
    def journal(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(self.id, self.home, self._so_far, self.write_meta)
        return self._journal

    @property
    def has_journal(self) -> bool:
        """Whether its record was touched."""
        return self._journal is not None

    def tell_record(self, tell: Callable[[str], None]) -> None:
        """Have ``tell`` called, once for each line, when the record breaks off or goes on."""

        def told(text: str) -> None:
            if text not in self.told:
                self.told.add(text)
                tell(text)

        self.journal.tell = told

    def _so_far(self) -> list[tuple[str, dict[str, Any]]]:
        """The records of what is here already, for a new file."""
        if not self.nodes:
            return []
        records = [("node", node.to_dict()) for node in self.nodes.values()]
        cells = dict(self.by_cell)
        state = {
            "head": self.head,
            "cells": cells,
            "prompts": self.prompts,
            "first_prompt": self.first_prompt,
        }
        return [("forked", {"from": self.forked_from}), *records, ("state", state)]

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
        """All messages from the root, or from the last summary, to and with ``node``."""
        path = self._path(node)
        start = next((number for number, entry in enumerate(path) if entry.replaces), len(path))
        return [message for entry in reversed(path[: start + 1]) for message in entry.messages]

    def path(self, node: str | None = None) -> list[Node]:
        """The turns from the root to ``node``; without it, to where the next turn goes on."""
        return self._path(node if node is not None else self.head)[::-1]

    def _path(self, node: str | None) -> list[Node]:
        """``node`` and what it goes on from, up to the root."""
        path: list[Node] = []
        while node is not None:
            path.append(self.nodes[node])
            node = path[-1].parent
        return path

    def leaves(self) -> list[Node]:
        """The ends of the branches, in the order in which they were begun."""
        parents = {node.parent for node in self.nodes.values()}
        return [node for node in self.nodes.values() if node.id not in parents]

    def move(self, node: str | None) -> None:
        """Go on from ``node`` (``None``: from the beginning). Nothing is lost: what came after is a branch.

        Cells on the way to ``node`` are known by it; cells whose turn is on no way to it are as if they
        had not run, so that they go on from here.
        """
        self.go_to(node)
        self.journal.append("head", node=node)
        self.write_meta()

    def go_to(self, node: str | None) -> None:
        """The same, without a record."""
        self.head = node
        kept = self._path(node)[::-1]
        self.by_cell = {entry.cell: entry.id for entry in kept if entry.cell}

    def rename(self, title: str) -> None:
        """Give the session a name of the person's own."""
        self.title = title
        self.journal.append("renamed", title=title)
        self.write_meta()

    def compact(self, node: Node) -> None:
        """Put a summary into the tree: a node that ``replaces`` what it goes on from, and is gone on from."""
        node.replaces = True
        self.nodes[node.id] = node
        if node.cell:
            self.by_cell[node.cell] = node.id
        self.head = node.id
        self.journal.append("compacted", **node.to_dict())

    def fork(self, node: str | None = None) -> Session:
        """A new session that begins with what this one holds; the old one stays as it is.

        Args:
            node: up to where; without it everything, with all branches.
        """
        kept = self.nodes if node is None else {entry.id: entry for entry in self.path(node)}
        new = Session(
            home=self.home,
            # Results of tools stand in envelopes that it signs; they stay the same bytes.
            secret=self.secret,
            forked_from=self.id,
            nodes={key: replace(entry) for key, entry in kept.items()},
            by_cell={cell: key for cell, key in self.by_cell.items() if key in kept},
            head=self.head,
            prompts=self.prompts,
            turns=sum(bool(entry.cell) for entry in kept.values()),
            first_prompt=self.first_prompt,
            title=self.title,
            meta=dict(self.meta),
        )
        if node is not None:
            new.go_to(node)
        return new

    def keep(self, node: Node, turn: Turn) -> None:
        """Put a turn that has ended into the tree, and make it the place to go on from.

        A turn that left nothing to build on (it failed before any answer) is not put there, so that a
        prompt that the vendor refuses cannot spoil the turns after it.
        """
        self.turns += 1
        self.steps += len(turn.steps)
        self.seconds += turn.seconds
        if turn.usage is not None:
            self.usage += turn.usage
        if turn.cost is not None:
            self.cost += turn.cost
        elif turn.steps and turn.cost_note != "plan":
            self.cost_known = False
        self.meta["model"] = f"{turn.provider}/{turn.model}"
        self.place(node)

    def place(self, node: Node) -> None:
        """Put a node into the tree, as the place to go on from; one that says nothing is left out."""
        if not node.messages:
            return
        old = self.nodes.get(node.id)
        if old is not None:
            node.runs = old.runs + 1
        self.nodes[node.id] = node
        if node.cell:
            self.by_cell[node.cell] = node.id
        self.head = node.id

    def write_meta(self) -> None:
        """Write ``meta.json``: what a list of sessions shows, and what the journal does not hold."""
        self.journal.write_meta(
            {
                **self.meta,
                "v": VERSION,
                "id": self.id,
                "title": self.title,
                "started": self.started,
                "updated": now(),
                "first_user_message": self.first_prompt[:200],
                "turns": self.turns,
                "steps": self.steps,
                "seconds": round(self.seconds, 3),
                "head": self.head,
                "forked_from": self.forked_from,
                "secret": self.secret.hex(),
                "usage": self.usage.to_dict(),
                "cost": self.cost,
                "cost_known": self.cost_known,
            }
        )

    def write_beside(self) -> None:
        """Write ``kernel.json``, where the session has a record at all."""
        if self.journal.is_open:
            self.journal.write_meta({"v": VERSION, **self.beside}, "kernel.json")


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
