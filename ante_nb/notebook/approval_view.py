"""An approval request as a person sees it: the heading, what would run, and what was decided."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from ante_nb.agent.data_gate import RULE
from ante_nb.notebook.render.allowlist import IGNORE_MATH, clean, visible
from ante_nb.notebook.render.code import code_html, coloured
from ante_nb.notebook.render.styles import BOX, DIFF, FAINT, GOOD, LINE, PRE, WARN
from ante_nb.notebook.render.words import clip
from ante_nb.redact import redact

if TYPE_CHECKING:
    from ante_nb.agent.host import Approval, ApprovalRequest
    from ante_nb.notebook.asking import Twins

_LIMIT = 100_000
"""Characters of a request that the card shows; what is left out is counted there."""
_TWIN_LIMIT = 6_000
_WORDS_LIMIT = 300
_MOST_STAGES = 100

_TITLES = {
    "Bash": "Run this command?",
    "Python": "Run this Python code?",
    "Write": "Write this file?",
    "Edit": "Change this file?",
    "WebFetch": "Fetch this page?",
    "WebSearch": "Search the web for this?",
}
_CELL_TITLES = {
    "insert": "Insert this cell?",
    "next": "Propose this cell?",
    "replace": "Change this cell?",
    "delete": "Delete this cell?",
    "run": "Run this cell?",
}


def traits(request: ApprovalRequest) -> dict[str, Any]:
    """What the card shows of ``request``; every text in it is visible and redacted, none of it is HTML."""
    return {
        "label": title(request),
        "summary": visible(clip(request.summary, 1_000)),
        "reason": visible(request.reason),
        "grant": visible(redact(request.grant)),
        "blocks": blocks(request),
    }


def title(request: ApprovalRequest) -> str:
    """The question, in a few words."""
    name = request.call.name
    if _is_data(request):
        return f"Send this result of {visible(name)} to the model?"
    if name == "Cells":
        return _CELL_TITLES.get(str(request.call.arguments.get("action")), "Change the notebook?")
    return _TITLES.get(name, f"Call the tool {visible(name)}?")


def blocks(request: ApprovalRequest) -> list[dict[str, Any]]:
    """What would run or change: a diff, a command with its stages, coloured code, or text."""
    detail = clip(request.detail or request.summary, _LIMIT)
    kind = _kind(request)
    if kind == "diff":
        lines = [[line[:1] if _is_change(line) else "", visible(line)] for line in detail.split("\n")]
        return [{"kind": "diff", "label": "Diff", "lines": lines}]
    if kind in ("python", "bash"):
        label = "Python code" if kind == "python" else "Command"
        found: list[dict[str, Any]] = [
            {"kind": "code", "label": label, "tokens": [list(piece) for piece in coloured(detail, kind)]}
        ]
        rows = stages(request) if kind == "bash" else []
        return [*found, {"kind": "stages", "label": "Its stages", "rows": rows}] if len(rows) > 1 else found
    return [{"kind": "text", "label": "What it is about", "text": visible(detail)}]


def stages(request: ApprovalRequest) -> list[list[str]]:
    """The single commands of a shell command, each with what is known of it and the reason for that."""
    from ante_nb.agent.permissions.judge import judge

    command = request.call.arguments.get("command")
    if not isinstance(command, str):
        return []
    whole = judge(command)
    rows = []
    for stage in whole.stages[:_MOST_STAGES]:
        found = judge(stage.text)
        why = "only reads" if found.verdict == "safe" else found.reason
        rows.append([visible(redact(stage.text)), found.verdict, visible(redact(why))])
    if whole.shell.opaque or len(whole.stages) > _MOST_STAGES:
        why = (
            "it cannot be taken apart for sure" if whole.shell.opaque else "there are too many stages to list"
        )
        rows.append(["…", "unknown", f"more may run: {why}"])
    return rows


def _is_data(request: ApprovalRequest) -> bool:
    return request.grant.startswith(f"{RULE}(")


def _kind(request: ApprovalRequest) -> str:
    name, action = request.call.name, request.call.arguments.get("action")
    if _is_data(request):
        return "text"
    if name in ("Write", "Edit") or (name == "Cells" and action == "replace"):
        return "diff"
    if name == "Cells":
        return "text" if request.call.arguments.get("kind") == "markdown" else "python"
    return {"Python": "python", "Bash": "bash"}.get(name, "text")


def _is_change(line: str) -> bool:
    return line[:1] in DIFF and not line.startswith(("+++ ", "--- "))


# ----------------------------------------------------------------------------------------------- the twins


def pending_twins(request: ApprovalRequest) -> Twins:
    """What stands for the card, in a notebook that is saved while it waits, or a page without widgets."""
    head, reason = title(request), f"({request.reason})" if request.reason else ""
    detail = clip(request.detail, _TWIN_LIMIT)
    kind = _kind(request)
    if kind in ("python", "bash"):
        shown = code_html(detail, kind)
    elif kind == "diff":
        lines = (
            f'<span style="{DIFF[line[0]]}">{_safe(line)}</span>' if _is_change(line) else _safe(line)
            for line in detail.split("\n")
        )
        shown = f'<pre style="{PRE}">' + "\n".join(lines) + "</pre>"
    else:
        shown = f'<pre style="{PRE}">{_safe(detail)}</pre>'
    html = (
        f'<span style="{WARN}">?</span> <strong>{_safe(head)}</strong> {_safe(request.summary)} '
        f'<span style="{FAINT}">{_safe(reason)} waits for an answer</span>{shown if detail else ""}'
    )
    text = "\n".join(filter(None, (f"[{head}] {request.summary} {reason}".rstrip(), detail)))
    return visible(f"{text}\n(waits for an answer)\n"), _box(html, BOX, head)


def decided(request: ApprovalRequest, approval: Approval) -> tuple[Twins, str]:
    """What is left of the card, and the line in plain words."""
    word = {
        "once": "allowed once",
        "session": f"allowed for this session by the rule {request.grant}",
        "always": f"always allowed by the rule {request.grant}",
        "deny": "denied",
    }[approval.answer]
    mark, style = ("⊘", WARN) if approval.answer == "deny" else ("✓", GOOD)
    said = f": “{clip(redact(approval.feedback), _WORDS_LIMIT)}”" if approval.feedback else ""
    return _line(request, mark, style, word + said)


def unanswered(request: ApprovalRequest, why: str) -> tuple[Twins, str]:
    """The same for a request that was never answered."""
    return _line(request, "■", WARN, f"not answered: {why}")


def _line(request: ApprovalRequest, mark: str, style: str, words: str) -> tuple[Twins, str]:
    about = " ".join(clip(request.summary, _WORDS_LIMIT).split())
    html = (
        f'<span style="{style}">{mark}</span> <span>{_safe(words[:1].upper() + words[1:])}</span> '
        f"<span>·</span> <code>{_safe(about)}</code>"
    )
    plain = visible(f"[approval] {words} ({about})")
    return (plain, _box(html, LINE, "Approval")), visible(words)


def _box(inner: str, style: str, label: str) -> str:
    return clean(
        f'<div class="{IGNORE_MATH}" style="{style}" role="group" aria-label="{_safe(label)}">{inner}</div>\n'
    )


def _safe(text: str) -> str:
    return escape(visible(text))
