"""A prompt that ends by itself, also at the moment in which its answer comes; no signal is left over."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ante_nb.notebook.reach import elsewhere
from ante_nb.notebook.typed import TypedAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stray() -> Iterator[list[int]]:
    """The signals that reach whoever stands behind the prompt."""
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    yield seen
    assert signal.getsignal(signal.SIGINT).__qualname__.startswith("stray")  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, before)


def from_pipe(handle: int) -> str:
    return os.read(handle, 100).decode()


def test_stopped_while_it_reads(stray: list[int]) -> None:
    reading, writing = os.pipe()
    typed = TypedAnswer(lambda prompt: from_pipe(reading))
    threading.Timer(0.2, typed.stop).start()
    assert typed.ask("? ") is None
    assert typed.ask("? ") is None, "stopped once, stopped for good"
    os.close(reading)
    os.close(writing)
    assert stray == []


def test_an_answer(stray: list[int]) -> None:
    answers = iter(("one", "two"))
    typed = TypedAnswer(lambda prompt: prompt + next(answers))
    assert (typed.ask("a "), typed.ask("b ")) == ("a one", "b two")
    typed.stop()
    assert typed.ask("c ") is None and stray == []


def test_stopped_at_the_moment_of_the_answer(stray: list[int]) -> None:
    seed = int(os.environ.get("ANTE_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"ANTE_SEED={seed}")
    chance = random.Random(seed)
    ends = set()
    for _ in range(300):
        pause = chance.uniform(0, 0.002)

        def read(prompt: str, pause: float = pause) -> str:
            time.sleep(pause)
            return "answer"

        typed = TypedAnswer(read)
        stopper = threading.Timer(chance.uniform(0, 0.002), typed.stop)
        stopper.start()
        ends.add(typed.ask("? "))
        stopper.join()
        # Nothing is on its way any more.
        for _ in range(50):
            pass
    time.sleep(0.05)
    assert stray == [] and ends <= {None, "answer"} and len(ends) == 2


def test_the_persons_own_interrupt(stray: list[int]) -> None:
    reading, writing = os.pipe()
    typed = TypedAnswer(lambda prompt: from_pipe(reading))
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        typed.ask("? ")
    os.close(reading)
    os.close(writing)


def test_off_the_main_thread() -> None:
    errors: list[Exception] = []

    def ask() -> None:
        try:
            TypedAnswer(lambda prompt: "").ask("? ")
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("env", "place"),
    [
        ({}, None),
        ({"WSL_DISTRO_NAME": "Debian", "VSCODE_PID": "1", "TERM_PROGRAM": "vscode"}, None),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/me/"}, "JupyterHub"),
        ({"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, "SSH"),
        ({"CODESPACES": "true"}, "Codespaces"),
        ({"CODESPACES": "false"}, None),
        ({"COLAB_RELEASE_TAG": "r"}, "Colab"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "Kubernetes"),
    ],
)
def test_where_the_kernel_is(env: dict[str, str], place: str | None, tmp_path: Path) -> None:
    assert elsewhere(env, tmp_path) == place


def test_in_a_container(tmp_path: Path) -> None:
    (tmp_path / ".dockerenv").touch()
    assert elsewhere({}, tmp_path) == "a container"
