"""The kernel class of ante-kernel."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipykernel.ipkernel import IPythonKernel
from traitlets import List, Type, Unicode

import ante_nb
from ante_nb._version import __version__
from ante_nb.kernel.cells import kind_of, python_start, to_cell, to_python, variable_at
from ante_nb.kernel.shell import AnteShell
from ante_nb.notebook.completion import mentions
from ante_nb.notebook.state import kernel_state

if TYPE_CHECKING:
    from ante_nb.notebook.completion import Matches

EXPERIMENTAL = "_jupyter_types_experimental"

LANGUAGE = "markdown"
"""What front ends edit a cell as, and what ``kernel.json`` says."""


class AnteKernel(IPythonKernel):
    """An IPython kernel whose cells are prompts."""

    implementation = "ante-kernel"
    implementation_version = __version__
    language_info = {  # noqa: RUF012  (as in the base class)
        "name": LANGUAGE,
        "version": __version__,
        "mimetype": "text/markdown",
        "codemirror_mode": "markdown",
        "pygments_lexer": "markdown",
        "nbconvert_exporter": "markdown",
        "file_extension": ".md",
    }
    help_links: Any = List([])
    shell_class = Type(AnteShell)

    provider = Unicode("", help="Provider that this kernel starts with.").tag(config=True)
    model = Unicode("", help="Model that this kernel starts with.").tag(config=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        state = kernel_state(self.shell)
        started = {"provider": self.provider.strip(), "model": self.model.strip()}
        state.kernelspec = {name: value for name, value in started.items() if value}
        state.as_python, state.as_cell = to_python, to_cell
        ante_nb.load_ipython_extension(self.shell)

    @property
    def banner(self) -> str:  # type: ignore[override]
        return (
            f"ante-kernel {__version__}: a cell is a prompt. %%python runs Python, %ante shows where things "
            "stand, ! and ? are IPython's."
        )

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, Any] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: Any = None,
        cell_id: Any = None,
    ) -> Any:
        """Run a cell. A silent one is a front end's own, and Python whatever it looks like."""
        assert isinstance(self.shell, AnteShell)
        with self.shell.submitted(None if silent and kind_of(code) == "prompt" else code):
            return await super().do_execute(
                code,
                silent,
                store_history,
                user_expressions,
                allow_stdin,
                cell_meta=cell_meta,
                cell_id=cell_id,
            )

    def do_complete(self, code: str, cursor_pos: int | None) -> Any:
        """Files, variables and cells in a prompt; elsewhere what IPython finds, as in a Python kernel."""
        cursor = len(code) if cursor_pos is None else cursor_pos
        kind, start = kind_of(code), python_start(code)
        if kind == "prompt":
            return _completed(mentions(kernel_state(self.shell), code[:cursor]), cursor)
        if kind != "python" or cursor < start:
            return super().do_complete(code, cursor)
        found = super().do_complete(code[start:], cursor - start)
        found["cursor_start"] += start
        found["cursor_end"] += start
        for item in found["metadata"].get(EXPERIMENTAL, ()):
            item["start"] += start
            item["end"] += start
        return found

    def do_inspect(self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()) -> Any:
        """What is known of a name: in a prompt of a variable, elsewhere of anything."""
        if kind_of(code) == "prompt":
            name = variable_at(code, cursor_pos)
            assert self.shell is not None
            space = self.shell.user_ns
            if name not in space or self.shell.user_ns_hidden.get(name) is space[name]:
                return {"status": "ok", "found": False, "data": {}, "metadata": {}}
            code, cursor_pos = name, len(name)
        return super().do_inspect(code, cursor_pos, detail_level, omit_sections)

    def do_is_complete(self, code: str) -> dict[str, Any]:  # type: ignore[override]
        """A prompt is complete, unless its last line ends in a backslash or a fence is open."""
        kind = kind_of(code)
        if kind == "prompt":
            fences = sum(line.lstrip().startswith("```") for line in code.splitlines())
            more = code.rstrip(" ").endswith("\\") or fences % 2
            return {"status": "incomplete", "indent": ""} if more else {"status": "complete"}
        if kind == "python":
            body = code[python_start(code) :]
            if not body.strip():
                return {"status": "incomplete", "indent": ""}
            return dict(super().do_is_complete(body))
        return dict(super().do_is_complete(code))


def _completed(found: Matches | None, cursor: int) -> dict[str, Any]:
    items = found.items if found is not None else ()
    start = cursor - (found.length if found is not None else 0)
    types = [{"start": start, "end": cursor, "text": item.text, "type": item.kind} for item in items]
    return {
        "status": "ok",
        "matches": [item.text for item in items],
        "cursor_start": start,
        "cursor_end": cursor,
        "metadata": {EXPERIMENTAL: types},
    }
