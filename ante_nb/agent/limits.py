"""What a turn and a session may use: steps, tokens, dollars, seconds.

Each limit is looked at before a model call, with what that call will at least add; a call that has begun
is let finish, except by ``seconds``, which end a turn in the middle of a step as an interrupt does. The
time in which the turn waits for the person does not count.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from ante_nb.agent.pricing import cost_of
from ante_nb.errors import ConfigError, LimitError
from ante_nb.messages import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from ante_nb.agent.context import Gauge
    from ante_nb.agent.host import Approval, ApprovalRequest, Host, Question
    from ante_nb.agent.options import TurnOptions
    from ante_nb.agent.session import Session
    from ante_nb.agent.turn import Turn
    from ante_nb.messages import Message
    from ante_nb.providers.spec import Choice
    from ante_nb.settings import Settings

NAMES = ("steps", "tokens", "cost", "seconds")
LimitChoices: TypeAlias = dict[str, float]
"""Limits chosen for the following cells: ``cost``, ``session.cost`` ...; ``math.inf`` is none."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be used at most; ``None`` is no limit.

    ``steps`` are model calls; ``tokens`` are those read and written by all of them, as the vendor counts
    (every step reads the whole conversation again, from its cache or not); ``cost`` is in US dollars;
    ``seconds`` on the clock.
    """

    steps: float | None = None
    tokens: float | None = None
    cost: float | None = None
    seconds: float | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, item.name) is not None for item in fields(self))


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in force, and where each comes from (``sources["session.cost"]``)."""

    turn: Allowance
    session: Allowance
    sources: Mapping[str, str]


def limits_in_force(choices: LimitChoices, settings: Settings, cell: TurnOptions | None = None) -> Limits:
    """The limits of a turn: cell flag, else ``%ante limits``, else settings; without any there is none.

    The steps of a turn have a default besides (``max_steps``).
    """
    sources: dict[str, str] = {}
    found: dict[str, dict[str, float]] = {"turn": {}, "session": {}}
    for scope in ("turn", "session"):
        for name in NAMES:
            key = name if scope == "turn" else f"session.{name}"
            flag = getattr(cell, f"max_{name}", None) if cell is not None and scope == "turn" else None
            saved = getattr(getattr(settings.values.limits, scope), name)
            for value, source in (
                (flag, "cell flag"),
                (choices.get(key), "%ante limits"),
                (saved, settings.source),
            ):
                if value is not None:
                    if value != math.inf:
                        found[scope][name] = value
                        sources[key] = source
                    break
    return Limits(Allowance(**found["turn"]), Allowance(**found["session"]), sources)


def parse_limit(key: str, text: str) -> float | None:
    """The value of ``key=text``; ``None`` takes the choice back, ``math.inf`` is no limit.

    Raises:
        ConfigError: there is no such limit, or it is no positive number.
    """
    name = key.removeprefix("session.").removeprefix("turn.")
    if name not in NAMES:
        raise ConfigError(
            f"there is no limit {key!r}",
            f"Known: {', '.join(NAMES)}, for the session `session.cost` and so on.",
        )
    word = text.strip().lower().removeprefix("$").replace("_", "")
    if word in ("", "-", "default", "unset"):
        return None
    if word in ("off", "none", "inf", "unlimited"):
        return math.inf
    scale = {"k": 1_000.0, "m": 1_000_000.0}.get(word[-1], 1.0) if name == "tokens" else 1.0
    try:
        value = float(word[:-1] if scale != 1.0 else word) * scale
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf) or (name in ("steps", "tokens") and value != int(value)):
        kind = "a positive number" if name in ("cost", "seconds") else "a whole number from 1 on"
        raise ConfigError(
            f"{key}={text}: that is not {kind}", f"Write it like `{key}=2`; `{key}=off` is none."
        )
    return value


def words(name: str, value: float) -> str:
    """A limit or an amount as people read it."""
    if name == "cost":
        return f"${value:.4f}" if value < 0.1 else f"${value:.2f}"
    if name == "seconds":
        return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
    return f"{int(value):,} {name[:-1] if value == 1 else name}"


