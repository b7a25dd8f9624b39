"""A server's life without a model: who starts it, who ends it, and what a power cut or a full disk leaves.

The program is a ``llama-server`` of a few lines that answers the questions asked at a start.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from local_files import gguf

from ante_nb.errors import LocalEngineError, NetworkError, StreamInterruptedError
from ante_nb.local import launching, shared
from ante_nb.local.control import running_servers, server_log, stop_servers
from ante_nb.local.options import Options
from ante_nb.local.process import is_same, own, resident, start_time
from ante_nb.local.provider import LocalProvider
from ante_nb.local.state import (
    STOPPED,
    Leases,
    all_states,
    places,
    read_state,
    run_directory,
    tidy,
    writable_directory,
    write_state,
)
from ante_nb.messages import Message, Retract, TextDelta
from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = '''#!{python}
"""Answers what is asked of a server at its start, after as many seconds as the file "load" says."""
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
if "--help" in sys.argv:
    sys.exit(print("--sleep-idle-seconds"))
value = lambda name: sys.argv[sys.argv.index(name) + 1]
folder = Path(__file__).parent
with (folder / "starts").open("a") as file:
    file.write("x")
print("loading", value("--alias"), flush=True)
load = folder / "load"
while load.exists():
    time.sleep(0.02)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        key = self.headers["Authorization"] == "Bearer " + os.environ["LLAMA_API_KEY"]
        body = {{"/health": {{}}, "/v1/models": {{"data": [{{"id": value("--alias")}}]}}, "/slots": []}}.get(self.path)
        status = 404 if body is None else 200 if key or self.path == "/health" else 401
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.endswith("/chat/completions"):
            self.send_response(404)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        crash = folder / "crash"
        late = crash.exists() and crash.read_text() == "late"
        if crash.exists():
            crash.unlink()
            if not late:
                os.kill(os.getpid(), 9)
        chunks = [{{"choices": [{{"index": 0, "delta": {{"content": "Paris"}}}}]}},
                  {{"choices": [{{"index": 0, "delta": {{}}, "finish_reason": "stop"}}]}}]
        data = "".join("data: " + json.dumps(chunk) + "\\n\\n" for chunk in chunks) + "data: [DONE]\\n\\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if late:
            self.wfile.write(data.encode()[:data.index("data: ", 1)])
            time.sleep(0.2)
            os.kill(os.getpid(), 9)
        self.wfile.write(data.encode())
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(value("--port"))), Handler).serve_forever()
'''


class Place:
    """A home, a model and a program; ``slow()`` holds its loading up, ``fast()`` lets it end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.program, self.model = folder / "llama-server", folder / "Tiny.gguf"
        self.program.write_text(PROGRAM.format(python=sys.executable))
        self.program.chmod(0o755)
        self.model.write_bytes(gguf())

    def options(self, **more: Any) -> Options:
        values = {"llama_server": str(self.program), "model": str(self.model), **more}
        return Options(self.home, **values)

    def slow(self) -> None:
        (self.folder / "load").touch()

    def fast(self) -> None:
        (self.folder / "load").unlink(missing_ok=True)

    @property
    def starts(self) -> int:
        path = self.folder / "starts"
        return len(path.read_text()) if path.exists() else 0

    async def acquire(self, **more: Any) -> shared.LocalServer:
        lines: list[str] = []
        return await shared.acquire(None, settings=self.options(**more), progress=lines.append)

    @property
    def file(self) -> Path:
        """Where the state of the server is or would be."""
        prepared = launching.prepare(self.options(), None, os.environ)
        return places(self.home)[0] / f"{prepared.name}.json"


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    made = Place(tmp_path)
    yield made
    made.fast()
    await shared.stop_all(made.home)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of ours; it must never be ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        assert process.poll() is None, "somebody else's process was ended"
        process.communicate(b"\n")


