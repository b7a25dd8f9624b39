"""``%ante context``, ``compact`` and ``limits``, and what ``%%ante --dry-run`` prints."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from ante_nb.errors import ConfigError
from ante_nb.notebook.printing import say, table

if TYPE_CHECKING:
    from ante_nb.agent.context import ContextReport
    from ante_nb.agent.dry_run import Preview
    from ante_nb.agent.limits import Limits
    from ante_nb.messages import Compacted
    from ante_nb.notebook.state import KernelState

_BAR = 40


def context(state: KernelState, rest: str) -> None:
    """What the next request would take of the model's context, by category.

    Raises:
        ConfigError: a word that means nothing here.
    """
    if rest:
        raise ConfigError(f"%ante context: {rest!r} means nothing here", "It takes nothing.")
    show_report(state.runtime.context())


def show_report(report: ContextReport) -> None:
    """The report as a bar and a table."""
    about = "about " if report.estimated else ""
    model = f" of {report.provider}/{report.model}" if report.model else ""
    if report.limit:
        share = min(1.0, report.used / report.limit)
        full = min(_BAR, max(round(share * _BAR), int(report.used > 0)))
        say(f"context{model}: {about}{report.used:,} of {report.limit:,} tokens ({share:.1%})")
        say(f"[{'#' * full}{'.' * (_BAR - full)}]")
    else:
        say(f"context{model}: {about}{report.used:,} tokens; how many fit is not known")
    base = report.limit or report.used or 1
    table(
        [
            (f"  {row.name}", f"{row.tokens:>10,}", f"{row.tokens / base:>6.1%}")
            for row in report.rows
            if row.tokens or row.name == "free"
        ]
    )
    if report.compacts_at is not None:
        say(f"compacted by itself from {report.compacts_at:,} tokens on; `%ante compact` does it now")
    if report.estimated:
        say("estimated from the length of the texts, until the provider has counted a request")


def compact(state: KernelState, rest: str) -> None:
    """Have the model write the summary that stands for the conversation; ``show`` and ``edit`` an old one.

    Raises:
        AnteError: there is nothing to compact, to show or to edit, or the model could not be asked.
    """
    from ante_nb.notebook.waiting import wait_for

    runtime = state.runtime
    if rest in ("show", "edit"):
        text = runtime.summary()
        if text is None:
            raise ConfigError("there is no summary: the conversation was not compacted", "`%ante compact`")
        if rest == "show":
            say(text)
            return
        state.shell.set_next_input(f"%%ante --summary\n{text}")
        say("the summary stands in the next cell: edit it there and run the cell")
        return
    done = wait_for(runtime.compact(rest, cell=state.cell_id, notebook=state.notebook_path))
    say(shortened(done))
    say(done.summary)
    say("`%ante compact edit` puts it into a cell for you to change")


def shortened(event: Compacted) -> str:
    """What a compaction did, in a line."""
    return f"the conversation is a summary now: {event.before:,} tokens before, {event.after:,} after"


def edit_summary(state: KernelState, text: str) -> None:
    """``%%ante --summary``: the cell's text takes the place of the summary.

    Raises:
        ConfigError: there is no summary.
    """
    state.runtime.edit_summary(text)
    say("the conversation goes on from your summary")


def limits(state: KernelState, rest: str) -> None:
    """Show the limits of a turn and of the session, with what is used; set some by ``name=value``.

    Raises:
        ConfigError: there is no such limit, or its value cannot be used.
    """
    from ante_nb.agent.limits import limits_in_force, parse_limit

    runtime = state.runtime
    chosen: list[tuple[str, float | None]] = []
    scope = ""
    for word in rest.replace(",", " ").split():
        if word in ("turn", "session"):
            scope = "session." if word == "session" else ""
            continue
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(
                f"%ante limits: {word!r} sets nothing", "Write it like `cost=0.50` or `session.tokens=200k`."
            )
        key = key.removeprefix("turn.") if "." in key else f"{scope}{key}"
        chosen.append((key, parse_limit(key, value)))
    for key, amount in chosen:
        runtime.set_limit(key, amount)
    _show_limits(state, limits_in_force(runtime.limits, runtime.settings()))


def _show_limits(state: KernelState, found: Limits) -> None:
    from ante_nb.agent.limits import NAMES, words
    from ante_nb.agent.planning import DEFAULT_MAX_STEPS

    runtime = state.runtime
    session = runtime.session
    steps = runtime.settings().values.max_steps or DEFAULT_MAX_STEPS
    used = {
        "steps": session.steps,
        "tokens": session.usage.input + session.usage.output,
        "cost": session.cost,
        "seconds": session.seconds,
    }
    rows: list[tuple[str, ...]] = [("", "each turn", "the session", "used by the session")]
    for name in NAMES:
        row = [name]
        for scope, key in (("turn", name), ("session", f"session.{name}")):
            value = getattr(getattr(found, scope), name)
            if value is None:
                row.append(f"{steps} steps" if key == "steps" else "no limit")
            else:
                row.append(f"{words(name, value)} ({found.sources[key]})")
        more = " and what has no known price" if name == "cost" and not session.cost_known else ""
        rows.append((*row, words(name, used[name]) + more))
    table(rows)
    say("`%ante limits cost=0.50 session.tokens=200k` sets some, `cost=off` none, `cost=-` takes it back")


def show_preview(preview: Preview, *, verbose: bool = False) -> None:
    """What a prompt would send, and what it may cost; ``verbose`` prints the request itself."""
    from ante_nb.agent.limits import NAMES, words

    status = ", ".join(f"{label} {value}" for label, (value, _) in preview.status.items() if value)
    size = len(json.dumps(preview.body, ensure_ascii=False).encode("utf-8", "replace"))
    say("dry run: nothing was sent, and the session is as it was")
    answer = f"up to {preview.answer_limit:,} tokens" if preview.answer_limit else "no limit known"
    bounds = [
        words(name, value)
        for name in NAMES[1:]
        if (value := getattr(preview.limits.turn, name)) is not None and value != math.inf
    ]
    table(
        [
            ("to", f"{preview.url or 'this machine'}  ({status})"),
            ("request", f"{preview.messages} message{'s' * (preview.messages != 1)}, {size:,} bytes"),
            ("tools", ", ".join(preview.tools) or "none"),
            ("attached", ", ".join(preview.attachments) or "nothing"),
            ("answer", f"{answer} a step, {preview.max_steps} steps at most"),
            ("limits", ", ".join(bounds) or "none on tokens, cost or seconds"),
            ("price", price_words(preview)),
        ]
    )
    show_report(preview.report)
    for text in preview.notices:
        say(f"note: {text}")
    if verbose:
        say(json.dumps(preview.body, indent=2, ensure_ascii=False, default=str))
    else:
        say("`%%ante --dry-run --verbose` prints the request itself")


def price_words(preview: Preview) -> str:
    """The price of the first step as people read it."""
    if preview.cost is None:
        return preview.cost_note
    low, high = preview.cost
    return (
        f"${low:.4f} to ${high:.4f} for the first step; each further step reads all of it again,"
        " most of it from the cache"
    )
