"""Every inline style that the package publishes.

Outputs must look right without a style sheet of ours (VS Code, nbconvert, GitHub), so colours are inline:
JupyterLab's and Notebook's theme variables, with a value that reads on white and on dark elsewhere.
``STYLES`` is at the same time the allow-list: no other ``style`` value passes the sanitizer.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "ALIGN",
    "BAD",
    "BOX",
    "DIFF",
    "FAINT",
    "GOOD",
    "IMAGE",
    "LINE",
    "PRE",
    "STOP",
    "STYLES",
    "SUMMARY",
    "TOKEN",
    "WARN",
    "code_style",
]

_CODE = {
    "keyword": "--k:var(--jp-mirror-editor-keyword-color,#1a8f3c)",
    "string": "--s:var(--jp-mirror-editor-string-color,#c0504d)",
    "comment": "--c:var(--jp-mirror-editor-comment-color,#7f8c8d)",
    "number": "--n:var(--jp-mirror-editor-number-color,#2a8fbd)",
    "name": "--d:var(--jp-mirror-editor-def-color,#3b7ddd)",
}


def code_style(kinds: Collection[str]) -> str:
    """The style of a ``pre`` with coloured code: short names for the theme's colours of these token kinds.

    A span per token is what costs bytes, so the spans have the short names.
    """
    return ";".join(value for kind, value in _CODE.items() if kind in kinds)


TOKEN = {
    "keyword": "color:var(--k)",
    "string": "color:var(--s)",
    "comment": "color:var(--c)",
    "number": "color:var(--n)",
    "name": "color:var(--d)",
}
ALIGN = {side: f"text-align:{side}" for side in ("left", "right", "center")}

FAINT = "color:var(--jp-ui-font-color2,#7f8c8d)"
GOOD = "color:var(--jp-success-color1,#1a8f3c)"
BAD = "color:var(--jp-error-color1,#d32f2f)"
WARN = "color:var(--jp-warn-color1,#c77700)"
LINE = "color:var(--jp-ui-font-color2,#7f8c8d);font-size:90%;margin:2px 0;overflow-wrap:anywhere"
BOX = "border-left:3px solid var(--jp-border-color1,#bdbdbd);padding:0 0 0 8px;margin:4px 0;overflow-wrap:anywhere"
STOP = (
    "border-left:3px solid var(--jp-error-color1,#d32f2f);padding:4px 8px;margin:4px 0;overflow-wrap:anywhere"
)
SUMMARY = "cursor:pointer"
PRE = "white-space:pre-wrap;overflow-wrap:anywhere;max-height:320px;overflow:auto;margin:4px 0;font-size:90%"
IMAGE = "max-width:100%"
DIFF = {
    "+": "color:var(--jp-success-color1,#1a8f3c)",
    "-": "color:var(--jp-error-color1,#d32f2f)",
    "@": "color:var(--jp-info-color1,#2a8fbd)",
}

STYLES = frozenset(
    (
        *TOKEN.values(),
        *ALIGN.values(),
        *DIFF.values(),
        *(code_style(kinds) for n in range(1, len(_CODE) + 1) for kinds in combinations(_CODE, n)),
        FAINT,
        GOOD,
        BAD,
        WARN,
        LINE,
        BOX,
        SUMMARY,
        PRE,
        STOP,
        IMAGE,
    )
)
