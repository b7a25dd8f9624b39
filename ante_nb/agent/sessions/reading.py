"""A session read back from its journal, however the process that wrote it ended."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.agent.journal import VERSION
from ante_nb.agent.session import Node, Session, settled
from ante_nb.errors import ConfigError
from ante_nb.log import logger
from ante_nb.messages import Message, Thinking, ToolResult, Usage, with_parts
from ante_nb.redact import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD = b'{"time":'
"""How every line begins."""
ID = re.compile(r"ses_[0-9A-Z]{26}")


def load_session(session_id: str, home: Path | None = None) -> Session:
    """The session as its journal has it. Nothing is written or locked.

    A turn whose process was killed is there as an interrupted one: what was finished of it is kept. A
    line that cannot be read is left out, and ``session.damage`` says so.

    Args:
        session_id: the whole id.
        home: the data directory; ``None`` for ``ANTE_HOME``.

    Raises:
        ConfigError: there is no such session, it cannot be read, or a later version wrote it.
    """
    directory = paths.sessions(home) / session_id
    if not ID.fullmatch(session_id):
        raise ConfigError(f"{session_id!r} is not a session id", "`%ante sessions all` lists them.")
    try:
        raw = (directory / "events.jsonl").read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"there is no session {session_id}", "`%ante sessions all` lists them.") from None
    except OSError as error:
        raise ConfigError(
            f"session {session_id} cannot be read: {error.strerror or error}",
            f"It is {paths.display(directory)}.",
        ) from None
    return _Reader(session_id, home).read(raw, read_meta(directory))


def read_meta(directory: Path, name: str = "meta.json") -> dict[str, Any]:
    """A small file of a session; empty where there is none, or none that can be read.

    Raises:
        ConfigError: a later version wrote it.
    """
    try:
        found = json.loads((directory / name).read_bytes().decode("utf-8", "surrogatepass"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    check_version(found.get("v"), directory.name)
    return found


def check_version(version: Any, session_id: str) -> None:
    """Raise ``ConfigError`` for a format that is not known here."""
    if isinstance(version, int) and version > VERSION:
        raise ConfigError(
            f"session {session_id} was written by a later version of ante_nb"
            f" (its format is {version}, this version reads up to {VERSION})",
            "Update with `pip install -U ante_nb`; nothing was changed.",
        )


class _Open:
    """A turn whose end has not been read yet."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.node = Node(
            record["node"],
            record.get("parent"),
            record.get("cell", ""),
            record.get("prompt", ""),
            record["turn"],
        )
        self.messages = [_message(item) for item in record["messages"]]
        self.steps = 0


