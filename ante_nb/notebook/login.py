"""``%ante login``: what was asked for, which way comes first, and the cell's wait for the end of it.

A card where the front end has one, else a prompt on stdin, else a link and patience. In an awaited cell the
kernel's loop stays free, so that the card's messages arrive.
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
from typing import TYPE_CHECKING, Any

from ante_nb.errors import AnteError, BusyError, ConfigError, SignInError
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
_WAYS = {"--device": "device", "--paste": "paste", "--browser": "browser"}
_NO_BROWSER, _AGAIN = "--no-browser", "--again"
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


async def run_login(line: str) -> None:
    """``%ante login``, awaited; the prompt transformer calls it."""
    from IPython import get_ipython

    from ante_nb.notebook.state import kernel_state

    state = kernel_state(get_ipython())
    # A front end that runs code behind the person's back must not start anything.
    login = None if state.is_silent else asked(state, line)
    if login is not None:
        await _login_awaited(state, login)


def login(state: KernelState, rest: str) -> None:
    """``%ante login`` where the cell cannot be awaited: blocks this thread.

    Raises:
        ConfigError: no or an unknown provider, one without a sign-in, a way that it has not.
        SignInError: refused, expired, cancelled or interrupted.
    """
    request = asked(state, rest)
    if request is None:
        return
    view = _text_view(state, request)
    attempt = _attempt(state, request, lambda: None)
    attempt.start(first_way(request, elsewhere(os.environ)))
    _wait_blocking(state, request, attempt, view)
    _finish(state, request, attempt, view)


# ------------------------------------------------------------------------------------------ the request


def asked(state: KernelState, rest: str) -> Login | None:
    """The request; ``None``, with a line, where there is nothing to do.

    Raises:
        ConfigError: as :func:`login`.
        BusyError: called by code of the Python tool.
    """
    words = rest.split()
    flags = [word for word in words if word.startswith("--")]
    names = [word for word in words if not word.startswith("--")]
    unknown = [flag for flag in flags if flag not in (*_WAYS, _NO_BROWSER, _AGAIN)]
    ways = [_WAYS[flag] for flag in flags if flag in _WAYS]
    presets = state.runtime.catalog().oauth
    if unknown or len(ways) > 1 or len(names) != 1:
        from ante_nb.notebook.keys import foreign, leaked

        if strange := foreign(state, names[1:]):
            raise leaked(strange, None)
        if unknown:
            what = f"%ante login has no flag {unknown[0]}"
        elif len(names) != 1:
            what = "`%ante login` needs one provider"
        else:
            what = "`%ante login` takes one way at a time"
        raise ConfigError(
            what,
            f"E.g. `%ante login {next(iter(presets), 'openai')}`; known: {', '.join(presets)}. "
            "--device, --paste or --browser chooses the way.",
        )
    if state.in_tool:
        raise BusyError("a sign-in inside a tool call is refused", "The person signs in, in a cell.")
    spec = spec_of(state, names[0])
    if _AGAIN not in flags and _already(state, spec):
        return None
    if not spec.client_id:
        raise ConfigError(
            spec.unavailable or f"{spec.display_name} has no client id for its sign-in",
            None if spec.unavailable else "Set client_id in the oauth object of catalog.json.",
        )
    way: Any = ways[0] if ways else None
    if way == "device" and spec.device is None:
        raise ConfigError(
            f"{spec.display_name} has no sign-in with a device code",
            f"Type `%ante login {spec.preset}`; --paste works from everywhere.",
        )
    return Login(spec, way, _NO_BROWSER in flags)


def spec_of(state: KernelState, word: str) -> OAuthSpec:
    """The sign-in of a provider or preset.

    Raises:
        ConfigError: there is none; the message says what to do instead.
    """
    from ante_nb.notebook.keys import named_provider

    catalog = state.runtime.catalog()
    if word.lower() in catalog.oauth:
        return catalog.oauth[word.lower()]
    provider = named_provider(state, [word])
    preset = provider.auth.oauth_preset if provider.auth else None
    if preset in catalog.oauth:
        return catalog.oauth[preset]
    if provider.auth is None:
        raise ConfigError(f"{provider.id} needs no sign-in", f"`%ante provider {provider.id}` chooses it.")
    raise ConfigError(
        f"{provider.id} has no sign-in: it takes an API key", f"Type `%ante key {provider.id}`."
    )


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


def _already(state: KernelState, spec: OAuthSpec) -> bool:
    """Whether nothing needs to be done, which is then said: Run All must not ask each time."""
    try:
        found = state.runtime.sign_ins.status(spec.preset)
    except AnteError as error:
        # What cannot be read is kept aside when the new sign-in is written.
        say(str(error))
        return False
    if (
        found is None
        or found.problem
        or (found.ends is not None and found.ends <= time.time() and not found.renewable)
    ):
        return False
    again = f"; `{spec.login()} {_AGAIN}` signs in anew" if spec.client_id else ""
    say(f"already signed in to {spec.display_name}{_plan(found.plan)}, {found.place}{again}")
    return True


# ------------------------------------------------------------------------------------------ the waiting


def _attempt(state: KernelState, request: Login, changed: Callable[[], None]) -> Attempt:
    """Checked first that the result can be stored: the vendor's code works once only.

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


async def _login_awaited(state: KernelState, request: Login) -> None:
    from ante_nb.notebook.frontend import is_plain
    from ante_nb.notebook.interrupt import InterruptGuard
    from ante_nb.notebook.sign_in_views import Display

    loop = asyncio.get_running_loop()
    wake = asyncio.Event()

    def changed() -> None:
        with contextlib.suppress(RuntimeError):  # the kernel's loop has ended
            loop.call_soon_threadsafe(wake.set)

    attempt = _attempt(state, request, changed)
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
        view.finish(f"Signed in to {spec.display_name}{_plan(record.plan)}")
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
    if not _can_type(state):
        return None
    try:
        from ante_nb.widgets.sign_in_card import SignInCard

        card = SignInCard(request.title, attempt.paste, attempt.cancel, message=Progress().message)
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


def _plan(plan: str | None) -> str:
    return f" (plan {plan})" if plan else ""
