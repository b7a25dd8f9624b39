"""Runs the tool calls of one step: permission, order, cancellation. Every call gets a result.

Independent calls run in parallel; calls that touch the same thing (a file, the kernel), one of them to
change it, run in call order. Approvals are asked one at a time, in call order.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ante_nb.agent.data_gate import DataGate
from ante_nb.agent.host import Approval, ApprovalRequest, ToolContext
from ante_nb.agent.results import finish
from ante_nb.agent.session import interrupted_result
from ante_nb.agent.tools.base import Footprint
from ante_nb.agent.turn import StepToolCall
from ante_nb.errors import AnteError, ToolDeniedError, ToolError
from ante_nb.log import logger
from ante_nb.messages import ApprovalAsked, Text, ToolCall, ToolEnded, ToolOutput, ToolResult, ToolStarted
from ante_nb.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from ante_nb.agent.host import Host
    from ante_nb.agent.permissions import Permissions
    from ante_nb.agent.replay.tape import Tape
    from ante_nb.agent.tools.base import Tool, ToolState
    from ante_nb.agent.turn import Turn
    from ante_nb.agent.undo.recorder import Recorder

_CLEANUP = 1.0
"""Seconds that running tools get to stop after an interrupt."""

Status = Literal["ok", "error", "denied", "interrupted"]


NOWHERE = Footprint()


@dataclass(slots=True)
class _Prepared:
    call: ToolCall
    record: StepToolCall
    tool: Tool | None = None
    arguments: BaseModel | None = None
    problem: str | None = None
    footprint: Footprint = NOWHERE
    context: ToolContext | None = None


class CallRunner:
    """Runs tool calls for one turn.

    Args:
        host: the world the tools act in.
        tools: the tools of this turn, by name.
        permissions: decides on each call; grants are added to it.
        state: what the session's tools remember.
        turn: its ``files`` and ``variables`` are filled.
        always: stores an allow rule for good (the person answered "always").
        granted: keeps a rule for the session's further turns.
        recorder: keeps what a call may change, for undo.
        tape: where answers are recorded or replayed: the results are compared with the recorded ones, and
            a call that is not allowed has its recorded result.
    """

    def __init__(
        self,
        host: Host,
        tools: dict[str, Tool],
        permissions: Permissions,
        state: ToolState,
        turn: Turn,
        always: Callable[[str], None] = lambda rule: None,
        granted: Callable[[str], None] = lambda rule: None,
        recorder: Recorder | None = None,
        tape: Tape | None = None,
    ) -> None:
        self._host = host
        self._tools = tools
        self._permissions = permissions
        self._state = state
        self._turn = turn
        self._always = always
        self._granted = granted
        self._recorder = recorder
        self._tape = tape
        self._asking = asyncio.Lock()
        self._gate = DataGate(permissions, self._ask, self._apply)
        self._cancelled = threading.Event()

    async def run(self, calls: tuple[ToolCall, ...], records: list[StepToolCall]) -> list[ToolResult]:
        """The results of ``calls``, in call order.

        ``records`` gets one entry per call, filled as results come in. Cancelled, it stops what runs,
        answers what is left with "interrupted" in ``records`` and raises ``asyncio.CancelledError``.
        """
        prepared = [self._prepare(call) for call in calls]
        records.extend(item.record for item in prepared)
        tasks: list[asyncio.Task[None]] = []
        for number, item in enumerate(prepared):
            before = [
                task
                for task, earlier in zip(tasks, prepared[:number], strict=True)
                if item.footprint.conflicts(earlier.footprint)
            ]
            tasks.append(asyncio.create_task(self._one(item, before)))
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            self._cancelled.set()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_CLEANUP)
            for item in prepared:
                if item.record.result is None:
                    self._settle(item, interrupted_result(item.call), "interrupted", 0.0)
            raise
        return [item.record.result for item in prepared if item.record.result is not None]

    def _prepare(self, call: ToolCall) -> _Prepared:
        item = _Prepared(call, StepToolCall(call.id, call.name, call.arguments))
        tool = self._tools.get(call.name) or next(
            (tool for name, tool in self._tools.items() if name.lower() == call.name.lower()), None
        )
        if tool is None:
            names = ", ".join(self._tools) or "none"
            item.problem = f"There is no tool named {call.name!r}. Available tools: {names}."
            return item
        item.tool = tool
        if call.invalid is not None:
            item.problem = (
                f"The arguments of this {call.name} call are not a complete JSON object, so it was not run. "
                f"Send the call again with valid arguments. Received: {call.invalid[:500]}"
            )
            return item
        try:
            item.arguments = tool.parse(call.arguments)
            item.context = ToolContext(
                host=self._host,
                call=call,
                state=self._state,
                emit=lambda text: self._host.show(ToolOutput(call.id, redact(text))),
                cancelled=self._cancelled.is_set,
            )
            item.footprint = tool.footprint(item.arguments, item.context)
        except ToolError as error:
            item.problem = str(error)
        except Exception as error:
            logger.exception("a call of %s could not be prepared", call.name)
            item.problem = f"{call.name} failed: {type(error).__name__}: {error}"
        return item

    async def _one(self, item: _Prepared, before: list[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        if item.problem is not None or item.tool is None or item.arguments is None or item.context is None:
            self._settle(
                item, _error(item.call, item.problem or "The call could not be prepared."), "error", 0.0
            )
            return
        started = time.monotonic()
        try:
            await self._allow(item.tool, item.arguments, item.context)
            self._host.show(ToolStarted(item.call))
            if self._recorder is not None and item.footprint.writes:
                await self._recorder.before(item.footprint, json.dumps(item.call.arguments, default=str))
            started = time.monotonic()
            outcome = await item.tool.run(item.arguments, item.context)
            outcome = await self._gate.through(item.tool, item.arguments, outcome, item.context, item.record)
            result = finish(outcome, item.call, self._state)
        except ToolDeniedError as error:
            stand_in = self._tape.instead(item.call, str(error)) if self._tape is not None else None
            denied = stand_in or _error(item.call, str(error))
            self._settle(item, denied, "denied", 0.0, stood_in=stand_in is not None)
        except ToolError as error:
            self._settle(item, _error(item.call, str(error)), "error", time.monotonic() - started)
        except asyncio.CancelledError:
            self._settle(item, interrupted_result(item.call), "interrupted", time.monotonic() - started)
            raise
        except Exception as error:
            logger.exception("the tool %s failed", item.call.name)
            message = error.message if isinstance(error, AnteError) else f"{type(error).__name__}: {error}"
            self._settle(
                item,
                _error(item.call, f"{item.call.name} failed: {message}"),
                "error",
                time.monotonic() - started,
            )
        else:
            self._add(self._turn.files, outcome.files)
            self._add(self._turn.variables, outcome.variables)
            self._settle(
                item,
                result,
                "error" if outcome.is_error else "ok",
                time.monotonic() - started,
                outcome.display,
            )

    @staticmethod
    def _add(known: list[str], more: tuple[str, ...]) -> None:
        known.extend(name for name in dict.fromkeys(more) if name not in known)

    async def _allow(self, tool: Tool, arguments: BaseModel, context: ToolContext) -> None:
        """Return if the call may run; raise ``ToolDeniedError`` if not."""
        code = tool.primary(arguments) if tool.name == "Python" else tool.python_code(arguments, context)
        if code is not None and self._permissions.mode != "yolo":
            from ante_nb.agent.permissions.bindings import bindings_of

            context.bindings = await bindings_of(code, self._host)
        if self._permissions.decide(tool, arguments, context).action == "allow":
            return
        async with self._asking:
            # A grant that was given for the call before may cover this one too.
            decision = self._permissions.decide(tool, arguments, context)
            if decision.action == "allow":
                return
            if decision.action == "deny":
                raise ToolDeniedError(
                    "Tool call denied by policy and was not executed",
                    f"{decision.reason}. Go on without it or say what you need." if decision.reason else None,
                )
            detail = await asyncio.to_thread(tool.detail, arguments, context)
            request = ApprovalRequest(
                call=context.call,
                summary=redact(tool.summary(arguments)),
                detail=redact(detail),
                reason=decision.reason,
                grant=decision.grant,
            )
            self._host.show(ApprovalAsked(context.call))
            answer = await self._host.approve(request)
        self._apply(answer, request)

    async def _ask(self, request: ApprovalRequest) -> Approval:
        async with self._asking:
            self._host.show(ApprovalAsked(request.call))
            return await self._host.approve(request)

    def _apply(self, answer: Approval, request: ApprovalRequest) -> None:
        if answer.answer == "deny":
            if answer.by == "unattended":
                raise ToolDeniedError(
                    "Tool call denied and not executed: it needs a person's approval and nobody is there to ask",
                    f"Go on without it. (The person can allow it with --allow '{request.grant or request.call.name}'.)",
                )
            feedback = f" The user says: {answer.feedback}" if answer.feedback else ""
            raise ToolDeniedError(f"Tool call denied by user and was not executed.{feedback}")
        if answer.answer in ("session", "always") and request.grant:
            self._permissions.grant(request.grant)
            self._granted(request.grant)
        if answer.answer == "always" and request.grant:
            self._always(request.grant)

    def _settle(
        self,
        item: _Prepared,
        result: ToolResult,
        status: Status,
        seconds: float,
        display: dict[str, Any] | None = None,
        *,
        stood_in: bool = False,
    ) -> None:
        if item.record.result is not None:
            return
        result = replace(
            result,
            content=tuple(
                replace(p, text=redact(p.text)) if isinstance(p, Text) else p for p in result.content
            ),
        )
        item.record.result = result
        item.record.status = status
        item.record.seconds = seconds
        self._host.show(ToolEnded(item.call, result, status, seconds, display))
        if self._tape is not None:
            self._tape.settled(item.call, result, status, stood_in=stood_in)


def _error(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(call.id, (Text(text),), is_error=True)
