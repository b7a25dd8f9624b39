"""``%ante doctor``: what is found, what is missing, what to type."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from ante_nb import __version__, paths
from ante_nb.errors import AnteError
from ante_nb.notebook.kernel_version import REMEDY, problem

if TYPE_CHECKING:
    from ante_nb.notebook.state import KernelState
    from ante_nb.settings import Settings

Line = tuple[bool, str, str]
"""Whether it is all right, what it is, and what to do if it is not."""


def report(state: KernelState) -> list[Line]:
    """Everything worth knowing when something does not work."""
    lines: list[Line] = [(True, f"ante_nb {__version__}, Python {sys.version.split()[0]}", "")]
    lines += _packages()
    lines += _home()
    settings = state.runtime.settings()
    where = paths.display(settings.path or paths.settings())
    if settings.problems:
        hint = "" if settings.unreadable else f"Correct {where}."
        lines += [(False, f"settings: {problem}", hint) for problem in settings.problems]
    lines += _rules(settings)
    if all(ok for ok, what, _ in lines if what.startswith("settings: ")):
        lines.append(
            (True, f"settings: {where}" + ("" if paths.settings().exists() else " (not there; defaults)"), "")
        )
    catalog = state.runtime.catalog()
    problem = catalog.report()
    lines.append(
        (
            problem is None,
            problem or f"catalog: {len(catalog.providers)} providers, {len(catalog.models)} models",
            "",
        )
    )
    ready = []
    for provider in catalog.providers.values():
        try:
            found = state.runtime.keys.find(provider, os.environ)
        except AnteError as error:
            lines.append((False, f"{provider.id}: {error.message}", error.hint or ""))
            continue
        if found is not None and provider.alias_of is None:
            ready.append(f"{provider.id} ({found.source})")
    lines.append(
        (
            bool(ready),
            f"keys and sign-ins: {', '.join(ready) or 'none found'}",
            "`%ante key anthropic` stores a key, `%ante login openai` signs in, --provider local needs neither.",
        )
    )
    from ante_nb.local import doctor

    lines += doctor(settings)
    try:
        choice = state.runtime.choose()
        lines.append(
            (
                True,
                f"a prompt would go to {choice.provider.id} / {choice.model.id or choice.model.display_name}",
                "",
            )
        )
    except AnteError as error:
        lines.append((False, error.message, error.hint or ""))
    return lines


def _rules(settings: Settings) -> list[Line]:
    from ante_nb.agent.permissions.check import FORM, check_rules

    report = check_rules(settings)
    refused = [
        (False, f"settings: {line}", f"Prompts are refused until it is corrected. {FORM}")
        for line in report.broken
    ]
    return [*refused, *((False, f"settings: {line}", "") for line in report.notices)]


def _packages() -> list[Line]:
    lines: list[Line] = []
    for name in ("ipykernel", "ipython", "ipywidgets", "anywidget", "httpx2"):
        try:
            found = version(name)
        except PackageNotFoundError:
            lines.append((False, f"{name} is not installed", f"%pip install {name}"))
            continue
        bad = problem(found) if name == "ipykernel" else None
        lines.append((bad is None, f"{name} {found}", f"This ipykernel {bad}: {REMEDY}"))
    import shutil

    rg = shutil.which("rg")
    lines.append((True, f"ripgrep: {rg or 'not there, the slower built-in search is used'}", ""))
    return lines


def _home() -> list[Line]:
    home = paths.home()
    usable = os.access(home if home.exists() else home.parent, os.W_OK)
    return [
        (usable, f"home: {home}", "It cannot be written: set ANTE_HOME to a directory of yours."),
        (True, f"log: {paths.logs()}/ante.{os.getpid()}.log.*", ""),
    ]
