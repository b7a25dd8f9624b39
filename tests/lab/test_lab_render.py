"""What a live and a reopened JupyterLab make of answers: nothing hostile runs or fetches, the rest survives."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.lab import Lab

from ante_nb.notebook.render.sanitize import safe_html

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
TESTS = HERE.parent
PER_CELL = 48  # JupyterLab hides the outputs past the 50th

_SETUP = f"""
import sys
sys.path[:0] = [{str(HERE)!r}, {str(TESTS)!r}]
from pathlib import Path
from hostile import corpus
from support.hostile_turns import play
from IPython.display import publish_display_data
from ante_nb.notebook.render.sanitize import safe_html
def publish(data, metadata, display_id, update):
    publish_display_data(data, metadata, transient={{"display_id": display_id}}, update=update)
"""

_CLICK_ALL = """() => {
    let clicked = 0;
    // A plain link may open a page of its own: that is the person's wish. Bare addresses are links too,
    // also those inside a script that is shown as text.
    document.addEventListener('click', event => {
        const link = event.target.closest && event.target.closest('a');
        if (link && /^https?:[/][/]/.test(link.getAttribute('href'))) event.preventDefault();
    }, true);
    const selector = 'a, button, summary, details, input, label, img, span, td, [tabindex], [onclick], ' +
        '[data-commandlinker-command], svg, maction, mjx-container, [href]';
    for (const element of document.querySelectorAll('.jp-OutputArea-output')) {
        for (const target of element.querySelectorAll(selector)) {
            for (const kind of ['mouseover', 'focus', 'mousedown', 'mouseup', 'click'])
                target.dispatchEvent(new MouseEvent(kind, {bubbles: true, cancelable: true, view: window}));
            clicked += 1;
        }
    }
    return clicked;
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab") / "home") as running:
        yield running


def _png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(colour) * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _hits(lab: Lab) -> Any:
    return lab.page.evaluate("window.__ante_hits || []")


def _evil(lab: Lab) -> list[str]:
    return [url for url in lab.requests if not url.startswith("https://link.test/")]


def _settle_and_click(lab: Lab) -> int:
    lab.page.wait_for_timeout(2500)
    assert _evil(lab)[:5] == [], "fetched on sight"
    links = lab.page.locator(".jp-OutputArea-output a").evaluate_all(
        "all => all.map(a => a.getAttribute('href'))"
    )
    assert all(link is None or link.startswith(("http://", "https://", "mailto:")) for link in links)
    clicked = lab.page.evaluate(_CLICK_ALL)
    lab.page.wait_for_timeout(1500)
    assert len(lab.context.pages) == 1, "a page was opened"
    return int(clicked)


def test_the_traps_work(lab: Lab) -> None:
    """Without the sanitizer the same page runs scripts and fetches: the other tests can fail."""
    cells = [
        _SETUP + "for text in (corpus()[0], *corpus()[4:6]): publish_display_data({'text/markdown': text})",
    ]
    lab.notebook("traps", cells)
    lab.open("traps")
    lab.run(0)
    lab.page.wait_for_timeout(2500)
    assert _hits(lab), "no script ran"
    assert any(url.startswith("http://evil.test/") for url in lab.requests), "nothing was fetched"


def test_nothing_hostile_runs_or_fetches_live(lab: Lab) -> None:
    import hostile

    texts = hostile.corpus()
    assert len(texts) >= 290
    cells = [
        _SETUP
        + f"for text in corpus()[{start}:{start + PER_CELL}]:\n"
        + "    publish_display_data({'text/html': safe_html(text, base=Path('.'))})"
        for start in range(0, len(texts), PER_CELL)
    ]
    turns = [
        _SETUP + f"play(corpus()[{start}:{start + 60}], publish, Path('.'))"
        for start in range(0, len(texts), 60)
    ]
    lab.notebook("live", cells + turns)
    lab.open("live")
    for number in range(len(cells) + len(turns)):
        lab.run(number)
    shown = lab.page.locator(".jp-OutputArea-output").count()
    assert shown >= len(texts), f"only {shown} outputs are in the page"
    assert "Traceback" not in lab.page.locator(".jp-Notebook").inner_text()
    clicked = _settle_and_click(lab)
    assert clicked > 300
    assert _hits(lab) == []
    assert _evil(lab)[:5] == []


def test_nothing_hostile_runs_or_fetches_reopened(lab: Lab) -> None:
    import hostile

    texts = hostile.corpus()
    cells = [
        {
            "source": "",
            "outputs": [
                {"text/html": safe_html(text, base=None)} for text in texts[start : start + PER_CELL]
            ],
        }
        for start in range(0, len(texts), PER_CELL)
    ]
    lab.notebook("reopened", cells)
    lab.open("reopened")
    assert lab.page.locator(".jp-OutputArea-output").count() >= len(texts)
    _settle_and_click(lab)
    assert _hits(lab) == []
    assert _evil(lab)[:5] == []


GOOD = r"""# Heading with $x_1$

Prices: $5 and $10, **bold**, *slanted*, ~~gone~~, `code $a$`, [a link](https://link.test/a), https://link.test/b.

Inline $e^{i\pi} + 1 = 0$ and \(\frac{a}{b}\), but not \href{x}{y}.

$$
\hat\beta = (X^\top X)^{-1} X^\top y
$$

\begin{align}
a &= b + c \\
d &= e
\end{align}

| month | orders |
|:------|-------:|
| Jan   | $n^2$  |
| Mar   | 105    |

- [x] done
- [ ] open
  1. nested

```python
def dip(frame):  # why
    return "north", 12.5
```

> quoted

![dot](dot.png) ![inline](data:image/png;base64,PNG)
"""


@pytest.mark.parametrize("trusted", [True, False])
def test_the_good_survives(lab: Lab, trusted: bool, tmp_path: Path) -> None:
    png = _png(24, 24, (200, 60, 60))
    (lab.work / "dot.png").write_bytes(png)
    good = GOOD.replace("base64,PNG", "base64," + base64.b64encode(png).decode())
    (lab.work / "good.md").write_text(good)
    name = f"good{trusted}"
    if trusted:
        source = (
            _SETUP
            + "publish_display_data({'text/html': safe_html(Path('good.md').read_text(), base=Path('.'))})"
        )
        lab.notebook(name, [source])
    else:
        lab.notebook(name, [{"source": "", "outputs": [{"text/html": safe_html(good, base=lab.work)}]}])
    lab.open(name)
    if trusted:
        lab.run(0)
    output = lab.page.locator(".jp-OutputArea-output").first
    output.locator("mjx-container").first.wait_for(timeout=60_000)
    lab.page.wait_for_timeout(1000)
    output.screenshot(path=tmp_path / f"{name}.png")
    count = lambda css: output.locator(css).count()  # noqa: E731
    assert count("mjx-container") == 6
    assert count("table td") == 4 and count("h1") == 1 and count("blockquote") == 1 and count("s") == 1
    assert count("a[href='https://link.test/a'][rel~=noopener][target=_blank]") == 1
    assert count("a[href='https://link.test/b']") == 1
    widths = output.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert widths == [24, 24]
    words = output.inner_text()
    assert "Prices: $5 and $10" in words and "code $a$" in words and "\\href" not in words.split("but not")[0]
    if trusted:
        span = output.locator("pre span").first
        shown = span.evaluate("e => getComputedStyle(e).color")
        assert shown != output.locator("pre").evaluate("e => getComputedStyle(e).color")
    assert lab.requests == []
