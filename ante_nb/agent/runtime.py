"""What a kernel or process holds between turns: choices, grants, the session, the connection.

One :class:`Runtime` has the session, the choices that were made (``%ante``, widget, ``%config``), the
grants, and the connection to the provider. How a turn is made ready is in :mod:`ante_nb.agent.planning`.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ante_nb.agent.connection import Connection, model_of
from ante_nb.agent.conversation import Conversation
from ante_nb.agent.options import Choices, TurnOptions, parse_mode
from ante_nb.agent.session import Session
from ante_nb.agent.sessions.moves import SessionMoves
from ante_nb.agent.steering import Steering
from ante_nb.agent.turn import Turn
from ante_nb.errors import AnteError, ConfigError, TurnError
from ante_nb.ids import new_id
from ante_nb.log import configure, logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ante_nb.agent.context import Gauge
    from ante_nb.agent.host import Host
    from ante_nb.agent.limits import LimitChoices
    from ante_nb.agent.loop import TurnLoop
    from ante_nb.agent.mcp.servers import McpServers
    from ante_nb.agent.replay.mode import Replay
    from ante_nb.agent.sessions.lending import Lent
    from ante_nb.agent.turn import TurnStatus
    from ante_nb.agent.undo.log import UndoLog
    from ante_nb.describe import DataPolicy, Policies
    from ante_nb.providers.auth.keys import KeyRing
    from ante_nb.providers.auth.sign_ins import StoredSignIns
    from ante_nb.providers.catalog.load import Catalog
    from ante_nb.providers.catalog.resolve import Overrides
    from ante_nb.providers.spec import Choice
    from ante_nb.settings import Settings


@dataclass(slots=True)
class Runtime(SessionMoves, Conversation):
    """Everything that outlives a turn.

    ``choices`` is the session layer, ``config`` what ``ipython_config.py`` says. ``on_change`` callbacks
    are called, without arguments, when anything here was changed.
    """

    session: Session = field(default_factory=Session)
    choices: Choices = field(default_factory=Choices)
    kernelspec: Choices = field(default_factory=Choices)
    """What the kernel was started with; ranks below ``choices``."""
    config: Choices = field(default_factory=Choices)
    grants: list[str] = field(default_factory=list)
    last_models: dict[str, str] = field(default_factory=dict)
    """The model last used with each provider."""
    variable_policies: dict[str, DataPolicy] = field(default_factory=dict)
    """Data policies of single variables; they rank above the one for all."""
    derived_variables: set[str] = field(default_factory=set)
    """What code of the model has made beside a variable with a closer policy."""
    recording: str | None = None
    """What ``%ante record`` has chosen: ``auto``, ``off``."""
    unwatched: int = 0
    """How many turns like those of this runtime may ask at once; their answers are asked for whole, for
    nobody looks on. 0: a turn that is streamed."""
    last_turn: Turn | None = None
    running: Any = None
    lent: dict[str, Lent] = field(default_factory=dict)
    """The other sessions that single calls were made with, by id."""
    away: bool = False
    """Whether a call works on another session than the present one."""
    unwritten: dict[str, Session] = field(default_factory=dict)
    """Sessions that were left while their records could not be written, by id."""
    on_change: list[Callable[[], None]] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    """Problems of settings, catalog and rules that were told already."""
    mcp: McpServers | None = None
    """The MCP servers, once there are any."""
    steering: Steering = field(default_factory=Steering)
    limits: LimitChoices = field(default_factory=dict)
    """What ``%ante limits`` has chosen, by ``cost``, ``session.cost`` and so on."""
    gauge: Gauge | None = None
    """Measures the conversation; the last turn's."""
    _loop: TurnLoop | None = None
    _undo: UndoLog | None = None
    _keys: KeyRing | None = None
    _sign_ins: StoredSignIns | None = None
    _connection: Connection = field(default_factory=Connection)

    # ------------------------------------------------------------------------------- what is in force

    @property
    def keys(self) -> KeyRing:
        """Finds keys: environment, store, sign-in."""
        if self._keys is None:
            from ante_nb.providers.auth.keys import KeyRing

            self._keys = KeyRing(sign_ins=self.sign_ins)
        return self._keys

    @property
    def sign_ins(self) -> StoredSignIns:
        """The sign-ins with vendors, and how their tokens stay fresh."""
        if self._sign_ins is None:
            from ante_nb.providers.auth.sign_ins import StoredSignIns

            self._sign_ins = StoredSignIns(lambda: self.catalog().oauth)
        return self._sign_ins

    def sign_in_news(self) -> list[str]:
        """What there is to tell of the stored keys and sign-ins, each line once."""
        news = self._sign_ins.news() if self._sign_ins is not None else []
        return [*news, *(self._keys.take_notices() if self._keys is not None else ())]

    @property
    def undo(self) -> UndoLog:
        """What turns did to files and variables, and the way back."""
        if self._undo is None:
            from ante_nb.agent.undo.log import UndoLog

            self._undo = UndoLog()
        return self._undo

    def mcp_servers(self) -> McpServers:
        """The MCP servers of this kernel; none is started by asking for them."""
        if self.mcp is None:
            from ante_nb.agent.loop_thread import on_exit
            from ante_nb.agent.mcp.servers import McpServers

            self.mcp = McpServers()
            on_exit(self.mcp.aclose)
        return self.mcp

    def settings(self) -> Settings:
        """The settings as they are on disk now."""
        from ante_nb.settings import load_settings

        return load_settings()

    def catalog(self) -> Catalog:
        """The catalog as it is on disk now."""
        from ante_nb.providers.catalog.load import load_catalog

        return load_catalog()

    def choose(self, cell: TurnOptions | None = None, settings: Settings | None = None) -> Choice:
        """Provider, model, key, address and level that a turn would use now.

        Raises:
            ConfigError: something is missing or wrong; the message says what to type.
        """
        from ante_nb.agent.known_secrets import register_known
        from ante_nb.providers.catalog.resolve import resolve
        from ante_nb.redact import register

        catalog = self.catalog()
        register_known(os.environ, catalog, self.keys)
        choice = resolve(
            catalog,
            settings or self.settings(),
            os.environ,
            self.keys,
            cell=_overrides(cell),
            session=_overrides(self.choices),
            kernelspec=_overrides(self.kernelspec),
            config=_overrides(self.config),
            engine_available=_local_ready,
            last_used=self.last_models,
        )
        if choice.credential is not None:
            register(choice.credential.value)
        settings = settings or self.settings()
        if choice.provider.websocket:
            transport, source, notice = self.openai_transport(settings)
            choice = replace(
                choice,
                transport=transport,
                sources={**choice.sources, "transport": source},
                notices=(*choice.notices, notice) if notice else choice.notices,
            )
        return _named(choice, settings)

    def openai_transport(self, settings: Settings) -> tuple[Literal["http_sse", "websocket_auto"], str, str]:
        """How the OpenAI providers stream, where that comes from, and what is wrong with it (or nothing).

        An unknown value counts as ``http_sse``, whichever layer it stands in.
        """
        from ante_nb.settings import TRANSPORTS, openai_transport

        value, source, notice = openai_transport(settings, os.environ)
        if self.choices.openai_transport:
            value, source, notice = self.choices.openai_transport, "%config", None
        elif self.config.openai_transport and source == "built-in default" and notice is None:
            value, source = self.config.openai_transport, "ipython_config.py"
        if value not in TRANSPORTS:
            notice = f"openai_transport {value!r} ({source}) is not known (allowed: {', '.join(TRANSPORTS)}); using http_sse."
            value, source = "http_sse", "built-in default"
        return "websocket_auto" if value == "websocket_auto" else "http_sse", source, notice or ""

    def transport_words(self, choice: Choice) -> str:
        """What ``OpenAI Transport`` shows: what the last step of the session used, and what is chosen."""
        last = self.last_turn
        used = last.transport if last is not None and last.session_id == self.session.id else ""
        if used and last is not None and last.provider == choice.provider.id and used != choice.transport:
            return f"{used} (chosen: {choice.transport})"
        return choice.transport

    def mode(self, cell: TurnOptions | None, settings: Settings) -> tuple[str, str]:
        """The permission mode and where it comes from.

        Raises:
            ConfigError: no such mode, or the administrator forbids yolo.
        """
        layers = [
            (cell.mode if cell else None, "cell flag"),
            (self.choices.mode, "%ante"),
            (
                settings.permission_mode
                if settings.values.permission_mode or settings.values.policy
                else None,
                settings.source,
            ),
            (self.config.mode, "ipython_config.py"),
            ("strict", "built-in default"),
        ]
        value, source = next((value, source) for value, source in layers if value)
        value = parse_mode(value)
        if value == "yolo" and settings.forbid_yolo:
            raise ConfigError(
                "the administrator of this machine forbids yolo", "Use strict or auto, with --allow RULE."
            )
        return value, source

    def policies(self, cell: TurnOptions | None, settings: Settings) -> tuple[Policies, str]:
        """How much of the person's values may leave the machine, and where that comes from.

        Raises:
            ConfigError: there is no such data policy.
        """
        from ante_nb.describe import Policies, parse_policy

        layers = [
            (cell.data_policy if cell else None, "cell flag"),
            (self.choices.data_policy, "%ante"),
            (settings.values.data_policy, settings.source),
            (self.config.data_policy, "ipython_config.py"),
            ("sample", "built-in default"),
        ]
        value, source = next((value, source) for value, source in layers if value)
        found = Policies(parse_policy(value, source), dict(self.variable_policies), self.derived_variables)
        return found, source

    def replay(self, notebook: Path | None, cwd: Path) -> Replay:
        """Whether answers are recorded and replayed, and where the recordings are.

        Raises:
            ConfigError: ``ANTE_REPLAY`` cannot be used.
        """
        from ante_nb.agent.replay.mode import replay_of

        return replay_of(self.recording, os.environ, notebook, cwd)

    def changed(self) -> None:
        """Tell whoever shows the state that it was changed."""
        for callback in list(self.on_change):
            try:
                callback()
            except Exception:
                logger.exception("a change callback failed")

    # ------------------------------------------------------------------------------------------ a turn

    def new_turn(self, prompt: str) -> Turn:
        """An empty result for a turn of this session."""
        return Turn(id=new_id("turn"), session_id=self.session.id, prompt=prompt)

    async def run(self, turn: Turn, options: TurnOptions, host: Host, cell: str | None = None) -> None:
        """Run a turn to its end on the agent's loop. Never raises; ``turn`` says how it ended."""
        configure()
        if options.dry_run:
            await self._preview(turn, options, host, cell)
            return
        self.steering.begin()
        self.catch_up()
        try:
            await self._run(turn, options, host, cell)
        finally:
            self._loop = None
            self.steering.end()

    async def _preview(self, turn: Turn, options: TurnOptions, host: Host, cell: str | None) -> None:
        from ante_nb.agent.dry_run import preview

        try:
            turn.preview = await preview(self, turn, options, host, cell)
        except asyncio.CancelledError:
            turn.status, turn.error = "interrupted", TurnError("interrupted")
        except AnteError as error:
            turn.status, turn.error = "failed", error

    async def _run(self, turn: Turn, options: TurnOptions, host: Host, cell: str | None) -> None:
        from ante_nb.agent.context import Gauge
        from ante_nb.agent.loop import TurnLoop
        from ante_nb.agent.planning import plan_turn
        from ante_nb.agent.tasks import tasks_at
        from ante_nb.agent.telemetry import watched
        from ante_nb.messages import Notice

        try:
            plan = await plan_turn(self, turn, options, host, cell)
        except asyncio.CancelledError:
            error = TurnError("interrupted", "Nothing was sent; run the cell again.")
            self._refuse(turn, error, host, "interrupted")
            return
        except AnteError as error:
            self._refuse(turn, error, host)
            return
        except Exception as error:
            logger.exception("a turn could not be prepared")
            self._refuse(
                turn,
                AnteError(
                    f"the turn could not be prepared: {type(error).__name__}: {error}",
                    "The trace is in the log (`%ante doctor` says where).",
                ),
                host,
            )
            return
        host = watched(host, turn)
        session = self.session
        if not session.first_prompt:
            session.first_prompt = turn.prompt
        self.last_turn = turn
        session.tool_state.todos = tasks_at(session, plan.node.parent)
        session.tell_record(lambda text: host.show(Notice("warning", text)))
        told, recorder = len(self.undo.news), self.undo.recorder(turn, host)
        gauge = Gauge(plan.choice, plan.system, [tool.spec() for tool in plan.tools.values()])
        if self.gauge is not None:
            gauge.inherit(self.gauge)
        self.gauge = gauge
        self._loop = TurnLoop(
            session,
            plan,
            host,
            lambda: model_of(self._connection, self, plan),
            turn,
            recorder,
            steering=self.steering,
            gauge=gauge,
        )
        await self._loop.run()
        if plan.tape is not None:
            plan.tape.save()
        if plan.node.messages and plan.tools:
            # Told to the model; a turn that left nothing to build on has told nobody.
            del self.undo.news[:told]
        if turn.status == "completed":
            self._remember_model(plan.choice)

    def stop(self) -> bool:
        """Stop the running turn as an interrupt does; whether one runs. May be called from any thread."""
        running = self.running
        if running is None:
            return False
        (running.interrupt or running.cancel)()
        return True

    def _refuse(self, turn: Turn, error: AnteError, host: Host, status: TurnStatus = "failed") -> None:
        from ante_nb.agent.endings import tell_unsaid
        from ante_nb.messages import TurnEnded

        turn.status = status
        turn.error = error
        error.turn = turn
        tell_unsaid(self.steering, host)
        host.show(TurnEnded(turn))

    def keep_grant(self, rule: str) -> None:
        """Keep what the person granted for this session."""
        if rule not in self.grants:
            self.grants.append(rule)

    def allow_always(self, rule: str) -> None:
        """Keep what the person granted for good: an allow rule in settings.json."""
        from ante_nb import settings

        try:
            known = self.settings().permissions.allow
            if rule not in known:
                settings.save({"permissions": {"allow": [*known, rule]}})
        except ConfigError as error:
            logger.warning("the rule was not saved: %s", error)

    def _remember_model(self, choice: Choice) -> None:
        """Keep an expressly chosen model as the provider's last-used one, for this process only: a flag
        counts for its own cell, and settings.json is written by ``%ante save`` alone."""
        if choice.sources.get("model") in ("cell flag", "%ante") and choice.model.id:
            self.last_models[choice.provider.id] = choice.model.id

    # --------------------------------------------------------------------------------- the connection

    async def aclose(self) -> None:
        """Close the connection to the provider; a further turn makes a new one."""
        await self._connection.aclose()
        if self._sign_ins is not None:
            self._sign_ins.renewal.flush()


