"""Which llama.cpp to run: four ways to the same HTTP interface, told apart by a few lines of data."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.errors import LocalEngineError
from ante_nb.local.preferences import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.local.options import Options

INSTALL = "pip install xllamacpp"
RELEASES = "https://github.com/ggml-org/llama.cpp/releases"
failures: dict[str, LocalEngineError] = {}
"""By engine name, why its last start by this process failed; a start that works removes it."""
MODULES = {"xllamacpp": "xllamacpp", "llama_cpp": "llama-cpp-python"}
"""The Python engines, in their order: import name -> distribution."""

_OURS = frozenset(
    ["--host", "--port", "--api-key", "--api-key-file", "--api-prefix", "--path", "--ssl-key-file", "--ssl-cert-file",
     "--tools", "--agent", "--ui-mcp-proxy", "--webui-mcp-proxy", "--media-path", "-m", "--model", "-a", "--alias"]
)  # fmt: skip
"""Options of llama-server that would open it to others, or lose it."""
NEEDED = {
    "xllamacpp": ("xllamacpp",),
    "llama_cpp": ("llama_cpp", "llama_cpp.server.app", "uvicorn"),  # its server is an extra
}
"""The modules that a Python engine runs with."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that is there. ``binary`` is set for ``llama-server`` alone."""

    name: str
    version: str
    binary: str | None = None

    @property
    def label(self) -> str:
        return "llama-server" if self.binary else MODULES[self.name]

    @property
    def shown_version(self) -> str:
        """The version as people know it; of a program nobody asked, so none is known."""
        return "" if self.binary else self.version


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything that the server process is told. The key is not here: it goes by environment."""

    engine: str
    binary: str | None
    model: str
    alias: str
    context: int
    threads: int
    gpu_layers: int
    cache_mib: int
    sleep_idle: float
    exit_idle: float
    start_timeout: float
    state: str
    extra_args: tuple[str, ...] = ()
    mmproj: str | None = None

    def __post_init__(self) -> None:
        for word in self.extra_args:
            if word.partition("=")[0] in _OURS:
                raise LocalEngineError(
                    f"extra_args hold {word.partition('=')[0]}, which is not to be set",
                    "The server listens on this machine alone, with a key: remove it from the settings or from "
                    "offline-config.json.",
                )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Launch:
        return cls(**{**data, "extra_args": tuple(data.get("extra_args", ()))})


def available(env: Mapping[str, str] | None = None) -> bool:
    """Whether any engine is installed; imports none."""
    from ante_nb.local.options import managed

    env = os.environ if env is None else env
    program = shutil.which("llama-server", path=env.get("PATH")) or managed(paths.home())
    return bool(program) or any(map(_installed, MODULES))


def _installed(module: str) -> bool:
    """Whether an import would find ``module``; an import hook or a half-removed package may raise."""
    try:
        return importlib.util.find_spec(module) is not None
    except Exception:
        return False


def detect(options: Options, env: Mapping[str, str] | None = None) -> Engine:
    """The engine to use: ``llama-server`` pinned or on PATH, then xllamacpp, then llama-cpp-python.

    Raises:
        LocalEngineError: the pinned one is missing, or there is none; says the one line that installs one.
    """
    env = os.environ if env is None else env
    binary = None
    if options.llama_server:
        pinned = str(expanded(options.llama_server))
        binary = shutil.which(pinned, path=env.get("PATH"))
        if binary is None:
            raise LocalEngineError(
                f"local.llama_server names {options.llama_server}, which is no program here",
                "Correct the setting, or remove it.",
            )
    elif options.engine in (None, "llama-server"):
        binary = shutil.which("llama-server", path=env.get("PATH"))
    if binary and options.engine in (None, "llama-server"):
        info = Path(binary).stat()
        return Engine("llama-server", f"{info.st_size}.{info.st_mtime_ns}", binary)
    for module, distribution in MODULES.items():
        if options.engine in (None, module) and _installed(module):
            try:
                version = metadata.version(distribution) or "unknown"
            except Exception:  # not found, or its metadata is broken; the module may still work
                version = "unknown"
            return Engine(module, version)
    wanted = f"the engine {options.engine}" if options.engine else "no llama.cpp engine"
    raise LocalEngineError(
        f"{wanted} is {'not ' if options.engine else ''}installed",
        f"Get llama-server from {RELEASES}, or remove local.engine and run: {INSTALL}"
        if options.engine == "llama-server"
        else f"Run: {install_line(options.engine)}",
    )


def install_line(engine: str | None) -> str:
    """What to type to get an engine; without a name, the quickest one."""
    if engine == "llama-server":
        return RELEASES
    return "pip install 'llama-cpp-python[server]'" if engine == "llama_cpp" else INSTALL


def broken(module: str, said: str) -> LocalEngineError:
    """The error for an engine that is installed and cannot be imported; says what to type."""
    name = MODULES.get(module, module)
    again = install_line(module).replace("install", "install --force-reinstall", 1)
    other = install_line("llama_cpp" if module == "xllamacpp" else "xllamacpp")
    because = f": {said}" if said else ""
    return LocalEngineError(
        f"{name} is installed but cannot be imported{because}",
        f"Run: {again} - or remove it and use another engine: {other}",
    )


def import_problem(
    engine: Engine, env: Mapping[str, str], *, timeout: float = 30.0
) -> LocalEngineError | None:
    """Tries the import in a process of its own (a native module may crash it); blocks up to ``timeout`` s."""
    if engine.binary:
        return None
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *NEEDED[engine.name]],
            env=child_environment(env, ""),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None  # a slow machine proves nothing about the module
    if done.returncode == 0:
        return None
    lines = done.stderr.decode("utf-8", "replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if done.returncode < 0:
        said = f"the import was ended by signal {-done.returncode}"
    return broken(engine.name, "".join(filter(str.isprintable, said))[:300])


# What a native engine may need of the kernel's environment; everything else (vendors' keys above all)
# stays out of a process that parses files from the internet.
_PASSED = {
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV",
    "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH", "CONDA_PREFIX", "SYSTEMROOT", "HSA_OVERRIDE_GFX_VERSION",
}  # fmt: skip
_PASSED_PREFIXES = ("CUDA_", "GGML_", "OMP_", "KMP_", "VK_", "ROCR_", "HIP_", "LLAMA_ARG_", "MTL_")


def child_environment(env: Mapping[str, str], key: str) -> dict[str, str]:
    """The server process's environment: the little it needs, and its key."""
    kept = {
        name: value
        for name, value in env.items()
        if (name in _PASSED or name.startswith(_PASSED_PREFIXES)) and "API_KEY" not in name
    }
    # Without it ggml answers its own abort by starting a debugger on the process.
    return {**kept, "GGML_NO_BACKTRACE": "1", "ANTE_LOCAL_KEY": key}
