"""OpenTelemetry spans of turns, model calls and tool calls, where the person has set that up; else nothing.

Names and attributes follow the semantic conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/): ``invoke_agent``, ``chat``, ``execute_tool``. The
package configures no exporter and sends nothing by itself: without a tracer provider of the person's own
nothing is imported. What was said is in the spans only where
``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` is ``true``, and redacted.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from ante_nb import messages as m
from ante_nb._version import __version__
from ante_nb.log import logger
from ante_nb.redact import redact

if TYPE_CHECKING:
    from ante_nb.agent.host import Host
    from ante_nb.agent.turn import Turn

CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

# As the conventions name the vendors; others go by their id in the catalog.
_VENDORS = {
    "openai": "openai",
    "openai-subscription": "openai",
    "anthropic": "anthropic",
    "anthropic-subscription": "anthropic",
    "gemini": "gcp.gemini",
    "xai": "x_ai",
    "deepseek": "deepseek",
    "groq": "groq",
    "mistral": "mistral_ai",
}
_FINISH = {"stop": "stop", "tool_calls": "tool_call", "length": "length", "content_filter": "content_filter"}


def watched(host: Host, turn: Turn) -> Host:
    """``host``, with spans made of what it is shown; ``host`` itself where nobody collects spans."""
    tracer = _tracer()
    if tracer is None:
        return host
    try:
        return _Watched(host, Spans(tracer, turn))
    except Exception:
        logger.exception("no spans are made of this turn")
        return host


def _tracer() -> Any:
    """The tracer of the person's provider; ``None`` where none was set up in this process."""
    # Whoever set one up has imported the SDK: looking costs nothing, and imports nothing.
    if "opentelemetry.sdk.trace" not in sys.modules and "ddtrace" not in sys.modules:
        return None
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    try:
        from opentelemetry import trace

        return trace.get_tracer("ante_nb", __version__)
    except Exception:
        logger.exception("OpenTelemetry cannot be used")
        return None


class _Watched:
    """A host that hands every event on, and to the spans."""

    def __init__(self, host: Host, spans: Spans) -> None:
        self._host = host
        self._spans = spans

    def show(self, event: m.TurnEvent) -> None:
        try:
            self._spans.event(event)
        except Exception:
            logger.exception("a span could not be made")
        self._host.show(event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


class Spans:
    """The spans of one turn, made from its events.

    Args:
        tracer: of the person's provider.
        turn: read when a span begins and when it ends.
    """

    def __init__(self, tracer: Any, turn: Turn) -> None:
        from opentelemetry import trace

        self._trace = trace
        self._tracer = tracer
        self._turn = turn
        self._content = os.environ.get(CONTENT_VARIABLE, "").strip().lower() == "true"
        self._agent: Any = None
        self._chat: Any = None
        self._tools: dict[str, Any] = {}
        self._inside: Any = None

    def event(self, event: m.TurnEvent) -> None:
        """Begin or end a span."""
        match event:
            case m.TurnStarted():
                self._begin()
            case m.StepStarted():
                self._start_chat()
            case m.StepEnded(_, usage, reason):
                self._end_chat(usage, reason)
            case m.ToolStarted(call):
                self._tools[call.id] = self._start_tool(call)
            case m.ToolEnded(call, result, status):
                self._end_tool(call, result, status)
            case m.TurnEnded():
                self._end()
            case _:
                pass

    # -------------------------------------------------------------------------------------- the turn

    def _begin(self) -> None:
        turn = self._turn
        self._agent = self._tracer.start_span(
            "invoke_agent ante_nb",
            kind=self._trace.SpanKind.INTERNAL,
            attributes={
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "ante_nb",
                "gen_ai.conversation.id": turn.session_id,
                "ante_nb.turn.id": turn.id,
                **self._who(),
            },
        )
        if self._content:
            self._agent.set_attribute("gen_ai.input.messages", _said("user", turn.prompt))
        self._inside = self._trace.set_span_in_context(self._agent)

    def _end(self) -> None:
        turn = self._turn
        if self._chat is not None:  # the model call failed, or was stopped
            self._close(self._chat, turn.error)
            self._chat = None
        for span in self._tools.values():
            self._close(span, turn.error)
        self._tools.clear()
        if self._agent is None:
            return
        if turn.usage is not None:
            self._agent.set_attributes(_tokens(turn.usage))
        self._agent.set_attribute("ante_nb.turn.status", turn.status)
        self._agent.set_attribute("ante_nb.turn.steps", len(turn.steps))
        if turn.replayed:
            self._agent.set_attribute("ante_nb.turn.replayed_steps", turn.replayed)
        if self._content and turn.text:
            self._agent.set_attribute("gen_ai.output.messages", _said("assistant", turn.text))
        self._close(self._agent, turn.error)
        self._agent = None

    # -------------------------------------------------------------------------------- the model calls

    def _start_chat(self) -> None:
        self._chat = self._tracer.start_span(
            f"chat {self._turn.model}",
            context=self._inside,
            kind=self._trace.SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.conversation.id": self._turn.session_id,
                **self._who(),
            },
        )

    def _end_chat(self, usage: m.Usage | None, reason: m.StopReason) -> None:
        if self._chat is None:
            return
        span, self._chat = self._chat, None
        span.set_attribute("gen_ai.response.model", self._turn.model)
        span.set_attribute("gen_ai.response.finish_reasons", [_FINISH.get(reason, reason)])
        if self._turn.transport:
            span.set_attribute("ante_nb.transport", self._turn.transport)
        if usage is not None:
            span.set_attributes(_tokens(usage))
        if self._content and self._turn.steps:
            span.set_attribute("gen_ai.output.messages", _said("assistant", self._turn.steps[-1].text))
        span.end()

    # --------------------------------------------------------------------------------- the tool calls

    def _start_tool(self, call: m.ToolCall) -> Any:
        span = self._tracer.start_span(
            f"execute_tool {call.name}",
            context=self._inside,
            kind=self._trace.SpanKind.INTERNAL,
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": call.name,
                "gen_ai.tool.call.id": call.id,
                "gen_ai.tool.type": "function",
            },
        )
        if self._content:
            arguments = json.dumps(call.arguments, ensure_ascii=False, default=str)
            span.set_attribute("gen_ai.tool.call.arguments", redact(arguments))
        return span

    def _end_tool(self, call: m.ToolCall, result: m.ToolResult, status: str) -> None:
        # A call that was refused was never begun: its span says that.
        span = self._tools.pop(call.id, None) or self._start_tool(call)
        if self._content:
            span.set_attribute("gen_ai.tool.call.result", redact(result.text))
        if status != "ok":
            span.set_attribute("error.type", status)
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    # ---------------------------------------------------------------------------------------------- all

    def _who(self) -> dict[str, str]:
        turn = self._turn
        return {
            "gen_ai.provider.name": _VENDORS.get(turn.provider, turn.provider),
            "gen_ai.request.model": turn.model,
        }

    def _close(self, span: Any, error: BaseException | None) -> None:
        if error is not None:
            span.set_attribute("error.type", getattr(error, "kind", type(error).__name__))
            span.set_status(self._trace.StatusCode.ERROR, redact(str(error)))
        span.end()


def _tokens(usage: m.Usage) -> dict[str, int]:
    return {
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write,
    }


def _said(role: str, text: str) -> str:
    message = {"role": role, "parts": [{"type": "text", "content": redact(text)}]}
    return json.dumps([message], ensure_ascii=False)