async def until(test: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


# ------------------------------------------------------------------------------------------ what is left


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0" * 300,
        '{"pid": 12',
        "[]",
        '{"pid": true, "start": "1"}',
        '{"pid": 1}',
        '{"pid": 1, "start": 5}',
        "[" * 100_000,
    ],
)
async def test_a_damaged_state_file(place: Place, text: str) -> None:
    run_directory(place.home)
    place.file.write_text(text)
    place.file.chmod(0o600)
    server = await place.acquire()
    assert not server.reused and server.alive()
    assert (await place.acquire()).pid == server.pid and place.starts == 1


async def test_a_pid_that_somebody_else_has_now(place: Place, stranger: subprocess.Popen[bytes]) -> None:
    """After a power cut: the state says ready, and its numbers belong to others."""
    run_directory(place.home)
    state = {
        "v": 1, "pid": stranger.pid, "start": "12345-00000000", "status": "ready", "key": "k", "alias": "Tiny",
        "url": "http://127.0.0.1:9", "context": 512, "child": [stranger.pid, "12345-00000000"],
    }  # fmt: skip
    write_state(place.file, state)
    assert running_servers(place.home) == [] and stop_servers(home=place.home) == []
    server = await place.acquire()
    assert not server.reused and server.pid != stranger.pid


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://10.0.0.1:80"},
        {"url": None},
        {"key": None},
        {"context": "many"},
        {"alias": 5},
        {"child": [1]},
    ],
)
def test_a_state_that_is_not_relied_on(tmp_path: Path, change: dict[str, Any]) -> None:
    pid, start = own()
    good = {
        "pid": pid, "start": start, "status": "ready", "url": "http://127.0.0.1:1", "key": "k", "alias": "a", "context": 1,
    }  # fmt: skip
    path = tmp_path / "a.json"
    write_state(path, good)
    assert read_state(path) == good
    write_state(path, {**good, **change})
    assert read_state(path) is None


def test_start_words() -> None:
    word = start_time(os.getpid())
    assert word and "." not in word and " " not in word and own() == (os.getpid(), word)
    if Path("/proc/sys/kernel/random/boot_id").exists():
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        assert word.endswith(f"-{boot}"), "the same ticks after another boot are another process"


def test_start_words_by_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: no /proc."""
    if shutil.which("ps") is None:
        pytest.skip("there is no ps here")
    monkeypatch.setattr("ante_nb.local.process._PROC", False)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    word = start_time(child.pid)
    assert word and "." not in word and " " not in word and is_same(child.pid, word)
    assert resident(child.pid) is None
    child.communicate()
    assert start_time(child.pid) is None


def test_tidy(tmp_path: Path) -> None:
    pid, start = own()
    write_state(tmp_path / "alive.json", {"pid": pid, "start": start})
    write_state(tmp_path / "dead.json", {"pid": pid, "start": "1"})
    for name in ("alive", "dead"):
        (tmp_path / f"{name}.log").touch()
        (tmp_path / f"{name}.lock").touch()
        (tmp_path / f"{name}.clients").mkdir()
    (tmp_path / "mine.txt").touch()
    before = set(tmp_path.iterdir())
    tidy(tmp_path)
    assert set(tmp_path.iterdir()) == before, "nothing is old"
    time.sleep(0.05)
    tidy(tmp_path, kept=0.01)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"alive.json", "alive.log", "alive.lock", "alive.clients", "dead.lock", "mine.txt"}


# ------------------------------------------------------------------------------------- no room for state


async def test_a_home_that_takes_no_files(place: Place) -> None:
    place.home.mkdir()
    (place.home / "run").write_text("a file where a directory should be")
    server = await place.acquire()
    assert server.state is not None and server.state.parent == places(place.home)[1]
    assert (
        server.state.parent.stat().st_mode & 0o777,
        server.state.parent.parent.stat().st_mode & 0o777,
    ) == (
        0o700,
        0o700,
    )
    assert (await place.acquire()).pid == server.pid and place.starts == 1
    assert [row.pid for row in running_servers(place.home)] == [server.pid]
    assert await shared.stop_all(place.home) == 1 and not server.alive()


async def test_a_home_that_got_full_later(place: Place) -> None:
    server = await place.acquire()
    assert server.state is not None
    shutil.rmtree(Leases(server.state).directory)
    Leases(server.state).directory.write_text("no lease can be written any more")
    again = await place.acquire()
    assert again.pid == server.pid and again.reused
    with again.busy():
        pass


async def test_nowhere_to_write(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.home.mkdir()
    (place.home / "run").write_text("")
    (place.folder / "runtime" / "ante_nb").write_text("")
    with pytest.raises(LocalEngineError, match="cannot be started") as caught:
        await place.acquire()
    assert "ANTE_HOME" in str(caught.value) and "\n" not in str(caught.value) and place.starts == 0


def test_the_place_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "run").write_text("")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "ante_nb").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        writable_directory(tmp_path / "home")
    assert list((tmp_path / "elsewhere").iterdir()) == []


FULL = r"""
set -e
mkdir -p "$1"
mount -t tmpfs -o size=64k tmpfs "$1"
mkdir -p "$1/run/local"
case "$2" in
  full) cat /dev/zero > "$1/filler" 2>/dev/null || true;;
  read-only) mount -o remount,ro "$1";;
