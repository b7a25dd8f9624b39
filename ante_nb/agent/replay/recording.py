"""The file of one recorded turn: ``<folder>/<node>.json``, plain JSON, redacted, fit for git.

The same answers give the same bytes: keys in order, one value a line, no times, no ids of this run. What
the model was told beside the conversation (system prompt, tools) is kept for the reader in
``context-<digest>.json``, once for all turns that share it; no answer is looked up by it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ante_nb.agent.replay import places
from ante_nb.envelope import unwrap
from ante_nb.errors import ConfigError
from ante_nb.log import logger
from ante_nb.messages import Image, Message, Text, ToolResult, Usage
from ante_nb.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ante_nb.messages import StopReason

VERSION = 1
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-]{200,}={0,2}")
IMAGE_BYTES = 200_000
"""A larger image of a tool's result is kept by its digest alone."""


@dataclass(slots=True)
class RecordedResult:
    """What a tool call gave when it was recorded, without the envelope around untrusted text."""

    text: str
    images: tuple[dict[str, str], ...] = ()
    is_error: bool = False
    status: str = "ok"

    @classmethod
    def of(cls, result: ToolResult, status: str) -> RecordedResult:
        return cls(unwrap(result.text), tuple(_image(p) for p in result.content if isinstance(p, Image)),
                   result.is_error, status)  # fmt: skip

    def content(self) -> tuple[Text | Image, ...]:
        """The parts as the model may be shown them again (an image that was not kept is left out)."""
        images = tuple(Image(i["data"], i["media_type"]) for i in self.images if "data" in i)
        return (Text(self.text), *images) if self.text or not images else images

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"text": self.text.split("\n"), "status": self.status}
        if self.images:
            out["images"] = list(self.images)
        return out | ({"is_error": True} if self.is_error else {})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RecordedResult:
        return cls(
            "\n".join(data["text"]),
            tuple(data.get("images", ())),
            data.get("is_error", False),
            data["status"],
        )


@dataclass(slots=True)
class RecordedStep:
    """One answer of the model, and what its tool calls gave.

    ``said`` is what came from the person, or from the agent itself, between the last results and this
    answer; ``results`` is in call order, ``None`` for a call that was stopped.
    """

    message: Message
    stop_reason: StopReason
    usage: Usage | None = None
    said: tuple[str, ...] = ()
    results: list[RecordedResult | None] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"message": self.message.to_dict(), "stop_reason": self.stop_reason}
        if self.usage is not None:
            out["usage"] = self.usage.to_dict()
        if self.said:
            out["said"] = list(self.said)
        if self.results:
            out["results"] = [result.to_dict() if result else None for result in self.results]
        return out

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RecordedStep:
        return cls(
            Message.from_dict(data["message"]),
            data["stop_reason"],
            Usage(**data["usage"]) if data.get("usage") else None,
            tuple(data.get("said", ())),
            [RecordedResult.from_dict(item) if item else None for item in data.get("results", ())],
        )


@dataclass(slots=True)
class Recording:
    """A recorded turn. ``asides`` are answers to calls of the agent's own (a summary, say), by purpose."""

    node: str
    parent: str | None
    prompt: str
    provider: str
    model: str
    thinking: str | None = None
    attachments: tuple[str, ...] = ()
    context: str = ""
    steps: list[RecordedStep] = field(default_factory=list)
    asides: list[RecordedStep] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            "node": self.node,
            "parent": self.parent,
            "prompt": self.prompt,
            "attachments": list(self.attachments),
            "provider": self.provider,
            "model": self.model,
            "thinking": self.thinking,
            "context": self.context,
            "steps": [step.to_dict() for step in self.steps],
        } | ({"asides": [step.to_dict() for step in self.asides]} if self.asides else {})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Recording:
        return cls(
            data["node"],
            data.get("parent"),
            data["prompt"],
            data["provider"],
            data["model"],
            data.get("thinking"),
            tuple(data.get("attachments", ())),
            data.get("context", ""),
            [RecordedStep.from_dict(step) for step in data["steps"]],
            [RecordedStep.from_dict(step) for step in data.get("asides", ())],
        )


def path_of(folder: Path, node: str) -> Path:
    """The file of a node's recording."""
    return folder / f"{node[:32]}.json"


def load(folder: Path, node: str, cwd: Path) -> Recording | None:
    """The recording of ``node``, as for a turn in ``cwd``; ``None`` where there is none.

    Raises:
        ConfigError: it is damaged, or was written by a later version.
    """
    path = path_of(folder, node)
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}", "Correct its permissions."
        ) from None
    found = _parsed(path, data, cwd)
    return found if found.node == node else None


def _parsed(path: Path, data: bytes, cwd: Path | None = None) -> Recording:
    try:
        value = json.loads(data)
        version = value["v"]
        if isinstance(version, int) and version > VERSION:
            raise ConfigError(
                f"{path} was recorded by a later version of ante_nb (format {version}, known here: {VERSION})",
                "Install that version, or delete the file to have the answer recorded anew.",
            )
        return Recording.from_dict(places.show(value, cwd) if cwd is not None else value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is no recording: {type(error).__name__}: {error}",
            "Restore it from version control, or delete it to have the answer recorded anew.",
        ) from None


def every(folder: Path) -> Iterator[Recording]:
    """All recordings of ``folder`` that can be read, by name."""
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("context-"):
            continue
        try:
            yield _parsed(path, path.read_bytes())
        except (ConfigError, OSError) as error:
            logger.warning("a recording is left out: %s", error)


def save(folder: Path, recording: Recording, cwd: Path) -> None:
    """Write ``recording`` of a turn in ``cwd``, atomically; what is there already stays as it is.

    Raises:
        OSError: it cannot be written.
    """
    _write(path_of(folder, recording.node), places.hide(recording.to_dict(), cwd))


def save_context(folder: Path, context: dict[str, Any]) -> str:
    """Keep what the model was told beside the conversation; returns its digest. Raises ``OSError``."""
    digest = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"context-{digest}.json"
    if not path.exists():
        _write(path, context)
    return digest


def _write(path: Path, value: Any) -> None:
    text = json.dumps(_clean(value), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    data = text.encode("utf-8", "surrogatepass")
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Meant to be shared like the notebook beside it, so with the modes that the umask leaves.
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), "wb") as file:
            file.write(data)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _clean(value: Any) -> Any:
    """``value`` redacted. Long base64 (a signature, an image) may look like a key somewhere in its middle."""
    if isinstance(value, str):
        return value if _BASE64.fullmatch(value) else redact(value)
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def _image(image: Image) -> dict[str, str]:
    digest = hashlib.sha256(base64.b64decode(image.data)).hexdigest()[:32]
    kept = {"data": image.data} if len(image.data) <= IMAGE_BYTES else {}
    return {"media_type": image.media_type, "sha256": digest, **kept}
