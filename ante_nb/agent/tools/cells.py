"""Cells: the notebook that the person works in, read and changed through its front end."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import AliasChoices, BaseModel, Field, field_validator

from ante_nb.agent.cellnames import pick
from ante_nb.agent.host import CellEdit
from ante_nb.agent.tools.base import (
    DefaultDecision,
    Footprint,
    SeenCell,
    Tool,
    ToolArguments,
    ToolOutcome,
    text_outcome,
)
from ante_nb.describe.policy import allows
from ante_nb.errors import ToolError
from ante_nb.messages import Image, Text

if TYPE_CHECKING:
    from ante_nb.agent.host import Cell, CellReport, Notebook, ToolContext

BRIEF_SOURCE = 400
"""Characters of a cell's text in the list."""
BRIEF_OUTPUT = 200
WHOLE = 20
"""Cells that are shown whole in one call."""
IMAGES = 6
"""Images that are sent with one call."""
_PROMPT = re.compile(r"\s*%%?ante\b")
# What a front end fetches or runs when it shows a Markdown cell: images, HTML, diagrams with images in
# them. An address can carry data out, so a person looks first.
_FETCHES = re.compile(r"<|!\s*\[|mermaid", re.IGNORECASE)


class CellsArguments(ToolArguments):
    action: Literal["read", "next", "insert", "replace", "run", "delete"] = Field("read")
    cell: str = Field(
        "",
        description="A cell's number or id. read: also a range (2-5) or several (1,4); empty lists all. "
        "insert: the cell above the new one; empty is below this prompt, `top` is the start.",
    )
    find: str = Field("", description="read: only cells that have this text in their source or outputs")
    source: str = Field(
        "", validation_alias=AliasChoices("source", "code", "text"), description="The new text of the cell"
    )
    kind: Literal["code", "markdown"] = Field("code", description="insert: the kind of cell")

    @field_validator("cell", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Cells(Tool):
    """Reads at will; changes only cells that the model has read, and says what became of it."""

    name = "Cells"
    description = (
        "The cells of the notebook that the person has open. read: list them, or show some whole with their "
        "outputs. next: propose the next code cell; it appears below this prompt when your turn ends and is "
        "not run (one per turn). insert, replace, delete: change cells in the person's front end. run: have a "
        "code cell run after your turn has ended; use Python for what you need now. Read a cell before you "
        "replace, run or delete it; a change is refused as stale if the person has edited it since."
    )
    Arguments: ClassVar[type[BaseModel]] = CellsArguments
    default: ClassVar[DefaultDecision] = "ask"

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        # While code runs in the kernel, its thread cannot hear the front end.
        args = cast("CellsArguments", arguments)
        touched = frozenset({"kernel", "notebook"})
        return Footprint(reads=touched) if args.action == "read" else Footprint(writes=touched)

    def primary(self, arguments: BaseModel) -> str:
        args = cast("CellsArguments", arguments)
        return f"{args.action} {args.cell}".strip()

    def decision(self, arguments: BaseModel) -> DefaultDecision:
        # A proposed cell changes nothing and does not run: to look at it is the person's approval.
        return "allow" if cast("CellsArguments", arguments).action in ("read", "next") else "ask"

    def grant(self, arguments: BaseModel) -> str | None:
        return f"Cells({cast('CellsArguments', arguments).action} *)"

    def python_code(self, arguments: BaseModel, ctx: ToolContext) -> str | None:
        args = cast("CellsArguments", arguments)
        if args.action != "run":
            return None
        seen = _seen(args.cell, ctx)
        # What has changed since is not run, so what was seen is what is judged; the unknown is not safe.
        return seen[1].source if seen is not None else "?"

    def doubt(self, arguments: BaseModel, ctx: ToolContext) -> str:
        args = cast("CellsArguments", arguments)
        seen = _seen(args.cell, ctx) if args.action == "replace" else None
        kind = args.kind if args.action == "insert" else seen[1].kind if seen else "code"
        if args.action in ("insert", "replace") and kind != "code" and _FETCHES.search(args.source):
            return "a Markdown cell with images or HTML may fetch from the network when it is shown"
        return ""

    def detail(self, arguments: BaseModel, ctx: ToolContext) -> str:
        args = cast("CellsArguments", arguments)
        seen = _seen(args.cell, ctx)
        old = seen[1].source if seen is not None else ""
        if args.action == "replace":
            return _diff(old, args.source)
        return args.source if args.action in ("insert", "next") else old

    def carries_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        return bool(outcome.described)

    def without_data(self, arguments: BaseModel, outcome: ToolOutcome, policy: str) -> str:
        return outcome.described.get(policy, "")

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        args = cast("CellsArguments", arguments)
        if args.action == "read":
            return await _read(args, ctx)
        if args.action == "next":
            if not args.source.strip():
                raise ToolError("next: the source is empty.")
            again = await ctx.host.propose_cell(args.source)
            more = " It replaces the one that you proposed before." if again else ""
            return text_outcome(
                f"Proposed: it appears below this prompt when the turn ends, for the person to run.{more}",
                trusted=True,
                verbatim=True,
            )
        return await _edit(args, ctx)


# ------------------------------------------------------------------------------------------------ reading


async def _read(args: CellsArguments, ctx: ToolContext) -> ToolOutcome:
    book = await ctx.host.notebook()
    # What the data policy keeps in is not searched: whether a value is there would be told.
    searched = allows(ctx.state.policies.closest, "sample")
    chosen = _chosen(book, args.cell, args.find, searched)
    listing = not args.cell and (not args.find or len(chosen) > WHOLE)
    left = 0
    if not listing:
        left = max(0, len(chosen) - WHOLE)
        ids = tuple(cell.id for cell in chosen[:WHOLE] if cell.id)
        numbers = {cell.number for cell in chosen[:WHOLE]}
        book = await ctx.host.notebook(ids) if ids else book
        # By id: a cell may have been inserted between the two looks.
        chosen = [cell for cell in book.cells if (cell.id in ids if cell.id else cell.number in numbers)]
    _remember(book, chosen, listing, ctx)
    head = f"{len(book.cells)} cells, {book.note}." if book.cells else f"No cells: {book.note}."
    tail = f"\n\n[{left} more match; name fewer.]" if left else ""
    text = _blocks(chosen, brief=listing, values=True)
    told = _blocks(chosen, brief=listing, values=False)
    images: list[Image] = []
    if not listing:
        images = _images(chosen, ctx)
    values = any(cell.outputs or cell.images for cell in chosen)
    body = f"{head}\n\n{told}{tail}"
    return ToolOutcome(
        (Text(f"{head}\n\n{text}{tail}"), *images),
        verbatim=True,
        described={"schema": body, "stats": body} if values else {},
    )


def _chosen(book: Notebook, words: str, find: str, outputs: bool) -> list[Cell]:
    found = list(book.cells)
    if words:
        wanted: dict[int, Cell] = {}
        for word in re.split(r"[,\s]+", words.strip()):
            picked = pick(found, word)
            if not picked:
                raise ToolError(f"There is no cell {word}.", _hint(found))
            wanted.update((cell.number, cell) for cell in picked)
        found = [wanted[number] for number in sorted(wanted)]
    if find:
        needle = find.lower()
        found = [
            cell
            for cell in found
            if needle in cell.source.lower() or (outputs and needle in cell.outputs.lower())
        ]
    return found


def _hint(cells: list[Cell]) -> str:
    return f"They are numbered 1 to {len(cells)}; read without `cell` lists them."


def _remember(book: Notebook, chosen: list[Cell], listing: bool, ctx: ToolContext) -> None:
    for cell in chosen:
        if cell.id is not None:
            whole = not listing or len(cell.source) <= BRIEF_SOURCE
            ctx.state.cells[cell.id] = SeenCell(cell.number, cell.kind, cell.source, whole)
    # Cells that were not shown may have moved; numbers must not lead to the wrong one.
    for cell in book.cells:
        known = ctx.state.cells.get(cell.id or "")
        if known is not None and known.number != cell.number:
            ctx.state.cells[cell.id or ""] = SeenCell(cell.number, known.kind, known.source, known.whole)
    if book.origin == "live":
        here = {cell.id for cell in book.cells}
        for gone in [name for name in ctx.state.cells if name not in here]:
            del ctx.state.cells[gone]


def _blocks(cells: list[Cell], *, brief: bool, values: bool) -> str:
    return "\n\n".join(_block(cell, brief, values) for cell in cells) or "(no cell matches)"


def _block(cell: Cell, brief: bool, values: bool) -> str:
    head = [f"[{cell.number}]", cell.kind, f"id={cell.id}" if cell.id else ""]
    head += [f"In[{cell.count}]" if cell.count else "", "(this prompt)" if cell.current else ""]
    lines = [" ".join(word for word in head if word), _cut(cell.source, BRIEF_SOURCE if brief else None)]
    if cell.note:
        lines.append(f"({cell.note})")
    shown = cell.outputs if values else cell.shapes
    if shown:
        lines.append(f"--- outputs ---\n{_cut(shown, BRIEF_OUTPUT if brief else None)}")
    if cell.images:
        count = len(cell.images)
        lines.append(f"({count} image{'s' * (count != 1)}{'; read this cell to see' if brief else ''})")
    return "\n".join(lines)


def _cut(text: str, limit: int | None) -> str:
    if limit is None or len(text) <= limit:
        return text
    return f"{text[:limit]}\n[... {len(text) - limit} more characters ...]"


def _images(cells: list[Cell], ctx: ToolContext) -> list[Image]:
    from ante_nb.agent.images import decoded

    found: list[Image] = []
    for cell in cells:
        for media_type, data in cell.images:
            image = decoded(media_type, data, ctx.state.limits) if len(found) < IMAGES else None
            if image is not None:
                found.append(image)
    return found


# ----------------------------------------------------------------------------------------------- changing


def _seen(word: str, ctx: ToolContext) -> tuple[str, SeenCell] | None:
    """The cell that the model means, among those it has seen."""
    cells: dict[str, SeenCell] = ctx.state.cells
    word = word.strip()
    if word in cells:
        return word, cells[word]
    if re.fullmatch(r"#?\d{1,6}", word):
        number = int(word.lstrip("#"))
        return next(((name, cell) for name, cell in cells.items() if cell.number == number), None)
    begins = [name for name in cells if len(word) >= 4 and name.startswith(word)]
    return (begins[0], cells[begins[0]]) if len(begins) == 1 else None


async def _edit(args: CellsArguments, ctx: ToolContext) -> ToolOutcome:
    edit = _request(args, ctx)
    report = await ctx.host.edit_cell(edit)
    cells: dict[str, SeenCell] = ctx.state.cells
    if report.status == "applied" and edit.action in ("insert", "delete"):
        _shift(cells, edit.action, report)
    if report.status == "applied" and report.id is not None:
        if edit.action == "delete":
            cells.pop(report.id, None)
        elif report.number is not None:
            kind = edit.kind if edit.action == "insert" else cells[report.id].kind
            cells[report.id] = SeenCell(report.number, kind, edit.source)
    display = None
    if report.status == "applied" and edit.action != "run":
        name = f"cell {report.number}" if report.number else "cell"
        new = "" if edit.action == "delete" else edit.source
        display = {"kind": "diff", "path": name, "diff": _diff(edit.expected, new, name)}
    return text_outcome(
        _told(edit, report),
        is_error=report.status not in ("applied", "queued"),
        display=display,
        trusted=report.source is None or report.status != "stale",
        verbatim=True,
    )


def _request(args: CellsArguments, ctx: ToolContext) -> CellEdit:
    if args.action == "insert":
        if not args.source.strip():
            raise ToolError("insert: the source is empty.")
        if args.cell in ("", "top"):
            return CellEdit("insert", args.cell, source=args.source, kind=args.kind)
        if args.cell in ("0", "#0"):
            return CellEdit("insert", "top", source=args.source, kind=args.kind)
    seen = _seen(args.cell, ctx) if args.cell else None
    if seen is None:
        what = f"You have not read a cell {args.cell}" if args.cell else f"{args.action} needs a cell"
        raise ToolError(f"{what}.", "Call Cells with action read first; use the ids that it shows.")
    name, cell = seen
    action = cast("Literal['insert', 'replace', 'delete', 'run']", args.action)
    if action == "insert":
        return CellEdit(action, name, source=args.source, kind=args.kind)
    if not cell.whole:
        raise ToolError(
            f"You have seen only the start of cell {args.cell}.", f"Read it whole first: cell={name}."
        )
    if action == "run" and cell.kind != "code":
        raise ToolError(f"Cell {args.cell} is a {cell.kind} cell: there is nothing to run.")
    if action == "run" and _PROMPT.match(cell.source):
        raise ToolError("That cell is a prompt for you.", "Only the person starts a turn.")
    kind: Literal["code", "markdown"] = "code" if cell.kind == "code" else "markdown"
    return CellEdit(action, name, cell.source, args.source, kind)


def _shift(cells: dict[str, SeenCell], action: str, report: CellReport) -> None:
    """Numbers below an inserted or deleted cell, as the front end counts them now."""
    if report.number is None:
        return
    step = 1 if action == "insert" else -1
    for name, cell in list(cells.items()):
        if cell.number >= report.number and name != report.id:
            cells[name] = SeenCell(cell.number + step, cell.kind, cell.source, cell.whole)


def _told(edit: CellEdit, report: CellReport) -> str:
    name = f"cell {report.number} (id={report.id})" if report.id and report.number else "the cell"
    why = f": {report.reason}" if report.reason else ""
    if report.status == "applied":
        done = {"insert": "inserted", "replace": "replaced", "delete": "deleted"}[edit.action]
        return f"applied: {name} was {done}; it is not saved yet."
    if report.status == "queued":
        return (
            f"queued: {name} runs when this turn has ended (not if the turn fails). "
            "You will not see its output in this turn."
        )
    if report.status == "stale":
        now = f"\nIt is now:\n{report.source}" if report.source is not None else ""
        return f"stale{why}. Nothing was changed. Read the cells again.{now}"
    if report.status == "refused":
        return (
            f"refused{why}. Nothing was changed. Action `next` proposes a cell in every front end; "
            "never write to the .ipynb file."
        )
    return f"unconfirmed{why}."


def _diff(old: str, new: str, name: str = "cell") -> str:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{name} (before)", f"{name} (after)", lineterm=""
    )
    return "\n".join(lines)
