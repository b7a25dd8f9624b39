"""Images for a model with an image encoder (``mmproj``), and what is said where there is none.

llama-server takes images as data URLs in chat messages, also of ``/apply-template``, which leaves a
marker in the prompt for each; ``/completion`` then takes them as ``multimodal_data`` in the same order.
Source: llama.cpp's docs/multimodal.md and tools/server/README.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.messages import Image, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.messages import Message

TOKENS_EACH = 1024
"""About what an encoder makes of one image (256 for Gemma 3 to some thousands for Qwen's on a large one)."""


def images_of(message: Message) -> list[Image]:
    """The images of a message, those of its tool results included."""
    out: list[Image] = []
    for part in message.parts:
        if isinstance(part, Image):
            out.append(part)
        elif isinstance(part, ToolResult):
            out += [item for item in part.content if isinstance(item, Image)]
    return out


def sent_images(messages: Iterable[Message]) -> tuple[str, ...]:
    """The base64 data of all images that go out, in their order."""
    return tuple(
        image.data for message in messages if message.role != "assistant" for image in images_of(message)
    )


def with_images(text: str, images: list[Image]) -> str | list[dict[str, Any]]:
    """The content of a chat message: the text alone, or the images and then the text about them."""
    if not images:
        return text
    urls = [f"data:{image.media_type};base64,{image.data}" for image in images]
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [*parts, {"type": "text", "text": text}] if text else parts


def left_out(messages: Iterable[Message], model: str, *, starts_here: bool) -> str:
    """What the person is told of images that a model without an encoder does not get; empty for none.

    Args:
        messages: as they are to be sent, before images are taken out.
        model: its name.
        starts_here: whether the server is one of ours, which looks for the encoder beside the model.
    """
    number = sum(len(images_of(message)) for message in messages if message.role != "assistant")
    if not number:
        return ""
    what = "the image is" if number == 1 else f"{number} images are"
    how = (
        "a vision model needs its mmproj-*.gguf in the same directory"
        if starts_here
        else "start its server with --mmproj"
    )
    return f"{model} cannot see: {what} left out ({how})"