def _overrides(layer: TurnOptions | Choices | None) -> Overrides | None:
    from ante_nb.providers.catalog.resolve import Overrides

    return Overrides(layer.provider, layer.model, layer.thinking) if layer else None


def _local_ready() -> bool:
    """Whether an engine and a model for ``local`` are there."""
    from ante_nb.local import engine_available, find_models
    from ante_nb.local.attaching import PORT_VARIABLE, attached

    if attached() or os.environ.get(PORT_VARIABLE, "").strip():
        return True
    return engine_available() and any(not model.flaw for model in find_models())


def _named(choice: Choice, settings: Settings) -> Choice:
    """``local`` with the name of the model that will be meant, where none was chosen.

    Raises:
        LocalEngineError: there is no model.
    """
    if choice.provider.id != "local" or choice.model.id or choice.base_url:
        return choice
    from ante_nb.local import attaching, discovery, options

    chosen = options.load(settings, os.environ)
    if attaching.configured(chosen, os.environ):
        return choice  # the server says what it runs
    models = discovery.find_models(chosen.home, os.environ, chosen.model_directories)
    model = discovery.choose(None, models, default=chosen.model, last=chosen.last_model, labels=chosen.labels)
    source = settings.source if chosen.model else "first model found"
    return replace(
        choice, model=replace(choice.model, id=model.id), sources={**choice.sources, "model": source}
    )
