"""Hostile text in every place where foreign text is shown, in JupyterLab live and reopened, in exports and on a
site: nothing runs, nothing is fetched, nothing is covered, nothing takes the focus, nothing hides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hostile
import hostile_more
import pytest
from support import static_views as views
from support.ante import rounds, seeded
from support.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
FIRST = 10_000
SAMPLE = 60
"""How many of the texts are shown in every place; all of them under ``make prove``."""
EVERY = hostile_more.corpus(FIRST)
CHOSEN = sorted(seeded("injection").sample(range(len(EVERY)), rounds(SAMPLE, len(EVERY))))
TEXTS = [EVERY[number] for number in CHOSEN]
ALL = len(TEXTS)

SETUP = f"""
import sys
sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent)!r}]
import asyncio, hostile, hostile_more
from pathlib import Path
from IPython.display import publish_display_data
from support.hostile_turns import ask, play
from ante_nb.errors import AnteError
from ante_nb.notebook.printing import say
from ante_nb.notebook.render.cards import rich_output
from ante_nb.notebook.render.rich import rich_of
from ante_nb.notebook.render.sanitize import safe_html
every = hostile_more.corpus({FIRST})
texts = [every[number] for number in {CHOSEN}]
short = [text for text in texts if len(text) < 500]
def publish(data, metadata, display_id, update):
    publish_display_data(data, metadata, transient={{"display_id": display_id}} if display_id else {{}}, update=update)
