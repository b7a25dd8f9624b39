"""The last gate before the screen: characters made visible, HTML cut down to an allow-list.

JupyterLab sanitizes nothing in a notebook that it trusts, which is every notebook that has just run a
cell. So all HTML that this package publishes goes through :func:`clean`, whoever made it.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from ante_nb.notebook.render.styles import STYLES
from ante_nb.visible import visible

if TYPE_CHECKING:
    import nh3

__all__ = ["CODE_LANGUAGES", "DATA_IMAGE", "IGNORE_MATH", "PROCESS_MATH", "clean", "clean_foreign", "visible"]

# MathJax 3 and 4 (JupyterLab, Notebook 7) use the one name, MathJax 2 (nbconvert, nbviewer) the other.
IGNORE_MATH = "mathjax_ignore tex2jax_ignore"
PROCESS_MATH = "mathjax_process tex2jax_process"

CODE_LANGUAGES = {
    "bash": "bash", "sh": "bash", "shell": "bash", "zsh": "bash", "console": "console", "c": "c",
    "cpp": "cpp", "c++": "cpp", "cs": "csharp", "csharp": "csharp", "css": "css", "cuda": "cuda",
    "diff": "diff", "patch": "diff", "docker": "docker", "dockerfile": "docker", "fortran": "fortran",
    "go": "go", "golang": "go", "haskell": "haskell", "html": "html", "http": "http", "ini": "ini",
    "java": "java", "javascript": "javascript", "js": "javascript", "jsx": "jsx", "json": "json",
    "julia": "julia", "kotlin": "kotlin", "latex": "latex", "tex": "latex", "lua": "lua",
    "make": "make", "makefile": "make", "matlab": "matlab", "nix": "nix", "octave": "octave",
    "perl": "perl", "php": "php", "powershell": "powershell", "ps1": "powershell", "proto": "protobuf",
    "py": "python", "python": "python", "python3": "python", "pycon": "pycon", "ipython": "python",
    "r": "r", "rb": "ruby", "ruby": "ruby", "rs": "rust", "rust": "rust", "scala": "scala",
    "sql": "sql", "swift": "swift", "toml": "toml", "ts": "typescript", "typescript": "typescript",
    "tsx": "tsx", "xml": "xml", "yaml": "yaml", "yml": "yaml", "zig": "zig",
}  # fmt: skip
"""Fence label -> lexer; a label that is not here is neither shown nor looked up."""

DATA_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")
_LINK = re.compile(r"(?:https?://|mailto:)[^\s<>\"'`]+", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}")
_SPAN = re.compile(r"\d{1,3}")

_TEXT_HOLDERS = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "pre", "table", "span",
                 "div", "details", "summary")  # fmt: skip
_TAGS = {*_TEXT_HOLDERS, "li", "code", "em", "strong", "s", "br", "hr", "a", "img", "thead", "tbody", "tr",
         "th", "td"}  # fmt: skip
_ATTRIBUTES: dict[str, set[str]] = {tag: {"style"} for tag in _TAGS}
_ATTRIBUTES["a"] |= {"href", "target"}
_ATTRIBUTES["img"] |= {"src", "alt"}
_ATTRIBUTES["ol"] |= {"start"}
_ATTRIBUTES["td"] |= {"colspan", "rowspan"}
_ATTRIBUTES["th"] |= {"colspan", "rowspan"}
_ATTRIBUTES["details"] |= {"open", "aria-label"}
_ATTRIBUTES["div"] |= {"aria-label", "aria-live", "aria-busy", "role"}
_ATTRIBUTES["span"] |= {"title", "aria-label", "role"}
_CLASSES = {tag: set(f"{IGNORE_MATH} {PROCESS_MATH}".split()) for tag in _TEXT_HOLDERS}
_CLASSES["code"] = {f"language-{name}" for name in CODE_LANGUAGES.values()}


def _attribute(tag: str, name: str, value: str) -> str | None:
    match name:
        case "style":
            return value if value in STYLES else None
        case "href":
            return value if _LINK.fullmatch(value) else None
        case "src":
            return value if DATA_IMAGE.fullmatch(value) else None
        case "target":
            return value if value == "_blank" else None
        case "start":
            return value if _NUMBER.fullmatch(value) else None
        case "colspan" | "rowspan":
            return value if _SPAN.fullmatch(value) else None
        case "role":
            return value if value in ("alert", "group", "img", "log", "status") else None
        case "aria-live":
            return value if value == "polite" else None
        case "aria-busy":
            return value if value == "true" else None
        case "open":
            return ""
        case _:
            return value


@functools.cache
def _cleaner() -> nh3.Cleaner:
    import nh3

    return nh3.Cleaner(
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer",
        strip_comments=True,
    )


@functools.cache
def _strict_cleaner() -> nh3.Cleaner:
    import nh3

    # No class could opt out of MathJax or into it, no style or role could make it one of our cards.
    plain = {"a": {"href", "target"}, "img": {"src", "alt"}, "ol": {"start"}, "details": {"open"}}
    spans = {cell: {"colspan", "rowspan"} for cell in ("td", "th")}
    return nh3.Cleaner(
        tags=_TAGS,
        attributes={**plain, **spans},
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer",
        strip_comments=True,
    )


def clean_foreign(html: str) -> str:
    """HTML that others wrote (a table that code displayed), to be put inside HTML of ours.

    Structure, text, links and embedded images: every element that it opens is closed and it closes none of
    ours; it has no classes, styles or roles.
    """
    # Again after parsing: a character may have come as an entity.
    return visible(_strict_cleaner().clean(visible(html)))


def clean(html: str) -> str:
    """``html`` cut down to the allow-list: structure and text, no script, style sheet, id, name or form.

    Links are http, https or mailto and open a new page without an opener; images are ``data:`` of four
    raster formats; ``style`` is one of :data:`~ante_nb.notebook.render.styles.STYLES`, letter for letter.
    """
    return _cleaner().clean(html)
