"""Which llama.cpp to run: four ways to the same HTTP interface, told apart by a few lines of data."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.errors import LocalEngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.local.options import Options

INSTALL = "pip install xllamacpp"
_MODULES = {"xllamacpp": "xllamacpp", "llama_cpp": "llama-cpp-python"}  # import name -> distribution


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that is there. ``binary`` is set for ``llama-server`` alone."""

    name: str
    version: str
    binary: str | None = None

    @property
    def label(self) -> str:
        return "llama-server" if self.binary else _MODULES[self.name]


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

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Launch:
        return cls(**{**data, "extra_args": tuple(data.get("extra_args", ()))})


def available(env: Mapping[str, str] | None = None) -> bool:
    """Whether any engine is installed; imports none."""
    env = os.environ if env is None else env
    return bool(shutil.which("llama-server", path=env.get("PATH"))) or any(
        map(importlib.util.find_spec, _MODULES)
    )


def detect(options: Options, env: Mapping[str, str] | None = None) -> Engine:
    """The engine to use: ``llama-server`` pinned or on PATH, then xllamacpp, then llama-cpp-python.

    Raises:
        LocalEngineError: the pinned one is missing, or there is none; says the one line that installs one.
    """
    env = os.environ if env is None else env
    binary = None
    if options.llama_server:
        pinned = str(Path(options.llama_server).expanduser())
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
    for module, distribution in _MODULES.items():
        if options.engine in (None, module) and importlib.util.find_spec(module):
            try:
                version = metadata.version(distribution)
            except metadata.PackageNotFoundError:
                version = "unknown"
            return Engine(module, version)
    wanted = f"the engine {options.engine}" if options.engine else "no llama.cpp engine"
    raise LocalEngineError(
        f"{wanted} is {'not ' if options.engine else ''}installed",
        "Install llama-server." if options.engine == "llama-server" else f"Run: {_line(options.engine)}",
    )


def _line(engine: str | None) -> str:
    return "pip install 'llama-cpp-python[server]'" if engine == "llama_cpp" else INSTALL


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
