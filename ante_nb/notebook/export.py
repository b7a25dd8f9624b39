"""A conversation as a file: HTML, Markdown or a notebook. Credentials do not get into it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.agent.compaction import summary_text
from ante_nb.agent.sessions.tree import turns_of
from ante_nb.envelope import unwrap
from ante_nb.errors import ConfigError
from ante_nb.messages import Image, Text, Thinking, ToolCall, ToolResult
from ante_nb.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.session import Node, Session
    from ante_nb.messages import Part

LONGEST = 20_000
"""Characters of a tool's result that are exported."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A turn as it is exported: what the person wrote, and what came of it in order."""

    number: int
    node: Node
    prompt: str
    parts: tuple[Part, ...]
    results: dict[int, ToolResult] = field(default_factory=dict)
    """By the place of the call in ``parts``."""

    @property
    def is_command(self) -> bool:
        """Whether it is no prompt but the summary that `%ante compact` asked for."""
        return self.node.replaces and self.prompt.startswith("%ante ")


def export_session(session: Session, path: Path, *, force: bool = False) -> int:
    """Write the present branch of ``session`` into ``path``, in the form that its suffix names.

    Returns:
        How many turns were written.

    Raises:
        ConfigError: an unknown suffix, no turn, a file that is there already (unless ``force``), or one that
            cannot be written.
    """
    write = _writer(path)
    exchanges = exchanges_of(session)
    if not exchanges:
        raise ConfigError("there is nothing to export: this branch has no turn", "Run a prompt first.")
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already", "Choose another name, or add --force to replace it.")
    data = write(session, exchanges).encode("utf-8", "replace")
    try:
        _replace(path, data)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror or error}", "Choose another place."
        ) from None
    return len(exchanges)


def _writer(path: Path) -> Callable[[Session, list[Exchange]], str]:
    suffix = path.suffix.lower()
    if suffix in (".html", ".htm"):
        from ante_nb.notebook.export_html import html_of

        return html_of
    if suffix in (".md", ".markdown"):
        from ante_nb.notebook.export_text import markdown_of

        return markdown_of
    if suffix == ".ipynb":
        from ante_nb.notebook.export_notebook import notebook_of

        return notebook_of
    raise ConfigError(
        f"%ante export: {path.suffix or path.name!r} is no kind of file it can write",
        "Use .html, .md or .ipynb.",
    )


def _replace(path: Path, data: bytes) -> None:
    """All of it or nothing, with the rights that a new file has."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def exchanges_of(session: Session) -> list[Exchange]:
    """The turns of the present branch, oldest first."""
    if session.head is None:
        return []
    return [_exchange(number, node) for number, node in enumerate(turns_of(session), 1)]


def _exchange(number: int, node: Node) -> Exchange:
    parts: list[Part] = []
    results: dict[int, ToolResult] = {}
    open_calls: dict[str, int] = {}
    opening = True
    for at, message in enumerate(node.messages):
        summary = summary_text(message)
        if at < node.base and summary is None:
            continue  # said in an earlier turn
        if message.role == "user":
            if summary is not None:
                parts += [Text("*A summary stands for the conversation so far:*"), Text(summary)]
                continue
            if not opening:  # said while the turn ran
                parts += [Text(f"> {line}") for text in [message.text] for line in text.splitlines()]
            continue
        opening = False
        for part in message.parts:
            if isinstance(part, ToolResult):
                place = open_calls.get(part.call_id)
                if place is not None:
                    results[place] = part
            elif isinstance(part, Text | Thinking | ToolCall | Image):
                if isinstance(part, ToolCall):
                    # Some servers use the same ids in every step: the last call of an id is meant.
                    open_calls[part.id] = len(parts)
                parts.append(part)
    return Exchange(number, node, redact(node.prompt), tuple(parts), results)


def result_text(result: ToolResult) -> str:
    """What a tool said, without its envelope and credentials, cut where it is very long."""
    text = redact(unwrap(result.text)).rstrip()
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n… ({len(text) - LONGEST:,} more characters)"


def title_of(session: Session) -> str:
    """What the file is called inside."""
    words = redact(" ".join((session.title or session.first_prompt or session.id).split()))
    return words if len(words) <= 80 else f"{words[:79]}…"


def origin_of(session: Session) -> str:
    """Where and when the conversation took place, in a line."""
    names = [session.id, f"begun {session.started[:10]}", session.meta.get("model", "")]
    return " · ".join(str(name) for name in names if name)