esac
exec "$3" - "$1" "$4"
"""
CLIENT = """
import asyncio, json, os, sys
from pathlib import Path
from ante_nb.local import shared
from ante_nb.local.options import Options
async def main():
    home, folder = Path(sys.argv[1]), Path(sys.argv[2])
    chosen = Options(home, llama_server=str(folder / "llama-server"), model=str(folder / "Tiny.gguf"))
    first = await shared.acquire(None, settings=chosen)
    second = await shared.acquire(None, settings=chosen)
    with second.busy():
        print(json.dumps([first.pid == second.pid, second.reused, str(first.state)]), flush=True)
    print(await shared.stop_all(home), first.alive())
asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_real_disk_without_room(place: Place, kind: str) -> None:
    """A file system of 64 kB in a mount namespace of its own."""
    unshare = shutil.which("unshare")
    if (
        unshare is None
        or subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode != 0
    ):
        pytest.skip("this system gives no mount namespaces (unshare -rm)")
    command = [
        unshare,
        "-rm",
        "sh",
        "-c",
        FULL,
        "sh",
        str(place.home),
        kind,
        sys.executable,
        str(place.folder),
    ]
    done = subprocess.run(
        command,
        input=CLIENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    facts, ended = done.stdout.splitlines()
    assert json.loads(facts) == [
        True,
        True,
        str(place.folder / "runtime" / json.loads(facts)[2].split("/runtime/")[1]),
    ]
    assert ended == "1 False"


# --------------------------------------------------------------------------------------------- two at once


async def client(place: Place) -> asyncio.subprocess.Process:
    code = CLIENT.replace("print(await shared.stop_all(home), first.alive())", "sys.stdin.read()")
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(place.home), str(place.folder),
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


async def test_who_waits_goes_on_when_the_other_start_is_killed(place: Place) -> None:
    place.slow()
    other = await client(place)
    await until(lambda: place.starts == 1)
    lines: list[str] = []
    mine = asyncio.create_task(shared.acquire(None, settings=place.options(), progress=lines.append))
    await until(lambda: lines)
    assert lines == ["loading Tiny, started by another kernel ..."]
    (_, state), *_ = all_states(place.home)
    place.fast()
    place.slow()
    os.kill(state["pid"], signal.SIGKILL)
    await until(lambda: place.starts == 2)
    place.fast()
    server = await mine
    assert server.alive() and not server.reused and place.starts == 2
    # Whoever saw the end first was told of it, or went on with the next server.
    _, said = await other.communicate(b"")
    assert other.returncode == 0 or b"was killed while it loaded Tiny" in said


async def test_a_stop_during_the_load_is_said(place: Place) -> None:
    place.slow()
    mine = asyncio.create_task(place.acquire())
    await until(lambda: place.starts == 1)
    other = await client(place)
    await until(lambda: [row.kernels for row in running_servers(place.home)] == [2])
    await asyncio.sleep(0.5)
    (stopped,) = await asyncio.to_thread(stop_servers, "tiny", home=place.home)
    assert stopped.status == "starting"
    with pytest.raises(LocalEngineError, match="Tiny was stopped while it loaded"):
        await mine
    _, said = await other.communicate(b"")
    assert b"Tiny was stopped while it loaded" in said and place.starts == 1
    assert not all_states(place.home)
    place.fast()
    assert (await place.acquire()).alive(), "and it can be started again"


async def test_a_start_right_after_a_stop(place: Place) -> None:
    server = await place.acquire()
    assert server.state is not None
    state = read_state(server.state)
    assert state is not None
    write_state(server.state, {**state, "status": STOPPED})
    starting = asyncio.create_task(place.acquire())
    await asyncio.sleep(0.3)
    assert not starting.done() and place.starts == 1, "it waits for the old one's end"
    assert server.pid is not None
    os.kill(server.pid, signal.SIGTERM)
    assert (await starting).pid != server.pid and place.starts == 2


# ----------------------------------------------------------------------------------------------- the end


async def test_stop(place: Place, stranger: subprocess.Popen[bytes]) -> None:
    with pytest.raises(LocalEngineError, match="None is running"):
        stop_servers("tiny", home=place.home)
    server = await place.acquire()
    (row,) = running_servers(place.home)
    assert (row.model, row.engine, row.status, row.pid) == ("Tiny", "llama-server", "ready", server.pid)
    assert row.kernels == 1 and not row.busy and row.context == server.context and row.url == server.root
    if sys.platform == "linux":
        assert row.memory is not None and row.memory > 5_000_000
    with pytest.raises(LocalEngineError, match="Running: Tiny"):
        stop_servers("other", home=place.home)
    assert server.state is not None
    mark = Leases(server.state).directory / f"{stranger.pid}.{start_time(stranger.pid)}.1.busy"
    mark.touch()
    assert await asyncio.to_thread(server.waited_for)
    with pytest.raises(LocalEngineError, match="another kernel waits for an answer of Tiny"):
        await asyncio.to_thread(stop_servers, home=place.home)
    assert server.alive()
    (_, state), *_ = all_states(place.home)
    await asyncio.to_thread(stop_servers, home=place.home, force=True)
    assert not server.alive() and not is_same(*state["child"]) and not server.state.exists()
    log, lines = server_log(home=place.home)
    assert log.suffix == ".log" and lines[0] == "loading Tiny"
    with pytest.raises(LocalEngineError, match="no local server has run"):
        server_log(home=place.folder / "nowhere")


async def test_stop_means_the_whole_name_first(place: Place) -> None:
    """One model's name may be the beginning of another's; that one goes on."""
    longer = place.folder / "Tiny-Chat.gguf"
    longer.write_bytes(gguf())
    one, other = await place.acquire(), await place.acquire(model=str(longer))
    assert [row.model for row in await asyncio.to_thread(stop_servers, "tiny", home=place.home)] == ["Tiny"]
    assert not one.alive() and other.alive()
    assert [row.model for row in await asyncio.to_thread(stop_servers, "ti", home=place.home)] == [
        "Tiny-Chat"
    ]


async def test_a_server_that_does_not_end_is_killed(place: Place) -> None:
    server = await place.acquire()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)  # it cannot take note of being asked
    await asyncio.to_thread(stop_servers, home=place.home, timeout=0.5)
    assert not server.alive() and server.state is not None and not server.state.exists()


