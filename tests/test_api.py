"""``ask()`` and ``ask_async()`` in plain Python: no kernel, no IPython."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import check_conversation, echo, point_at, words_of
from support.chat_server import Reply, text, tool, tools, wait_for

import ante_nb
from ante_nb import AnteError, ConfigError, TurnError, ask, ask_async
from ante_nb.errors import BusyError
from ante_nb.messages import TextDelta, TurnEnded, TurnStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.chat_server import ChatServer


@pytest.fixture
def server(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ChatServer]:
    from ante_nb import api
    from ante_nb.agent.loop_thread import agent_loop
    from ante_nb.agent.runtime import Runtime

    for name, value in point_at(chat_server, isolated_home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    runtime = Runtime()
    monkeypatch.setattr(api, "_process", runtime)
    chat_server.handler = echo
    yield chat_server
    assert runtime.running is None
    asyncio.run_coroutine_threadsafe(runtime.aclose(), agent_loop()).result(10)


def messages(server: ChatServer) -> list[dict[str, Any]]:
    found = list(server.chats[-1].body["messages"])
    check_conversation(found)
    return found


def test_a_turn_and_its_session(server: ChatServer) -> None:
    first = ask("one", tools="none")
    second = ask("two", tools=[])
    assert (first.status, first.text, second.text) == ("completed", "echo: one", "echo: two")
    assert first.session_id == second.session_id and first.id != second.id
    assert [words_of(m) for m in messages(server) if m["role"] == "user"] == ["one", "two"]
    assert second.messages[: len(first.messages)] == first.messages


def test_another_session_and_back(server: ChatServer) -> None:
    from ante_nb.agent.session import Session

    ask("one", tools="none")
    other = Session()
    assert ask("elsewhere", session=other, tools="none").session_id == other.id
    assert ask("elsewhere too", session=other, tools="none").session_id == other.id
    assert [words_of(m) for m in messages(server) if m["role"] == "user"] == ["elsewhere", "elsewhere too"]
    fresh = ask("fresh", session="new", tools="none")
    assert len(fresh.messages) == 2
    ask("two", tools="none")
    assert [words_of(m) for m in messages(server) if m["role"] == "user"] == ["one", "two"]
    with pytest.raises(ConfigError, match="there is no session 'ses_unknown'"):
        ask("x", session="ses_unknown")
    with pytest.raises(ConfigError, match="session="):
        ask("x", session=7)


def users(server: ChatServer) -> list[str]:
    return [words_of(m).rpartition("\n\n")[2].strip() for m in messages(server) if m["role"] == "user"]


def test_a_session_by_its_id_is_gone_on_with(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from ante_nb import api
    from ante_nb.agent.loop_thread import agent_loop
    from ante_nb.agent.runtime import Runtime
    from ante_nb.agent.sessions import list_sessions

    present = ask("here", tools="none").session_id
    other = ask("one", session="new", tools="none").session_id
    # Also by the end of its id; the present session stays what it is, also where it is named.
    for name, words in ((other, "two"), (other[-8:].lower(), "three")):
        assert ask(words, session=name, tools="none").session_id == other
    assert users(server) == ["one", "two", "three"]
    assert ask("here too", session=present, tools="none").session_id == present
    assert users(server) == ["here", "here too"]

    # Another process: the first one's present session is in use, the other was given back.
    first = api._runtime(None)
    monkeypatch.setattr(api, "_process", Runtime())
    assert ask("four", session=other).session_id == other
    assert users(server)[-1] == "four"
    told = words_of(messages(server)[-1])
    assert "another process" in told, "the model does not count on variables that are gone"
    assert "another process" not in words_of(messages_of(server, "five", other)[-1]), "told once"
    with pytest.warns(UserWarning, match="another kernel is using it, so this call goes on in a copy"):
        copy = ask("aside", session=present, tools="none").session_id
    assert copy not in (present, other) and users(server) == ["here", "here too", "aside"]
    with pytest.warns(UserWarning, match=f"copy of {present}"):
        assert ask("aside again", session=present, tools="none").session_id == copy
    assert users(server) == ["here", "here too", "aside", "aside again"]
    asyncio.run_coroutine_threadsafe(api._runtime(None).aclose(), agent_loop()).result(10)
    assert {present, other, copy} <= {info.id for info in list_sessions(cwd=Path.cwd())}
    monkeypatch.setattr(api, "_process", first)
    assert ask("here still", tools="none").session_id == present
    assert users(server) == ["here", "here too", "here still"]


def messages_of(server: ChatServer, words: str, session: str) -> list[dict[str, Any]]:
    ask(words, session=session)
    return messages(server)


def test_a_grant_counts_for_the_session_that_it_was_given_for(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ante_nb import api
    from ante_nb.agent import headless
    from ante_nb.agent.host import Approval

    asked: list[str] = []

    def answer(request: Any) -> Approval:
        asked.append(request.summary)
        return Approval("session")

    monkeypatch.setattr(headless, "ask_on_terminal", answer)

    def touch(**where: Any) -> str:
        server.enqueue(Reply(tool("Write", {"file_path": "a.txt", "content": str(len(asked))})))
        return ask("write it", **where).session_id

    touch()
    touch()
    assert len(asked) == 1
    other = touch(session="new")
    assert len(asked) == 2, "another session has no grants of this one"
    assert touch(session=other) == other and len(asked) == 2
    assert len(api._runtime(None).grants) == 1


@pytest.mark.parametrize("prompt", ["", "  \n", None, 5, b"bytes"])
def test_what_is_no_prompt_is_refused(server: ChatServer, prompt: Any) -> None:
    with pytest.raises(ConfigError, match="prompt"):
        ask(prompt)
    assert server.chats == []


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "3"])
def test_a_wrong_number_of_steps_is_refused(server: ChatServer, steps: Any) -> None:
    with pytest.raises(ConfigError, match="max_steps"):
        ask("hello", max_steps=steps)
    assert server.chats == []


def test_a_model_that_was_named_once_is_the_providers_last_one_and_is_not_written_down(
    server: ChatServer, isolated_home: Path
) -> None:
    settings = isolated_home / ".ante" / "settings.json"
    settings.write_text('{"theme": "dark"}')
    before = settings.read_bytes()
    assert ask("hello", provider="openai-compatible", model="named-once").model == "named-once"
    assert ask("hello", provider="openai-compatible").model == "named-once"
    assert settings.read_bytes() == before


def test_python_runs_in_the_namespace_on_the_calling_thread(server: ChatServer) -> None:
    names: dict[str, Any] = {"rain": [1, 2, 3], "threading": threading}
    server.enqueue(
        Reply(
            tool("Python", {"code": "where = threading.current_thread()\nprint('hi')\nsum(rain)"}, id="c1")
        ),
        Reply(tool("Python", {"code": "del rain\n1 / 0"}, id="c2")),
        Reply(tool("Python", {"code": "if"}, id="c3")),
        Reply(text("6")),
    )
    turn = ask("sum", namespace=names, mode="yolo")
    assert names["where"] is threading.current_thread() and turn.variables == ["where", "rain"]
    told = {m["tool_call_id"]: words_of(m) for m in messages(server) if m["role"] == "tool"}
    assert "hi" in told["c1"] and "6" in told["c1"]
    assert "ZeroDivisionError" in told["c2"] and "SyntaxError" in told["c3"]
    assert "ante_nb" not in told["c2"]


def test_without_a_namespace_there_is_no_python_tool(server: ChatServer) -> None:
    ask("hello")
    assert "Python" not in [item["function"]["name"] for item in server.chats[-1].body["tools"]]


def test_code_that_awaits_needs_ask_async(server: ChatServer) -> None:
    call = Reply(tool("Python", {"code": "import asyncio\nawait asyncio.sleep(0)\n'awaited'"}, id="c1"))
    server.enqueue(call, Reply(text("ok")))
    assert ask("wait", namespace={}, mode="yolo").status == "completed"
    told = next(words_of(m) for m in messages(server) if m["role"] == "tool")
    assert "use `await ante_nb.ask_async(...)`" in told
    server.enqueue(call, Reply(text("ok")))
    asyncio.run(ask_async("wait", namespace={}, mode="yolo"))
    told = [words_of(m) for m in messages(server) if m["role"] == "tool"][-1]
    assert "'awaited'" in told


async def test_ask_inside_a_running_loop_blocks_it_and_says_what_to_do(server: ChatServer) -> None:
    call = Reply(tool("Python", {"code": "import asyncio\nawait asyncio.sleep(0)"}, id="c1"))
    server.enqueue(call, Reply(text("ok")))
    turn = ask("wait", namespace={}, mode="yolo")
    assert turn.status == "completed" and "ask_async" in turn.tool_calls[0].result.text  # type: ignore[union-attr]


async def test_the_loop_is_free_while_a_turn_is_awaited(server: ChatServer) -> None:
    server.enqueue(Reply(text("a"), wait_for("go"), text("b")))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        for _ in range(20):
            await asyncio.sleep(0.005)
            ticks += 1
        server.release("go")

    turn, _ = await asyncio.gather(ask_async("talk", tools="none"), tick())
    assert turn.text == "ab" and ticks == 20


async def test_a_second_turn_while_one_runs_is_refused_and_the_first_ends_well(server: ChatServer) -> None:
    server.enqueue(Reply(wait_for("go"), text("first")))
    first = asyncio.create_task(ask_async("one", tools="none"))
    while not server.chats:
        await asyncio.sleep(0.01)
    for more in ({}, {"session": "new"}):
        with pytest.raises(BusyError, match="another turn is still running"):
            await ask_async("two", tools="none", **more)  # type: ignore[arg-type]
    with pytest.raises(BusyError):
        ask("three")
    server.release("go")
    turn = await first
    assert turn.text == "first"
    again = await ask_async("four", tools="none")
    assert again.session_id == turn.session_id and len(again.messages) == 4


async def test_events_come_to_the_caller_in_order_on_its_thread(server: ChatServer) -> None:
    server.enqueue(Reply(text("one two three", pieces=6, delay=0.01)))
    events: list[Any] = []
    threads = set()

    def listen(event: Any) -> None:
        threads.add(threading.current_thread())
        events.append(event)
        if len(events) == 3:
            raise RuntimeError("the listener has a bug")

    turn = await ask_async("count", tools="none", on_event=listen)
    assert threads == {threading.current_thread()}
    assert isinstance(events[0], TurnStarted) and isinstance(events[-1], TurnEnded)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == turn.text


async def test_a_cancelled_task_stops_the_turn(server: ChatServer) -> None:
    server.enqueue(Reply(text("a"), wait_for("never")))
    task = asyncio.create_task(ask_async("talk", tools="none"))
    while not server.chats or server.chats[0].first_delta is None:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    after = await ask_async("next", tools="none")
    assert after.text == "echo: next"


def test_an_interrupt_of_a_blocking_ask(server: ChatServer) -> None:
    import signal

    server.enqueue(Reply(text("Beginning"), wait_for("never")))
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        while not server.chats or server.chats[0].first_delta is None:
            time.sleep(0.01)
        time.sleep(0.1)
        signal.pthread_kill(main, signal.SIGINT)

    # A worker of a parallel run ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(TurnError, match="interrupted") as caught:
            ask("talk", tools="none")
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert caught.value.turn.status == "interrupted" and caught.value.turn.text == "Beginning"
    assert ask("next", tools="none").status == "completed"


def test_a_failure_raises_with_the_turn(server: ChatServer) -> None:
    with pytest.raises(AnteError) as caught:
        ask("x", max_steps=1, tools="Read", provider="openai-compatible", model="m", thinking="enormous")
    assert "enormous" in str(caught.value) and caught.value.turn.status == "failed"
    server.enqueue(*[Reply(tools(tool("TodoWrite", {"todos": []}, id=f"c{n}"))) for n in range(3)])
    with pytest.raises(TurnError, match="after 2 steps") as limit:
        ask("x", max_steps=2)
    assert limit.value.turn.status == "max_steps"


def test_nobody_at_a_terminal_means_deny(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", open(os.devnull, encoding="utf-8"))  # noqa: SIM115  (closed below)
    server.enqueue(Reply(tool("Bash", {"command": "touch f"}, id="c1")), Reply(text("ok")))
    turn = ask("go")
    sys.stdin.close()
    assert turn.tool_calls[0].status == "denied" and "--allow" in turn.tool_calls[0].result.text  # type: ignore[union-attr]


PLAIN = """
import sys
sys.modules["IPython"] = None
import ante_nb
turn = ante_nb.ask("hello", tools="none")
names = {}
again = ante_nb.ask("python", namespace=names, allow=["Python"])
print(turn.text, names["x"], [name for name in sys.modules if name.startswith("IPython") and sys.modules[name]])
"""


def test_plain_python_needs_no_ipython(server: ChatServer, tmp_path: Path) -> None:
    server.enqueue(Reply(text("hi")), Reply(tool("Python", {"code": "x = 41 + 1"})), Reply(text("ok")))
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PLAIN], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "hi 42 []", ""), run.stderr


TERMINAL = """
import ante_nb, sys
turn = ante_nb.ask("go")
print("status", turn.tool_calls[0].status)
"""


@pytest.mark.parametrize(
    ("typed", "status"), [("y", "ok"), ("n", "denied"), ("do it by hand", "denied"), ("\x04", "denied")]
)
def test_a_person_at_a_terminal_is_asked(server: ChatServer, tmp_path: Path, typed: str, status: str) -> None:
    import pty

    server.enqueue(Reply(tool("Bash", {"command": "touch made"}, id="c1")), Reply(text("ok")))
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", TERMINAL],
        stdin=child,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=tmp_path,
    ) as process:
        os.close(child)
        assert process.stdout is not None
        shown = b""
        while b"Allow?" not in shown:
            piece = process.stdout.read1()  # type: ignore[attr-defined]
            assert piece, shown
            shown += piece
        os.write(parent, typed.encode() + b"\n")
        shown += process.stdout.read()
    os.close(parent)
    assert f"status {status}" in shown.decode(), shown
    assert (tmp_path / "made").exists() == (status == "ok")
    told = next(words_of(m) for m in messages(server) if m["role"] == "tool")
    assert ("do it by hand" in told) == (typed == "do it by hand")


NESTED = """
import asyncio, warnings, sys
import ante_nb

