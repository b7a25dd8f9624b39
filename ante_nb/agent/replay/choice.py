"""Who answers, as the recording has it: a recorded turn needs no key, and no provider that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ante_nb.agent.replay import recording as files

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.agent.options import Choices, TurnOptions
    from ante_nb.agent.replay.recording import Recording
    from ante_nb.providers.catalog.load import Catalog
    from ante_nb.providers.spec import Choice

SOURCE = "recording"


def recorded_choice(
    catalog: Catalog,
    folder: Path,
    parent: str | None,
    prompt: str,
    cell: TurnOptions,
    session: Choices,
) -> Choice | None:
    """The choice that the turn was recorded with; ``None`` where no recording fits.

    What the cell or the session names expressly must be what was recorded; what they leave open is as
    the recording says.

    Args:
        catalog: knows providers and models.
        folder: the recordings.
        parent, prompt: where the turn starts and what it says, as the recording has it.
        cell: the flags.
        session: what was chosen before.
    """
    for found in files.every(folder):
        if found.parent == parent and found.prompt == prompt:
            choice = _choice(catalog, found)
            if choice is not None and _agrees(catalog, choice, cell, session):
                return choice
    return None


def _choice(catalog: Catalog, found: Recording) -> Choice | None:
    from ante_nb.errors import ConfigError
    from ante_nb.providers.spec import Choice
    from ante_nb.providers.thinking import parse_level

    try:
        provider = catalog.provider(found.provider)
        thinking = parse_level(found.thinking, SOURCE) if found.thinking else None
    except ConfigError:
        return None
    model = catalog.model_for(provider.id, found.model)
    sources = {"provider": SOURCE, "model": SOURCE, "thinking": SOURCE, "credential": "none needed"}
    return Choice(provider, model, "", None, thinking, sources)


def _agrees(catalog: Catalog, choice: Choice, cell: TurnOptions, session: Choices) -> bool:
    """Whether the recorded provider, model and level are those that are asked for, where they are."""
    from ante_nb.errors import ConfigError
    from ante_nb.providers.thinking import parse_level

    wanted = cell.provider or (session.provider if cell.model is None else None)
    if wanted:
        try:
            provider = catalog.provider(wanted.strip())
        except ConfigError:
            return False
        # A key and a sign-in of one vendor are two rows of the catalog.
        if choice.provider.id not in (provider.id, provider.oauth_provider, provider.alias_of):
            return False
    model = cell.model or (session.model if cell.provider is None else None)
    if model and model.strip() != choice.model.id:
        return False
    level = cell.thinking or session.thinking
    return not level or parse_level(level, "--thinking") == choice.thinking
