"""A catalog in which the loopback model has a limit and a price."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.desk import Desk

PRICE = {"input": 1.0, "output": 10.0, "cache_read": 0.1, "as_of": "2026-11-01"}


def describe_model(desk: Desk, *, settings: dict[str, Any] | None = None, **fields: Any) -> None:
    """``fields`` for the model of ``desk`` in its catalog, ``settings`` beside those that are there."""
    (desk.home / "catalog.json").write_text(json.dumps({"models": {"test-model": fields}}))
    if settings:
        path = desk.home / "settings.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))
