"""``ANTE_REPLAY=only``: answers come from recordings alone, and nothing of the package opens a socket."""

from __future__ import annotations

import os

from ante_nb.errors import ConfigError

VARIABLE = "ANTE_REPLAY"


def is_offline() -> bool:
    """Whether this process may open no connection."""
    return os.environ.get(VARIABLE, "").strip().lower() == "only"


def refuse_if_offline(what: str) -> None:
    """Raise ``ConfigError`` where no connection may be opened; ``what`` says to whom it would have been."""
    if is_offline():
        raise ConfigError(
            f"{VARIABLE}=only: nothing is sent to {what}",
            f"Answers come from the recordings alone; set {VARIABLE} to auto or off to go online.",
        )
