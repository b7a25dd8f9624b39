"""How a sign-in is shown: as a card, as a display that is updated, or as lines in a terminal.

Whatever is shown goes out without passing the redactor, which would mask the ``state`` in the link; nothing
else in it is secret. Each view's ``finish`` takes link and code out of the output again.
"""

from __future__ import annotations

import html
import uuid
from typing import TYPE_CHECKING, Any, Protocol

from ante_nb.notebook.render.allowlist import clean, visible
from ante_nb.notebook.render.styles import FAINT

if TYPE_CHECKING:
    from ante_nb.notebook.sign_in import Progress

_COARSE = 30
"""Seconds between two updates of the time left, where each is a message that may be saved."""


class View(Protocol):
    """Used on the thread of the cell only."""

    def show(self, progress: Progress) -> None:
        """Show this now."""
        ...

    def finish(self, text: str) -> None:
        """Nothing but this line is left."""
        ...


class Display:
    """One output of the cell that may be replaced."""

    def __init__(self, shell: Any) -> None:
        self._publisher = shell.display_pub
        self._id = uuid.uuid4().hex
        self._sent = False

    def put(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        self._publisher.publish(data, metadata or {}, transient={"display_id": self._id}, update=self._sent)
        self._sent = True


class DisplayView:
    """Text and HTML, for front ends without widgets and where nobody can type."""

    def __init__(self, display: Display, title: str) -> None:
        self._display = display
        self._title = title
        self._shown: tuple[Any, ...] = ()

    def show(self, progress: Progress) -> None:
        coarse = -(-progress.seconds_left // _COARSE) * _COARSE
        key = (progress.state, progress.message, progress.link, progress.user_code, coarse)
        if key != self._shown:
            self._shown = key
            text, markup = twins(self._title, progress, coarse)
            self._display.put({"text/plain": text, "text/html": markup})

    def finish(self, text: str) -> None:
        final(self._display, text)


class CardView:
    """The card, with the same as text and HTML for whoever looks at the notebook without widgets.

    Args:
        display: where it is.
        title: its heading.
        card: a :class:`~ante_nb.widgets.sign_in_card.SignInCard` (a room above this one).
    """

    def __init__(self, display: Display, title: str, card: Any) -> None:
        self._display = display
        self._title = title
        self._card = card
        self._link = ""

    @property
    def is_remote(self) -> bool:
        """Whether the page with the card has come from another machine than the browser's own."""
        return (self._card.ready or {}).get("local") is False

    def show(self, progress: Progress) -> None:
        card = self._card
        with card.hold_sync():
            card.way, card.link, card.user_code = progress.way, progress.link, progress.user_code
            card.accepts_paste = progress.accepts_paste
            card.state, card.message, card.problem = progress.state, progress.message, progress.problem
            if progress.link != self._link:
                card.seconds_left = progress.seconds_left
        if progress.link != self._link:
            self._link = progress.link
            self._display.put(*card.bundle(*twins(self._title, progress, progress.seconds_left)))

    def finish(self, text: str) -> None:
        self._card.clear("done", text)
        final(self._display, text)
        self._card.dispose()


class LinesView:
    """Printed lines, for a terminal; what was printed there is kept by nobody."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._link = ""
        self._message = ""

    def show(self, progress: Progress) -> None:
        if progress.link != self._link:
            self._link = progress.link
            print(visible(f"{self._title}\n{_steps(progress)}"), flush=True)
        if progress.link and progress.message != self._message:
            self._message = progress.message
            print(visible(progress.message), flush=True)

    def finish(self, text: str) -> None:
        print(visible(text), flush=True)


def final(display: Display, text: str) -> None:
    """Leave nothing in ``display`` but ``text``."""
    display.put({"text/plain": visible(text), "text/html": clean(f"<div>{html.escape(visible(text))}</div>")})


def twins(title: str, progress: Progress, seconds: float) -> tuple[str, str]:
    """The same as plain text and as HTML."""
    left = f" ({_minutes(seconds)} left)" if progress.state == "waiting" and seconds > 0 else ""
    status = f"{progress.message}{left}"
    steps = _steps(progress)
    text = "\n".join(filter(None, (title, steps, status)))
    rows = [f"<strong>{html.escape(title)}</strong>"]
    if progress.link:
        address = html.escape(progress.link)
        rows.append(f'Open <a href="{address}" target="_blank">{address}</a>')
    if progress.user_code:
        rows.append(f"and type the code <code>{html.escape(progress.user_code)}</code>")
    rows.append(f'<span style="{FAINT}">{html.escape(status)}</span>')
    return visible(text), clean("<div>" + "<br>".join(rows) + "</div>")


def _steps(progress: Progress) -> str:
    if not progress.link:
        return ""
    lines = [f"Open {progress.link}"]
    if progress.user_code:
        lines.append(f"and type the code {progress.user_code}")
    return "\n".join(lines)


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