class Budget:
    """Holds a running turn to its limits.

    Args:
        limits: those in force.
        session: what it has used so far counts for its own limits.
        turn: what the turn has used so far.
        choice: the model, for its price.

    Raises:
        ConfigError: there is a limit in dollars, and what the model costs is not known.
    """

    def __init__(self, limits: Limits, session: Session, turn: Turn, choice: Choice) -> None:
        self.limits = limits
        self._turn = turn
        self._choice = choice
        usage = session.usage
        self._before = {
            "steps": float(session.steps),
            "tokens": float(usage.input + usage.output),
            "cost": session.cost,
            "seconds": session.seconds,
        }
        self._timer: asyncio.Timeout | None = None
        self.steps = 0
        """Model calls of this turn, also those that left no step."""
        self.tokens_unseen = 0
        """Tokens of answers whose usage nobody reported, as estimated."""
        self._check_price()

    def _check_price(self) -> None:
        model = self._choice.model
        limited = self.limits.turn.cost is not None or self.limits.session.cost is not None
        if limited and not model.plan_priced and model.price is None and self._choice.provider.id != "local":
            source = self.limits.sources.get("cost") or self.limits.sources.get("session.cost")
            raise ConfigError(
                f"a limit in dollars is set ({source}), and the price of {self._choice.provider.id}/{model.id}"
                " is not known",
                "Limit tokens instead (`--max-tokens N`), or take it back with `%ante limits cost=off`.",
            )

    def before_step(self, messages: list[Message], gauge: Gauge) -> None:
        """Whether one more model call with these messages may be made.

        Raises:
            LimitError: it may not; nothing is sent.
        """
        coming = gauge.used(messages) if self.limits.turn or self.limits.session else 0
        last = self._turn.steps[-1].usage if self._turn.steps else None
        coming = max(coming, last.input if last is not None else 0)
        used = {"steps": float(self.steps), "tokens": float(self._tokens), "cost": self._turn.cost or 0.0}
        adds = {"steps": 1.0, "tokens": float(coming), "cost": self._reading_cost(coming), "seconds": 0.0}
        for scope, allowance in (("turn", self.limits.turn), ("session", self.limits.session)):
            for name in NAMES:
                limit = getattr(allowance, name)
                # The turn's steps are the loop's to count, its seconds the clock's.
                if limit is None or (scope == "turn" and name in ("steps", "seconds")):
                    continue
                spent = used.get(name, 0.0) + (self._before[name] if scope == "session" else 0.0)
                if spent + adds[name] > limit or (name == "seconds" and spent >= limit):
                    raise self._reached(scope, name, limit, spent, adds[name])

    @property
    def _tokens(self) -> int:
        usage = self._turn.usage
        return (usage.input + usage.output if usage else 0) + self.tokens_unseen

    def _reading_cost(self, tokens: int) -> float:
        """What a call that reads so many tokens costs without its answer, as much of it from the cache as the
        last one left there."""
        known = self._turn.steps[-1].usage if self._turn.steps else None
        cached = min(tokens, known.cache_read + known.cache_write) if known is not None else 0
        return cost_of(self._choice.model, Usage(input=tokens, cache_read=cached)) or 0.0

    def _reached(self, scope: str, name: str, limit: float, spent: float, adds: float) -> LimitError:
        more = (
            f", the next step needs about {words(name, adds)}" if adds and name in ("tokens", "cost") else ""
        )
        flag = f"--max-{name}" if scope == "turn" else f"%ante limits session.{name}=N"
        return LimitError(
            f"the limit of {words(name, limit)} for this {scope} is reached ({words(name, spent)} used{more})",
            f"Nothing is lost: a further prompt goes on from here, `{flag}` allows more.",
        )

    # ---------------------------------------------------------------------------------------- the clock

    @contextlib.asynccontextmanager
    async def clock(self) -> AsyncIterator[None]:
        """Ends what runs inside after the seconds that are left.

        Raises:
            LimitError: they are over.
        """
        left = self.limits.turn.seconds
        scope = "turn"
        if self.limits.session.seconds is not None:
            rest = self.limits.session.seconds - self._before["seconds"]
            if left is None or rest < left:
                left, scope = max(0.0, rest), "session"
        if left is None:
            yield
            return
        timer = self._timer = asyncio.timeout(left)
        try:
            async with timer:
                yield
        except TimeoutError:
            if not timer.expired():
                raise
            limit = (self.limits.turn if scope == "turn" else self.limits.session).seconds or left
            raise self._reached(scope, "seconds", limit, limit, 0.0) from None
        finally:
            self._timer = None

    @property
    def timed_out(self) -> bool:
        """Whether the seconds are over and what runs is being ended."""
        return self._timer is not None and self._timer.expired()

    async def pause(self, waiting: Awaitable[Any]) -> Any:
        """What the person answers; the clock stands still meanwhile."""
        timer, loop = self._timer, asyncio.get_running_loop()
        due = timer.when() if timer is not None else None
        if timer is None or due is None or timer.expired():
            return await waiting
        began = loop.time()
        timer.reschedule(None)
        try:
            return await waiting
        finally:
            if self._timer is timer and not timer.expired():
                timer.reschedule(due + loop.time() - began)


class PatientHost:
    """A host whose questions to the person stop the turn's clock; all else is the host's own."""

    def __init__(self, host: Host, budget: Budget) -> None:
        self._host = host
        self._budget = budget
        self._asking = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    async def approve(self, request: ApprovalRequest) -> Approval:
        return await self._wait(lambda: self._host.approve(request))  # type: ignore[no-any-return]

    async def ask_user(self, questions: tuple[Question, ...]) -> list[list[str]] | None:
        return await self._wait(lambda: self._host.ask_user(questions))  # type: ignore[no-any-return]

    async def _wait(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        self._asking += 1
        try:
            # The first of several that wait at once has stopped the clock already.
            return await (self._budget.pause(ask()) if self._asking == 1 else ask())
        finally:
            self._asking -= 1
