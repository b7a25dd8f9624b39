"""One sign-in under way: it runs on the agent's loop, the cell that waits for it looks at it from its thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ante_nb.agent.loop_thread import agent_loop
from ante_nb.errors import AnteError, ConfigError, SignInError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ante_nb.providers.auth.oauth_spec import OAuthSpec, Way
    from ante_nb.providers.auth.record import SignInRecord


@dataclass(frozen=True, slots=True)
class Progress:
    """What there is to show now. ``state`` is ``starting``, then the flow's; the rest is empty before."""

    state: str = "starting"
    message: str = "Asking the vendor …"
    problem: bool = False
    """Whether ``message`` is about something pasted that could not be used."""
    way: str = ""
    # Good for a few minutes and for one sign-in, but not for a log or a traceback all the same.
    link: str = field(default="", repr=False)
    user_code: str = field(default="", repr=False)
    accepts_paste: bool = False
    ends: float = 0.0
    """``time.monotonic()`` of the end of the waiting."""

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.ends - time.monotonic()) if self.ends else 0.0


class Attempt:
    """A sign-in from its start to the stored record.

    Args:
        spec: whom with.
        save: stores the record; called on a worker thread. What it raises ends the attempt.
        changed: called, on the agent's thread, whenever :attr:`progress` is another one or it has ended.
    """

    def __init__(
        self, spec: OAuthSpec, save: Callable[[SignInRecord], None], changed: Callable[[], None]
    ) -> None:
        self._spec = spec
        self._save = save
        self._changed = changed
        self._flow: Any = None
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._saving = False
        self.progress = Progress()
        self.done: concurrent.futures.Future[SignInRecord] = concurrent.futures.Future()

    def start(self, way: Way | None) -> None:
        """Begin; ``way`` of ``None``: a link whose answer may come by the browser or be pasted."""

        async def begin() -> None:
            self._task = asyncio.current_task()
            if self._cancelled:
                self._end(SignInError("cancelled"))
                return
            await self._run(way)

        self._post(begin())

    def paste(self, text: str) -> concurrent.futures.Future[None]:
        """Hand in what the person pasted: the address of the last page, or the code it shows."""
        return self._post(self._paste(text))

    def cancel(self) -> None:
        """End it, from any thread. Once the vendor has answered, the record is stored all the same."""
        self._cancelled = True
        agent_loop().call_soon_threadsafe(self._stop)

    @property
    def cancelled(self) -> bool:
        """Whether the person ended it."""
        return self._cancelled

    @property
    def over(self) -> bool:
        return self.done.done()

    # -------------------------------------------------------------------------- on the agent's loop

    @staticmethod
    def _post(work: Coroutine[Any, Any, None]) -> concurrent.futures.Future[None]:
        return asyncio.run_coroutine_threadsafe(work, agent_loop())

    def _stop(self) -> None:
        if self._task is not None and not self._saving:
            self._task.cancel()

    async def _run(self, way: Way | None) -> None:
        from ante_nb.providers.auth.flow import SignInFlow

        try:
            flow = self._flow = SignInFlow(self._spec, way=way, listen=way != "paste")
            flow.on_change.append(self._look)
            try:
                challenge = await flow.start()
                self._show(
                    Progress(
                        state=flow.state,
                        message=flow.message,
                        way=challenge.way,
                        link=challenge.url,
                        user_code=challenge.user_code or "",
                        accepts_paste=challenge.accepts_paste,
                        ends=challenge.deadline,
                    )
                )
                record = await flow.result()
            except BaseException:
                await asyncio.shield(flow.cancel())
                raise
            # The vendor's code is spent: from here on an interrupt must not lose what it gave.
            self._saving = True
            self._show(replace(self.progress, state="exchanging", message="Storing the sign-in …"))
            await asyncio.to_thread(self._save, record)
        except asyncio.CancelledError:
            self._end(SignInError("cancelled"))
        except AnteError as error:
            self._end(error)
        except Exception as error:
            from ante_nb.log import logger

            # Without the trace: its text may hold an address with a code in it.
            logger.error("a sign-in ended unexpectedly: %s", type(error).__name__)
            self._end(SignInError(f"the sign-in ended unexpectedly: {type(error).__name__}"))
        else:
            self._end(record)

    async def _paste(self, text: str) -> None:
        if self._flow is None:
            return
        try:
            await self._flow.paste(text)
        except ConfigError as error:
            # About the text itself: the sign-in goes on.
            self._show(replace(self.progress, message=str(error), problem=True))
        except Exception as error:
            from ante_nb.log import logger

            logger.error("what was pasted could not be handed in: %s", type(error).__name__)

    def _look(self) -> None:
        """The flow has changed; what it says before there is a link to show is said with the link."""
        if self.progress.way and self._flow.state in ("waiting", "exchanging"):
            self._show(
                replace(self.progress, state=self._flow.state, message=self._flow.message, problem=False)
            )

    def _show(self, progress: Progress) -> None:
        self.progress = progress
        self._changed()

    def _end(self, outcome: SignInRecord | AnteError) -> None:
        if self.done.done():
            return
        if isinstance(outcome, AnteError):
            self.done.set_exception(outcome)
        else:
            self.done.set_result(outcome)
        self._changed()
