"""The command ``ante-kernel``."""

from __future__ import annotations


def main(words: list[str] | None = None) -> int:
    """Run ``ante-kernel`` with the arguments of the process; returns its exit code."""
    from ante_nb.kernel.app import launch

    launch()
    return 0
