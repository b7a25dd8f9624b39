"""One turn: model call, tool calls, model call ... until the model is done.

The loop never raises. However it ends (completed, failed, interrupted, step limit), the session's
conversation is valid afterwards: every tool call has a result, nothing is half-said.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ante_nb.agent.calls import CallRunner
from ante_nb.agent.compaction import Compactor
from ante_nb.agent.endings import count, refusal, tell_unsaid, without_loose_end
from ante_nb.agent.limits import PatientHost
from ante_nb.agent.model_call import ModelCall
from ante_nb.agent.session import settled
from ante_nb.agent.turn import Step, Turn
from ante_nb.errors import (
    AnteError,
    ContentFilterError,
    ContextOverflowError,
    LimitError,
    RequestTooLargeError,
    TurnError,
)
from ante_nb.ids import new_id
from ante_nb.log import logger
from ante_nb.messages import (
    Message,
    Notice,
    Retract,
    Steered,
    StepEnded,
    StepStarted,
    Text,
    TurnEnded,
    TurnStarted,
)
from ante_nb.providers.spec import Request
from ante_nb.providers.transports.ledger import Ledger, recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.compaction import Cut
    from ante_nb.agent.context import Gauge
    from ante_nb.agent.host import Host
    from ante_nb.agent.model_call import ModelCaller
    from ante_nb.agent.plan import Plan
    from ante_nb.agent.session import Session
    from ante_nb.agent.steering import Steering
    from ante_nb.agent.undo.recorder import Recorder
    from ante_nb.messages import Done, Part, ToolResult, Usage

MAX_CONTINUATIONS = 3
"""How often an answer that hit the output limit is continued by itself (as Ante does)."""

MAX_REMINDERS = 2
"""How often a model that answers in prose is asked for the value of the schema."""

_REMINDER = "Call the tool `Answer` now with your final answer; text alone is not enough."
_CONTINUE = (
    "Your answer was cut off at the output limit. Continue exactly where it stopped, without repeating."
)


class TurnLoop:
    """Runs one turn to its end.

    Args:
        session: where the turn is recorded and kept.
        plan: what to do.
        host: the surroundings.
        provider: makes the model calls.
        turn: the public result, filled as the turn goes.
        recorder: keeps what tools change, for undo.
        steering: what the person says while the turn runs.
        gauge: learns from every answer how much of the context the conversation takes.
    """

    def __init__(
        self,
        session: Session,
        plan: Plan,
        host: Host,
        provider: Callable[[], ModelCaller],
        turn: Turn,
        recorder: Recorder | None = None,
        *,
        steering: Steering,
        gauge: Gauge,
    ) -> None:
        self._recorder = recorder
        self._steering = steering
        self._gauge = gauge
        self._session = session
        self._plan = plan
        self._host = host
        self._make_provider = provider
        self._turn = turn
        self._messages: list[Message] = [*plan.history, *plan.opening]
        self._start = len(plan.history)
        self._call = ModelCall(plan.choice, host.show)
        self._compactor = Compactor(
            gauge,
            host.show,
            self._summarised,
            auto=plan.auto_compact,
            tasks=lambda: session.tool_state.todos,
            session_id=session.id,
            turn_id=turn.id,
        )
        self._continuations = 0

    @property
    def messages(self) -> list[Message]:
        """The conversation as it is sent, up to now; a copy, for any thread."""
        return list(self._messages)

    async def run(self) -> None:
        """Run the turn; returns normally whatever happens, with ``turn`` complete."""
        turn = self._turn
        journal = self._session.journal
        started = time.monotonic()
        try:
            journal.append(
                "turn_started",
                turn=turn.id,
                node=self._plan.node.id,
                parent=self._plan.node.parent,
                cell=self._plan.node.cell,
                prompt=self._plan.prompt,
                attachments=list(self._plan.attachments),
                provider=turn.provider,
                model=turn.model,
                thinking=turn.thinking_level,
                messages=[message.to_dict() for message in self._plan.opening],
            )
            self._host.show(TurnStarted(turn.id, self._plan.status, self._plan.attachments))
            if journal.problem and journal.problem not in self._session.told:
                self._session.told.add(journal.problem)
                self._host.show(Notice("warning", journal.problem))
            for text in self._plan.notices:
                self._host.show(Notice("warning", text))
            ledger = Ledger()
            turn.sent = ledger.requests
            with recording(ledger):
                async with self._plan.budget.clock():
                    await self._steps()
        except asyncio.CancelledError:
            turn.status = "interrupted"
            turn.error = TurnError("interrupted", "What was finished is kept; run the cell again or go on.")
        except LimitError as error:
            turn.status = "max_steps"
            turn.error = error
        except AnteError as error:
            turn.status = "failed"
            turn.error = error
            logger.warning("turn %s failed: %s", turn.id, error, exc_info=error)
        except Exception as error:
            turn.status = "failed"
            logger.exception("turn %s failed", turn.id)
            turn.error = AnteError(
                f"something went wrong inside ante_nb: {type(error).__name__}: {error}",
                "The session is intact and the trace is in the log (`%ante doctor` says where).",
            )
        finally:
            if self._recorder is not None:
                await self._recorder.finish()
            turn.seconds = time.monotonic() - started
            self._close()

    async def _steps(self) -> None:
        plan, turn = self._plan, self._turn
        provider = self._make_provider()
        runner = CallRunner(
            cast("Host", PatientHost(self._host, plan.budget)),
            plan.tools,
            plan.permissions,
            self._session.tool_state,
            turn,
            plan.always,
            plan.granted,
            self._recorder,
            plan.tape,
        )
        # A tool that was asked for by name is forced once; then the model is free to answer.
        forced = plan.tool_choice
        reminders = 0
        # A call that goes on with an answer must follow it at once.
        resumes = False
        for number in range(1, plan.max_steps + 1):
            if not resumes:
                await self._steer()
            resumes = False
            step = await self._answer(provider, forced, number)
            forced = "auto"
            calls = step.message.tool_calls
            if calls:
                try:
                    await runner.run(calls, step.tool_calls)
                finally:
                    done = [self._said_why(r) for call in step.tool_calls if (r := call.result) is not None]
                    if done:
                        self._add(Message("tool", tuple(done)))
                if plan.answer is not None and plan.answer.answered:
                    turn.value = plan.answer.value
                    if self._may_end():
                        turn.status = "completed"
                        return
                continue
            if step.stop_reason == "pause":
                resumes = True
                continue
            if self._cut_off(step):
                resumes = True
                self._continuations += 1
                self._add(Message.user(_CONTINUE))
                continue
            self._check_end(step)
            if not self._may_end():
                continue
            if plan.answer is not None and not plan.answer.answered:
                if reminders == MAX_REMINDERS:
                    raise AnteError(
                        f"{turn.provider}/{turn.model} gave no answer that fits the schema",
                        "Try a simpler schema or a larger model; the text is in error.turn.text.",
                    )
                reminders += 1
                forced = plan.answer.name
                self._add(Message.user(_REMINDER))
                continue
            turn.status = "completed"
            return
        turn.status = "max_steps"
        turn.error = TurnError(
            f"stopped after {plan.max_steps} steps",
            "Nothing is lost: a further prompt goes on from here, --max-steps N allows more.",
        )

    async def _steer(self) -> None:
        """Let what the person has said meanwhile into the conversation."""
        for text in self._steering.take():
            self._add(Message.user(text, *await self._attached(text)), steered=True)
            self._host.show(Steered(text))

    async def _attached(self, text: str) -> list[Part]:
        from ante_nb.agent.attachments import attach

        parts, _ = await attach(text, self._host, self._session.tool_state.policies)
        self._turn.attached |= {part.text for part in parts if isinstance(part, Text)}
        return parts

    def _may_end(self) -> bool:
        """Whether nobody has said anything that the model has not seen; from then on nobody can."""
        return self._steering.end_if_idle()

    def _said_why(self, result: ToolResult) -> ToolResult:
        """The result of a call that the clock has ended says so."""
        if not self._plan.budget.timed_out or not result.text.startswith("Interrupted by the user"):
            return result
        return replace(result, content=(Text("Interrupted: the turn's time was over before it finished."),))

    async def _answer(self, provider: ModelCaller, forced: str, number: int) -> Step:
        """One step. A conversation that is near the limit is made shorter before it, one that the vendor
        refuses as too long after it, once."""
        place = (self._start, len(self._plan.opening))
        self._shorten(await self._compactor.due(provider, self._messages, *place))
        request = self._request(forced)
        try:
            return await self._step(provider, request, number)
        except (ContextOverflowError, RequestTooLargeError):
            cut = await self._compactor.overflow(provider, self._messages, *place)
            if cut is None:
                raise
            if self._call.partial() is not None:
                self._host.show(Retract(request.step_id))
            self._shorten(cut)
        return await self._step(provider, self._request(forced), number)

    def _request(self, forced: str) -> Request:
        plan = self._plan
        return Request(
            messages=tuple(self._messages),
            system=plan.system,
            tools=tuple(tool.spec() for tool in plan.tools.values()),
            tool_choice=forced,
            thinking=plan.choice.thinking,
            session_id=self._session.id,
            step_id=new_id("step"),
            turn_id=self._turn.id,
        )

    def _shorten(self, cut: Cut | None) -> None:
        """Go on with the conversation that was made shorter; the turn's place in the tree holds it."""
        if cut is None:
            return
        self._messages = [*cut.base, *cut.own]
        self._start = len(cut.base)
        self._plan.node.replaces = True

    def _summarised(self, done: Done) -> None:
        self._count(done.usage)
        usage = done.usage.to_dict() if done.usage is not None else None
        self._session.journal.append("summarised", turn=self._turn.id, usage=usage)

    async def _step(self, provider: ModelCaller, request: Request, number: int) -> Step:
        turn = self._turn
        self._plan.budget.before_step(self._messages, self._gauge)
        self._plan.budget.steps += 1
        self._host.show(StepStarted(request.step_id, number))
        try:
            done = await self._call.run(provider, request)
        finally:  # a step that failed or was interrupted has used one too
            turn.transport = getattr(provider, "transport", "http_sse") or turn.transport
        turn.model = done.message.model or turn.model
        if done.stop_reason == "context_overflow" and self._compactor.may_retry:
            self._count(done.usage)
            raise ContextOverflowError(
                f"{turn.provider}/{turn.model}: the context was full before the answer ended",
                "Start afresh with `%ante reset`, or choose a model with a longer context.",
                partial=done.message,
            )
        step = Step(request.step_id, done.message, usage=done.usage, stop_reason=done.stop_reason)
        turn.steps.append(step)
        turn.stop_reason = done.stop_reason
        self._count(step.usage)
        # A replayed step uses nothing, but what it held was counted once: summaries are due where they were.
        self._gauge.measured(request.messages, getattr(provider, "counted", None) or step.usage)
        if step.usage is None:
            self._plan.budget.tokens_unseen += self._gauge.used([*self._messages, done.message])
        self._add(done.message, usage=done.usage, stop_reason=done.stop_reason, step=step.id)
        self._host.show(StepEnded(step.id, done.usage, done.stop_reason))
        return step

    def _count(self, usage: Usage | None) -> None:
        count(self._turn, self._plan.choice.model, usage)

    def _cut_off(self, step: Step) -> bool:
        """Whether the answer hit the output limit and is to be continued by itself."""
        return (
            step.stop_reason == "length"
            and bool(step.text)
            and self._continuations < MAX_CONTINUATIONS
            # Who set a limit, or pays in seconds of CPU, did not ask for more.
            and self._plan.choice.model.max_tokens is None
            and self._plan.choice.provider.id != "local"
        )

    def _check_end(self, step: Step) -> None:
        error = refusal(self._turn, step)
        if isinstance(error, ContentFilterError):
            # It must not stand in the next request: what was refused once is refused again.
            self._messages.pop()
        if error is not None:
            raise error

    def _add(self, message: Message, **more: Any) -> None:
        self._messages.append(message)
        usage = more.get("usage")
        if usage is not None:
            more["usage"] = usage.to_dict()
        self._session.journal.append("message", turn=self._turn.id, message=message.to_dict(), **more)

    def _close(self) -> None:
        """Settle the conversation, keep it, record it. Runs after every kind of end."""
        turn, session = self._turn, self._session
        finished = True
        if turn.status in ("interrupted", "max_steps") and self._call.running:
            partial = self._call.partial()
            if partial is not None:
                finished = False
                self._messages.append(partial)
        added = settled(self._messages[self._start :], finished=finished)
        if not finished and added and added[-1].role == "assistant":
            turn.steps.append(Step(new_id("step"), added[-1], usage=self._call.usage))
        if self._call.running and self._call.usage is not None:
            # The vendor bills what it had read and written until then.
            self._count(self._call.usage)
        if turn.status == "failed":
            added = without_loose_end(added)
        base, node = self._messages[: self._start], self._plan.node
        # A conversation that was made shorter begins here; without an end to build on there is no node.
        node.messages = (*base, *added) if node.replaces and added else added
        node.base = len(base) if node.replaces and added else 0
        # The call that wrote the list may have been left out of what was made shorter.
        node.tasks = list(session.tool_state.todos) if node.replaces and added else None
        turn.messages = [*base, *added]
        session.keep(node, turn)
        session.journal.append(
            "turn_ended",
            turn=turn.id,
            node=node.id,
            status=turn.status,
            error=str(turn.error) if turn.error else None,
            kept=None
            if turn.status == "completed" and not node.replaces
            else [message.to_dict() for message in node.messages],
            replaces=node.replaces or None,
            base=node.base or None,
            tasks=node.tasks,
            usage=turn.usage.to_dict() if turn.usage else None,
            seconds=round(turn.seconds, 3),
        )
        session.write_meta()
        session.journal.sync()
        if turn.error is not None:
            turn.error.turn = turn
        tell_unsaid(self._steering, self._host)
        self._host.show(TurnEnded(turn))
