"""Rich output of the Python tool for the person: tables, plots as data, images; nothing that runs or fetches.

The code that made it was written by a model. So HTML is cut down to the allow-list, and the plots that
front ends draw from JSON are shown only where :mod:`ante_nb.notebook.render.plots` lets them.
"""

from __future__ import annotations

from typing import Any

from ante_nb.notebook.render.plots import MAX_BYTES, PLOTS, may_draw

__all__ = ["PLOTS", "Rich", "rich_of"]

Rich = dict[str, Any]
"""MIME type -> data of what is to be shown."""


def rich_of(data: dict[str, Any]) -> Rich | None:
    """What of a MIME bundle may be shown, or ``None`` where its text form is all.

    Args:
        data: as ``display()`` publishes it.
    """
    for kind in PLOTS:
        if kind in data and may_draw(kind, data[kind]):
            return {kind: data[kind], "text/plain": str(data.get("text/plain", ""))[:2_000]}
    html = data.get("text/html")
    if isinstance(html, str) and "<table" in html and len(html) <= MAX_BYTES:
        return {"text/html": html, "text/plain": str(data.get("text/plain", ""))}
    return None
