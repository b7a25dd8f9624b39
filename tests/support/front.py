"""The same prompt in a Python kernel, as a ``%%ante`` cell, and in ante-kernel, as the cell itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.ante import echo, point_at
from support.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.chat_server import ChatServer
    from support.kernel import Outcome

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
def start(
    name: str, server: ChatServer, home: Path, cwd: Path, kind: type[Kernel] = Kernel, **env: str
) -> Iterator[Front]:
    """Start the kernel of that name; in a Python kernel the extension is loaded."""
    server.handler = echo
    with kind(cwd=cwd, env={**point_at(server, home), **env}, name=name) as kernel:
        if name == "python3":
            assert kernel.run("%load_ext ante_nb").status == "ok"
        yield Front(name, kernel, server, cwd)
