"""A saved notebook as it is seen where no kernel and no script of ours is: exports, sites, text."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

EXPORTS = ("classic", "lab", "reveal")


def exported(notebook: Path, template: str, folder: Path) -> Path:
    """The notebook as HTML by nbconvert."""
    from nbconvert.exporters import HTMLExporter, SlidesExporter

    exporter = SlidesExporter() if template == "reveal" else HTMLExporter(template_name=template)
    html, _ = exporter.from_filename(str(notebook))
    file = folder / f"{notebook.stem}.{template}.html"
    file.write_text(html, encoding="utf-8")
    return file


def like_github(document: dict[str, Any]) -> str:
    """The notebook as a site shows it that renders stored outputs only and lets no style or script through."""
    import nh3

    tags = {*nh3.ALLOWED_TAGS, "details", "summary"}
    pieces = []
    for cell in document["cells"]:
        source = "".join(cell["source"])
        pieces.append(f"<pre class='source'>{escape(source)}</pre>")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if output["output_type"] == "error":
                pieces.append(f"<pre>{escape(chr(10).join(output['traceback']))}</pre>")
            elif output["output_type"] == "stream":
                pieces.append(f"<pre>{escape(''.join(output['text']))}</pre>")
            elif "text/html" in data:
                pieces.append(
                    nh3.clean("".join(data["text/html"]), tags=tags, url_schemes={"https", "http", "data"})
                )
            elif "image/png" in data:
                pieces.append(f'<img src="data:image/png;base64,{"".join(data["image/png"]).strip()}">')
            else:
                pieces.append(f"<pre>{escape(''.join(data.get('text/plain', '')))}</pre>")
    return f"<!doctype html><meta charset=utf-8><body>{''.join(pieces)}</body>"


def plain(document: dict[str, Any]) -> str:
    """What a reader of text sees of the outputs."""
    texts = []
    for cell in document["cells"]:
        for output in cell.get("outputs", ()):
            texts.append("".join(output.get("data", {}).get("text/plain", output.get("text", ""))))
            texts += output.get("traceback", ())
    return "\n".join(texts)


def words(page: Page) -> str:
    """All text of a page, folded or not."""
    return str(page.evaluate("() => document.body.textContent"))


class Watched:
    """A page whose every request but ``allowed`` is refused and listed; scripts that leave a mark are found."""

    def __init__(self, page: Page, *allowed: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self._allowed = ("data:", "blob:", "about:", *allowed)
        page.context.route("**/*", self._route)

    def _route(self, route: Any) -> None:
        url = route.request.url
        if url.startswith(self._allowed):
            route.continue_()
        else:
            self.requests.append(url)
            route.abort()

    def show(self, html: str) -> None:
        self.page.set_content(html, wait_until="load")

    def foreign(self) -> list[str]:
        """Requests that no template of nbconvert makes."""
        own = ("https://cdnjs.cloudflare.com/", "https://cdn.jsdelivr.net/", "https://unpkg.com/")
        return [url for url in self.requests if not url.startswith(own)]
