"""Every inline style that the package publishes.

Outputs must look right without a style sheet of ours (VS Code, nbconvert, GitHub), so colours are inline:
JupyterLab's and Notebook's theme variables, with a value that reads on white and on dark elsewhere.
``STYLES`` is at the same time the allow-list: no other ``style`` value passes the sanitizer.
"""

from __future__ import annotations

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
    "STYLES",
    "SUMMARY",
    "TOKEN",
    "WARN",
]

TOKEN = {
    "keyword": "color:var(--jp-mirror-editor-keyword-color,#1a8f3c)",
    "string": "color:var(--jp-mirror-editor-string-color,#c0504d)",
    "comment": "color:var(--jp-mirror-editor-comment-color,#7f8c8d)",
    "number": "color:var(--jp-mirror-editor-number-color,#2a8fbd)",
    "name": "color:var(--jp-mirror-editor-def-color,#3b7ddd)",
}
ALIGN = {side: f"text-align:{side}" for side in ("left", "right", "center")}

FAINT = "color:var(--jp-ui-font-color2,#7f8c8d)"
GOOD = "color:var(--jp-success-color1,#1a8f3c)"
BAD = "color:var(--jp-error-color1,#d32f2f)"
WARN = "color:var(--jp-warn-color1,#c77700)"
LINE = "color:var(--jp-ui-font-color2,#7f8c8d);font-size:90%;margin:2px 0"
BOX = "border-left:3px solid var(--jp-border-color1,#bdbdbd);padding:0 0 0 8px;margin:4px 0"
SUMMARY = "cursor:pointer"
PRE = "white-space:pre-wrap;max-height:320px;overflow:auto;margin:4px 0;font-size:90%"
IMAGE = "max-width:100%"
DIFF = {
    "+": "color:var(--jp-success-color1,#1a8f3c)",
    "-": "color:var(--jp-error-color1,#d32f2f)",
    "@": "color:var(--jp-info-color1,#2a8fbd)",
}

STYLES = frozenset(
    (*TOKEN.values(), *ALIGN.values(), *DIFF.values(), FAINT, GOOD, BAD, WARN, LINE, BOX, SUMMARY, PRE, IMAGE)
)
