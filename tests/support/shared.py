"""Finds the recorded provider streams and fixtures that lie beside the repository, if they are there."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3] / "shared"


def shared(path: str) -> Path:
    """The file or folder ``path`` of the shared material; skips the test where it is absent."""
    found = ROOT / path
    if not found.exists():
        pytest.skip(f"needs ../shared/{path}, which is not part of the repository")
    return found
