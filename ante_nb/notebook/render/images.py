"""Which images an answer may show: ``data:`` of four raster formats, and files of the working directory."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ante_nb.notebook.render.allowlist import DATA_IMAGE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_DATA", "MAX_FILE", "image_source", "sniff"]

MAX_FILE = 2_000_000
"""Largest file in bytes that is embedded into the notebook."""
MAX_DATA = 8_000_000
"""Longest ``data:`` URL in characters."""


def sniff(data: bytes) -> str | None:
    """The media type by the file's first bytes, for the four formats that may be shown."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def image_source(url: str, base: Path | None) -> str | None:
    """The ``data:`` URL to show for ``url``, or ``None`` if it must not be shown.

    Args:
        url: as written in the Markdown (percent-encoded or not).
        base: the directory whose files may be shown, or ``None`` for none.
    """
    if url[:5].lower() == "data:":
        return url if len(url) <= MAX_DATA and DATA_IMAGE.fullmatch(url) else None
    path = unquote(url)
    # No scheme, no network share (Windows would open \\host\share and send credentials), no odd bytes.
    if base is None or not path or path[:1] in "/\\~" or any(c in path for c in ":\\\0?#"):
        return None
    try:
        root = base.resolve()
        file = (root / path).resolve()
        if not file.is_relative_to(root) or not file.is_file() or file.stat().st_size > MAX_FILE:
            return None
        data = file.read_bytes()
    except (OSError, ValueError):
        return None
    media = sniff(data)
    return f"data:{media};base64,{base64.b64encode(data).decode()}" if media else None
