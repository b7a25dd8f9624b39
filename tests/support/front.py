"""The same prompt in a Python kernel, as a ``%%ante`` cell, and in ante-kernel, as the cell itself."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from support.ante import echo, point_at
from support.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.chat_server import ChatServer
    from support.kernel import Outcome

HOME = {
    "HOME": "",
    "ANTE_HOME": ".ante",
    "ANTE_SYSTEM_SETTINGS": "no-system-settings.json",
    "IPYTHONDIR": ".ipython",
    "JUPYTER_CONFIG_DIR": ".jupyter",
    "JUPYTER_DATA_DIR": ".jupyter-data",
    "JUPYTER_RUNTIME_DIR": ".jupyter-run",
    "XDG_CONFIG_HOME": ".config",
    "XDG_CACHE_HOME": ".cache",
    "XDG_DATA_HOME": ".data",
}
KERNELS = ("python3", "ante")


@dataclass
class Front:
    """A running kernel, and how a cell is written for it."""

    name: str
    kernel: Kernel
    server: ChatServer
    cwd: Path

    def cell(self, words: str, flags: str = "") -> str:
        """A prompt as a cell."""
        return words if self.name == "ante" and not flags else f"%%ante {flags}\n{words}"

    def python(self, code: str) -> str:
        """Python as a cell."""
        return f"%%python\n{code}" if self.name == "ante" else code

    def prompt(self, words: str, flags: str = "", timeout: float = 60, **options: Any) -> Outcome:
        return self.kernel.run(self.cell(words, flags), timeout, **options)

    def start(self, words: str, flags: str = "", **options: Any) -> Outcome:
        return self.kernel.start(self.cell(words, flags), **options)


@contextlib.contextmanager
def own_home(factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What ``isolated_home`` is for one test, for the tests of a whole module."""
    home = factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.endswith(("_API_KEY", "_BASE_URL")) or name.startswith(("MODEL_", "ANTE_HOME")):
                patch.delenv(name)
        for name, folder in HOME.items():
            patch.setenv(name, str(home / folder) if folder else str(home))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        # The kernelspec that a test installs, not the one that came with the package.
        patch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
        yield home


def install(home: Path, **options: str) -> None:
    """Put ante-kernel's kernelspec where Jupyter looks in a test, for the interpreter and tree under test."""
    from ante_nb.kernel.kernelspec import install as put

    assert home in put(user=True, **options).parents


@contextlib.contextmanager
def start(
    name: str, server: ChatServer, home: Path, cwd: Path, kind: type[Kernel] = Kernel, **env: str
) -> Iterator[Front]:
    """Start the kernel of that name; in a Python kernel the extension is loaded."""
    server.handler = echo
    install(home)
    with kind(cwd=cwd, env={**point_at(server, home), **env}, name=name) as kernel:
        if name == "python3":
            assert kernel.run("%load_ext ante_nb").status == "ok"
        yield Front(name, kernel, server, cwd)