"""
PLACES = {
    # Answer, thinking, tool name, arguments, output, diff, file names, notices, status, error, steering.
    **{f"turn {at}": f"play(short[{at}:{at + 60}], publish, Path('.'))" for at in range(0, ALL, 60)},
    **{
        f"answers {at}": f"for text in texts[{at}:{at + 48}]: publish({{'text/html': safe_html(text, base=Path('.'))}}, {{}}, None, False)"
        for at in range(0, ALL, 48)
    },
    **{f"cards {at}": f"cards = ask(short[{at}:{at + 40}] or short[:2], publish)" for at in range(0, ALL, 40)},
    "tables": "\n".join(
        [
            "for at in range(0, len(short), 12):",
            "    html = ''.join(f'<table><tr><td>{text}</td></tr></table>' for text in short[at:at + 12])",
            "    html, plain, _ = rich_output(rich_of({'text/html': html, 'text/plain': short[at]}))",
            "    publish({'text/html': html, 'text/plain': plain}, {}, None, False)",
        ]
    ),
    "lines": "for text in texts: say(text[:2000])",
    "terminal": "from ante_nb.notebook.render.plain import PlainRenderer\nfrom ante_nb import messages as m\n"
    "shown = PlainRenderer(lambda text: print(text, end=''))\n"
    "for text in short: shown.event(m.TextDelta(0, text)); shown.event(m.Notice(text, text)); shown.event(m.ToolOutput('c', text))",
    "error": "raise AnteError(' | '.join(short), ' | '.join(short))",
}  # fmt: skip

# Outputs of ours are laid out in the flow, have no name that a script could look up, and take no focus.
LAYOUT = """() => {
    const wrong = [];
    for (const output of document.querySelectorAll('.jp-OutputArea-output')) {
        for (const e of output.querySelectorAll('*')) {
            if (e.closest('mjx-container, .ante-card, .jp-TrimmedOutputs')) continue;
            const style = getComputedStyle(e);
            if (!['static', 'relative'].includes(style.position)) wrong.push(['position', e.outerHTML.slice(0, 120)]);
            if (style.backgroundImage !== 'none') wrong.push(['background', e.outerHTML.slice(0, 120)]);
            if (e.id || e.getAttribute('name')) wrong.push(['name', e.outerHTML.slice(0, 120)]);
            if (/^(SCRIPT|STYLE|LINK|META|BASE|IFRAME|OBJECT|EMBED|FORM|INPUT|BUTTON|SVG|VIDEO|AUDIO)$/i.test(e.tagName))
                wrong.push(['element', e.outerHTML.slice(0, 120)]);
            for (const a of e.attributes) if (/^on|^data-(?!jp-)/i.test(a.name)) wrong.push([a.name, e.outerHTML.slice(0, 120)]);
        }
        const box = output.getBoundingClientRect();
        for (const m of output.querySelectorAll('mjx-container')) {
            const r = m.getBoundingClientRect();
            if (r.width && (r.left < box.left - 40 || r.height > 600)) wrong.push(['formula', m.textContent.slice(0, 80)]);
        }
    }
    return wrong.slice(0, 10);
}"""
HIDDEN = r"""() => {
    const odd = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;
    const found = [];
    for (const e of document.querySelectorAll('.jp-OutputArea-output')) {
        for (const part of e.querySelectorAll('mjx-container, mjx-assistive-mml')) part.remove();
        const match = odd.exec(e.textContent);
        if (match) found.push([match[0].charCodeAt(0).toString(16), e.textContent.slice(Math.max(0, match.index - 40), match.index + 20)]);
    }
    return found.slice(0, 5);
}"""
TRAP = """() => { window.__ante_hits = []; window.__before = location.href;
    document.addEventListener('focusin', event => {
        if (event.target.closest('.jp-OutputArea-output')) (window.__stolen = window.__stolen || []).push(event.target.outerHTML.slice(0, 100));
    }, true); }"""
CLICK = """() => {
    document.addEventListener('click', event => {
        const link = event.target.closest && event.target.closest('a');
        // A plain link is the person's own wish, and so is what JupyterLab makes a link of in plain text.
        if (!link) return;
        const plain = !link.closest('.jp-RenderedHTML, .ante-card') && link.closest('.jp-RenderedText');
        // What looks like a path there, JupyterLab opens by a listener of its own.
        if (plain) event.stopImmediatePropagation();
        if (plain || /^(https?:[/][/]|mailto:)/i.test(link.getAttribute('href') || '')) event.preventDefault();
    }, true);
    let count = 0;
    const outputs = document.querySelectorAll('.jp-OutputArea-output');
    for (const output of outputs.length ? outputs : [document.body]) {
        for (const e of output.querySelectorAll('a, summary, img, span[title], td, mjx-container, .ante-card *')) {
            for (const kind of ['mouseover', 'mousedown', 'mouseup', 'click'])
                e.dispatchEvent(new MouseEvent(kind, {bubbles: true, cancelable: true, view: window}));
            if (++count >= 6000) return count;
        }
    }
    return count;
}"""
# In plain text JupyterLab itself makes links of addresses; those are its own.
LINKS = """() => [...document.querySelectorAll('.jp-RenderedHTML a')].filter(a => {
    const href = a.getAttribute('href');
    return href !== null && !(/^(https?:[/][/]|mailto:)/i.test(href) && a.rel.includes('noopener'));
}).map(a => a.outerHTML.slice(0, 150)).slice(0, 5)"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("injection") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def live(lab: Lab) -> Path:
    """All places, run in JupyterLab; the notebook as saved."""
    path = lab.notebook("everywhere", [SETUP, *PLACES.values()])
    lab.open("everywhere")
    lab.page.evaluate(TRAP)
    for number in range(len(PLACES) + 1):
        lab.run(number, timeout=240)
    lab.save(path, timeout=90)
    return path


def check(lab: Lab, *, live: bool) -> None:
    page = lab.page
    page.wait_for_timeout(2500)
    assert page.evaluate("window.__ante_hits || []") == []
    assert lab.requests == [], "fetched on sight"
    assert page.evaluate(LAYOUT) == []
    assert page.evaluate(LINKS) == []
    if live:
        assert page.evaluate("window.__stolen || []") == [], "an output took the focus"
        assert page.evaluate("location.href === window.__before")
    before = page.url
    assert page.evaluate(CLICK) > 300
    page.wait_for_timeout(1500)
    assert page.evaluate("window.__ante_hits || []") == []
    assert lab.requests == [], "fetched on a click"
    assert len(lab.context.pages) == 1 and page.url == before
    assert page.evaluate("typeof document.head.appendChild") == "function", "a name was taken over"
    assert page.evaluate(HIDDEN) == []