async def test_it_ends_with_the_last_kernel(place: Place) -> None:
    """Long before it would end for being idle, but not while a kernel lives."""
    other = await client(place)
    assert other.stdout is not None and await other.stdout.readline(), await other.communicate()
    server = await place.acquire(sleep_idle=1.0)  # the first one's options count: 60 s
    assert server.reused
    await shared.stop_all(place.home)
    other.terminate()
    await other.communicate(b"")

    server = await place.acquire(sleep_idle=1.0, exit_idle=600.0)
    await asyncio.sleep(4)
    assert server.alive(), "this kernel lives"
    assert server.state is not None
    Leases(server.state).release()
    await until(lambda: not server.alive())
    assert not server.state.exists()


async def test_it_stays_where_it_shall_never_end(place: Place) -> None:
    server = await place.acquire(sleep_idle=0.5, exit_idle=0.0)
    assert server.state is not None
    Leases(server.state).release()
    await asyncio.sleep(3)
    assert server.alive()


async def test_a_start_that_nobody_waits_for_any_more(place: Place) -> None:
    place.slow()
    task = asyncio.create_task(place.acquire(sleep_idle=1.0))
    await until(lambda: place.starts == 1)
    (file, state), *_ = all_states(place.home)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    Leases(file).release()
    await until(lambda: not is_same(state["pid"], state["start"]))


