"""Images in a prompt: pasted as ``data:`` URLs, or files that it mentions."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from ante_nb.errors import ToolError
from ante_nb.messages import Image

if TYPE_CHECKING:
    from ante_nb.agent.tools.base import Limits

MAX_BYTES = 20_000_000
"""Larger images are left alone."""
_DATA = re.compile(
    r"data:(?P<type>image/(?:png|jpeg|gif|webp));base64,(?P<data>[A-Za-z0-9+/]{64,}={0,2})", re.IGNORECASE
)


def take_images(prompt: str, limits: Limits) -> tuple[str, list[Image]]:
    """The prompt with every pasted image (``![](data:image/png;base64,...)``) named instead of spelled out.

    The only text of a prompt that is not sent as typed: as text the image would cost a model a hundred
    times as much, and tell it nothing. What is no image stays as it is.
    """
    images: list[Image] = []

    def name(found: re.Match[str]) -> str:
        image = decoded(found["type"].lower(), found["data"], limits)
        if image is None:
            return found[0]
        images.append(image)
        return f"attachment:image-{len(images)}"

    return _DATA.sub(name, prompt), images


def decoded(media_type: str, data: str, limits: Limits) -> Image | None:
    """A checked image in a size that vendors take; ``None`` where it is none."""
    if len(data) > MAX_BYTES * 4 // 3:
        return None
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    return image_of(raw, media_type, limits)


def image_of(raw: bytes, name: str, limits: Limits) -> Image | None:
    """The same for the bytes of a file."""
    from ante_nb.agent.tools import documents
    from ante_nb.agent.tools.textfile import kind_of

    if not (kind_of(raw) or "").endswith(" image"):
        return None
    try:
        outcome = documents.image(raw, name, limits)
    except (ToolError, KeyError):
        return None
    return next((part for part in outcome.content if isinstance(part, Image)), None)
