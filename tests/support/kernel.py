"""A real ipykernel, driven over its own protocol: what any Jupyter front end would send and see.

::

    with Kernel(cwd=tmp_path, env={"OPENAI_COMPATIBLE_BASE_URL": server.url}) as kernel:
        outcome = kernel.run("1 + 1")
        assert outcome.status == "ok" and outcome.text == "2"

Every message carries the ``time.monotonic()`` of its arrival. ``update_display_data`` is applied the
way a notebook applies it, so ``Outcome.outputs`` is what a person sees once the cell has ended, and
``display_state()`` what they see now, over all cells.
"""

from __future__ import annotations

import os
import queue
import re
import sys
import time
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import zmq
from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Json = dict[str, Any]
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def strip_ansi(text: str) -> str:
    """The text without terminal colours."""
    return _ANSI.sub("", text)


@dataclass(slots=True)
class Stamped:
    """A message and the monotonic time in seconds at which it arrived."""

    at: float
    kind: str
    content: Json
    message: Json

    @property
    def size(self) -> int:
        """Bytes of the content as JSON, about what crosses iopub."""
        import json

        return len(json.dumps(self.content, ensure_ascii=False).encode())


@dataclass(slots=True)
class Outcome:
    """One execution. ``outputs`` are in notebook format, display updates applied."""

    msg_id: str
    started: float
    status: str = "running"
    ended: float = 0.0
    execution_count: int | None = None
    outputs: list[Json] = field(default_factory=list)
    messages: list[Stamped] = field(default_factory=list)
    reply: Json = field(default_factory=dict)
    idle: bool = False
    prompts: list[str] = field(default_factory=list)
    """What ``input()`` asked."""

    @property
    def done(self) -> bool:
        return self.idle and bool(self.reply)

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def stdout(self) -> str:
        return "".join(out["text"] for out in self.outputs if out["output_type"] == "stream")

    def mime(self, name: str) -> list[Any]:
        """That MIME type of every output that has it, in order."""
        return [out["data"][name] for out in self.outputs if name in out.get("data", {})]

    @property
    def text(self) -> str:
        """Streams and ``text/plain`` in order, without colours: what a terminal would show."""
        parts = []
        for out in self.outputs:
            if out["output_type"] == "stream":
                parts.append(out["text"])
            elif out["output_type"] == "error":
                parts.append("\n".join(out["traceback"]))
            else:
                parts.append(str(out["data"].get("text/plain", "")))
        return strip_ansi("\n".join(part for part in parts if part))

    @property
    def html(self) -> str:
        """All ``text/html`` outputs, joined by line ends."""
        return "\n".join(self.mime("text/html"))

    @property
    def error(self) -> str:
        """The traceback as shown, without colours; empty where the cell did not fail."""
        for out in self.outputs:
            if out["output_type"] == "error":
                return strip_ansi("\n".join(out["traceback"]))
        return ""

    def first(self, test: Callable[[Stamped], bool]) -> Stamped | None:
        """The first message that passes ``test``."""
        return next((message for message in self.messages if test(message)), None)

    def iopub_bytes(self) -> int:
        """Bytes of all display messages."""
        kinds = ("display_data", "update_display_data", "execute_result", "stream")
        return sum(message.size for message in self.messages if message.kind in kinds)


