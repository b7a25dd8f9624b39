"""The panel below a cell: alone in the page while it lives, a line of text where its kernel is another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support import static_views as views
from support.chat_server import ChatServer
from support.lab_cells import PROMPT, start, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"
LINE = "Run the cell again to see it"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with ChatServer() as server, start(tmp_path_factory, server, extension=False) as running:
        yield running


def test_a_panel_of_another_day_says_what_it_was(lab: Lab, tmp_path: Path) -> None:
    path = write(
        lab, "below", [{"id": "b0", "source": PROMPT}, {"id": "b1", "source": "%ante panel --inline"}]
    )
    lab.open("below")
    lab.run(0)
    lab.run(1)
    area = lab.cell(1).locator(".jp-OutputArea").first
    panel = area.locator(".ante-panel:has(.ante-body:visible)")
    panel.wait_for()
    area.get_by_text(LINE).wait_for(state="hidden")

    # A key, typed and stored by keyboard, is in nothing that is saved.
    panel.get_by_label("Provider", exact=True).select_option("openrouter")
    panel.locator(".ante-selector").get_by_text("no key (OPENROUTER_API_KEY)").first.wait_for(
        state="attached"
    )
    panel.get_by_role("button", name="Enter key").press("Enter")
    lab.page.keyboard.type(KEY)
    lab.page.keyboard.press("Enter")
    panel.get_by_text("is stored in").wait_for()
    saved = lab.save(path)
    assert KEY not in json.dumps(saved)
    assert LINE in views.plain(saved)
    for template in views.EXPORTS:
        assert LINE in views.exported(path, template, tmp_path).read_text()

    # The kernel is another one: in this page ...
    lab.page.locator(".jp-NotebookPanel:visible [data-jp-item-name=restart]").click()
    lab.page.locator(".jp-Dialog .jp-mod-accept").last.click()
    area.get_by_text("The kernel has ended").wait_for()
    assert area.locator(".ante-body").is_hidden()
    # ... and when the notebook is opened again.
    (lab.work / "again.ipynb").write_text(json.dumps(saved))
    lab.open("again")
    area = lab.cell(1).locator(".jp-OutputArea").first
    area.get_by_text(LINE).wait_for()
    lab.run(0)
    lab.run(1)
    area.locator(".ante-panel:has(.ante-body:visible)").wait_for()
    area.get_by_text(LINE).wait_for(state="hidden")