# ------------------------------------------------------------------------------------------------ crashes


async def test_a_crash_is_made_good_once_in_a_turn(place: Place) -> None:
    spec = ProviderSpec("local", "Local", "OpenAiCompatible")
    local = LocalProvider(Choice(spec, ModelSpec(""), ""), place.options())

    async def answer(turn: str) -> str:
        request = Request((Message.user("What is the capital of France?"),), turn_id=turn, step_id="step")
        return [event async for event in local.stream(request)][-1].message.text

    try:
        assert await answer("turn_1") == "Paris" and place.starts == 1
        (place.folder / "crash").touch()
        assert await answer("turn_1") == "Paris" and place.starts == 2
        (place.folder / "crash").touch()
        with pytest.raises((NetworkError, StreamInterruptedError)):
            await answer("turn_1")
        assert place.starts == 2
        assert await answer("turn_2") == "Paris" and place.starts == 3
        (place.folder / "crash").touch()
        assert await answer("turn_2") == "Paris" and place.starts == 4
        (place.folder / "crash").write_text("late")
        request = Request((Message.user("What?"),), turn_id="turn_3", step_id="step")
        events = [event async for event in local.stream(request)]
        said = [
            event.text if isinstance(event, TextDelta) else "-"
            for event in events
            if isinstance(event, TextDelta | Retract)
        ]
        assert said == ["Paris", "-", "Paris"] and place.starts == 5
    finally:
        await local.aclose()


# ---------------------------------------------------------------------------------------------- progress


def test_how_far_it_is() -> None:
    meter = launching._Meter("Tiny", 1_000_000_000)
    assert meter.look(os.getpid()) == "", "nothing is said of a quick start"
    meter.told -= launching._QUIET + 1
    line = meter.look(os.getpid())
    assert line.startswith("loading Tiny") and line.endswith(" s ...")
    touched = resident(os.getpid())
    if touched is None:
        assert "%" not in line
        return
    small = launching._Meter("Tiny", max(1, (touched - launching._PYTHON) // 2))
    small.told -= 2
    assert "99 % of" in small.look(os.getpid()), "never more than what can be"
    small.told -= 2
    assert small.look(os.getpid()) == "", "and not again, for a while"


async def test_progress_reaches_the_cell(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_QUIET", 0.2)
    place.slow()
    lines: list[str] = []
    task = asyncio.create_task(shared.acquire(None, settings=place.options(), progress=lines.append))
    await until(lambda: len(lines) > 2)
    place.fast()
    await task
    assert lines[0] == "starting llama.cpp ..." and lines[1].startswith("loading Tiny, ")
    assert all(line.startswith("loading Tiny") for line in lines[1:])


async def test_what_could_be_ended_for_room(place: Place) -> None:
    if sys.platform != "linux":
        pytest.skip("memory of processes is not told here")
    await place.acquire()
    huge = place.folder / "Huge.gguf"
    huge.write_bytes(gguf(keys={"llama.block_count": 9000, "llama.attention.head_count_kv": 60_000}))
    with pytest.raises(LocalEngineError, match=r"Huge needs about .*%ante local stop.* Tiny \(\d+ MB\)"):
        await shared.acquire(str(huge), settings=place.options(context=1 << 20))
