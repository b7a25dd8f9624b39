"""Versions of ipykernel that must not be used: refused by the package's requirement, named here where it was bypassed.

Measured with plain cells and nothing of this package: 7.2 and 7.3 answer no request any more after 8 to 44
interrupts. 7.0 and 7.1 were not tried. 6.31 and 7.4 took 80 of 80.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ante_nb.notebook.state import KernelState

OLDEST = (6, 31)
EXCLUDED = ((7, 0), (7, 1), (7, 2), (7, 3))
REMEDY = "%pip install -U 'ipykernel>=7.4', then restart the kernel."


def running() -> str | None:
    """The version of the ipykernel that runs this process, not of the one that pip may have put in its place."""
    module = sys.modules.get("ipykernel")
    found = getattr(module, "__version__", None)
    return found if isinstance(found, str) else None


def problem(version: str) -> str | None:
    """What is wrong with that version of ipykernel, as the end of a sentence; ``None`` if nothing is."""
    number = re.match(r"(\d+)\.(\d+)", version)
    if number is None:
        return None
    pair = (int(number[1]), int(number[2]))
    if pair in EXCLUDED:
        return "stops answering after a few interrupts"
    if pair < OLDEST:
        return f"is older than {OLDEST[0]}.{OLDEST[1]}, the oldest one that is tested"
    return None


def warn_once(state: KernelState) -> None:
    """Print one line in the running cell, once per kernel, where it runs on such a version."""
    version = running() if state.is_kernel and not state.version_warned else None
    found = problem(version) if version else None
    if found:
        state.version_warned = True
        print(f"ante: this kernel runs ipykernel {version}, which {found}. {REMEDY}")