class Kernel:
    """A running ipykernel.

    Args:
        cwd: the kernel's working directory.
        env: variables added to the present environment; ``None`` as a value removes one.
        name: kernelspec.
        python: the interpreter to run ``ipykernel`` with, in place of the present one.
    """

    def __init__(
        self,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        name: str = "python3",
        python: str = sys.executable,
    ) -> None:
        self.python = python
        self.cwd = cwd or Path.cwd()
        self.name = name
        self.env = {**os.environ, **(env or {})}
        self._env = {key: value for key, value in self.env.items() if value is not None}
        self._running: Outcome | None = None
        self._answers: list[str] = []
        self.cells: list[Outcome] = []
        self._displays: dict[str, list[Json]] = {}
        self._waiting_for_input = False

    # ------------------------------------------------------------------------------------ life cycle

    def __enter__(self) -> Self:
        self.manager = KernelManager(kernel_name=self.name)
        # The interpreter under test, whatever "python3" means on this machine.
        if self.name == "python3":
            command = [self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            spec = self.manager.kernel_spec
            assert spec is not None
            spec.argv = command
        # Its start-up warnings are about remote kernels; this one listens on loopback only.
        self.manager.start_kernel(
            cwd=str(self.cwd), env=self._env, stderr=None, extra_arguments=["--log-level=ERROR"]
        )
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=120)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    @property
    def alive(self) -> bool:
        return bool(self.manager.is_alive())

    @property
    def pid(self) -> int:
        return int(self.manager.provisioner.pid)  # type: ignore[union-attr]

    # ------------------------------------------------------------------------------------- execution

    def run(
        self,
        code: str,
        timeout: float = 60,
        *,
        stdin: Sequence[str] | None = None,
        cell: str | None = None,
        silent: bool = False,
    ) -> Outcome:
        """Run a cell to its end. See :meth:`start` for the arguments."""
        self.start(code, stdin=stdin, cell=cell, silent=silent)
        return self.wait(timeout)

    def start(
        self,
        code: str,
        *,
        stdin: Sequence[str] | None = None,
        cell: str | None = None,
        silent: bool = False,
    ) -> Outcome:
        """Send a cell and return at once.

        Args:
            code: the cell.
            stdin: answers to ``input()`` in order; given (even empty), the kernel may ask, as in a
                notebook; left out, nobody is there to answer, as in nbclient.
            cell: the ``cellId`` that JupyterLab sends.
            silent: a silent request (no history, no output).
        """
        assert self._running is None or self._running.done, "a cell is still running"
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": stdin is not None,
            "stop_on_error": False,
        }
        message = self.client.session.msg("execute_request", content)
        if cell is not None:
            message["metadata"]["cellId"] = cell
        self._answers = list(stdin or ())
        self._waiting_for_input = False
        self._running = Outcome(msg_id=message["header"]["msg_id"], started=time.monotonic())
        self.cells.append(self._running)
        self.client.shell_channel.send(message)
        return self._running

    def wait(self, timeout: float = 60) -> Outcome:
        """Wait for the end of the running cell. Raises ``TimeoutError`` with what was shown so far."""
        outcome = self._current()
        if not self._pump(lambda: outcome.done, timeout):
            raise TimeoutError(f"still running after {timeout} s; shown so far: {outcome.text[-2000:]!r}")
        return outcome

    def wait_for(self, test: Callable[[Outcome], bool], timeout: float = 60) -> Outcome:
        """Wait until ``test`` holds for the running cell, or the cell ends. Raises ``TimeoutError``."""
        outcome = self._current()
        if not self._pump(lambda: outcome.done or test(outcome), timeout):
            raise TimeoutError(f"not seen within {timeout} s; shown so far: {outcome.text[-2000:]!r}")
        return outcome

    def wait_text(self, needle: str, timeout: float = 60) -> Outcome:
        """Wait until the running cell shows ``needle`` in its text or HTML; fails if it ends before."""
        outcome = self.wait_for(lambda out: needle in out.text or needle in out.html, timeout)
        assert needle in outcome.text or needle in outcome.html, (
            f"the cell ended without showing {needle!r}: {outcome.text[-2000:]!r}"
        )
        return outcome

    def wait_for_input(self, timeout: float = 60) -> str:
        """Wait until the cell asks something on stdin that no answer is left for; returns the question."""
        outcome = self.wait_for(lambda _: self._waiting_for_input, timeout)
        assert self._waiting_for_input, f"the cell ended without asking: {outcome.text[-2000:]!r}"
        return outcome.prompts[-1]

    def answer(self, text: str) -> None:
        """Answer the pending question, or the next one."""
        if self._waiting_for_input:
            self._waiting_for_input = False
            self.client.input(text)
        else:
            self._answers.append(text)

    def interrupt(self) -> float:
        """Kernel > Interrupt. Returns the monotonic time at which the signal was sent."""
        self.manager.interrupt_kernel()
        self._waiting_for_input = False
        return time.monotonic()

    def value(self, expression: str, timeout: float = 60) -> Any:
        """A Python value (anything ``ast.literal_eval`` reads back) of the kernel, without history.

        Raises ``AssertionError`` with the kernel's error where the expression fails.
        """
        import ast

        assert self._running is None or self._running.done, "a cell is still running"
        msg_id = self.client.execute(
            "", silent=False, store_history=False, user_expressions={"value": f"({expression})"}
        )
        end = time.monotonic() + timeout
        while True:
            reply = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            if reply["parent_header"].get("msg_id") == msg_id:
                break
        result = reply["content"]["user_expressions"]["value"]
        assert result["status"] == "ok", f"{expression}: {result.get('ename')}: {result.get('evalue')}"
        return ast.literal_eval(result["data"]["text/plain"])

    def display_state(self) -> list[list[Json]]:
        """The outputs of every cell as a notebook would show them now."""
        self._pump(lambda: False, 0)
        return [deepcopy(cell.outputs) for cell in self.cells]

    # ---------------------------------------------------------------------------------------- inside

    def _current(self) -> Outcome:
        assert self._running is not None, "nothing was started"
        return self._running

    def _pump(self, ready: Callable[[], bool], timeout: float) -> bool:
        """Read all channels until ``ready``; ``False`` when the time is up."""
        end = time.monotonic() + timeout
        iopub, shell, stdin = self.client.iopub_channel, self.client.shell_channel, self.client.stdin_channel
        poller = zmq.Poller()
        for channel in (iopub, shell, stdin):
            poller.register(channel.socket, zmq.POLLIN)
        while not ready():
            left = end - time.monotonic()
            events = poller.poll(max(0.0, min(left, 0.5)) * 1000)
            for channel, take in ((iopub, self._on_iopub), (shell, self._on_shell), (stdin, self._on_stdin)):
                while True:
                    try:
                        message = channel.get_msg(timeout=0)
                    except queue.Empty:
                        break
                    take(message, time.monotonic())
            if not events and not self.manager.is_alive():
                raise RuntimeError("the kernel died")
            if not events and left <= 0:
                return ready()
        return True

    def _of(self, message: Json) -> Outcome | None:
        parent = message["parent_header"].get("msg_id")
        return next((cell for cell in reversed(self.cells) if cell.msg_id == parent), None)

    def _on_shell(self, message: Json, at: float) -> None:
        cell = self._of(message)
        if cell is not None and message["msg_type"] == "execute_reply":
            cell.reply = message["content"]
            cell.status = cell.reply["status"]
            cell.execution_count = cell.reply.get("execution_count")

    def _on_stdin(self, message: Json, at: float) -> None:
        cell = self._of(message)
        if cell is None or message["msg_type"] != "input_request":
            return
        cell.prompts.append(message["content"]["prompt"])
        if self._answers:
            self.client.input(self._answers.pop(0))
        else:
            self._waiting_for_input = True

    def _on_iopub(self, message: Json, at: float) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "update_display_data":
            for output in self._displays.get(content["transient"].get("display_id", ""), ()):
                output["data"], output["metadata"] = content["data"], content["metadata"]
        cell = self._of(message)
        if cell is None:
            return
        cell.messages.append(Stamped(at, kind, content, message))
        if kind == "status" and content["execution_state"] == "idle":
            cell.idle, cell.ended = True, at
        elif kind == "stream":
            last = cell.outputs[-1] if cell.outputs else {}
            if last.get("output_type") == "stream" and last.get("name") == content["name"]:
                last["text"] += content["text"]
            else:
                cell.outputs.append({"output_type": "stream", **content})
        elif kind in ("display_data", "execute_result"):
            output = {"output_type": kind, "data": content["data"], "metadata": content["metadata"]}
            cell.outputs.append(output)
            display_id = content.get("transient", {}).get("display_id")
            if display_id:
                self._displays.setdefault(display_id, []).append(output)
        elif kind == "error":
            cell.outputs.append({"output_type": "error", **content})
        elif kind == "clear_output":
            cell.outputs.clear()