class _Reader:
    def __init__(self, session_id: str, home: Path | None) -> None:
        self._session = Session(id=session_id, home=home)
        self._open: _Open | None = None
        self._damaged = 0

    def read(self, raw: bytes, meta: dict[str, Any]) -> Session:
        session = self._session
        for record in self._records(raw):
            handler = getattr(self, f"_on_{record.get('type')}", None)
            if handler is None:
                continue  # a kind of event that a later release added to this version
            try:
                handler(record)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                logger.warning("%s: a %s record is damaged: %r", session.id, record.get("type"), error)
                self._damaged += 1
        cut = self._open
        self._killed()
        self._take(meta)
        # Of the turn that was killed last, the other file knows nothing yet.
        session.steps += cut.steps if cut is not None else 0
        if self._damaged:
            many = self._damaged > 1
            session.damage.append(
                f"{self._damaged} line{'s' * many} of its record cannot be read and {'are' if many else 'is'} left out"
            )
        return session

    def _records(self, raw: bytes) -> Iterator[dict[str, Any]]:
        *lines, torn = raw.split(b"\n")
        for line in (*lines, torn):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8", "surrogatepass"))
            except ValueError:
                # Cut by a kill: the last line, or one that a later process closed. It is of the step that
                # ran then; what follows tells a cut from damage.
                if line is not torn:
                    self._torn(line)
                continue
            if isinstance(record, dict):
                yield record
            else:
                self._damaged += 1

    def _torn(self, line: bytes) -> None:
        if not (line.startswith(_HEAD) or _HEAD.startswith(line)) or line.endswith(b"}"):
            self._damaged += 1

    def _take(self, meta: dict[str, Any]) -> None:
        """What only ``meta.json`` has; it is as old as the last turn that ended."""
        session = self._session
        with contextlib.suppress(TypeError, ValueError):
            session.secret = bytes.fromhex(meta.get("secret", "")) or session.secret
        session.title = session.title or str(meta.get("title") or "")
        session.forked_from = session.forked_from or str(meta.get("forked_from") or "")
        if isinstance(meta.get("cost"), int | float):
            session.cost = float(meta["cost"])
        if isinstance(meta.get("steps"), int):
            session.steps = meta["steps"]
        if isinstance(meta.get("seconds"), int | float):
            session.seconds = float(meta["seconds"])
        session.cost_known = bool(meta.get("cost_known", True))
        names = ("notebook", "kernel", "cwd", "model")
        session.meta = {name: meta[name] for name in names if isinstance(meta.get(name), str)}

    # --------------------------------------------------------------------------------------- the records

    def _on_session(self, record: dict[str, Any]) -> None:
        check_version(record.get("v"), self._session.id)
        self._session.started = str(record.get("time") or self._session.started)

    def _on_forked(self, record: dict[str, Any]) -> None:
        self._session.forked_from = str(record.get("from") or "")

    def _on_node(self, record: dict[str, Any]) -> None:
        node = _sound(_node(record))
        self._session.nodes[node.id] = node
        self._session.turns += bool(node.cell)

    def _on_state(self, record: dict[str, Any]) -> None:
        session, nodes = self._session, self._session.nodes
        session.head = record["head"] if record["head"] in nodes else None
        session.by_cell = {cell: node for cell, node in record["cells"].items() if node in nodes}
        session.prompts = max(session.prompts, int(record.get("prompts", 0)))
        session.first_prompt = session.first_prompt or str(record.get("first_prompt", ""))

    def _on_turn_started(self, record: dict[str, Any]) -> None:
        self._killed()
        session = self._session
        session.cut_off = ""
        self._open = opened = _Open(record)
        session.first_prompt = session.first_prompt or opened.node.prompt
        if opened.node.cell.startswith("#") and opened.node.cell[1:].isdigit():
            # Where cells have no ids, the next prompt is a further one and no second run of the first.
            session.prompts = max(session.prompts, int(opened.node.cell[1:]))

    def _on_message(self, record: dict[str, Any]) -> None:
        if self._open is not None and record["turn"] == self._open.node.turn_id:
            self._open.messages.append(_message(record["message"]))
            self._open.steps += "step" in record
            if record.get("usage"):
                self._session.usage += Usage(**record["usage"])

    def _on_turn_ended(self, record: dict[str, Any]) -> None:
        opened = self._open
        if opened is None or record["turn"] != opened.node.turn_id:
            return
        self._open = None
        kept = record.get("kept")
        if kept is not None:
            opened.node.messages = tuple(_message(item) for item in kept)
        else:
            opened.node.messages = settled(opened.messages, finished=True)
        opened.node.replaces = bool(record.get("replaces"))
        opened.node.base = int(record.get("base") or 0)
        opened.node.tasks = _tasks(record.get("tasks"))
        self._session.turns += 1
        self._session.place(self._anchored(_sound(opened.node)))

    def _on_compacted(self, record: dict[str, Any]) -> None:
        node = self._anchored(_sound(_node(record)))
        node.replaces = True
        self._session.nodes[node.id] = node
        if node.cell:
            self._session.by_cell[node.cell] = node.id
        self._session.head = node.id

    def _on_summarised(self, record: dict[str, Any]) -> None:
        if record.get("usage"):
            self._session.usage += Usage(**record["usage"])

    def _on_summary(self, record: dict[str, Any]) -> None:
        node = self._session.nodes[record["node"]]
        node.messages = tuple(_message(item) for item in record["messages"])

    def _on_head(self, record: dict[str, Any]) -> None:
        self._killed()
        if record["node"] is None or record["node"] in self._session.nodes:
            self._session.go_to(record["node"])

    def _on_renamed(self, record: dict[str, Any]) -> None:
        self._session.title = str(record["title"])

    # ------------------------------------------------------------------------------------------- repairs

    def _killed(self) -> None:
        """The turn that is open was never ended: its process was. What it had finished is kept."""
        opened, self._open = self._open, None
        if opened is None:
            return
        self._session.turns += 1
        if not any(message.role == "assistant" for message in opened.messages):
            self._session.cut_off = opened.node.prompt
            return
        opened.node.messages = settled(opened.messages, finished=True)
        self._session.place(self._anchored(_sound(opened.node)))
        self._session.cut_off = opened.node.prompt

    def _anchored(self, node: Node) -> Node:
        """A node whose parent could not be read goes on from the beginning."""
        if node.parent is not None and node.parent not in self._session.nodes:
            self._damaged += 1
            node.parent = None
        return node


def _message(data: dict[str, Any]) -> Message:
    """A message of a record. Raises ``ValueError`` where a damaged byte has made it something else."""
    found = Message.from_dict(data)
    if found.role not in ("user", "assistant", "tool"):
        raise ValueError(f"unknown role {found.role!r}")
    return found


def _node(record: dict[str, Any]) -> Node:
    messages = tuple(_message(item) for item in record["messages"])
    return replace(Node.from_dict(record), messages=messages, tasks=_tasks(record.get("tasks")))


def _tasks(value: Any) -> list[dict[str, str]] | None:
    """A recorded task list; ``None`` where there is none, or a damaged one."""
    if not isinstance(value, list):
        return None
    names = ("content", "active_form", "status")
    sound = all(isinstance(task, dict) and all(isinstance(task.get(n), str) for n in names) for task in value)
    return value if sound else None


def _sound(node: Node) -> Node:
    """Without what a vendor would refuse: signed thinking that the redactor has changed, and results whose
    calls could not be read."""
    messages: list[Message] = []
    for message in node.messages:
        asked = {call.id for call in messages[-1].tool_calls} if messages else set()
        parts = tuple(
            part
            for part in message.parts
            if not (isinstance(part, Thinking) and part.signature and MASK in part.text)
            and not (isinstance(part, ToolResult) and part.call_id not in asked)
        )
        if parts or not message.parts:
            messages.append(message if len(parts) == len(message.parts) else with_parts(message, parts))
    return replace(node, messages=tuple(messages))
