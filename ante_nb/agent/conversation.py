"""What a person does to the conversation itself: speak into a running turn, look at its size, compact it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.connection import Connection
    from ante_nb.agent.context import ContextReport, Gauge
    from ante_nb.agent.limits import LimitChoices
    from ante_nb.agent.loop import TurnLoop
    from ante_nb.agent.runtime import Runtime
    from ante_nb.agent.session import Node, Session
    from ante_nb.agent.steering import Steering
    from ante_nb.agent.turn import Turn
    from ante_nb.messages import Compacted, Done, Message
    from ante_nb.providers.spec import Choice
    from ante_nb.settings import Settings


class Conversation:
    """The part of :class:`~ante_nb.agent.runtime.Runtime` that is about what the model reads."""

    if not TYPE_CHECKING:  # the attributes are slots of the class that this is a part of
        __slots__ = ()

    session: Session
    steering: Steering
    limits: LimitChoices
    gauge: Gauge | None
    _loop: TurnLoop | None
    _connection: Connection

    if TYPE_CHECKING:

        def changed(self) -> None: ...
        def settings(self) -> Settings: ...
        def new_turn(self, prompt: str) -> Turn: ...
        def _check_idle(self) -> None: ...

    @property
    def _runtime(self) -> Runtime:
        return cast("Runtime", self)

    def steer(self, text: str) -> bool:
        """Say something to the running turn; it enters as a user message before the next step.

        Also after what would have been the last step: then the turn goes on. May be called from any thread.

        Returns:
            True where it is queued, False where no turn runs (or the text is blank).
        """
        queued = self.steering.put(text)
        if queued:
            self.changed()
        return queued

    @property
    def queued(self) -> tuple[str, ...]:
        """What was said to the turn and has not reached the model, oldest first.

        After a turn that ended before its next step it is still here, to be taken back, until another begins.
        """
        return self.steering.waiting

    def unqueue(self) -> str | None:
        """Take back what was said last and has not reached the model; ``None`` where there is nothing."""
        text = self.steering.take_back()
        if text is not None:
            self.changed()
        return text

    @property
    def live_messages(self) -> list[Message] | None:
        """The conversation of the running turn as it is sent; ``None`` where none runs."""
        loop = self._loop
        return loop.messages if loop is not None else None

    def context(self) -> ContextReport:
        """What the next request would take of the model's context, by category. Never raises."""
        from ante_nb.agent.context import report

        return report(self._runtime)

    # ------------------------------------------------------------------------------------- the summary

    async def compact(
        self, instructions: str = "", *, cell: str | None = None, notebook: Path | None = None
    ) -> Compacted:
        """Have the model write a summary that stands for the conversation so far.

        The turns stay in the session's tree: a cell that runs again goes on from where it did.

        Args:
            instructions: what the person wants kept, or left out.
            cell: the id of the cell that asks for it.
            notebook: the notebook's file, where recordings are beside it.

        Raises:
            AnteError: there is nothing to compact, or the model could not be asked.
            BusyError: a turn is running.
        """
        from ante_nb.agent.compaction import summarise, summary_message, summary_text
        from ante_nb.agent.limits import Budget, limits_in_force
        from ante_nb.agent.options import TurnOptions
        from ante_nb.agent.replay import taping
        from ante_nb.agent.session import Node, node_id
        from ante_nb.agent.tasks import tasks_at, with_tasks
        from ante_nb.messages import Compacted

        self._check_idle()
        session = self.session
        messages = session.conversation(session.head)
        if not any(message.role == "assistant" for message in messages):
            already = any(summary_text(message) for message in messages)
            raise ConfigError(
                "the conversation is a summary already" if already else "there is nothing to compact yet",
                "Run a prompt first.",
            )
        settings = self.settings()
        turn = self.new_turn(" ".join(["%ante compact", *instructions.split()]))
        options = TurnOptions(append=True)
        replay = self._runtime.replay(notebook, Path.cwd())
        choice, lacking = await asyncio.to_thread(
            taping.choose, self._runtime, turn, options, settings, replay, None
        )
        turn.provider, turn.model, turn.thinking_level = choice.provider.id, choice.model.id, choice.thinking
        node = Node(
            node_id(session.head, turn.prompt, (), turn.provider, turn.model, choice.thinking),
            session.head,
            cell or "",
            turn.prompt,
            turn.id,
        )
        gauge = self._gauge_of(choice)
        limits = limits_in_force(self.limits, settings)
        Budget(limits, session, turn, choice).before_step(messages, gauge)
        tape = taping.tape(replay, node, turn, options, _silent, session.secret, (), (), lacking)
        model: Any
        if tape is None:
            model = self._connection.provider(self._runtime, choice)
        else:
            from ante_nb.agent.replay.tape import TapedModel

            model = TapedModel(tape, lambda: self._connection.provider(self._runtime, choice))
        before = gauge.used(messages)
        summary, done = await summarise(
            model, gauge, messages, instructions=instructions, session_id=session.id, turn_id=turn.id
        )
        node.tasks = tasks_at(session, session.head)
        summary = with_tasks(summary, node.tasks)
        node.messages = (summary_message(summary),)
        self._bill(choice, done)
        session.compact(node)
        session.write_meta()
        session.journal.sync()
        self.changed()
        return Compacted(summary, before, gauge.used(node.messages))

    def _gauge_of(self, choice: Choice) -> Gauge:
        from ante_nb.agent.context import Gauge, gauge_for
        from ante_nb.agent.planning import usual_tools

        found = gauge_for(self._runtime)
        if found.key == (choice.provider.id, choice.model.id):
            return found
        return Gauge(choice, *usual_tools(self._runtime, choice))

    def _bill(self, choice: Choice, done: Done) -> None:
        """Count what a call outside of a turn has used."""
        from ante_nb.agent.pricing import cost_of

        session = self.session
        session.steps += 1
        usage = done.usage
        if usage is not None:
            session.usage += usage
            session.journal.append("summarised", turn=None, usage=usage.to_dict())
        cost = cost_of(choice.model, usage) if usage is not None else None
        if cost is not None:
            session.cost += cost
        elif not choice.model.plan_priced:
            session.cost_known = False

    def summary(self) -> str | None:
        """The summary that the conversation begins with; ``None`` where it was not compacted."""
        found = self._summary_at()
        return found[2] if found is not None else None

    def edit_summary(self, text: str) -> None:
        """Put the person's words in the place of the summary.

        Raises:
            ConfigError: the conversation was not compacted, or the text is blank.
            BusyError: a turn is running.
        """
        from ante_nb.agent.compaction import summary_message

        self._check_idle()
        found = self._summary_at()
        if found is None:
            raise ConfigError("there is no summary to edit", "`%ante compact` writes one.")
        if not text.strip():
            raise ConfigError("the summary is empty", "`%ante reset` starts without any conversation.")
        node, place, _ = found
        messages = list(node.messages)
        messages[place] = summary_message(text)
        node.messages = tuple(messages)
        self.session.journal.append(
            "summary", node=node.id, messages=[message.to_dict() for message in node.messages]
        )
        self.session.journal.sync()
        self.changed()

    def _summary_at(self) -> tuple[Node, int, str] | None:
        from ante_nb.agent.compaction import summary_text

        for node in reversed(self.session.path()):
            if not node.replaces:
                continue
            for place, message in enumerate(node.messages):
                text = summary_text(message)
                if text is not None:
                    return node, place, text
        return None

    def set_limit(self, key: str, value: float | None) -> None:
        """Choose a limit for the following cells (``cost``, ``session.tokens`` ...); ``None`` takes it back."""
        if value is None:
            self.limits.pop(key, None)
        else:
            self.limits[key] = value
        self.changed()


class _Silent:
    """A host that shows nothing, for calls outside of a turn."""

    show: Callable[[Any], None] = staticmethod(lambda event: None)

    @property
    def cwd(self) -> Path:
        return Path.cwd()


_silent: Any = _Silent()
