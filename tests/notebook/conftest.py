"""One kernel for all tests of a module: kernels are slow, and these tests leave it as they found it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.ante import Ante


@pytest.fixture(scope="module")
def shared_ante(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ante]:
    from support.ante import Ante, point_at
    from support.chat_server import ChatServer
    from support.kernel import Kernel

    home = tmp_path_factory.mktemp("home")
    work = tmp_path_factory.mktemp("work")
    folders = {
        "HOME": "", "ANTE_HOME": ".ante", "IPYTHONDIR": ".ipython", "JUPYTER_CONFIG_DIR": ".jupyter",
        "JUPYTER_DATA_DIR": ".jupyter-data", "JUPYTER_RUNTIME_DIR": ".jupyter-run",
    }  # fmt: skip
    environment: dict[str, str | None] = dict.fromkeys(
        name
        for name in os.environ
        if name.endswith(("_API_KEY", "_BASE_URL", "_TOKEN"))
        or name.startswith(("MODEL_", "JPY_", "ANTE_LOG"))
    )
    environment.update({name: str(home / folder) for name, folder in folders.items()})
    environment["ANTE_SYSTEM_SETTINGS"] = str(home / "none.json")
    environment["JUPYTER_PLATFORM_DIRS"] = "1"
    # The client's own files, too: the fixture of each test that sets these comes later than this one.
    before = os.environ.get("JUPYTER_RUNTIME_DIR")
    os.environ["JUPYTER_RUNTIME_DIR"] = str(home / ".jupyter-run")
    with ChatServer() as server:
        environment.update(point_at(server, home))
        with Kernel(cwd=work, env=environment) as kernel:
            if before is None:
                del os.environ["JUPYTER_RUNTIME_DIR"]
            else:
                os.environ["JUPYTER_RUNTIME_DIR"] = before
            loaded = kernel.run("%load_ext ante_nb")
            assert (loaded.status, loaded.outputs) == ("ok", []), loaded.text
            yield Ante(kernel, server, work)


@pytest.fixture
def ante(shared_ante: Ante) -> Ante:
    """The module's kernel and server, with a new session and nothing queued."""
    from support.ante import echo

    shared_ante.server.reset()
    shared_ante.server.handler = echo
    assert shared_ante.kernel.run("%ante reset").status == "ok"
    shared_ante.kernel.cells.clear()
    return shared_ante
