"""Child processes that are gone when the call is over, whatever happens."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.agent.tools import keeper
from ante_nb.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MARK = "ANTE_CALL"
"""An environment variable that finds the descendants of a call that left its process group."""
_GRACE = 0.3
_TICK = 0.1


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended. ``exit_code`` is 128 + signal for a killed one; ``leftover`` whether
    processes that it had started were still running and were ended with it."""

    exit_code: int
    timed_out: bool = False
    leftover: bool = False


class HeadTail:
    """Keeps the first and the last bytes of a stream of any length."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.dropped = 0

    def add(self, data: bytes) -> None:
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        excess = len(self._tail) - self._half
        # Cut now and then, not at each chunk: that would copy the tail every time.
        if excess > self._half:
            del self._tail[:excess]
            self.dropped += excess

    def text(self) -> str:
        """What was kept, with a note where something is missing."""
        excess = len(self._tail) - self._half
        if excess > 0:
            del self._tail[:excess]
            self.dropped += excess
        if not self.dropped:
            return (self._head + self._tail).decode("utf-8", "replace")
        head, tail = (part.decode("utf-8", "replace") for part in (self._head, self._tail))
        return f"{head}\n[... {self.dropped} bytes of output dropped ...]\n{tail}"


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_data: Callable[[bytes], None],
    timeout: float | None = None,
    stdin: bytes | None = None,
    stderr: int = asyncio.subprocess.STDOUT,
) -> Ended:
    """Run a program in its own process group and hand over its output as it comes.

    When this returns or raises, cancellation included, no process of the group is left, and on Linux
    neither is a descendant that left the group (it is known by its environment). The group does not
    outlive this process either, however that ends.

    Args:
        timeout: seconds after which the group is ended.
        stdin: bytes for its standard input; nothing to read by default.
        stderr: where its errors go, a file descriptor; into the output by default.

    Raises:
        ToolError: the program or the directory is missing.
    """
    mark = secrets.token_hex(8)
    # A pipe of our own: asyncio's wait() waits for the end of the pipes that asyncio made, and a
    # background child may hold those open for ever.
    ours, theirs = os.pipe()
    feed = tempfile.TemporaryFile() if stdin is not None else None  # noqa: SIM115 - closed below
    try:
        if feed is not None:
            feed.write(stdin or b"")
            feed.seek(0)
        child = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env={**env, MARK: mark},
            stdin=asyncio.subprocess.DEVNULL if feed is None else feed.fileno(),
            stdout=theirs,
            stderr=stderr,
            start_new_session=True,
        )
    except FileNotFoundError:
        os.close(ours)
        missing = f"The working directory {cwd}" if not Path(cwd).is_dir() else argv[0]
        raise ToolError(f"{missing} does not exist.") from None
    except OSError as error:
        os.close(ours)
        raise ToolError(f"{argv[0]} could not be started: {error.strerror or error}.") from None
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
        if feed is not None:
            feed.close()
    keeper.keep(child.pid)
    reader = asyncio.ensure_future(_pump(ours, on_data))
    timed_out = leftover = finished = False
    try:
        try:
            await asyncio.wait_for(child.wait(), timeout)
        except TimeoutError:
            timed_out = True
        else:
            # A background child may hold the pipe open for ever, so its end can't be waited for.
            await asyncio.wait([reader], timeout=_GRACE)
            if _alive(child.pid):
                await asyncio.sleep(0.05)  # the end of a pipeline may be just about to exit
                leftover = _alive(child.pid)
        finished = True
    finally:
        # Shielded: a second cancellation must not leave processes behind.
        await asyncio.shield(_end(child, mark, everything=timed_out or not finished, reader=reader))
    code = child.returncode if child.returncode is not None else -signal.SIGKILL
    return Ended(code if code >= 0 else 128 - code, timed_out, leftover)


async def _pump(pipe: int, on_data: Callable[[bytes], None]) -> None:
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(pipe, "rb", buffering=0)
    )
    try:
        while data := await stream.read(65536):
            on_data(data)
    finally:
        # A process that left the group may hold the other end; closing ours is all that is left to do.
        transport.close()


async def _end(
    child: asyncio.subprocess.Process,
    mark: str,
    *,
    everything: bool,
    reader: asyncio.Future[None],
) -> None:
    group = child.pid
    if _signal(group, signal.SIGTERM):
        deadline = time.monotonic() + _GRACE
        while _alive(group) and time.monotonic() < deadline:  # noqa: ASYNC110 - a group has no event
            await asyncio.sleep(0.02)
        _signal(group, signal.SIGKILL)
    keeper.forget(group)
    if everything:
        _kill_marked(mark)
    try:
        await asyncio.wait_for(child.wait(), 1)
    except TimeoutError:
        pass
    # What the dead have written is still in the pipe.
    await asyncio.wait([reader], timeout=0.1)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)


def _signal(group: int, number: signal.Signals) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _alive(group: int) -> bool:
    """Whether the group has a process that is more than a zombie waiting for its parent."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS answers so for a group of zombies
        return False
    return True


def _kill_marked(mark: str) -> None:
    if not sys.platform.startswith("linux"):
        return
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
            except (OSError, ValueError):
                continue


class Throttle:
    """Live output for the person: at most ten updates a second, each of bounded size."""

    def __init__(self, emit: Callable[[str], None], most: int = 8_000) -> None:
        import codecs

        self._emit = emit
        self._most = most
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = ""
        self._last = 0.0
        self._pending: asyncio.TimerHandle | None = None

    def add(self, data: bytes) -> None:
        self._waiting += self._decoder.decode(data)
        if len(self._waiting) > 2 * self._most:
            half = self._most // 2
            self._waiting = f"{self._waiting[:half]}\n[...]\n{self._waiting[-half:]}"
        if time.monotonic() - self._last >= _TICK:
            self.flush()
        elif self._pending is None:
            self._pending = asyncio.get_running_loop().call_later(_TICK, self.flush)

    def flush(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        if self._waiting:
            self._emit(self._waiting)
            self._waiting = ""
            self._last = time.monotonic()
