"""A cell's outputs (nbformat 4) as text, as shapes, and as images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

OUTPUT_CHARS = 20_000
"""Characters of one cell's outputs that are kept."""
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_TEXTS = ("text/plain", "text/markdown", "text/latex")
_CLASS = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(frozen=True, slots=True)
class Outputs:
    """``text`` holds values of the person's data, ``shapes`` does not; ``images`` as base64 by media type."""

    text: str = ""
    shapes: str = ""
    images: tuple[tuple[str, str], ...] = ()


def read_outputs(outputs: Iterable[Any]) -> Outputs:
    """The outputs of one cell, in order."""
    texts: list[str] = []
    shapes: list[str] = []
    images: list[tuple[str, str]] = []
    for output in outputs:
        if not isinstance(output, dict):
            continue
        text, shape = _one(output, images)
        texts.append(text)
        shapes.append(shape)
    whole = "\n".join(filter(None, texts))
    if len(whole) > OUTPUT_CHARS:
        half = OUTPUT_CHARS // 2
        whole = f"{whole[:half]}\n[... {len(whole) - 2 * half} characters trimmed ...]\n{whole[-half:]}"
    return Outputs(whole, "; ".join(filter(None, shapes)), tuple(images))


def joined(value: Any) -> str:
    """A multi-line string of nbformat, which may be a list of its lines."""
    if isinstance(value, list):
        return "".join(str(item) for item in value)
    return "" if value is None else str(value)


def _one(output: dict[str, Any], images: list[tuple[str, str]]) -> tuple[str, str]:
    from ante_nb.agent.data_gate import count_words
    from ante_nb.agent.results import clean

    kind = output.get("output_type")
    if kind == "stream":
        text = clean(joined(output.get("text"))).rstrip()
        return text, f"printed {count_words(text)}" if text else ""
    if kind == "error":
        name = joined(output.get("ename"))
        trace = clean("\n".join(joined(line) for line in output.get("traceback") or ())).rstrip()
        # The message of an error may quote a value, and whoever raised it may have named it as they liked.
        shape = name if _CLASS.fullmatch(name) and len(name) < 80 else "error"
        return trace or f"{name}: {joined(output.get('evalue'))}", f"error {shape}"
    data = output.get("data")
    if not isinstance(data, dict):
        return "", ""
    images += [
        (kind, re.sub(r"\s", "", joined(data[kind]))) for kind in IMAGE_TYPES if joined(data.get(kind))
    ]
    text = next((clean(joined(data[kind])).rstrip() for kind in _TEXTS if joined(data.get(kind))), "")
    others = [f"[{kind}]" for kind in data if kind not in _TEXTS and kind not in ("text/html",)]
    if not text and "text/html" in data:
        others.append("[text/html]")
    words = count_words(text)
    return "\n".join(
        filter(None, (text, " ".join(others)))
    ), f"{', '.join(data)}{f' ({words})' if words else ''}"
