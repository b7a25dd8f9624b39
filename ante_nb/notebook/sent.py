"""``%ante sent``: exactly what left the machine in the last turn, and how much of it was the person's data."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from ante_nb.errors import ConfigError
from ante_nb.notebook.printing import say, table

if TYPE_CHECKING:
    from ante_nb.agent.turn import Turn
    from ante_nb.notebook.state import KernelState

_FULL = "--full"


def sent(state: KernelState, rest: str) -> None:
    """The requests of the last turn, what was in them, and the data among it; ``--full [N]`` the bodies.

    Raises:
        ConfigError: an unknown flag, or a request that there was not.
    """
    words = rest.split()
    turn = state.runtime.last_turn
    if turn is None or not turn.sent:
        say("nothing was sent: no turn has called a model in this session")
        return
    if words and words[0] == _FULL:
        _bodies(turn, words[1:])
        return
    if words:
        raise ConfigError(
            f"%ante sent: {words[0]!r} is not known", f"`%ante sent`, or `%ante sent {_FULL} [N]`."
        )
    _summary(turn)


def _summary(turn: Turn) -> None:
    total = sum(item.size for item in turn.sent)
    say(f"turn {turn.id}: {len(turn.sent)} request{'s' * (len(turn.sent) != 1)}, {total:,} bytes")
    table(
        [
            (
                f"{number}",
                f"{time.strftime('%H:%M:%S', time.localtime(item.at))}  {item.url}  {item.size:,} bytes"
                + ("  (WebSocket)" if item.transport == "websocket_auto" else ""),
            )
            for number, item in enumerate(turn.sent, 1)
        ]
    )
    rows = data_rows(turn)
    if rows:
        say("your data in it:")
        table([(name, f"{lines:,} rows, {chars:,} characters{extra}") for name, lines, chars, extra in rows])
    withheld = [call.name for step in turn.steps for call in step.tool_calls if call.data == "withheld"]
    if withheld:
        say(
            f"withheld by the data policy: {len(withheld)} result{'s' * (len(withheld) != 1)} ({', '.join(dict.fromkeys(withheld))})"
        )
    if not rows and not withheld:
        say("no attachments, and no results that may carry values of your data")
    say(f"`%ante sent {_FULL}` prints the bodies as they went out")


def data_rows(turn: Turn) -> list[tuple[str, int, int, str]]:
    """What of this turn may have carried values: name, lines, characters, and a word on images."""
    from ante_nb.envelope import unwrap
    from ante_nb.messages import Image, Text

    rows: list[tuple[str, int, int, str]] = []
    opening = [part for message in turn.messages if message.role == "user" for part in message.parts]
    for part in opening:
        if isinstance(part, Text) and part.text.startswith("<attachment ") and part.text in turn.attached:
            body = part.text.partition("\n")[2].rpartition("\n")[0]
            name = part.text[len("<attachment ") :].partition(">")[0]
            rows.append((f"attached {name}", *_counted(body), ""))
    for step in turn.steps:
        for call in step.tool_calls:
            if call.data == "sent" and call.result is not None:
                images = sum(isinstance(part, Image) for part in call.result.content)
                extra = f", {images} image{'s' * (images != 1)}" if images else ""
                rows.append((call.name, *_counted(unwrap(call.result.text)), extra))
    return rows


def _counted(text: str) -> tuple[int, int]:
    return text.count("\n") + bool(text and not text.endswith("\n")), len(text)


def _bodies(turn: Turn, words: list[str]) -> None:
    chosen = list(enumerate(turn.sent, 1))
    if words:
        number = int(words[0]) if words[0].isdecimal() else 0
        if not 1 <= number <= len(turn.sent):
            raise ConfigError(f"%ante sent: there is no request {words[0]}", f"There were {len(turn.sent)}.")
        chosen = [chosen[number - 1]]
    for number, item in chosen:
        say(f"request {number} to {item.url}, {item.size:,} bytes:")
        print(_readable(item.body) if item.body is not None else "(too large to be kept)")


def _readable(body: bytes) -> str:
    from ante_nb.notebook.render.allowlist import visible

    text = body.decode("utf-8", "replace")
    try:
        value: Any = json.loads(text)
    except ValueError:
        return visible(text)
    return visible(json.dumps(value, indent=2, ensure_ascii=False))
