"""Where Jupyter finds ante-kernel: putting the kernelspec in place and taking it away."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from ante_nb.errors import ConfigError

NAME = "ante"
RESOURCES = Path(__file__).parent / "resources"
MODULE = "ante_nb.kernel"

_PYTHON_NAMES = re.compile(r"python[\d.]*", re.IGNORECASE)
_VALID = re.compile(r"[A-Za-z0-9._-]+")


def spec_of(
    display_name: str | None = None, provider: str | None = None, model: str | None = None
) -> dict[str, Any]:
    """The content of ``kernel.json`` for this interpreter.

    Args:
        display_name: what launchers show; by default ``Ante``, with provider and model where given.
        provider: the provider that the kernel starts with.
        model: likewise the model.
    """
    spec: dict[str, Any] = json.loads((RESOURCES / "kernel.json").read_text(encoding="utf-8"))
    # Not "python": Jupyter takes that for the interpreter that Jupyter runs in.
    spec["argv"][0] = sys.executable
    chosen = [("provider", provider), ("model", model)]
    spec["argv"] += [f"--{flag}={value}" for flag, value in chosen if value]
    words = " ".join(value for _, value in chosen if value)
    spec["display_name"] = display_name or (f"Ante ({words})" if words else spec["display_name"])
    return spec


def install(
    name: str = NAME,
    *,
    user: bool = False,
    prefix: str | None = None,
    display_name: str | None = None,
    provider: str | None = None,
    model: str | None = None,
) -> Path:
    """Put the kernelspec in place; one of ours with the same name is replaced.

    Args:
        name: the kernel's name, a directory name.
        user: for the user; else below ``prefix``.
        prefix: below which directory; by default the environment of this interpreter.
        display_name, provider, model: as in :func:`spec_of`.

    Returns:
        The directory that was written.

    Raises:
        ConfigError: a name that belongs to another kernel, or a place that cannot be written.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    name = checked(name)
    place = Path(_folder(user, prefix), name)
    if place.exists() and not is_ours(place):
        raise ConfigError(
            f"{place} belongs to another kernel", "Choose another name: `ante-kernel install --name NAME`."
        )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, name)
        shutil.copytree(RESOURCES, source, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
        spec = spec_of(display_name, provider, model)
        (source / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
        try:
            target = KernelSpecManager().install_kernel_spec(
                str(source), name, user=user, prefix=None if user else prefix or sys.prefix
            )
        except OSError as error:
            raise ConfigError(
                f"{place} cannot be written: {error.strerror or error}",
                "`ante-kernel install --user` needs no special rights.",
            ) from None
    return Path(target)


def uninstall(name: str = NAME, *, user: bool = False, prefix: str | None = None) -> list[Path]:
    """Take the kernelspec away: from the place given, else from wherever Jupyter finds it.

    Returns:
        The directories that were removed.

    Raises:
        ConfigError: there is none, it belongs to another kernel, or it cannot be removed.
    """
    from jupyter_core.paths import jupyter_path

    name = checked(name)
    folders = [_folder(user, prefix)] if user or prefix else jupyter_path("kernels")
    found = [Path(folder, name) for folder in dict.fromkeys(folders) if Path(folder, name).is_dir()]
    ours = [place for place in found if is_ours(place)]
    if not ours:
        where = f"{found[0]} belongs to another kernel" if found else f"no kernelspec {name!r} was found"
        raise ConfigError(where, "`jupyter kernelspec list` shows what there is.")
    for place in ours:
        try:
            place.unlink() if place.is_symlink() else shutil.rmtree(place)
        except OSError as error:
            raise ConfigError(
                f"{place} cannot be removed: {error.strerror or error}",
                "Its owner can remove that directory.",
            ) from None
    return ours


def checked(name: str) -> str:
    """``name`` as Jupyter spells it.

    Raises:
        ConfigError: no name for a kernelspec, or one that the Python kernel goes by.
    """
    if not _VALID.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a kernel", "Use ASCII letters, digits, and `-`, `.` and `_`."
        )
    if _PYTHON_NAMES.fullmatch(name):
        raise ConfigError(f"{name} is the Python kernel's name", "Choose another, like `ante-local`.")
    return name.lower()


def is_ours(place: Path) -> bool:
    """Whether the kernelspec in ``place`` starts ante-kernel."""
    try:
        argv = json.loads((place / "kernel.json").read_text(encoding="utf-8"))["argv"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(argv, list) and MODULE in argv


def _folder(user: bool, prefix: str | None) -> str:
    from jupyter_core.paths import jupyter_data_dir

    if user:
        return str(Path(jupyter_data_dir(), "kernels"))
    return str(Path(prefix or sys.prefix, "share", "jupyter", "kernels"))
