"""SIGKILL at every step of every change of the store: the old record or the new one is always there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.ante import PROVE, prove, seeded

TESTS = Path(__file__).resolve().parents[2]
POINTS = "all" if PROVE else "10"
# Named here too, so that a scenario that was lost is missed.
NAMES = [
    "first",
    "replace",
    "loose",
    "damaged",
    "delete",
    "keys",
    "ring_first",
    "ring_replace",
    "split_first",
    "split_replace",
    "split_delete",
    "to_ring",
    "to_split",
    "from_ring",
    "from_split",
    "save_to_ring",
    "save_to_file",
    "keys_to_ring",
]
done: dict[str, dict] = {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a child for each point")
def test_kill(name, tmp_path):
    seed = seeded(f"kill -9 in {name}").randrange(1 << 32)
    command = [sys.executable, "-m", "support.store_kill", name, str(tmp_path), POINTS, str(seed)]
    ran = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=3000 if PROVE else 150)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["failures"] == []
    assert result["points"] >= 10 and result["killed"] == (result["points"] if PROVE else 10)
    done[name] = {key: result[key] for key in ("points", "killed", "outcomes")}
    if PROVE and list(done) == NAMES:
        prove("store_kill", lost=0, killed=sum(one["killed"] for one in done.values()), scenarios=done)
