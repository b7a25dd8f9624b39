"""Files that are no plain text: images, PDF documents, notebooks."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

from ante_nb.agent.tools.base import ToolOutcome, text_outcome
from ante_nb.agent.tools.textfile import kind_of
from ante_nb.errors import ToolError
from ante_nb.messages import Image, Text

if TYPE_CHECKING:
    from ante_nb.agent.tools.base import Limits

# What every vendor with vision takes.
_TYPES = {
    "PNG image": "image/png",
    "JPEG image": "image/jpeg",
    "GIF image": "image/gif",
    "WebP image": "image/webp",
}
_PDF_PAGES = 20
_OUTPUT_CHARS = 2_000


def image(data: bytes, name: str, limits: Limits) -> ToolOutcome:
    """An image for the model: checked and scaled down with Pillow where that is installed.

    Raises:
        ToolError: it is damaged, or too large and Pillow is missing.
    """
    media_type = _TYPES[kind_of(data) or ""]
    note = f"[{name}: {media_type}, {len(data)} bytes]"
    try:
        from PIL import Image as Pillow  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        if len(data) > limits.image_bytes:
            raise ToolError(
                f"{name} has {len(data)} bytes, too many to send.", "With Pillow installed it is scaled down."
            ) from None
    else:
        try:
            with Pillow.open(io.BytesIO(data)) as picture:
                picture.load()
                size = picture.size
                if max(size) > limits.image_side or len(data) > limits.image_bytes:
                    picture.thumbnail((limits.image_side, limits.image_side))
                    has_alpha = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
                    out = io.BytesIO()
                    if has_alpha or media_type == "image/png":
                        picture.convert("RGBA" if has_alpha else "RGB").save(out, "PNG", optimize=True)
                        media_type = "image/png"
                    if not out.tell() or out.tell() > limits.image_bytes:
                        out = io.BytesIO()
                        picture.convert("RGB").save(out, "JPEG", quality=85)
                        media_type = "image/jpeg"
                    data = out.getvalue()
                    note = (
                        f"[{name}: {size[0]} x {size[1]} pixels, shown at {picture.width} x {picture.height}]"
                    )
        except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
            raise ToolError(f"{name} is a damaged or unusable image: {error}.") from None
    part = Image(base64.b64encode(data).decode("ascii"), media_type)
    return ToolOutcome(
        (Text(note), part), display={"kind": "images", "path": name, "count": 1}, verbatim=True
    )


def pdf(data: bytes, name: str, first: int, count: int | None) -> ToolOutcome:
    """The text of a PDF's pages, by pypdf.

    Raises:
        ToolError: pypdf is missing, the file is damaged or locked, or it has no such page.
    """
    try:
        import pypdf  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise ToolError(
            f"{name} is a PDF, and pypdf is not installed.", "Ask the person to run: %pip install pypdf"
        ) from None
    first = max(first, 1)
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        total = len(reader.pages)
        last = min(total, first - 1 + min(count or _PDF_PAGES, _PDF_PAGES))
        pages = [
            f"--- page {number} of {total} ---\n{reader.pages[number - 1].extract_text().strip()}"
            for number in range(first, last + 1)
        ]
    except Exception as error:  # pypdf raises errors of many kinds for damaged files
        raise ToolError(f"{name} could not be read as PDF: {error}.") from None
    if not pages:
        raise ToolError(f"{name} has {total} pages; there is no page {first}.")
    if last < total:
        pages.append(f"[Pages {first} to {last} of {total}; continue with offset {last + 1}.]")
    return text_outcome("\n".join(pages), verbatim=True)


def notebook(text: str) -> str | None:
    """A notebook as cells with their outputs, or ``None`` where ``text`` is no notebook (nbformat 4)."""
    try:
        data = json.loads(text)
        cells = data["cells"]
        blocks = [_cell(number, cell) for number, cell in enumerate(cells, 1)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return "\n\n".join(blocks) or "[no cells]"


def _joined(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _cell(number: int, cell: dict[str, Any]) -> str:
    count = cell.get("execution_count")
    head = f"# cell {number} [{cell['cell_type']}]" + (f" In [{count}]" if count else "")
    parts = [head, _joined(cell["source"])]
    outputs = "\n".join(filter(None, (_output(item) for item in cell.get("outputs", ()))))
    if len(outputs) > _OUTPUT_CHARS:
        half = _OUTPUT_CHARS // 2
        cut = len(outputs) - 2 * half
        outputs = f"{outputs[:half]}\n[... {cut} characters trimmed ...]\n{outputs[-half:]}"
    if outputs:
        parts.append(f"# output\n{outputs}")
    return "\n".join(parts)


def _output(item: dict[str, Any]) -> str:
    from ante_nb.agent.results import clean

    if item["output_type"] == "stream":
        return clean(_joined(item["text"])).rstrip()
    if item["output_type"] == "error":
        return f"{item.get('ename', 'Error')}: {item.get('evalue', '')}"
    bundle = item.get("data", {})
    images = [kind for kind in bundle if kind.startswith("image/")]
    plain = clean(_joined(bundle.get("text/plain", ""))).rstrip()
    return "\n".join(filter(None, [plain, *(f"[{kind}]" for kind in images)]))
