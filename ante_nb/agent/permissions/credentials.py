"""Keys and sign-ins are no tool's business: where they are kept, and which calls would show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.agent.tools.paths import inside

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ante_nb.agent.permissions.judge import Judgement

WHY = "keys and sign-ins are kept there; no tool may read or change them"
MAY_SHOW = "it may show the stored keys and sign-ins, which are below the working directory"


def is_kept(path: Path) -> bool:
    """Whether ``path``, links followed or not, is the credential store or in it."""
    store = paths.auth()
    return path.is_relative_to(store) or inside(path, [store])


def may_show(judgement: Judgement, touched: Iterable[Path], cwd: Path) -> bool:
    """Whether a shell command may print files of the store without naming one (``grep -r . ~``).

    Args:
        judgement: of the command.
        touched: the paths that it names.
        cwd: where it runs.
    """
    store = paths.auth()
    if not judgement.shows_files() or not store.is_dir():
        return False
    return any(inside(store, [place]) for place in (list(touched) or [cwd]))