def test_live(lab: Lab, live: Path) -> None:
    words = lab.page.locator(".jp-Notebook").evaluate("e => e.textContent")
    failed = [
        name
        for number, name in enumerate(PLACES, 1)
        if lab.cell(number).locator("[data-mime-type='application/vnd.jupyter.stderr']").count()
        and name != "error"
    ]
    assert failed == [] and "Traceback" not in words
    assert lab.page.locator(".ante-card").count() >= 7, "the cards are not in the page"
    assert len(EVERY) >= 150
    assert lab.page.locator(".jp-TrimmedOutputs").count() == 0, "JupyterLab hides some of the outputs"
    check(lab, live=True)


@pytest.mark.parametrize("trusted", [True, False])
def test_reopened(lab: Lab, live: Path, trusted: bool) -> None:
    document = json.loads(live.read_text())
    for cell in document["cells"]:
        # The cards' widgets end with their kernel; what stands for them stays.
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    name = "trusted" if trusted else "untrusted"
    path = lab.work / f"{name}.ipynb"
    path.write_text(json.dumps(document))
    if trusted:
        subprocess.run(
            [sys.executable, "-m", "jupyter", "trust", str(path)],
            env=lab._env,
            check=True,
            capture_output=True,
            timeout=60,
        )
    lab.open(name)
    check(lab, live=False)


def watch(lab: Lab, allowed: str) -> tuple[Page, views.Watched]:
    page = lab.browser.new_context().new_page()
    page.add_init_script("window.__ante_hits = []")
    return page, views.Watched(page, allowed)


def settled(page: Page, watched: views.Watched) -> None:
    page.wait_for_timeout(1000)
    before = page.url
    page.evaluate(CLICK)
    page.wait_for_timeout(500)
    assert page.evaluate("window.__ante_hits || []") == []
    assert [url for url in watched.foreign() if not url.startswith("https://link.test/")] == []
    assert page.url == before and len(page.context.pages) == 1


@pytest.mark.parametrize("template", views.EXPORTS)
def test_exported(lab: Lab, live: Path, template: str, tmp_path: Path) -> None:
    file = views.exported(live, template, tmp_path)
    page, watched = watch(lab, file.as_uri())
    try:
        page.goto(file.as_uri(), wait_until="domcontentloaded", timeout=120_000)
        settled(page, watched)
    finally:
        page.context.close()


def test_on_a_site(lab: Lab, live: Path) -> None:
    page, watched = watch(lab, "about:")
    try:
        # The site is as careless as can be: it shows the stored HTML as it is.
        document: dict[str, Any] = json.loads(live.read_text())
        html = [
            "".join(output["data"]["text/html"])
            for cell in document["cells"]
            for output in cell.get("outputs", ())
            if "text/html" in output.get("data", {})
        ]
        watched.show(f"<!doctype html><meta charset=utf-8><body>{''.join(html)}</body>")
        settled(page, watched)
    finally:
        page.context.close()


def test_the_traps_work(lab: Lab) -> None:
    """The same texts as they are do what the other tests watch for."""
    page, watched = watch(lab, "about:")
    try:
        some = [
            text for text in EVERY if text.startswith(("<img src", "<div style", "</div></div></div><img"))
        ]
        for text in [hostile.corpus()[4], *some]:
            page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", text)
        page.wait_for_timeout(1000)
        assert page.evaluate("window.__ante_hits") != []
        assert any(url.startswith(hostile.EVIL) for url in watched.requests)
        assert page.evaluate(
            "[...document.querySelectorAll('*')].some(e => getComputedStyle(e).position === 'fixed')"
        )
    finally:
        page.context.close()
