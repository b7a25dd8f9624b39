"""The recording of one turn while it runs: what is replayed from it, what is added to it.

A step that is recorded is replayed. The first one that is not, or that something was said before which the
recording does not have, is asked of the model, and so are all after it; the recording then says what
happened this time.
"""

from __future__ import annotations

import json
import os
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.agent.replay import recording as files
from ante_nb.agent.replay.answers import events_of
from ante_nb.agent.replay.recording import RecordedResult, RecordedStep
from ante_nb.agent.turn import REPLAYED
from ante_nb.envelope import envelope
from ante_nb.errors import AnteError, ReplayError
from ante_nb.log import logger
from ante_nb.messages import Done, Notice, Text, ToolResult, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from ante_nb.agent.host import Host
    from ante_nb.agent.replay.mode import Replay
    from ante_nb.agent.replay.recording import Recording
    from ante_nb.agent.turn import Turn
    from ante_nb.messages import Message, StopReason, StreamEvent, ToolCall
    from ante_nb.providers.spec import Request

REPORT_VARIABLE = "ANTE_REPLAY_REPORT"
"""Names a file that gets a line of JSON for every divergence and every missing answer."""

_KEPT: tuple[StopReason, ...] = ("stop", "tool_calls", "length", "pause")
"""A refusal or an overflow is not recorded: who runs the cell again wants another answer."""
_SHOWN = 120


