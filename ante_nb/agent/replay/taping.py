"""What a turn needs to be recorded or replayed, while it is made ready."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from ante_nb.errors import AnteError
from ante_nb.messages import part_to_dict
from ante_nb.redact import redact

if TYPE_CHECKING:
    from ante_nb.agent.host import Host
    from ante_nb.agent.options import TurnOptions
    from ante_nb.agent.replay.mode import Replay
    from ante_nb.agent.replay.tape import Tape
    from ante_nb.agent.runtime import Runtime
    from ante_nb.agent.session import Node
    from ante_nb.agent.turn import Turn
    from ante_nb.messages import Message, Part
    from ante_nb.providers.spec import Choice
    from ante_nb.settings import Settings

# Where an object is in memory differs from kernel to kernel, and says nothing.
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,16}\b")


def digest(parts: tuple[Part, ...]) -> tuple[str, ...]:
    """What is attached to a prompt, for its node's id: other bytes are another context; nothing for nothing."""
    if not parts:
        return ()
    data = json.dumps([part_to_dict(part) for part in parts], ensure_ascii=False, sort_keys=True)
    return (hashlib.sha256(_ADDRESS.sub("0x", data).encode("utf-8", "surrogatepass")).hexdigest(),)


def choose(
    runtime: Runtime,
    turn: Turn,
    options: TurnOptions,
    settings: Settings,
    replay: Replay,
    cell: str | None,
) -> tuple[Choice, AnteError | None]:
    """Who answers, and why nobody could be asked, where that is so.

    A turn that is recorded can be replayed where no provider is ready; under ``only`` nobody else is
    looked for at all, and no key.

    Raises:
        AnteError: no provider is ready, or nothing is recorded under ``only``.
    """
    lacking: AnteError | None = None
    if replay.mode != "only":
        try:
            return runtime.choose(options, settings), None
        except AnteError as error:
            if replay.mode == "off":
                raise
            lacking = error
    from ante_nb.agent.replay.choice import recorded_choice
    from ante_nb.agent.replay.tape import missing

    settings.check()
    session = runtime.session
    count = session.prompts
    parent, _ = session.parent_for(cell, append=options.append)
    session.prompts = count
    prompt = _shown(turn, options)
    found = recorded_choice(runtime.catalog(), replay.folder, parent, prompt, options, runtime.choices)
    if found is None:
        named = options.provider or runtime.choices.provider
        if named and lacking is None:
            runtime.catalog().provider(named.strip())  # a name that nobody has is no missing recording
        raise lacking or missing(replay, prompt, "no answer to this prompt is recorded", parent)
    return found, lacking


def tape(
    replay: Replay,
    node: Node,
    turn: Turn,
    options: TurnOptions,
    host: Host,
    secret: bytes,
    attachments: tuple[str, ...],
    opening: tuple[Message, ...],
    lacking: AnteError | None,
) -> Tape | None:
    """The tape of a turn; ``None`` where nothing is recorded nor replayed.

    Raises:
        ConfigError: the turn's recording cannot be read.
    """
    if replay.mode == "off":
        return None
    from ante_nb.agent.replay.recording import Recording
    from ante_nb.agent.replay.tape import Tape

    blank = Recording(
        node.id,
        node.parent,
        _shown(turn, options),
        turn.provider,
        turn.model,
        turn.thinking_level,
        attachments,
    )
    return Tape(replay, blank, turn, host, secret, opening, fresh=options.fresh, lacking=lacking)


def _shown(turn: Turn, options: TurnOptions) -> str:
    """The prompt as it stands in the recording."""
    return redact(turn.prompt if options.item is None else f"{turn.prompt}\n\n{options.item}")
