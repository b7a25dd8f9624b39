"""What every test gets: the ``support`` package, no outside network, no keys, an empty home."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
GUARD = TESTS / "support" / "netguard"
for entry in (str(GUARD), str(TESTS)):
    if entry not in sys.path:
        sys.path.insert(0, entry)

import netguard  # noqa: E402  (found on the path set above)

pytest.register_assert_rewrite("support.ante", "support.kernel")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.chat_server import ChatServer
    from support.kernel import Kernel

netguard.install()

try:
    from hypothesis import settings as hypothesis_settings
except ImportError:  # the property tests then fail by name, the others still run
    pass
else:
    # A loaded machine makes any per-example deadline a coin toss.
    hypothesis_settings.register_profile("ante", deadline=None, print_blob=True)
    hypothesis_settings.load_profile("ante")

# Whatever the shell of the person who runs the tests has set, no test may see it.
_PRIVATE_SUFFIXES = ("_API_KEY", "_BASE_URL", "_TOKEN", "_PROXY", "_proxy")
_PRIVATE_PREFIXES = ("ANTE_", "MODEL_", "JPY_", "JUPYTER", "IPYTHON", "AWS_", "LLAMA_", "HF_")
_KEPT = {"ANTE_PROVE", "ANTE_TEST_NETWORK_LOG", "ANTE_SEED"}


def private_variables() -> list[str]:
    """Names in the present environment that could steer or sign a request."""
    return [
        name
        for name in os.environ
        if name not in _KEPT and (name.endswith(_PRIVATE_SUFFIXES) or name.startswith(_PRIVATE_PREFIXES))
    ]


@pytest.fixture(scope="session", autouse=True)
def _no_outside_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Loopback only, here and in every Python child process; an attempt fails the run."""
    log = tmp_path_factory.mktemp("netguard") / "attempts.txt"
    old = {name: os.environ.get(name) for name in ("PYTHONPATH", "ANTE_TEST_NETWORK_LOG")}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(GUARD), old["PYTHONPATH"]]))
    os.environ["ANTE_TEST_NETWORK_LOG"] = str(log)
    yield
    for name, value in old.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if log.exists():
        pytest.fail("tests tried to leave this machine:\n" + log.read_text(encoding="utf-8"), pytrace=False)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    base = tmp_path_factory.mktemp("homes")
    count = itertools.count()

    def new() -> Path:
        home = base / str(next(count))
        home.mkdir()
        return home

    return new


@pytest.fixture(autouse=True)
def isolated_home(_homes: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory of this test's own: no settings, keys, sessions or models of the person."""
    home = _homes()
    for name in private_variables():
        monkeypatch.delenv(name)
    for name, folder in {
        "HOME": "",
        "ANTE_HOME": ".ante",
        "IPYTHONDIR": ".ipython",
        "JUPYTER_CONFIG_DIR": ".jupyter",
        "JUPYTER_DATA_DIR": ".jupyter-data",
        "JUPYTER_RUNTIME_DIR": ".jupyter-run",
        "XDG_CACHE_HOME": ".cache",
        "XDG_CONFIG_HOME": ".config",
        "XDG_DATA_HOME": ".data",
    }.items():
        monkeypatch.setenv(name, str(home / folder) if folder else str(home))
    monkeypatch.setenv("ANTE_SYSTEM_SETTINGS", str(home / "no-system-settings.json"))
    # Jupyter's coming default; without it jupyter_core warns at import.
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    # The kernelspec that a test installs, not the one that came with the package.
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    return home


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    """A loopback server that speaks Chat Completions and does what the test scripts."""
    from support.chat_server import ChatServer

    with ChatServer() as server:
        yield server


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A real ipykernel in an empty directory, seen through jupyter_client."""
    from support.kernel import Kernel

    with Kernel(cwd=tmp_path) as running:
        yield running
