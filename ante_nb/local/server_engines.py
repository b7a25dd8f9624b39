"""Starts each engine inside the server process and waits until its model is loaded."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ante_nb.local.engine import NEEDED
from ante_nb.local.http_probe import get_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.local.engine import Launch


BATCH = 512
"""Tokens of a prompt that are read in one go, llama.cpp's own compute batch. Between two of them the server
tells how far it is and takes note that nobody waits any more; its default of 2048 is most of a minute on a CPU.
Encoders keep the default: some want an image's tokens in one."""


@dataclass(slots=True)
class Running:
    """An engine that answers at ``url``. ``child`` is ``[pid, start]`` where it is a process of its own."""

    url: str
    alive: Callable[[], bool] = field(default=lambda: True)
    stop: Callable[[], None] = field(default=lambda: None)
    child: list[Any] | None = None


def _imported(module: str) -> Any:
    """A module of the engine; a failure is the last line of the log, where ``diagnose`` finds it."""
    try:
        return import_module(module)
    except Exception as error:  # a native module that lacks a library raises OSError or RuntimeError as well
        words = " ".join(str(error).split())
        engine = next(name for name, needed in NEEDED.items() if module in needed)
        print(f"cannot import {engine}: {type(error).__name__}: {words}", flush=True)
        sys.exit(1)


def start_xllamacpp(launch: Launch, key: str) -> Running:
    """The llama-server that is linked into the xllamacpp wheel, in this process."""
    xllamacpp: Any = _imported("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = launch.model
    params.model_alias = {launch.alias}
    params.n_ctx = launch.context
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = launch.threads
    params.n_gpu_layers = launch.gpu_layers
    params.cache_ram_mib = launch.cache_mib
    params.sleep_idle_seconds = int(launch.sleep_idle) or -1
    params.verbosity = 1
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.cors_origins = ""  # the wheel's default answers any web page's origin
    params.endpoint_slots = True
    params.ui = False
    if launch.mmproj:
        params.mmproj.path = launch.mmproj
    else:
        params.n_batch = BATCH
    server = xllamacpp.Server(params)
    # The closure keeps the server: collected, it would stop.
    return Running(server.listening_address, alive=lambda: server is not None)


def start_llama_cpp(launch: Launch, key: str) -> Running:
    """llama-cpp-python's server, in a thread of this process, with the endpoints it lacks."""
    for module in NEEDED["llama_cpp"]:
        _imported(module)
    from ante_nb.local.server_llama_cpp import serve

    url, alive = serve(launch, key)
    return Running(url, alive=alive)


def start_llama_server(launch: Launch, key: str) -> Running:
    """A llama-server program as a child that dies with this process."""
    from ante_nb.local.process import start_time

    assert launch.binary is not None
    port = _free_port()
    command = [
        launch.binary,
        *("--model", launch.model, "--alias", launch.alias),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--ctx-size", str(launch.context), "--parallel", "1", "--threads", str(launch.threads), "--jinja"),
    ]
    if launch.gpu_layers >= 0:
        command += ["--n-gpu-layers", str(launch.gpu_layers)]
    if launch.mmproj:
        command += ["--mmproj", launch.mmproj]
    known = _help(launch.binary)
    # Newer options, by name where the program knows them: an unknown one would end it.
    newer: list[tuple[str, str | None]] = [
        ("--sleep-idle-seconds", str(int(launch.sleep_idle) or -1)),
        ("--cache-ram", str(launch.cache_mib)),
        ("--slots", None),
        ("--no-webui", None),
    ]
    if not launch.mmproj:
        newer.append(("--batch-size", str(BATCH)))
    for option, value in newer:
        if option in known:
            command += [option] if value is None else [option, value]
    command += launch.extra_args
    # The program reads its key from the environment; arguments are for every user to see.
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "LLAMA_API_KEY": key},
        preexec_fn=_dying_with_parent(),
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + launch.start_timeout
    while time.monotonic() < deadline:
        code = child.poll()
        if code is not None:
            _leave_like(code)
        if get_json(url, "/health", None, timeout=5)[0] == 200 and get_json(url, "/v1/models", key)[0] == 200:
            return Running(
                url,
                alive=lambda: child.poll() is None,
                stop=lambda: _stop(child),
                child=[child.pid, start_time(child.pid)],
            )
        time.sleep(0.05)
    _stop(child)
    print("error: the model did not load in time", flush=True)
    sys.exit(1)


def _leave_like(code: int) -> None:
    """Ends as the child ended, by the same signal, so that the cause can be told from outside."""
    sys.stdout.flush()
    if code < 0:
        os._exit(128 - code)
    os._exit(code or 1)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()


def _help(binary: str) -> str:
    try:
        done = subprocess.run(
            [binary, "--help"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout + done.stderr


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _dying_with_parent() -> Callable[[], object] | None:
    """What the child does before it becomes the program; nothing is imported there, after the fork."""
    if sys.platform != "linux":
        return None
    import ctypes
    import signal

    library = ctypes.CDLL(None)
    return lambda: library.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, prctl(2)


STARTERS: dict[str, Callable[[Launch, str], Running]] = {
    "xllamacpp": start_xllamacpp,
    "llama_cpp": start_llama_cpp,
    "llama-server": start_llama_server,
}