class Tape:
    """Replays and records one turn.

    Args:
        replay: mode and folder.
        blank: the turn's recording without steps.
        turn: gets the number of replayed steps and the divergences.
        host: shows notices.
        secret: keys the envelopes of this session.
        opening: the messages that the turn starts with.
        fresh: whether recorded answers are passed over (``--fresh``).
        lacking: why the model cannot be asked, where it cannot (no key): raised when it would be.
    """

    def __init__(
        self,
        replay: Replay,
        blank: Recording,
        turn: Turn,
        host: Host,
        secret: bytes,
        opening: tuple[Message, ...] = (),
        *,
        fresh: bool = False,
        lacking: AnteError | None = None,
    ) -> None:
        self._replay = replay
        self._opening = opening
        self._new = blank
        self._turn = turn
        self._host = host
        self._secret = secret
        self._lacking = lacking
        self._old = None if fresh else files.load(replay.folder, blank.node, host.cwd)
        self._asked = False
        """Whether the model was asked: there is something to write."""
        self._asides = 0
        self._told = False

    # ------------------------------------------------------------------------------ the model's answers

    def next(self, said: tuple[str, ...]) -> RecordedStep | None:
        """The recorded answer of the step that comes now; ``None``: the model is to be asked.

        Raises:
            ReplayError: it is not recorded, and nothing but recordings may be used.
        """
        number = len(self._new.steps)
        old = self._old.steps if self._old is not None else []
        if not self._asked and number < len(old):
            step = old[number]
            if not said or said == step.said:
                if step.said and not said:
                    self._diverges(f"here was said, when it was recorded: {_short(step.said[0])}")
                self._new.steps.append(
                    RecordedStep(step.message, step.stop_reason, step.usage, said or step.said)
                )
                self._turn.replayed += 1
                return step
            self._diverges(f"step {number + 1} is asked anew: {_short(said[0])} was said before it")
        self._online(f"the answer of step {number + 1} of this prompt is not recorded")
        return None

    def said(self, messages: tuple[Message, ...]) -> tuple[str, ...]:
        """What was said since the last answer of the turn; before its first one, since its opening."""
        start = 0
        for number in range(len(messages) - 1, -1, -1):
            message = messages[number]
            if message.role == "assistant" or (self._opening and message == self._opening[-1]):
                start = number + 1
                break
        return tuple(message.text for message in messages[start:] if message.role == "user")

    def next_aside(self) -> RecordedStep | None:
        """The same for a call of the agent's own."""
        self._asides += 1
        old = self._old.asides if self._old is not None else []
        if not self._asked and self._asides <= len(old):
            self._new.asides.append(old[self._asides - 1])
            return old[self._asides - 1]
        self._online("a summary that the agent asks for is not recorded")
        return None

    def _online(self, absent: str) -> None:
        """The model is about to be asked; raises where it must not be."""
        if self._replay.mode == "only":
            new, known = self._new, self._old is not None
            raise missing(self._replay, new.prompt, absent, new.parent, None if known else new)
        if self._lacking is not None:
            raise self._lacking
        self._asked = True

    def answered(self, done: Done, said: tuple[str, ...]) -> None:
        """The model has answered the step."""
        if done.stop_reason in _KEPT:
            self._new.steps.append(RecordedStep(done.message, done.stop_reason, done.usage, said))
            self.save()

    def answered_aside(self, done: Done) -> None:
        """The model has answered a call of the agent's own."""
        self._new.asides.append(RecordedStep(done.message, done.stop_reason, done.usage))
        self.save()

    # --------------------------------------------------------------------------------- the tools' results

    def _recorded(self, call: ToolCall) -> RecordedResult | None:
        number = len(self._new.steps) - 1
        if self._old is None or self._asked or not 0 <= number < len(self._old.steps):
            return None
        step = self._old.steps[number]
        place = _place_of(call, step.message)
        return step.results[place] if place is not None and place < len(step.results) else None

    def instead(self, call: ToolCall, denial: str) -> ToolResult | None:
        """What stands in for a call that is not allowed: its recorded result, marked; ``None``: there is none."""
        found = self._recorded(call)
        if found is None or found.status == "denied":
            return None
        text, *images = found.content() or (Text(""),)
        body = envelope(text.text, self._secret, call.id) if isinstance(text, Text) and text.text else ""
        mark = f"(recorded, not run: {denial})"
        return ToolResult(call.id, (Text(f"{mark}\n{body}"), *images), found.is_error)

    def settled(self, call: ToolCall, result: ToolResult, status: str, *, stood_in: bool = False) -> None:
        """A call of the step has its result; one that differs from the recorded one is told."""
        if not self._new.steps:
            return
        step = self._new.steps[-1]
        place = _place_of(call, step.message)
        if place is None:
            return
        step.results.extend([None] * (place + 1 - len(step.results)))
        old = self._recorded(call)
        if stood_in:
            step.results[place] = old
            return
        now = RecordedResult.of(result, status)
        step.results[place] = None if status == "interrupted" else now
        if old is not None and status != "interrupted":
            difference = _difference(old, now)
            if difference:
                self._diverges(f"{call.name} gives another result than when it was recorded: {difference}")

    def _diverges(self, words: str) -> None:
        self._turn.divergences.append(words)
        report("divergence", self._new.prompt, words)
        self._host.show(Notice("warning", words))

    # -------------------------------------------------------------------------------------------- the file

    def keep_context(self, request: Request) -> None:
        """Keep system prompt and tools of the turn, for the reader of the recording."""
        if self._new.context or self._replay.mode != "auto":
            return
        tools = [
            {"name": t.name, "description": t.description, "parameters": t.parameters} for t in request.tools
        ]
        try:
            self._new.context = files.save_context(
                self._replay.folder, {"v": files.VERSION, "system": request.system, "tools": tools}
            )
        except OSError as error:
            self._fails(error)

    def save(self) -> None:
        """Write what was recorded so far; where nothing was asked of the model, nothing is written."""
        if not self._asked or not (self._new.steps or self._new.asides):
            return
        try:
            files.save(self._replay.folder, self._new, self._host.cwd)
        except OSError as error:
            self._fails(error)

    def _fails(self, error: OSError) -> None:
        logger.warning("the answers are not recorded: %s", error)
        if not self._told:
            self._told = True
            where = _place(self._replay.folder)
            self._host.show(
                Notice("warning", f"the answers are not recorded: {error.strerror or error} ({where})")
            )


