"""Which files hold data rather than code or prose; told by the name, as the policy must not read them."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CODE = frozenset(
    """
    py pyi pyx pxd pth r rmd qmd jl scala sc java kt kts groovy gradle c h cc hh cpp hpp cxx hxx cu cuh m mm swift go
    rs zig js jsx mjs cjs ts tsx vue svelte css scss sass less sql sh bash zsh fish bat cmd ps1 pl pm rb php lua tcl
    ex exs erl hs ml mli fs fsx cs vb clj cljs lisp el scm vim asm f f90 f95 for stan do ado sas proto graphql
    thrift tf hcl nix cmake mk make dockerfile jinja jinja2 j2 tmpl md markdown rst adoc tex bib sty cls
    toml ini cfg conf yaml yml lock editorconfig diff patch
    """.split()  # noqa: SIM905 - a list would be a hundred lines
)
"""Suffixes of code, prose and configuration."""
_NAMES = frozenset(
    """
    makefile gnumakefile dockerfile containerfile vagrantfile procfile gemfile rakefile justfile snakefile jenkinsfile
    readme license licence copying notice authors contributors changelog changes news todo codeowners
    .gitignore .gitattributes .gitmodules .dockerignore .editorconfig .npmrc .nvmrc .python-version .flake8 .pylintrc
    .coveragerc .bashrc .profile .zshrc .condarc .prettierrc .eslintrc .mailmap .ignore .rgignore
    package.json package-lock.json tsconfig.json pyrightconfig.json robots.txt pom.xml cmakelists.txt py.typed
    """.split()  # noqa: SIM905 - a list would be a hundred lines
)
"""Whole names of such files, in small letters."""


def is_data_file(path: str) -> bool:
    """Whether the file of that name may hold values of the person's data.

    What is not known to be code, prose or configuration counts as data: ``sales``, ``sales.csv.bak`` and a
    page of HTML hold values as well as ``sales.csv``.
    """
    name = PurePath(path.strip().strip("'\"")).name.lower()
    if name in _NAMES or (name.startswith("requirements") and name.endswith((".txt", ".in"))):
        return False
    return PurePath(name).suffix[1:] not in _CODE


def holds_data(path: Path) -> bool:
    """The same of a file that is there: a link counts as data where it, or what it leads to, does."""
    if is_data_file(path.name):
        return True
    try:
        return is_data_file(path.resolve().name)
    except (OSError, RuntimeError):  # links in a circle
        return True
