"""Which plots may be shown as data for the front end to draw: those that load nothing and compute little.

A figure is JSON that a library of the page interprets: it may name images, map tiles and tables to fetch,
links to follow, style sheets to add (vega-embed reads ``usermeta``), expressions to evaluate. So a plot is
shown when everything in it is of a kind that is listed here; else its text form is shown.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["PLOTS", "may_draw"]

_PLOTLY = "application/vnd.plotly.v1+json"
PLOTS = (
    _PLOTLY,
    "application/vnd.vegalite.v6+json",
    "application/vnd.vegalite.v5+json",
    "application/vnd.vega.v6+json",
    "application/vnd.vega.v5+json",
)
"""Types that JupyterLab and other front ends draw themselves, by the extension of the library."""
MAX_BYTES = 2_000_000
_MAX_DEPTH = 60

# Not the maps: they fetch tiles and outlines that no address in the figure names. Not "image", whose source
# is a picture.
_TRACE_NAMES = """
bar barpolar box candlestick carpet cone contour contourcarpet funnel funnelarea heatmap histogram histogram2d
histogram2dcontour icicle indicator isosurface mesh3d ohlc parcats parcoords pie sankey scatter scatter3d
scattercarpet scattergl scatterpolar scatterpolargl scattersmith scatterternary splom streamtube sunburst surface
table treemap violin volume waterfall
"""
_TRACES = frozenset(_TRACE_NAMES.split())
_LABELS = {"$schema", "plotlyServerURL"}
"""Keys whose value is an address that nothing loads: Vega's name of its version, a button not shown."""
_LOADER_NAMES = """
url href src source images usermeta embedoptions loader topojsonurl target on events tooltipformat customformattypes
"""
_LOADERS = frozenset(_LOADER_NAMES.split())
_PACKED = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_ADDRESS = re.compile(
    r"//|\\|(?:https?|ftp|file|data|blob|javascript|vbscript|filesystem):|url\(|@import"
    r"|<(?!/?(?:b|br|i|em|sub|sup|extra|span)\b)",
    re.IGNORECASE,
)

_EXPRESSIONS = frozenset(
    ("calculate", "filter", "expr", "test", "signal", "update", "init", "labelexpr", "groupby_expr")
)
_FUNCTION_NAMES = """
datum if isValid isDate isNumber isString isNaN isFinite toNumber toString toBoolean toDate abs ceil floor round
sqrt pow exp log min max clamp sin cos tan length lower upper format timeFormat utcFormat year quarter month date day
hours minutes seconds datetime utc now rank quantile true false null NaN PI E value width height label index
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
_WORD = re.compile(r"'[^'\\]*'|\"[^\"\\]*\"|(?P<dot>\.\s*)?(?P<name>[A-Za-z_$][\w$]*)|[\[\]]")


def may_draw(kind: str, plot: Any) -> bool:
    """Whether the front end may be given this plot.

    Args:
        kind: one of :data:`PLOTS`.
        plot: its data as published.
    """
    if not isinstance(plot, dict) or not _small(plot):
        return False
    if kind == _PLOTLY:
        traces = plot.get("data")
        if not isinstance(traces, list) or plot.get("frames"):
            return False
        if not all(isinstance(t, dict) and t.get("type", "scatter") in _TRACES for t in traces):
            return False
        return _loads_nothing(plot, "", 0, vega=False)
    return _loads_nothing(plot, "", 0, vega=True)


def _small(plot: dict[str, Any]) -> bool:
    try:
        return len(json.dumps(plot)) <= MAX_BYTES
    except (TypeError, ValueError, RecursionError):
        return False


def _loads_nothing(value: Any, key: str, depth: int, *, vega: bool) -> bool:
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return all(
            _key_ok(str(name), item, vega) and _loads_nothing(item, str(name), depth + 1, vega=vega)
            for name, item in value.items()
        )
    if isinstance(value, list):
        return all(_loads_nothing(item, key, depth + 1, vega=vega) for item in value)
    if key == "bdata":  # packed numbers, which may look like an address
        return isinstance(value, str) and bool(_PACKED.fullmatch(value))
    if isinstance(value, str) and key not in _LABELS:
        if vega and key.lower() in _EXPRESSIONS and not _plain_expression(value):
            return False
        return not _ADDRESS.search("".join(c for c in value if c > " "))
    return True


def _key_ok(name: str, item: Any, vega: bool) -> bool:
    low = name.lower()
    if low not in _LOADERS:
        return True
    if low == "source":  # Plotly's Sankey names its flows' beginnings so, by number
        return not vega and isinstance(item, list | dict) and not _has_text(item)
    return low in ("target", "on") and not _has_text(item)


def _has_text(item: Any) -> bool:
    """Whether there is any text in it but the names of number types and packed numbers."""
    if isinstance(item, dict):
        return any(
            _has_text(value) for name, value in item.items() if name not in ("dtype", "bdata", "shape")
        )
    if isinstance(item, list):
        return any(map(_has_text, item))
    return isinstance(item, str)


def _plain_expression(text: str) -> bool:
    """Arithmetic and comparisons on ``datum`` with listed functions; members of nothing else."""
    previous = ""
    for match in _WORD.finditer(text):
        token = match[0]
        name = match["name"]
        if token == "[":
            if previous != "datum" and previous not in ("(", ",", ""):
                return False
        elif name and match["dot"]:
            if previous != "datum":
                return False
        elif name and name not in _FUNCTIONS and not name.startswith("param_"):
            return False
        previous = name if name and not match["dot"] else token[-1]
    return not re.search(r"[`\\]|__|constructor|prototype", text)