class TapedModel:
    """The provider of a turn with a tape: recorded answers first, the model after them.

    Args:
        tape: the turn's tape.
        provider: makes the provider when the model is first asked; never called where all is replayed.
    """

    def __init__(self, tape: Tape, provider: Callable[[], Any]) -> None:
        self._tape = tape
        self._make = provider
        self._made: Any = None
        self.transport = ""
        self.counted: Usage | None = None
        """What the vendor counted when the step that was replayed last was recorded; it is not used again."""

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        said = self._tape.said(request.messages)
        step = self._tape.next(said)
        if step is not None:
            self.transport, self.counted = REPLAYED, step.usage
            for event in events_of(Done(step.message, step.stop_reason, Usage())):
                yield event
            return
        self.counted = None
        self._tape.keep_context(request)
        provider = self._provider()
        try:
            async with aclosing(provider.stream(request)) as events:
                async for event in events:
                    if isinstance(event, Done):
                        self.transport = getattr(provider, "transport", "")
                        self._tape.answered(event, said)
                    yield event
        finally:
            self.transport = getattr(provider, "transport", "")

    async def complete(self, request: Request) -> Done:
        """The answer to a call of the agent's own, whole."""
        step = self._tape.next_aside()
        if step is not None:
            return Done(step.message, step.stop_reason, Usage())
        done: Done = await self._provider().complete(request)
        self._tape.answered_aside(done)
        return done

    def _provider(self) -> Any:
        if self._made is None:
            self._made = self._make()
        return self._made


def missing(
    replay: Replay, prompt: str, absent: str, parent: str | None, wanted: Recording | None = None
) -> ReplayError:
    """The error of an answer that is not recorded, with what is known of the reason.

    Args:
        replay: mode and folder.
        prompt: as a recording of it would have it.
        absent: what is not recorded.
        parent: the node that the turn starts from.
        wanted: who is asked, where that is settled.
    """
    why = _why(replay.folder, prompt, parent, wanted)
    report("missing", prompt, absent + why)
    return ReplayError(
        f"ANTE_REPLAY=only, and {absent}{why}",
        f"Run it once with ANTE_REPLAY=auto and a model; the recordings are in {_place(replay.folder)}.",
    )


def _why(folder: Path, prompt: str, parent: str | None, wanted: Recording | None) -> str:
    same = [found for found in files.every(folder) if found.prompt == prompt]
    if not same:
        return ""
    here = [found for found in same if found.parent == parent]
    if not here:
        return ": it was recorded after other prompts than those before it now"
    if wanted is not None:
        for name, old, now in (
            ("provider", here[0].provider, wanted.provider),
            ("model", here[0].model, wanted.model),
            ("thinking", here[0].thinking, wanted.thinking),
        ):
            if old != now:
                return f": it was recorded with {name} {old}, not {now}"
        return ": what is attached to it has changed since"
    return f": it was recorded with {here[0].provider}/{here[0].model}, which is not what is asked for"


def report(kind: str, prompt: str, words: str) -> None:
    """Tell whoever has started this kernel to see what differs (``ANTE_REPLAY_REPORT``)."""
    path = os.environ.get(REPORT_VARIABLE)
    if path:
        line = json.dumps({"kind": kind, "prompt": prompt, "text": words}, ensure_ascii=False)
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _place_of(call: ToolCall, message: Message) -> int | None:
    """The number of the call in its message: by itself, for some servers use one id for several calls."""
    calls = message.tool_calls
    for number, other in enumerate(calls):
        if other is call:
            return number
    return next((number for number, other in enumerate(calls) if other == call), None)


def _difference(old: RecordedResult, now: RecordedResult) -> str:
    """The first thing in which two results differ, in a few words; empty where they are the same."""
    if old.status != now.status:
        return f"{old.status} then, {now.status} now"
    if old.text != now.text:
        lines, new = old.text.split("\n"), now.text.split("\n")
        for number, (before, after) in enumerate(zip(lines, new, strict=False), 1):
            if before != after:
                return f"line {number} was {_short(before)} and is {_short(after)}"
        return f"{len(lines)} lines then, {len(new)} now"
    if [i["sha256"] for i in old.images] != [i["sha256"] for i in now.images]:
        return "an image differs"
    return ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _place(folder: Path) -> str:
    from ante_nb import paths

    return paths.display(folder)
