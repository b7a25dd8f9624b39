"""A conversation that has outgrown the context is made to fit before the server refuses it.

Results of tools are what fills a context. Older ones are shortened first, more than is needed at the
moment, and stay so: each change of what was sent before costs a new reading of all that follows. Then the
newest ones; then there is nothing left to cut, and the person is told the numbers.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ante_nb.envelope import unwrap
from ante_nb.errors import ContextOverflowError
from ante_nb.local.vision import TOKENS_EACH, images_of
from ante_nb.messages import Image, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ante_nb.messages import Message, Part
    from ante_nb.providers.spec import Request

_STUB = 200  # characters that are kept of an older result
_LEAST = 400  # and of one of the newest
_LOW_WATER = 0.6  # of the room, so that the next steps need no further cut
_SESSIONS = 32


@dataclass(slots=True)
class Cuts:
    """What has been shortened in a session: call id to the characters that are kept."""

    kept: dict[str, int] = field(default_factory=dict)


_cuts: OrderedDict[str, Cuts] = OrderedDict()


def cuts_of(session_id: str | None) -> Cuts:
    """The cuts of a session, kept by this process; a call without a session has its own."""
    if not session_id:
        return Cuts()
    found = _cuts.setdefault(session_id, Cuts())
    _cuts.move_to_end(session_id)
    while len(_cuts) > _SESSIONS:
        _cuts.popitem(last=False)
    return found


def reserve(context: int, limit: int | None) -> int:
    """Tokens of the context that are kept free for the answer."""
    return min(limit or 512, max(256, context // 8))


async def fitted(
    request: Request,
    *,
    context: int,
    limit: int | None,
    model: str,
    count: Callable[[Request], Awaitable[int | None]],
) -> tuple[Request, str]:
    """The request as it fits, and a line for the person where something was cut.

    Args:
        request: its messages are the whole conversation.
        context: the server's, in tokens.
        limit: the greatest length of the answer.
        model: its name.
        count: the tokens of a request's prompt; ``None`` where that is not known.

    Raises:
        ContextOverflowError: it cannot be made to fit.
    """
    cuts = cuts_of(request.session_id)
    free = reserve(context, limit)
    room = context - free
    out = _with_cuts(request, cuts)
    if _bytes(out) <= room:  # no text has more tokens than bytes
        return out, ""
    tokens = await count(out)
    if tokens is None or tokens <= room:
        return out, ""
    whole, older, newest = tokens, _results(out, newest=False), _results(out, newest=True)
    for results, floor in ((older, _STUB), (newest, _LEAST)):
        for _ in range(4):
            target = int(room * _LOW_WATER) if results is older else int(room * 0.9)
            if tokens <= (target if results is older else room):
                break
            if not _cut(results, cuts, tokens - target, out, tokens, floor):
                break
            out = _with_cuts(request, cuts)
            tokens = await count(out) or tokens
        if tokens <= room:
            number = sum(result.call_id in cuts.kept for result in (*older, *newest))
            which = f"{number} tool result{'s' if number != 1 else ''} of this conversation"
            return out, (
                f"the context of {model} is full ({whole:,} of {context:,} tokens):"
                f" {which} shortened, {tokens:,} tokens are sent"
            )
    raise ContextOverflowError(
        f"The conversation is {tokens:,} tokens long and {model} has a context of {context:,},"
        f" {free:,} of which are kept for the answer",
        "Start a new session with `%ante reset`, use fewer tools (`--tools`), or set ANTE_OFFLINE_CONTEXT"
        " to a larger context before the model is started.",
        model=model,
    )


def _results(request: Request, *, newest: bool) -> list[ToolResult]:
    """The results after the last message of the model, or those before it; oldest first."""
    last = max((at for at, message in enumerate(request.messages) if message.role == "assistant"), default=-1)
    return [
        part
        for at, message in enumerate(request.messages)
        if (at > last) == newest
        for part in message.parts
        if isinstance(part, ToolResult)
    ]


def _cut(
    results: list[ToolResult], cuts: Cuts, excess: int, request: Request, tokens: int, floor: int
) -> bool:
    """Marks results to be shortened until about ``excess`` tokens are gone; ``False`` where none is left."""
    each = max(_bytes(request) / tokens, 1.0)
    left, changed = excess * each, False
    for result in results:
        if left <= 0:
            break
        size = min(len(unwrap(result.text)), cuts.kept.get(result.call_id, 1 << 40))
        pictures = sum(isinstance(item, Image) for item in result.content)
        if size <= floor and not (pictures and result.call_id not in cuts.kept):
            continue
        keep = floor if floor == _STUB else max(floor, int(size - left))
        cuts.kept[result.call_id] = min(keep, size)
        left -= size - keep + pictures * TOKENS_EACH * each
        changed = True
    return changed


def _with_cuts(request: Request, cuts: Cuts) -> Request:
    if not cuts.kept:
        return request
    return replace(request, messages=tuple(_shorter(message, cuts) for message in request.messages))


def _shorter(message: Message, cuts: Cuts) -> Message:
    if not any(isinstance(part, ToolResult) and part.call_id in cuts.kept for part in message.parts):
        return message
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, ToolResult) and part.call_id in cuts.kept:
            part = replace(part, content=(Text(shortened(part.text, cuts.kept[part.call_id])),))
        parts.append(part)
    return replace(message, parts=tuple(parts))


def shortened(text: str, keep: int) -> str:
    """Head and tail of a result, ``keep`` characters in all, inside of its envelope if it has one."""
    body = unwrap(text)
    if len(body) <= keep:
        return text
    begin, end = ("", "") if body == text else (text[: text.index("\n") + 1], text[text.rindex("\n") :])
    head, tail = keep - keep // 3, keep // 3
    note = f"[... {len(body) - keep} characters left out to save context; call the tool again if needed ...]"
    return f"{begin}{body[:head]}\n{note}\n{body[len(body) - tail :]}{end}"


def _bytes(request: Request) -> int:
    """The bytes of all that is sent, and about what a template adds."""
    size = len(request.system.encode("utf-8", "replace")) + 64
    for tool in request.tools:
        size += len(tool.name) + len(tool.description) + len(str(tool.parameters)) + 32
    for message in request.messages:
        size += 32 + TOKENS_EACH * len(images_of(message))
        for part in message.parts:
            if isinstance(part, Text):
                size += len(part.text.encode("utf-8", "replace"))
            elif isinstance(part, ToolResult):
                size += len(part.text.encode("utf-8", "replace")) + 32
            elif isinstance(part, ToolCall):
                size += len(str(part.arguments)) + len(part.invalid or "") + 64
            else:
                size += len(str(getattr(part, "text", "")))
    return size
