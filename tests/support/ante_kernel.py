"""ante-kernel, installed by its own command and started as a front end does."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.ante import Ante
    from support.kernel import Kernel

FOLDERS = {
    "HOME": "", "ANTE_HOME": ".ante", "IPYTHONDIR": ".ipython", "JUPYTER_CONFIG_DIR": ".jupyter",
    "JUPYTER_DATA_DIR": ".jupyter-data", "JUPYTER_RUNTIME_DIR": ".jupyter-run",
}  # fmt: skip


@contextlib.contextmanager
def surroundings(home: Path, **more: str) -> Iterator[None]:
    """The environment of a person with an empty home, for as long as a kernel of theirs is started."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL", "_TOKEN")) or name.startswith(
            ("MODEL_", "JPY_", "JUPYTER")
        ):
            del os.environ[name]
    os.environ.update({name: str(home / folder) for name, folder in FOLDERS.items()})
    # The kernelspec that a test installs, not the one that came with the package.
    jupyter = {"JUPYTER_PLATFORM_DIRS": "1", "JUPYTER_PREFER_ENV_PATH": "0"}
    os.environ.update({"ANTE_SYSTEM_SETTINGS": str(home / "none.json"), **jupyter, **more})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def started(home: Path, cwd: Path, *flags: str, kind: type[Kernel] | None = None) -> Iterator[Ante]:
    """A running ante-kernel with a loopback server; ``flags`` go to ``ante-kernel install``."""
    from ante_nb.kernel.cli import main
    from support.ante import Ante, point_at
    from support.chat_server import ChatServer
    from support.kernel import Kernel

    with ChatServer() as server, contextlib.ExitStack() as stack:
        with surroundings(home, **point_at(server, home)):
            assert main(["install", "--user", *flags]) == 0
            kernel = stack.enter_context((kind or Kernel)(cwd=cwd, name="ante"))
        yield Ante(kernel, server, cwd)
