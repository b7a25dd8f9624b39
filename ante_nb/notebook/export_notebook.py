"""A conversation as a notebook: a prompt cell for every turn, with the answer below it. Format 4.5."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ante_nb.messages import Image, Text, Thinking, ToolCall
from ante_nb.notebook.export import origin_of, title_of
from ante_nb.notebook.export_html import part_html
from ante_nb.notebook.export_text import call_markdown, fenced
from ante_nb.notebook.render.allowlist import visible
from ante_nb.redact import redact

if TYPE_CHECKING:
    from ante_nb.agent.session import Session
    from ante_nb.notebook.export import Exchange


def notebook_of(session: Session, exchanges: list[Exchange]) -> str:
    """The conversation as the JSON of a notebook. It can be run again from the top."""
    head = f"# {' '.join(visible(title_of(session)).split())}\n\n{origin_of(session)}"
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": "about", "metadata": {}, "source": _lines(head)},
        _code("load", "%load_ext ante_nb", None, []),
    ]
    for exchange in exchanges:
        name = hashlib.sha256(f"{session.id} {exchange.number}".encode()).hexdigest()[:12]
        source = exchange.prompt if exchange.is_command else f"%%ante\n{exchange.prompt}"
        cells.append(_code(name, source, exchange.number, _outputs(exchange)))
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return (
        json.dumps(
            {
                "cells": cells,
                "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
                "nbformat": 4,
                "nbformat_minor": 5,
            },
            ensure_ascii=False,
            indent=1,
        )
        + "\n"
    )


def _code(name: str, source: str, count: int | None, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": count,
        "id": name,
        "metadata": {},
        "outputs": outputs,
        "source": _lines(source),
    }


def _outputs(exchange: Exchange) -> list[dict[str, Any]]:
    outputs = []
    for place, part in enumerate(exchange.parts):
        result = exchange.results.get(place)
        html = part_html(part, result)
        if isinstance(part, Text):
            plain = visible(redact(part.text))
        elif isinstance(part, Thinking):
            plain = fenced(redact(part.text), "thinking") if part.text.strip() else ""
        elif isinstance(part, ToolCall):
            plain = call_markdown(part, result)
        else:
            plain = "[image]" if isinstance(part, Image) else ""
        if not plain.strip():
            continue
        outputs.append(_display({"text/html": _lines(html), "text/plain": _lines(plain)}))
    return outputs


def _display(data: dict[str, Any]) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": {}}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
