"""Tab completion of prompts (``@file``, ``@variable``, ``@cell:``), of flags, sub-commands and their values.

In a Python kernel and in a terminal IPython asks for it as one of its matchers; ante-kernel asks itself,
for its prompts stand alone.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ante_nb.notebook import arguments
from ante_nb.notebook.state import kernel_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ante_nb.notebook.state import KernelState

MOST = 400
"""Matches that are offered at most."""
_MENTION = re.compile(r"(?<![\w@/.`])@([^\s`'\"<>|*?@]*)\Z")
_LINE = re.compile(r"[ \t]*%ante[ \t]+(.*)\Z", re.DOTALL)
_FLAGS = re.compile(r"\s*%%ante[ \t]+([^\r\n]*)\Z")
_BODY = re.compile(r"\s*%%ante(?:[ \t][^\r\n]*)?(?:\r\n?|\n)")
_HIDDEN = frozenset({"__pycache__", ".ipynb_checkpoints", ".git"})


@dataclass(frozen=True, slots=True)
class Match:
    """One completion: what stands in the text then, and what kind of thing it is."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Matches:
    """Completions of the last ``length`` characters before the cursor."""

    length: int
    items: tuple[Match, ...]


def complete(state: KernelState, before: str) -> Matches | None:
    """What can stand at the end of ``before``, the text of a cell up to the cursor.

    ``None`` where that is not for the agent: Python, another magic, plain prose.
    """
    if found := _BODY.match(before):
        return mentions(state, before[found.end() :])
    if found := _FLAGS.match(before):
        return _flags(state, found[1])
    if found := _LINE.match(before.rpartition("\n")[2]):
        return _line(state, found[1])
    return None


# ------------------------------------------------------------------------------------------- mentions


def mentions(state: KernelState, before: str) -> Matches | None:
    """What ``@`` at the end of a prompt can mean; ``None`` where there is none."""
    found = _MENTION.search(before)
    if found is None:
        return None
    word = found[1]
    items: list[Match] = []
    if word.startswith("cell:"):
        items = [Match(f"@cell:{name}", "cell") for name in _cells(state)]
    else:
        items += [Match(f"@{name}", "variable") for name in _variables(state)]
        items += _paths(word)
        items += [Match("@cell:", "cell")]
    return _matches(f"@{word}", items)


def _variables(state: KernelState) -> list[str]:
    shell = state.shell
    hidden = getattr(shell, "user_ns_hidden", {})
    return sorted(
        name
        for name, value in list(shell.user_ns.items())
        if not name.startswith("_") and not isinstance(value, ModuleType) and hidden.get(name) is not value
    )


def _paths(word: str) -> list[Match]:
    """Files and directories; what starts with a dot only where a dot was typed."""
    folder, slash, start = word.rpartition("/")
    try:
        place = Path(folder + slash).expanduser() if slash else Path()
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except (OSError, RuntimeError, ValueError):
        return []
    found = []
    for entry in entries:
        name = entry.name
        if name in _HIDDEN or (name.startswith(".") and not start.startswith(".")) or re.search(r"\s", name):
            continue
        try:
            directory = entry.is_dir()
        except OSError:
            directory = False
        found.append(Match(f"@{folder}{slash}{name}{'/' * directory}", "directory" if directory else "file"))
    return found


def _cells(state: KernelState) -> list[str]:
    from ante_nb.notebook.cells.saved import read_saved

    return [str(cell.number) for cell in read_saved(state.notebook_path, state.executed, None, None).cells]


# ------------------------------------------------------------------------------- flags and sub-commands


def _flags(state: KernelState, line: str) -> Matches | None:
    """The first line of a ``%%ante`` cell: flags, and the values of those that have known ones."""
    words = re.split(r"[ \t]+", line)
    last, previous = words[-1], words[-2] if len(words) > 1 else ""
    flag, equals, value = last.partition("=")
    if equals and flag.startswith("--"):
        return _values(state, flag, value)
    known = _flag(previous)
    if known is not None and known.value is not None:
        return _values(state, previous, last)
    names = [name for flag in arguments.FLAGS for name in flag.names if name.startswith("--")]
    return _matches(last, [Match(name, "flag") for name in names])


