"""A notebook in JupyterLab or Notebook 7 whose prompt asks the person something."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.lab_cells import PROMPT, start, write

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from playwright.sync_api import Locator, Page

    from support.chat_server import ChatServer
    from support.lab import Lab

VIEW = "application/vnd.jupyter.widget-view+json"
ASK, AFTER = 1, 2
"""The prompt's cell and the one below."""


class Room:
    """One front end, and the model that asks."""

    def __init__(self, lab: Lab, server: ChatServer) -> None:
        self.lab, self.server = lab, server

    @classmethod
    def open(cls, factory: pytest.TempPathFactory, server: ChatServer, app: str) -> Room:
        return cls(start(factory, server, app=app), server)

    @property
    def page(self) -> Page:
        return self.lab.page

    def begin(self, name: str, *replies: Any) -> Path:
        """Open a notebook and run its prompt until the first card takes answers."""
        self.server.reset()
        self.server.enqueue(*replies)
        path = write(
            self.lab,
            name,
            [
                {"id": "setup", "source": f"{PROMPT}\nimport os; print(os.getpid())"},
                {"id": "ask", "source": "%%ante\ngo on"},
                {"id": "after", "source": "print(6 * 7)"},
            ],
        )
        self.lab.open(name)
        self.lab.run(0)
        self.lab.start(ASK)
        self.card()
        return path

    def card(self, label: str = "", page: Page | None = None) -> Locator:
        """The card in the prompt's cell, when it takes answers."""
        cells = (page or self.page).locator(".jp-Notebook .jp-Cell")
        found: Locator = cells.nth(ASK).locator(".ante-ask[data-state='waiting']")
        if label:
            found = found.filter(has_text=label)
        found.wait_for(timeout=60_000)
        found.locator("button:enabled").first.wait_for(timeout=60_000)
        return found

    def shown(self, page: Page | None = None) -> str:
        """What the prompt's cell shows."""
        return str((page or self.page).locator(".jp-Notebook .jp-Cell").nth(ASK).inner_text())

    def results(self) -> dict[str, str]:
        from support.lab_cells import results

        return results(self.server)

    def focused(self) -> str:
        """Tag and text of the element that has the focus."""
        return str(
            self.page.evaluate(
                "(e => `${e.tagName} ${(e.innerText || e.placeholder || e.className).split('\\n')[0]}`.trim())"
                "(document.activeElement)"
            )
        )

    def check_saved(self, path: Path) -> list[dict[str, Any]]:
        """Save; nothing of a widget is in the file, and every output reads without one."""
        self.lab.save(path)
        assert VIEW not in path.read_text() and "widget-state" not in path.read_text()
        outputs: list[dict[str, Any]] = json.loads(path.read_text())["cells"][ASK]["outputs"]
        for output in outputs:
            if output["output_type"] == "display_data":
                assert {"text/plain", "text/html"} <= set(output["data"])
        return outputs


def plain(outputs: list[dict[str, Any]]) -> str:
    """The text twins of saved outputs, joined."""
    return "\n".join("".join(out["data"]["text/plain"]) for out in outputs if "data" in out)
