"""What a click does: the same functions as the sub-commands of ``%ante``, and what takes a while beside them."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ante_nb.errors import AnteError, BusyError, ConfigError

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Awaitable, Callable, Coroutine

    from ante_nb.notebook.sign_in import Attempt
    from ante_nb.notebook.state import KernelState
    from ante_nb.providers.spec import ModelSpec, ProviderSpec

CHOICES = ("provider", "model", "thinking", "mode", "openai_transport", "data_policy")


class Actions:
    """One per desk, used on the kernel's loop.

    Args:
        state: the kernel's state, the only place where anything is kept.
        loop: the kernel's loop.
        changed: called, on any thread, when what is under way looks different.
    """

    def __init__(
        self, state: KernelState, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]
    ) -> None:
        self._state = state
        self._loop = loop
        self._changed = changed
        self.live: dict[str, list[ModelSpec]] = {}
        """What the servers themselves have told of their models."""
        self.taken_back = ""
        """A message that was taken back, for the view that asked: it goes into its prompt box again."""
        self._busy: dict[str, str] | None = None
        self._work: concurrent.futures.Future[Any] | None = None
        self._attempt: Attempt | None = None
        self._sign_in: tuple[str, str] = ("", "")

    async def run(self, content: dict[str, Any]) -> str | None:
        """Carry out a message; what there is to say of it.

        Raises:
            AnteError: it cannot be done; says why and what to do.
        """
        name = content.get("kind")
        handler = getattr(self, f"_on_{name}", None) if isinstance(name, str) else None
        if handler is None:
            raise ConfigError(
                "the page asks for something that this version of ante_nb does not know", "Reload the page."
            )
        found: Awaitable[str | None] = handler(content)
        return await found

    def under_way(self) -> dict[str, Any]:
        """What runs just now, for the views. A sign-in's link is no secret, but good for one sign-in."""
        return {"busy": self._busy, "login": self._login_state()}

    # ----------------------------------------------------------------------------------------- choices

    async def _on_choose(self, content: dict[str, Any]) -> str | None:
        from ante_nb.notebook.commands import choose

        what, value = content.get("what"), content.get("value")
        if what not in CHOICES or not isinstance(value, str | None):
            raise ConfigError("the page chose something that is not known", "Reload the page.")
        await asyncio.to_thread(choose, self._state, what, (value or "").strip() or None)
        return await self._on_save(content) if content.get("save") is True else None

    async def _on_save(self, content: dict[str, Any]) -> str | None:
        from ante_nb.notebook.commands import save_choices

        return "; ".join(await asyncio.to_thread(save_choices, self._state))

    # ------------------------------------------------------------------------------- keys and sign-ins

    def _provider(self, content: dict[str, Any]) -> ProviderSpec:
        return self._state.runtime.catalog().provider(str(content.get("provider", "")))

    async def _on_key(self, content: dict[str, Any]) -> str | None:
        from ante_nb.notebook.keys import keep

        typed = content.pop("key", None)
        provider = self._provider(content)
        if provider.auth is None or not provider.auth.env_keys:
            raise ConfigError(f"{provider.id} takes no API key")
        lines = await asyncio.to_thread(keep, self._state, provider, typed if isinstance(typed, str) else "")
        names = [name for name in provider.auth.env_keys if os.environ.get(name, "").strip()]
        if names:
            lines.append(f"{names[0]} is set in the environment and goes before it")
        return "; ".join(lines)

    async def _on_forget_key(self, content: dict[str, Any]) -> str | None:
        from ante_nb.notebook.keys import forget

        provider = self._provider(content)
        return await asyncio.to_thread(forget, self._state, provider.alias_of or provider.id)

    async def _on_login(self, content: dict[str, Any]) -> str | None:
        from ante_nb.notebook.login import spec_of
        from ante_nb.notebook.reach import elsewhere
        from ante_nb.notebook.sign_in_wait import Login, attempt_of, first_way, plan_words

        if self._attempt is not None and not self._attempt.over:
            raise BusyError("a sign-in is under way", "End it first.")
        provider = self._provider(content)
        spec = spec_of(self._state, provider.id)
        if not spec.client_id:
            raise ConfigError(spec.unavailable or f"{spec.display_name} has no client id for its sign-in")
        attempt = await asyncio.to_thread(attempt_of, self._state, Login(spec), self._changed)
        self._attempt, self._sign_in = attempt, (provider.id, spec.display_name)
        place = elsewhere(os.environ) or ("another host" if content.get("local") is False else None)
        attempt.start(first_way(Login(spec), place))
        self._changed()
        try:
            record = await asyncio.wrap_future(attempt.done)
        except AnteError:
            self._state.runtime.sign_ins.store.release(spec.preset)
            if attempt.cancelled:
                return f"cancelled: not signed in to {spec.display_name}"
            raise
        finally:
            self._attempt = None
        self._state.runtime.changed()
        return f"Signed in to {spec.display_name}{plan_words(record.plan)}"

    async def _on_paste(self, content: dict[str, Any]) -> str | None:
        text = content.pop("text", "")
        if self._attempt is not None and isinstance(text, str):
            await asyncio.wrap_future(self._attempt.paste(text))
        return None

    async def _on_cancel_login(self, content: dict[str, Any]) -> str | None:
        if self._attempt is not None:
            self._attempt.cancel()
        return None

    def _login_state(self) -> dict[str, Any] | None:
        attempt = self._attempt
        if attempt is None or attempt.over:
            return None
        progress = attempt.progress
        ident, name = self._sign_in
        shown = {
            "state": progress.state,
            "message": progress.message,
            "problem": progress.problem,
            "way": progress.way,
            "link": progress.link,
            "user_code": progress.user_code,
            "accepts_paste": progress.accepts_paste,
        }
        return {"provider": ident, "name": name, "seconds_left": round(progress.seconds_left), **shown}

    async def _on_logout(self, content: dict[str, Any]) -> str | None:
        from ante_nb.notebook.auth_commands import sign_out
        from ante_nb.notebook.login import spec_of

        spec = spec_of(self._state, self._provider(content).id)
        said = await self._agent(
            "logout", f"Signing out of {spec.display_name} …", sign_out(self._state, spec)
        )
        return str(said)

    # ------------------------------------------------------------------------------ what takes a while

    async def _agent(self, what: str, words: str, work: Coroutine[Any, Any, Any]) -> Any:
        """Do ``work`` on the agent's loop while the views show ``words``; one thing at a time.

        Raises:
            BusyError: something else is under way.
        """
        from ante_nb.agent.loop_thread import agent_loop

        if self._work is not None:
            work.close()
            raise BusyError("something else is under way", "Wait for it, or cancel it.")
        self._busy = {"what": what, "words": words}
        self._work = future = asyncio.run_coroutine_threadsafe(work, agent_loop())
        self._changed()
        try:
            return await asyncio.wrap_future(future)
        finally:
            self._work = self._busy = None

    def _progress(self, line: str) -> None:
        """A line of what is under way, from any thread."""
        if line and self._busy is not None:
            self._busy = {**self._busy, "words": line}
            self._changed()

    async def _on_cancel(self, content: dict[str, Any]) -> str | None:
        if self._work is not None:
            self._work.cancel()
        return None

    async def _on_live(self, content: dict[str, Any]) -> str | None:
        from ante_nb.notebook.provider_commands import live_models

        began = time.monotonic()
        named = self._provider(content)
        provider, ask = await asyncio.to_thread(live_models, self._state, named)
        found = await self._agent("live", f"Asking {provider.display_name} for its models …", ask)
        self.live[provider.id] = self.live[named.id] = [replace(spec) for spec in found]
        count = f"{len(found)} model{'s' * (len(found) != 1)}"
        return f"{count} from the server's own list, in {time.monotonic() - began:.1f} s"

    async def _on_local_start(self, content: dict[str, Any]) -> str | None:
        from ante_nb import local as room

        model = content.get("model")
        work = room.start_async(
            model if isinstance(model, str) and model else None,
            settings=self._state.runtime.settings(),
            progress=self._progress,
        )
        server = await self._agent("local", "Starting the server …", work)
        context = f"{server.context:,}" if server.context else "?"
        return f"{server.model_id} is loaded: {context} tokens of context"

    async def _on_local_stop(self, content: dict[str, Any]) -> str | None:
        from ante_nb import local as room

        model = content.get("model")
        stopped = await asyncio.to_thread(
            room.stop,
            model if isinstance(model, str) and model else None,
            settings=self._state.runtime.settings(),
        )
        return f"stopped {', '.join(server.model for server in stopped)}" if stopped else "none was running"

    # ---------------------------------------------------------------------------------------- the turn

    def _has_ended(self, content: dict[str, Any]) -> bool:
        """Whether the turn that the page means is over: messages may be late, and another may run by now."""
        meant, running = content.get("turn"), self._state.runtime.running
        return bool(meant) and (running is None or running.turn.id != meant)

    async def _on_stop(self, content: dict[str, Any]) -> str | None:
        if self._has_ended(content):
            return "that turn has ended"
        return "stopping …" if self._state.runtime.stop() else "no turn runs"

    async def _on_steer(self, content: dict[str, Any]) -> str | None:
        text = content.get("text")
        taken = isinstance(text, str) and not self._has_ended(content) and self._state.runtime.steer(text)
        if not taken:
            raise ConfigError("no turn takes messages now", "Send it as a prompt of its own.")
        return "queued for the next step of the running turn"

    async def _on_unqueue(self, content: dict[str, Any]) -> str | None:
        taken = self._state.runtime.unqueue()
        if taken is None:
            return "nothing was queued any more"
        self.taken_back = taken
        return "taken back"
