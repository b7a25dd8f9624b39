"""A small agent for the tests of the WebSocket mode: turns with tool calls, straight on a provider."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ante_nb.messages import Done, Message, Notice, Retract, Text, TextDelta, ToolResult
from ante_nb.providers.catalog.load import load_catalog
from ante_nb.providers.provider import Provider
from ante_nb.providers.spec import Choice, Request, Secret, ToolSpec
from support.ws_server import KEY, Dialogue, ResponsesServer, call, message, reasoning

if TYPE_CHECKING:
    from ante_nb.providers.transports.websocket import WebSocketTransport

TOOLS = (ToolSpec("run_cell", "Run code", {"type": "object", "properties": {"code": {"type": "string"}}}),)

DIALOGUE = Dialogue(
    [
        [reasoning("a", "I look at the kernel."), call("a1", "run_cell", {"code": "%whos"}),
         call("a2", "run_cell", {"code": "x"})],
        [message("b0", "One more look."), call("b", "run_cell", {"code": "y"})],
        [reasoning("c", "Enough seen."), message("c", "There are 3 frames.")],
        [call("d", "run_cell", {"code": "z"})],
        [message("e", "And z is 4.")],
    ]
)  # fmt: skip
PROMPTS = ("What is in my kernel?", "And z?")


async def no_pause(seconds: float) -> None:
    """Retries need not wait."""


def make(server: ResponsesServer, websocket: WebSocketTransport | None = None, **changes: Any) -> Provider:
    """The ``openai`` provider of the catalog, over WebSocket, at the loopback server."""
    catalog, model = load_catalog(), changes.pop("model", "gpt-5.4")
    spec = catalog.provider(changes.pop("provider", "openai"))
    if spec.id == "xai":
        spec = replace(spec, websocket=True)
    values = {"transport": "websocket_auto", **changes}
    choice = Choice(spec, catalog.model_for(spec.id, model), server.url, Secret(KEY), **values)
    return Provider(choice, sleep=no_pause, websocket=websocket)


@dataclass
class Talk:
    """A conversation with a provider.

    Attributes:
        shown: the text on the screen, turn after turn, without what was withdrawn.
        runs: how often each call was run.
    """

    provider: Provider
    session: str = "ses_1"
    system: str = "You are a notebook agent."
    tools: tuple[ToolSpec, ...] = TOOLS
    messages: list[Message] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)
    transports: list[str] = field(default_factory=list)
    turns: int = 0

    def request(self, **changes: Any) -> Request:
        values: dict[str, Any] = {
            "messages": tuple(self.messages),
            "system": self.system,
            "tools": self.tools,
            "session_id": self.session,
            "step_id": f"step_{len(self.messages)}",
            "turn_id": f"turn_{self.turns}",
        }
        return Request(**{**values, **changes})

    async def step(self, **changes: Any) -> Message:
        text, done = "", None
        async for event in self.provider.stream(self.request(**changes)):
            assert done is None, "nothing comes after Done"
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, Retract):
                text = ""
            elif isinstance(event, Notice):
                self.notices.append(event)
            elif isinstance(event, Done):
                done = event
        assert done is not None
        assert text == done.message.text
        self.shown.append(text)
        self.transports.append(self.provider.transport)
        self.messages.append(done.message)
        return done.message

    async def turn(self, prompt: str, **changes: Any) -> None:
        self.turns += 1
        self.messages.append(Message.user(prompt))
        while calls := (await self.step(**changes)).tool_calls:
            results = []
            for one in calls:
                self.runs[one.id] = self.runs.get(one.id, 0) + 1
                results.append(ToolResult(one.id, (Text(f"{one.id} run {self.runs[one.id]}"),)))
            self.messages.append(Message("tool", tuple(results)))

    def transcript(self) -> list[dict[str, Any]]:
        """The messages, without the vendor's ids of the responses: those differ each time."""
        return [without_ids(message.to_dict()) for message in self.messages]


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key != "response"}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


async def whole_talk(provider: Provider, prompts: tuple[str, ...] = PROMPTS) -> Talk:
    talk = Talk(provider)
    for prompt in prompts:
        await talk.turn(prompt)
    return talk


async def over_http(server: ResponsesServer) -> Talk:
    """The same over HTTP: what every other run is compared with. The server's notes are cleared after it."""
    provider = make(server, transport="http_sse")
    talk = await whole_talk(provider)
    await provider.aclose()
    assert server.ways() == ["http"] * 5
    server.seen.clear()
    return talk


def check(server: ResponsesServer, talk: Talk, expected: Talk) -> None:
    """The transcript is HTTP's, every tool ran once, the server saw each result once, one thing at a time."""
    assert talk.transcript() == expected.transcript()
    assert talk.shown == expected.shown
    assert talk.runs and set(talk.runs.values()) == {1}
    assert server.seen[-1].results == {key: f"{key} run 1" for key in talk.runs}
    assert all(value.endswith(" run 1") for seen in server.seen for value in seen.results.values())
    assert server.overlaps == 0 and server.refused == []
