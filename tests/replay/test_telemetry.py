"""Spans by the conventions for generative AI, where the person collects spans; nothing else."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.chat_server import Reply, status, text, tool, usage

if TYPE_CHECKING:
    from support.desk import Desk

_exporter = InMemorySpanExporter()


@pytest.fixture
def spans() -> Any:
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_exporter))
        trace.set_tracer_provider(provider)
    _exporter.clear()
    return lambda: {span.name: span for span in _exporter.get_finished_spans()}


async def test_a_turn_its_model_calls_and_its_tools(desk: Desk, spans: Any) -> None:
    (desk.cwd / "a.txt").write_text("private words\n")
    desk.server.enqueue(
        Reply(tool("Read", {"file_path": "a.txt"}, id="c1"), usage(prompt_tokens=100, completion_tokens=7)),
        Reply(text("Done."), usage(prompt_tokens=120, completion_tokens=5)),
    )
    with trace.get_tracer("test").start_as_current_span("cell") as outer:
        turn = await desk.run("private prompt")
    found = spans()
    agent, read = found["invoke_agent ante_nb"], found["execute_tool Read"]
    chats = [span for span in _exporter.get_finished_spans() if span.name == "chat test-model"]
    assert len(chats) == 2
    assert agent.parent.span_id == outer.get_span_context().span_id
    assert {span.parent.span_id for span in (read, *chats)} == {agent.context.span_id}
    assert agent.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert agent.attributes["gen_ai.conversation.id"] == turn.session_id
    assert agent.attributes["gen_ai.usage.input_tokens"] == 220
    assert agent.attributes["gen_ai.usage.output_tokens"] == 12
    first = chats[0].attributes
    assert (first["gen_ai.operation.name"], first["gen_ai.request.model"]) == ("chat", "test-model")
    assert first["gen_ai.provider.name"] == "openai-compatible"
    assert (first["gen_ai.usage.input_tokens"], first["gen_ai.usage.output_tokens"]) == (100, 7)
    assert first["gen_ai.response.finish_reasons"] == ("tool_call",)
    assert chats[0].kind is trace.SpanKind.CLIENT
    assert read.attributes["gen_ai.tool.name"] == "Read" and read.attributes["gen_ai.tool.call.id"] == "c1"
    # What was said stays here.
    everything = str([dict(span.attributes) for span in _exporter.get_finished_spans()])
    assert "private" not in everything


async def test_content_on_request_and_redacted(
    desk: Desk, spans: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    await desk.run("the prompt, sk-ant-api03-AAAABBBBCCCCDDDD1234", tools="none")
    words = str([dict(span.attributes) for span in _exporter.get_finished_spans()])
    assert "the prompt" in words and "AAAABBBB" not in words


async def test_failures(desk: Desk, spans: Any) -> None:
    desk.server.enqueue(
        Reply(tool("Bash", {"command": "rm -rf x"}, id="c1")), Reply(status(400, {"error": {}}))
    )
    await desk.run("Go")
    found = spans()
    assert found["execute_tool Bash"].attributes["error.type"] == "denied"
    agent = found["invoke_agent ante_nb"]
    assert agent.status.status_code is trace.StatusCode.ERROR and agent.attributes["error.type"]
    last = [span for span in _exporter.get_finished_spans() if span.name.startswith("chat")][-1]
    assert last.status.status_code is trace.StatusCode.ERROR


def test_without_a_provider_of_the_person_s_nothing_is_imported() -> None:
    code = (
        "import sys, ante_nb.agent.runtime, ante_nb.agent.telemetry as t\n"
        "host = object()\n"
        "assert t.watched(host, None) is host\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
