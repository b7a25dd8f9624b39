"""The cell's wait for a sign-in: with a card where the front end has one, else with a prompt on stdin, else
with a link and patience. In an awaited cell the kernel's loop stays free, so that the card's messages arrive.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ante_nb.errors import AnteError, SignInError
from ante_nb.notebook.printing import say
from ante_nb.notebook.reach import elsewhere
from ante_nb.notebook.sign_in import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.notebook.sign_in_views import CardView, Display, View
    from ante_nb.notebook.state import KernelState
    from ante_nb.providers.auth.oauth_spec import OAuthSpec, Way
    from ante_nb.providers.auth.record import SignInRecord

READY_TIMEOUT = 1.5
"""Seconds in which a card must have reported; approvals wait as long."""
_CLEANUP = 2.0
"""Seconds that an interrupted sign-in gets to close its listener."""
_SLICE = 0.2
_PROMPT = (
    "Paste the code, or the address of the page you end on even if it cannot be opened (it is not shown)"
)


@dataclass(frozen=True, slots=True)
class Login:
    """What ``%ante login`` was asked for."""

    spec: OAuthSpec
    way: Way | None = None
    """As the person said; ``None``: whichever suits the place."""
    no_browser: bool = False

    @property
    def title(self) -> str:
        return f"Sign in to {self.spec.display_name}"


def first_way(request: Login, place: str | None) -> Way | None:
    """How the vendor's answer is to come back: as said, else by what reaches a kernel at ``place``.

    ``None``: to a listener of the kernel, or pasted.
    """
    if request.way == "browser":
        return None
    if request.way is not None:
        return request.way
    if place is None:
        return None
    return "device" if request.spec.device is not None else "paste"


def blocking(state: KernelState, request: Login) -> None:
    """Sign in while this thread waits.

    Raises:
        ConfigError: nothing can be stored.
        SignInError: not signed in.
    """
    view = _text_view(state, request)
    attempt = attempt_of(state, request, lambda: None)
    attempt.start(first_way(request, elsewhere(os.environ)))
    _wait_blocking(state, request, attempt, view)
    _finish(state, request, attempt, view)


def attempt_of(state: KernelState, request: Login, changed: Callable[[], None]) -> Attempt:
    """A sign-in to start. Checked first that the result can be stored: the vendor's code works once only.

    Raises:
        ConfigError: nothing can be stored.
    """
    sign_ins = state.runtime.sign_ins
    store, preset = sign_ins.store, request.spec.preset
    store.prepare(preset)

    def save(record: SignInRecord) -> None:
        with store.lock(preset):
            store.save(record)
        # Another account's tokens must not come back.
        sign_ins.renewal.forget(preset)

    return Attempt(request.spec, save, changed)


async def awaited(state: KernelState, request: Login) -> None:
    """Sign in while the cell awaits it; errors as :func:`blocking`."""
    from ante_nb.notebook.frontend import is_plain
    from ante_nb.notebook.interrupt import InterruptGuard
    from ante_nb.notebook.sign_in_views import Display

    loop = asyncio.get_running_loop()
    wake = asyncio.Event()

    def changed() -> None:
        with contextlib.suppress(RuntimeError):  # the kernel's loop has ended
            loop.call_soon_threadsafe(wake.set)

    attempt = attempt_of(state, request, changed)
    place = elsewhere(os.environ)
    guard = InterruptGuard(attempt.cancel, wake.set)
    display = None if is_plain(state.shell) else Display(state.shell)
    view: View
    with guard.installed():
        try:
            card = await _card_view(state, request, attempt, display) if display else None
        except asyncio.CancelledError:
            _give_up(attempt)
            card = None
        if card is not None and place is None and card.is_remote:
            place = "another host"
        view = card or _text_view(state, request, display)
        attempt.start(first_way(request, place))
        typed = card is None and _can_type(state)
        if not typed:
            await _wait_awaited(attempt, view, wake)
    if typed:
        _wait_blocking(state, request, attempt, view)
    _finish(state, request, attempt, view)


async def _wait_awaited(attempt: Attempt, view: View, wake: asyncio.Event) -> None:
    given_up: float | None = None
    try:
        while not attempt.over:
            wake.clear()
            view.show(attempt.progress)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), 1.0)
            if attempt.cancelled:
                given_up = given_up or time.monotonic() + _CLEANUP
                if time.monotonic() >= given_up:
                    return
    except asyncio.CancelledError:
        _give_up(attempt)


def _give_up(attempt: Attempt) -> None:
    """The second interrupt, or somebody cancelled the cell: no more waiting."""
    attempt.cancel()
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _wait_blocking(state: KernelState, request: Login, attempt: Attempt, view: View) -> None:
    """Wait on this thread, and let the person type where that is of use."""
    import getpass

    from ante_nb.notebook.typed import TypedAnswer
    from ante_nb.notebook.waiting import interruptible

    # Not input(): front ends write what was typed there into the saved output, and a terminal keeps it in
    # its history. Looked up when used: ipykernel puts its own in place while a cell runs.
    typed = TypedAnswer(lambda prompt: getpass.getpass(prompt))
    attempt.done.add_done_callback(lambda _: typed.stop())
    can_type = _can_type(state)
    opener = _browser_opener(state, request)
    try:
        with interruptible():
            while not attempt.over:
                # One look: what is asked for must have been shown.
                progress = attempt.progress
                view.show(progress)
                if not (can_type and progress.accepts_paste and progress.state == "waiting"):
                    concurrent.futures.wait([attempt.done], _SLICE)
                    continue
                offer = ", or press Enter to open the link in your browser" if opener else ""
                try:
                    answer = typed.ask(f"{_PROMPT}{offer}: ")
                except EOFError:
                    can_type = False
                    continue
                if answer and answer.strip():
                    attempt.paste(answer).result()
                elif answer is not None and opener:
                    opener(progress.link)
    except KeyboardInterrupt:
        attempt.cancel()
        concurrent.futures.wait([attempt.done], _CLEANUP)


def _finish(state: KernelState, request: Login, attempt: Attempt, view: View) -> None:
    """Show how it ended; raise what ended it, so that Run All stops.

    Raises:
        SignInError: not signed in.
    """
    from ante_nb.notebook.auth_commands import tell_news

    spec = request.spec
    again = f"Run the cell again, or type `%ante login {spec.preset}`."
    if not attempt.over:
        # What was set aside in the store stays: it may be writing there just now.
        view.finish(f"Not signed in to {spec.display_name}")
        raise SignInError("interrupted: not signed in", again)
    error = attempt.done.exception()
    if error is None:
        record = attempt.done.result()
        # Not as whom: the line is saved with the notebook; `%ante auth` tells it.
        view.finish(f"Signed in to {spec.display_name}{plan_words(record.plan)}")
        state.runtime.changed()
        for line in _notes(state, spec):
            say(line)
        tell_news(state)
        return
    state.runtime.sign_ins.store.release(spec.preset)
    view.finish(f"Not signed in to {spec.display_name}")
    if attempt.cancelled:
        raise SignInError("cancelled: not signed in", again) from None
    if isinstance(error, AnteError) and error.hint is None:
        error.hint = again
    raise error


def _notes(state: KernelState, spec: OAuthSpec) -> list[str]:
    """What a person should know who has just signed in."""
    notes = []
    for provider in state.runtime.catalog().providers.values():
        auth = provider.auth
        if auth is None or auth.oauth_preset != spec.preset or provider.alias_of is not None:
            continue
        found = state.runtime.keys.find(provider, os.environ)
        if found is not None and not found.oauth:
            notes.append(
                f"{provider.id} goes on with its API key ({found.source}); `%ante provider {spec.provider}`"
                " uses the sign-in"
            )
    return notes


# --------------------------------------------------------------------------------------------- the views


async def _card_view(
    state: KernelState, request: Login, attempt: Attempt, display: Display
) -> CardView | None:
    """The card, if a front end shows it and answers; else ``None``, and nothing is left of it."""
    from ante_nb.log import logger
    from ante_nb.notebook.sign_in import Progress
    from ante_nb.notebook.sign_in_views import CardView, twins

    # Where nobody can type (nbclient, papermill) nobody clicks, and nbclient would save the card's state.
    make = state.cards.get("sign_in")
    if make is None or not _can_type(state):
        return None
    try:
        card = make(request.title, attempt.paste, attempt.cancel, message=Progress().message)
    except Exception:
        logger.exception("the sign-in card could not be made")
        return None
    try:
        display.put(*card.bundle(*twins(request.title, Progress(), 0)))
        if await card.wait_ready(READY_TIMEOUT):
            return CardView(display, request.title, card)
    except BaseException:
        card.dispose()
        raise
    card.dispose()
    return None


def _text_view(state: KernelState, request: Login, display: Display | None = None) -> View:
    from ante_nb.notebook.frontend import is_plain
    from ante_nb.notebook.sign_in_views import Display, DisplayView, LinesView

    if is_plain(state.shell):
        return LinesView(request.title)
    return DisplayView(display or Display(state.shell), request.title)


def _can_type(state: KernelState) -> bool:
    from ante_nb.notebook.approval import can_ask

    # A signal, which is what ends a prompt that is not needed any more, reaches the main thread only.
    return can_ask(state) and threading.current_thread() is threading.main_thread()


def _browser_opener(state: KernelState, request: Login) -> Callable[[str], None] | None:
    """Opens a link for a person at this machine's own screen; ``None`` where nobody is."""
    if state.is_kernel or request.no_browser or elsewhere(os.environ) is not None:
        # A kernel's front end has a browser already, and the person clicks there.
        return None
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        # Without a screen, webbrowser finds text browsers, which would take the terminal.
        return None

    def open_link(link: str) -> None:
        import webbrowser

        if not (link and webbrowser.open(link)):
            say("no browser could be opened: open the link yourself")

    return open_link


def plan_words(plan: str | None) -> str:
    """`` (plan plus)``, or nothing where the vendor names none."""
    return f" (plan {plan})" if plan else ""