async def main():
    ticks = []
    async def tick():
        while True:
            await asyncio.sleep(0.005)
            ticks.append(1)
    task = asyncio.ensure_future(tick())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        turn = ante_nb.ask("wait", namespace={}, mode="yolo", nested=True)
    task.cancel()
    print([str(w.message) for w in caught if "patches every event loop" in str(w.message)] != [], caught[0].filename == "<string>")
    print(turn.tool_calls[0].status, turn.tool_calls[0].result.text, len(ticks) > 3)

asyncio.run(main())
"""


def test_nested_warns_blocks_and_lets_the_loop_go_on(server: ChatServer, tmp_path: Path) -> None:
    """In a process of its own: the patch cannot be undone."""
    code = "import asyncio\nawait asyncio.sleep(0.1)\n'awaited'"
    server.enqueue(Reply(tool("Python", {"code": code}, id="c1")), Reply(text("ok")))
    run = subprocess.run(
        [sys.executable, "-c", NESTED], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    first, second = run.stdout.strip().split("\n", 1)
    assert first == "True True", run.stdout + run.stderr
    assert second.startswith("ok") and "'awaited'" in second and second.endswith("True"), run.stdout
    assert "Traceback" not in run.stderr


def test_the_exported_names() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ante_nb.__all__:
            assert getattr(ante_nb, name) is not None
    assert sorted(ante_nb.__all__) == dir(ante_nb)
    with pytest.raises(AttributeError, match="nothing"):
        ante_nb.nothing  # noqa: B018
