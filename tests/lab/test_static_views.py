"""One conversation with everything, run in JupyterLab and saved; then seen without a kernel and without scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support import static_views as views
from support.chat_server import ChatServer, Reply, status, text, thinking, tool
from support.lab_cells import start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ANSWER = r"""## Why March dips

The *north* region falls, see `sales.csv` and [the docs](https://link.test/docs).

| month | orders |
|:------|-------:|
| Feb   | 110    |
| Mar   | 98     |

$$\hat\beta = (X^\top X)^{-1} X^\top y$$

```python
def dip(frame):  # why
    return frame["orders"].diff()
```

- [x] looked
- [ ] fixed
"""
PYTHON = """
import matplotlib.pyplot as plt, pandas as pd
from IPython.display import display
frame = pd.DataFrame({"month": ["Feb", "Mar"], "orders": [110, 98]})
display(frame)
plt.figure(figsize=(2, 1)); plt.plot(frame.orders); plt.show()
"""
# What everybody must be able to read, wherever the notebook is shown.
CONVERSATION = (
    "Find out why March dips.",
    "test-model",
    "Let me look at the file first.",
    "Bash",
    "cat sales.csv",
    "orders,110",
    "Python",
    "Edit",
    "+Mar,108",
    "Why March dips",
    "The north region falls",
    "Mar98",
    "dip(frame)",
    "looked",
    "tokens in",
    "the file notes.txt",
    "the key was refused",
)
TEXT = ("Let me look", "[Bash] cat sales.csv", "orders,110", "[Python]", "[Edit]", "+Mar,108", "## Why March dips",
        "| Mar   | 98     |", "def dip(frame)", "tokens in", "[image image/png]", "[Failed]")  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Path]]:
    with ChatServer() as server, start(tmp_path_factory, server) as lab:
        (lab.work / "sales.csv").write_text("month,orders\nFeb,110\nMar,98\n")
        (lab.work / "note.txt").write_text("orders,110\n")
        server.enqueue(
            Reply(
                thinking("Let me look at the file first."),
                tool("Bash", {"command": "cat sales.csv; printf '\\033[31morders,110\\033[0m\\n'"}),
            ),
            Reply(tool("Python", {"code": PYTHON})),
            Reply(tool("Read", {"file_path": "sales.csv"})),
            Reply(tool("Edit", {"file_path": "sales.csv", "old_string": "Mar,98", "new_string": "Mar,108"})),
            Reply(tool("Read", {"file_path": "the file notes.txt"})),
            Reply(text(ANSWER, size=40, delay=0.01)),
            Reply(status(401, {"error": {"message": "the key was refused"}})),
        )
        cells = [
            "%load_ext ante_nb",
            "%%ante --mode yolo\nFind out why March dips.",
            "%%ante\nAnd April?",
        ]
        path = lab.notebook("talk", cells)
        lab.open("talk")
        for number in range(3):
            lab.run(number)
        lab.save(path)
        yield lab, path


def check(words: str) -> None:
    flat = "".join(words.split())
    missing = [piece for piece in CONVERSATION if "".join(piece.split()) not in flat]
    assert missing == []
    assert "Error displaying widget" not in words and "Loading widget" not in words


def outputs(path: Path) -> list[dict[str, Any]]:
    document = json.loads(path.read_text())
    return [output for cell in document["cells"] for output in cell.get("outputs", ())]


def test_the_file(saved: tuple[Lab, Path]) -> None:
    _, path = saved
    made = outputs(path)
    assert 8 <= len(made) < 40
    for output in made:
        if output["output_type"] == "display_data":
            data = output["data"]
            assert "text/plain" in data and "text/html" in data, data.keys()
            assert not any("widget" in kind for kind in data)
    shown = views.plain(json.loads(path.read_text()))
    assert [piece for piece in TEXT if piece not in shown] == []
    assert "\x1b" not in shown.replace("\x1b[0m", "")
    html = "".join("".join(output.get("data", {}).get("text/html", "")) for output in made)
    for mark in ('role="log"', 'aria-live="polite"', "<details", "<summary", 'role="alert"', "aria-label"):
        assert mark in html
    assert "aria-busy" not in html, "an answer is left unfinished"


def test_in_the_page(saved: tuple[Lab, Path], tmp_path: Path) -> None:
    lab, _ = saved
    area = lab.cell(1).locator(".jp-OutputArea").first
    check(lab.page.locator(".jp-Notebook").evaluate("e => e.textContent"))
    assert area.locator("table").count() == 2 and area.locator("img").count() == 1
    assert area.locator("mjx-container").count() == 1
    # Cards fold by mouse and by keyboard.
    card = area.locator("details", has=lab.page.locator("summary", has_text="Bash")).first
    was = card.evaluate("e => e.open")
    card.locator("summary").focus()
    lab.page.keyboard.press("Enter")
    assert card.evaluate("e => e.open") is not was
    card.locator("summary").click()
    assert card.evaluate("e => e.open") is was
    assert lab.requests == []


def test_reopened_without_a_kernel(saved: tuple[Lab, Path], tmp_path: Path) -> None:
    lab, path = saved
    document = json.loads(path.read_text())
    document["metadata"] = {
        "kernelspec": {"name": "no-such-kernel", "display_name": "None", "language": "cobol"},
        "language_info": {"name": "cobol"},
    }
    (lab.work / "reopened.ipynb").write_text(json.dumps(document))
    lab._fresh_page()
    lab.page.goto(f"{lab.url}lab/tree/reopened.ipynb?token={lab.token}&reset")
    lab.page.wait_for_selector(".jp-Notebook .jp-OutputArea-output", timeout=90_000)
    dialog = lab.page.locator(".jp-Dialog", has_text="Select Kernel")
    dialog.wait_for(timeout=30_000)
    dialog.locator("select").select_option(label="No Kernel")
    dialog.locator(".jp-mod-accept").click()
    lab.page.wait_for_timeout(1000)
    check(lab.page.locator(".jp-Notebook").evaluate("e => e.textContent"))
    # Untrusted now: JupyterLab's own sanitizer goes over it, and nothing of it is lost.
    assert lab.cell(1).locator("details").count() >= 5 and lab.cell(1).locator("table").count() == 2
    assert lab.requests == []


@pytest.mark.parametrize("template", views.EXPORTS)
def test_exported(saved: tuple[Lab, Path], template: str, tmp_path: Path) -> None:
    lab, path = saved
    file = views.exported(path, template, tmp_path)
    page = lab.browser.new_context(viewport={"width": 1000, "height": 900}).new_page()
    try:
        watched = views.Watched(page, "file://")
        page.goto(file.as_uri(), wait_until="domcontentloaded")
        check(views.words(page))
        assert watched.foreign() == []
        assert page.locator("details summary").count() >= 5 and page.locator("table").count() >= 2
        assert page.locator("img").count() >= 1
    finally:
        page.context.close()


def test_on_a_site_that_renders_stored_outputs_only(saved: tuple[Lab, Path]) -> None:
    lab, path = saved
    page = lab.browser.new_context().new_page()
    try:
        watched = views.Watched(page)
        watched.show(views.like_github(json.loads(path.read_text())))
        check(views.words(page))
        assert watched.requests == []
        assert page.locator("details summary").count() >= 5 and page.locator("table").count() == 2
    finally:
        page.context.close()
