"""One sign-in from the link to the tokens.

::

    flow = SignInFlow(spec)
    challenge = await flow.start()      # show challenge.url (and user_code)
    flow.on_change.append(redraw)
    await flow.paste(text)              # whenever the person pastes something; raises, the flow goes on
    record = await flow.result()        # saved by the caller, under the store's lock

The flow saves nothing and writes no log. It belongs to the event loop that ``start`` ran on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from ante_nb.errors import AnteError, ConfigError, SignInError
from ante_nb.providers.auth import device, endpoint, pasted
from ante_nb.providers.auth.callback import LINGER, Listener, Page
from ante_nb.providers.auth.challenge import Challenge, FlowState, authorize_link, redirect_uri
from ante_nb.providers.auth.pkce import Pkce
from ante_nb.providers.auth.refusals import SETUP_CODES, clean
from ante_nb.providers.spec import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ante_nb.providers.auth.oauth_spec import OAuthSpec, Way
    from ante_nb.providers.auth.record import SignInRecord

__all__ = ["TIME_LIMIT", "Challenge", "FlowState", "SignInFlow"]

TIME_LIMIT = 300.0
"""Seconds that a link stands (the listener is closed then)."""
_OURS = SETUP_CODES - {"invalid_request"}
_TICK = 1.0
_log = logging.getLogger(__name__)


class SignInFlow:
    """A single sign-in; start it once.

    Args:
        spec: the preset.
        way: ``None`` or ``browser``: a listener where a registered port is free, and pasting; ``paste``:
            no listener; ``device``: a code typed elsewhere.
        listen: ``False``: no listener (the browser is on another host).
        clock: the monotonic clock.
        sleep: waits so many seconds.

    ``state`` and ``message`` (one line for the person) say where it is; ``on_change`` callbacks run on the
    flow's loop after every change of either.
    """

    def __init__(
        self,
        spec: OAuthSpec,
        *,
        way: Way | None = None,
        listen: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.spec = spec
        self.state: FlowState = "waiting"
        self.message = ""
        self.on_change: list[Callable[[], None]] = []
        self.challenge: Challenge | None = None
        self._way = way
        self._listen = listen and way != "paste"
        self._clock, self._sleep = clock, sleep
        self._pkce = Pkce.new()
        self._redirect = ""
        self._listener: Listener | None = None
        self._record: SignInRecord | None = None
        self._error: SignInError | None = None
        self._ended = asyncio.Event()
        self._closed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._started = False

    def __repr__(self) -> str:
        return f"SignInFlow({self.spec.preset!r}, state={self.state!r})"

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.state not in ("waiting", "exchanging")

    # --------------------------------------------------------------------------------------- start

    async def start(self) -> Challenge:
        """Begin, and say what the person has to do.

        Raises:
            ConfigError: this sign-in is not available (no client id or endpoint), or was started before.
            SignInError: the vendor could not be asked (discovery, device code).
        """
        if self._started:
            raise ConfigError("This sign-in was started before", f"Start a new one: `{self.spec.login()}`.")
        self._started = True
        try:
            spec = await self._usable()
            challenge = await (self._start_device(spec) if self._way == "device" else self._start_link(spec))
        except AnteError as problem:
            error = (
                problem if isinstance(problem, SignInError) else SignInError(problem.message, problem.hint)
            )
            self._end("failed", problem.message, error)
            raise
        except asyncio.CancelledError:
            self._end("cancelled", "The sign-in was cancelled.", self._cancelled())
            raise
        self.challenge = challenge
        if not self.over:
            self._spawn(self._watch(challenge.deadline))
            self._say(self.message or "Waiting for the sign-in in the browser.")
        return challenge

    async def _usable(self) -> OAuthSpec:
        spec = self.spec
        if not spec.client_id:
            hint = (
                None if spec.unavailable else f"Set `oauth.{spec.preset}` in catalog.json, or use an API key."
            )
            raise ConfigError(spec.unavailable or f"There is no sign-in with {spec.display_name}", hint)
        link = self._way != "device"
        if spec.discovery_url and not (spec.token_url and (spec.authorize_url or not link)):
            spec = self.spec = await endpoint.discovery(spec)
        if not spec.token_url or (link and not spec.authorize_url):
            name = "authorize_url" if spec.token_url else "token_url"
            raise ConfigError(
                f"The sign-in with {spec.display_name} lacks its `{name}`",
                f"Set `oauth.{spec.preset}.{name}` in catalog.json, or use an API key.",
            )
        return spec

    async def _start_link(self, spec: OAuthSpec) -> Challenge:
        port = None
        if self._listen:
            self._listener = Listener(
                self._pkce, spec.redirect_path, spec.redirect_ports, self._came_back, self._made_to_go, self._sleep
            )  # fmt: skip
            port = await self._listener.start()
        self._redirect = redirect_uri(spec, port)
        if self._listen and port is None:
            self.message = "No port is free to take the answer: paste the address that the browser ends at."
        expires_at, deadline = self._limit(TIME_LIMIT)
        return Challenge(
            "browser" if port is not None else "paste",
            authorize_link(spec, self._pkce, self._redirect),
            expires_at=expires_at,
            deadline=deadline,
            listening=port is not None,
            port=port,
        )

    async def _start_device(self, spec: OAuthSpec) -> Challenge:
        code = await device.begin(spec)
        expires_at, deadline = self._limit(code.expires_in)
        self._spawn(self._poll(spec, code))
        return Challenge(
            "device",
            code.complete_url or code.verify_url,
            code.user_code,
            code.verify_url,
            expires_at,
            deadline,
            accepts_paste=False,
        )

    def _limit(self, seconds: float) -> tuple[float, float]:
        return time.time() + seconds, self._clock() + seconds

    # ------------------------------------------------------------------------------------- answers

    async def paste(self, text: str) -> None:
        """Take what the person pasted; returns when it has been tried.

        Raises:
            ConfigError: it was of no use, in one line; the flow goes on unless it says that it is over.
        """
        if self.challenge is not None and not self.challenge.accepts_paste:
            raise ConfigError(
                "Nothing is to be pasted here", "Type the code that is shown at the page that is linked."
            )
        if self.challenge is None:
            raise ConfigError("The sign-in has not begun", f"Start it: `{self.spec.login()}`.")
        self._check_open()
        await self._run(self._take(pasted.read(text, self._pkce), "paste"))

    def _check_open(self) -> None:
        if self.over:
            raise ConfigError(f"This sign-in is over ({self.state})", f"Start again: `{self.spec.login()}`.")

    async def _came_back(self, fields: dict[str, str]) -> Page:
        """The redirect arrived; what the browser then shows."""
        error = fields.get("error", "")
        code = None if error else Secret(fields["code"])
        with contextlib.suppress(ConfigError):
            found = pasted.Pasted(code, error, fields.get("error_description", ""))
            await self._run(self._take(found, "browser"))
        if self.state == "done":
            text = f"{self.spec.display_name}: done. Close this page and go on in the notebook."
            return Page(200, "Signed in", text)
        return Page(400, "Not signed in", f"{self.message} Go back to the notebook.")

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for ``work``: it goes on when the waiting is given up, and ends with the flow."""
        task = self._spawn(work)
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def _take(self, found: pasted.Pasted, source: Way) -> None:
        """One answer at a time: what comes while another is tried waits for its outcome."""
        async with self._turn:
            self._check_open()
            if found.code is None:
                self._refused(found.error, found.description)
            else:
                await self._exchange(found.code, source)

    def _made_to_go(self) -> None:
        if self.state == "waiting":
            message = "Another program's sign-in took the port."
            self._end("cancelled", message, self._cancelled(message))

    def _refused(self, error: str, description: str) -> None:
        code = clean(error)[:80]
        reason = clean(description) or code.replace("_", " ")
        if code == "access_denied":
            message = f"The sign-in with {self.spec.display_name} was denied: {reason}"
        else:
            message = f"{self.spec.display_name} refused the sign-in: {reason}"
        again = f"Start again: `{self.spec.login()}`."
        self._end("failed", message, SignInError(message, again, code=code, retryable=False))

    async def _exchange(self, code: Secret, source: Way) -> None:
        self._change("exchanging", "Getting the tokens.")
        try:
            record = await endpoint.exchange_patiently(
                self.spec,
                code,
                self._pkce.verifier,
                self._redirect,
                self._pkce.state,
                source=source,
                sleep=self._sleep,
            )
        except AnteError as problem:
            error = (
                problem if isinstance(problem, SignInError) else SignInError(problem.message, problem.hint)
            )
            # What was pasted may be cut off or be anything: the next paste, or the browser, may be it.
            doubtful = error.status in (400, 401, 403, 404, 422) and error.code not in _OURS
            if source != "paste" or not doubtful:
                self._end("failed", error.message, error)
                return
            self._change("waiting", "That code was not accepted.")
            raise ConfigError(
                f"{self.spec.display_name} did not take this code",
                "Copy the whole address that the browser ended at; if that was it, open the link again.",
            ) from error
        self._finish(record)

    async def _poll(self, spec: OAuthSpec, code: device.DeviceCode) -> None:
        try:
            record = await device.wait(
                spec,
                code,
                sleep=self._sleep,
                on_allowed=lambda: self._change("exchanging", "Getting the tokens."),
            )
        except SignInError as problem:
            if not self.over:
                state: FlowState = "expired" if problem.code == "expired_token" else "failed"
                self._end(state, problem.message, problem)
        except AnteError as problem:
            if not self.over:
                self._end("failed", problem.message, SignInError(problem.message, problem.hint))
        else:
            self._finish(record)

    def _finish(self, record: SignInRecord) -> None:
        if not self.over:
            self._record = record
            self._end("done", f"Signed in with {self.spec.display_name}.", None)

    # ----------------------------------------------------------------------------------------- end

    async def result(self) -> SignInRecord:
        """The tokens, once they are there. May be awaited by several, and cancelled without harm.

        Raises:
            SignInError: it failed, expired or was cancelled (``code`` ``expired``, ``cancelled``).
        """
        await self._ended.wait()
        await self._closed.wait()
        if self._record is not None:
            return self._record
        raise self._error or self._cancelled()

    async def cancel(self) -> None:
        """Give up; does nothing after the end. The listener is closed when it returns."""
        if not self.over:
            self._end("cancelled", "The sign-in was cancelled.", self._cancelled())
        await self._closed.wait()

    def _cancelled(self, message: str = "The sign-in was cancelled") -> SignInError:
        return SignInError(message, f"Start again: `{self.spec.login()}`.", code="cancelled", retryable=False)

    async def _watch(self, deadline: float) -> None:
        # Looked at every second: the machine may sleep, and a test has a clock of its own.
        while (left := deadline - self._clock()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left, _TICK))
        async with self._turn:  # an exchange that has begun ends by itself
            if self.state == "waiting":
                message = f"The time for the sign-in with {self.spec.display_name} is over"
                hint = f"Start again: `{self.spec.login()}`."
                self._end("expired", message, SignInError(message, hint, code="expired", retryable=False))

    def _end(self, state: FlowState, message: str, error: SignInError | None) -> None:
        self._error = error
        self._change(state, message)
        self._ended.set()
        self._closing = asyncio.get_running_loop().create_task(self._close())

    async def _close(self) -> None:
        current = asyncio.current_task()
        for task in list(self._tasks):
            if task is not current and not task.done():
                task.cancel()
        try:
            if self._listener is not None:
                await self._listener.close(0 if self.state == "cancelled" else LINGER)
        finally:
            self._closed.set()

    def _change(self, state: FlowState, message: str) -> None:
        self.state = state
        self._say(message)

    def _say(self, message: str) -> None:
        self.message = message
        for callback in list(self.on_change):
            try:
                callback()
            except Exception:
                _log.exception("a callback of the sign-in failed")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, where nobody waits for it any more
