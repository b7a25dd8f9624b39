"""Rich output of the Python tool for the person: tables, plots as data, images; nothing that runs or fetches.

The code that made it was written by a model. So HTML is cut down to the allow-list, and the plots that
front ends draw from JSON are shown only where that JSON names no address: a figure may ask the page to
load an image, a map tile or a table.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["PLOTS", "Rich", "rich_of"]

Rich = dict[str, Any]
"""MIME type -> data of what is to be shown."""

PLOTS = (
    "application/vnd.plotly.v1+json",
    "application/vnd.vegalite.v6+json",
    "application/vnd.vegalite.v5+json",
    "application/vnd.vega.v6+json",
    "application/vnd.vega.v5+json",
)
"""Types that JupyterLab and other front ends draw themselves, by the extension of the library."""
MAX_BYTES = 2_000_000
_LABELS = {"$schema": "vega's own name of its version", "plotlyServerURL": "a button that is not shown"}
"""Keys whose value is an address that nothing loads, with what it is."""


def rich_of(data: dict[str, Any]) -> Rich | None:
    """What of a MIME bundle may be shown, or ``None`` where its text form is all.

    Args:
        data: as ``display()`` publishes it.
    """
    for kind in PLOTS:
        plot = data.get(kind)
        if isinstance(plot, dict) and _small(plot) and _loads_nothing(plot):
            return {kind: plot, "text/plain": str(data.get("text/plain", ""))[:2_000]}
    html = data.get("text/html")
    if isinstance(html, str) and "<table" in html and len(html) <= MAX_BYTES:
        return {"text/html": html, "text/plain": str(data.get("text/plain", ""))}
    return None


def _small(plot: dict[str, Any]) -> bool:
    try:
        return len(json.dumps(plot)) <= MAX_BYTES
    except (TypeError, ValueError, RecursionError):
        return False


def _loads_nothing(value: Any, key: str = "") -> bool:
    if isinstance(value, dict):
        return all(
            str(name).lower() != "url" and _loads_nothing(item, str(name)) for name, item in value.items()
        )
    if isinstance(value, list):
        return all(_loads_nothing(item, key) for item in value)
    if isinstance(value, str) and key not in _LABELS:
        text = "".join(value.split()).lower()
        return (
            "//" not in text and "javascript:" not in text and "<script" not in text and "data:" not in text
        )
    return True
