"""One ante-kernel for all tests of a module, and one of a test's own where it is started otherwise."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from support.ante_kernel import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.ante import Ante


@pytest.fixture(scope="module")
def shared_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ante]:
    with started(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work")) as running:
        yield running


@pytest.fixture
def ante(shared_kernel: Ante) -> Ante:
    """The module's kernel and server, with a new session and nothing queued."""
    from support.ante import echo

    shared_kernel.server.reset()
    shared_kernel.server.handler = echo
    assert shared_kernel.kernel.run("%ante reset").status == "ok"
    shared_kernel.kernel.cells.clear()
    return shared_kernel


@pytest.fixture
def own_kernel(tmp_path: Path) -> Iterator[Callable[..., Ante]]:
    """Starts a kernel of the test's own; ``flags`` go to ``ante-kernel install``."""
    with contextlib.ExitStack() as stack:

        def start(*flags: str) -> Ante:
            home, work = tmp_path / "home", tmp_path / "work"
            home.mkdir()
            work.mkdir()
            return stack.enter_context(started(home, work, *flags))

        yield start
