"""The application that a kernelspec starts: IPython's, with our kernel in it."""

from __future__ import annotations

from ipykernel.kernelapp import IPKernelApp, kernel_aliases
from traitlets import Dict

from ante_nb.kernel.kernel import AnteKernel
from ante_nb.kernel.shell import AnteShell


class AnteKernelApp(IPKernelApp):
    """Starts ante-kernel. Profiles, start-up files and configuration are IPython's."""

    description = "The kernel of ante_nb: a cell is a prompt."
    kernel_class = AnteKernel
    classes = [*IPKernelApp.classes, AnteKernel, AnteShell]  # noqa: RUF012  (as in the base class)
    aliases = Dict({**kernel_aliases, "provider": "AnteKernel.provider", "model": "AnteKernel.model"})


def launch(words: list[str] | None = None) -> None:
    """Run the kernel of this process until it is shut down; ``words`` are its arguments."""
    AnteKernelApp.launch_instance(words)