def _flag(word: str) -> arguments.Flag | None:
    return next((flag for flag in arguments.FLAGS if word in flag.names), None)


def _values(state: KernelState, name: str, word: str) -> Matches | None:
    flag = _flag(name)
    source = _VALUES.get(flag.field) if flag is not None else None
    if source is None:
        return None
    start = word.rpartition(",")[0]
    start += "," * bool(start)
    return _matches(word[len(start) :], [Match(text, "value") for text in source(state)])


def _line(state: KernelState, line: str) -> Matches | None:
    """``%ante``: the sub-command, then what its help names."""
    words = re.split(r"[ \t]+", line)
    if len(words) == 1:
        return _matches(words[0], [Match(command.name, "command") for command in arguments.COMMANDS])
    command = next((item for item in arguments.COMMANDS if item.name == words[0]), None)
    if command is None:
        return None
    # Its own words are lower case, what a person puts in is upper case.
    texts = re.findall(r"--[a-z-]+|(?<![\w.-])[a-z]+(?![\w.])", command.arguments)
    for place, source in _PLACES.items():
        name, _, only = place.partition(" of ")
        if name in re.findall(r"[A-Z]+", command.arguments) and only in ("", command.name):
            texts += source(state)
    return _matches(words[-1], [Match(text, "value") for text in dict.fromkeys(texts)])


def _matches(word: str, items: Iterable[Match]) -> Matches | None:
    found = tuple(item for item in items if item.text.startswith(word))[:MOST]
    return Matches(len(word), found) if found else None


def _providers(state: KernelState) -> list[str]:
    return sorted(state.runtime.catalog().providers)


def _models(state: KernelState) -> list[str]:
    """The models of the provider that was chosen; of all where none was."""
    runtime = state.runtime
    providers = runtime.catalog().providers
    chosen = runtime.choices.provider or runtime.kernelspec.provider or runtime.settings().values.provider
    rows = [providers[chosen]] if chosen in providers else list(providers.values())
    return sorted({model for row in rows for model in row.models})


def _levels(state: KernelState) -> list[str]:
    from ante_nb.providers.spec import LEVELS

    return list(LEVELS)


def _modes(state: KernelState) -> list[str]:
    from ante_nb.agent.options import MODES

    return list(MODES)


def _policies(state: KernelState) -> list[str]:
    return ["schema", "stats", "sample", "full"]


def _tools(state: KernelState) -> list[str]:
    from ante_nb.agent.tools import builtin_tools
    from ante_nb.notebook.host import NotebookHost

    return [*builtin_tools(NotebookHost), "none", "all"]  # type: ignore[arg-type]


_VALUES: dict[str, Callable[[KernelState], list[str]]] = {
    "provider": _providers,
    "model": _models,
    "thinking": _levels,
    "mode": _modes,
    "data": _policies,
    "tools": _tools,
    "tool_choice": _tools,
    "schema": _variables,
    "variable": _variables,
    "output": _variables,
}
"""What the value of a flag may be."""

_PLACES: dict[str, Callable[[KernelState], list[str]]] = {
    "PROVIDER": _providers,
    "ID of provider": _providers,
    "ID of model": _models,
    "LEVEL of thinking": _levels,
    "LEVEL of policy": _policies,
}
"""What stands for a word in the help of a sub-command: of all, or of one."""


# ------------------------------------------------------------------------------------------- IPython's


class AnteMatcher:
    """One of IPython's matchers (version 2 of its interface); other matchers are left out where it has any."""

    matcher_api_version = 2
    matcher_identifier = "ante_nb"
    matcher_priority = 100.0

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        # IPython looks at the name of every matcher as if it were a function.
        self.__qualname__ = type(self).__qualname__

    def __call__(self, context: Any) -> Any:
        from IPython.core.completer import SimpleCompletion

        lines = context.full_text.split("\n")[: context.cursor_line]
        found = complete(kernel_state(self._shell), "\n".join([*lines, context.text_until_cursor]))
        if found is None:
            return {"completions": [], "suppress": False}
        before = context.text_until_cursor
        return {
            "completions": [SimpleCompletion(text=item.text, type=item.kind) for item in found.items],
            "matched_fragment": before[len(before) - found.length :],
            "suppress": True,
            "ordered": True,
        }
