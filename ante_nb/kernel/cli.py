"""The command ``ante-kernel``: install, uninstall, convert, and what a kernelspec runs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb._version import __version__
from ante_nb.errors import AnteError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

_EPILOG = "Any other arguments start the kernel, as a kernelspec does: ante-kernel -f CONNECTION_FILE."


def main(words: list[str] | None = None) -> int:
    """Run ``ante-kernel``.

    Args:
        words: the arguments; by default those of the process.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if words is None else words
    known = (*_COMMANDS, "-h", "--help", "--version")
    if words and words[0] not in known:
        from ante_nb.kernel.app import launch

        launch(words)
        return 0
    parser = _parser()
    found = parser.parse_args(words)
    if not found.command:
        parser.print_help()
        return 2
    try:
        _COMMANDS[found.command](found)
    except AnteError as error:
        print(f"ante-kernel: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"ante-kernel: {error.filename}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("ante-kernel", description=__doc__, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"ante-kernel {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    add = commands.add_parser(
        "install",
        help="put the kernelspec in place, so that Jupyter shows the kernel",
        description="Without a place: this environment, or the user's directory outside of any.",
    )
    _places(add)
    add.add_argument("--display-name", metavar="TEXT", help="what launchers show (default: Ante)")
    add.add_argument("--provider", metavar="ID", help="the provider that the kernel starts with")
    add.add_argument("--model", metavar="ID", help="the model that the kernel starts with")
    _places(
        commands.add_parser(
            "uninstall",
            help="take the kernelspec away",
            description="Without a place: wherever Jupyter finds it.",
        )
    )
    change = commands.add_parser(
        "convert",
        help="make a plain Python notebook with %%ante cells of an ante-kernel notebook, or the reverse",
        description="Outputs, ids and metadata of the cells stay; there and back gives the same notebook.",
    )
    change.add_argument("notebook", type=Path, metavar="IN.ipynb", help="`-` reads the standard input")
    change.add_argument(
        "out",
        type=Path,
        nargs="?",
        metavar="OUT.ipynb",
        help="default: beside it, IN-python.ipynb or IN-ante.ipynb; `-` writes to the standard output",
    )
    change.add_argument("--to", choices=("python", "ante"), help="default: the other one")
    change.add_argument("--kernel", metavar="NAME", help="the kernelspec that the result names")
    change.add_argument("-f", "--force", action="store_true", help="replace OUT if it exists")
    return parser


def _places(parser: argparse.ArgumentParser) -> None:
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--user", action="store_true", help="for this user, in every Jupyter")
    place.add_argument("--sys-prefix", action="store_true", help="in this environment (sys.prefix)")
    place.add_argument("--prefix", metavar="PATH", help="below PATH/share/jupyter/kernels")
    parser.add_argument(
        "--name", default="ante", help="the kernel's name (default: ante); several may be side by side"
    )


def _install(found: argparse.Namespace) -> None:
    from ante_nb.kernel import kernelspec

    if found.provider:
        from ante_nb.agent.runtime import Runtime

        found.provider = Runtime().catalog().provider(found.provider).id
    chosen = found.user or found.sys_prefix or found.prefix
    inside = sys.prefix != sys.base_prefix or bool(os.environ.get("CONDA_PREFIX"))
    place = kernelspec.install(
        found.name,
        user=found.user or not (chosen or inside),
        prefix=found.prefix,
        display_name=found.display_name,
        provider=found.provider,
        model=found.model,
    )
    print(f"Installed kernelspec {place.name} in {place}")
    from jupyter_core.paths import jupyter_path

    folders = jupyter_path("kernels")
    if str(place.parent) not in folders:
        print(f"A Jupyter of this environment does not look there; JUPYTER_PATH={place.parents[1]} lets it.")
        return
    before = (Path(folder, place.name) for folder in folders[: folders.index(str(place.parent))])
    if other := next((path for path in before if (path / "kernel.json").exists()), None):
        print(f"A Jupyter of this environment takes {other} first; --name gives this one a name of its own.")


def _uninstall(found: argparse.Namespace) -> None:
    from ante_nb.kernel import kernelspec

    prefix = sys.prefix if found.sys_prefix else found.prefix
    for place in kernelspec.uninstall(found.name, user=found.user, prefix=prefix):
        print(f"Removed {place}")


def _convert(found: argparse.Namespace) -> None:
    from ante_nb.kernel import convert

    given: Path = found.notebook
    piped = str(given) == "-"
    try:
        text = sys.stdin.buffer.read().decode() if piped else given.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{given} is not a notebook", "An .ipynb file is expected.") from None
    notebook = convert.read(text)
    to: convert.Kind = found.to or ("python" if convert.kind_of(notebook) == "ante" else "ante")
    result = convert.write(convert.convert(notebook, to, found.kernel))
    out: Path = found.out or (Path("-") if piped else given.with_name(f"{given.stem}-{to}.ipynb"))
    if str(out) == "-":
        sys.stdout.buffer.write(result.encode())
        sys.stdout.flush()
        return
    if out.exists() and not found.force:
        raise ConfigError(f"{out} exists", "--force replaces it.")
    from ante_nb.agent.tools.textfile import write_atomic

    write_atomic(out.resolve(), result.encode())
    print(f"Wrote {out}", file=sys.stderr)


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "install": _install,
    "uninstall": _uninstall,
    "convert": _convert,
}
