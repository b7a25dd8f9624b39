"""What a person pastes from the browser: the address it ended at, a part of it, or the code alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ante_nb.errors import ConfigError
from ante_nb.providers.auth.callback import one_each
from ante_nb.providers.auth.refusals import clean
from ante_nb.providers.spec import Secret

if TYPE_CHECKING:
    from ante_nb.providers.auth.pkce import Pkce

LONGEST = 16 * 1024
SHORTEST_CODE = 8


@dataclass(frozen=True, slots=True)
class Pasted:
    """A usable paste: a code, or the error that the vendor sent."""

    code: Secret | None = None
    error: str = ""
    description: str = field(default="", repr=False)


def read(text: str, pkce: Pkce) -> Pasted:
    """The answer in ``text``.

    Args:
        text: ``http://localhost:1455/auth/callback?code=...&state=...`` (also without ``http://``),
            ``?code=...&state=...``, ``code#state``, or the code.
        pkce: whose state it must carry, where it carries one.

    Raises:
        ConfigError: it is none of these, incomplete, or of another sign-in; nothing of it is shown.
    """
    if len(text) > LONGEST:
        raise ConfigError("This is too long for a sign-in code", _HOW)
    # A terminal breaks long lines, a chat puts quotes around; neither is in an address or a code.
    line = "".join(_MARKS.sub("", text).split()).strip(_AROUND)
    if "&amp;" in line:  # copied out of the source of a page
        line = line.replace("&amp;", "&")
    if not line:
        raise ConfigError("Nothing was pasted", _HOW)
    if "code_challenge=" in line:
        raise ConfigError(
            "This is the link to open, not the answer",
            "Open it in a browser, sign in, and paste the address that the browser ends at.",
        )
    if "?" in line or "://" in line or re.match(r"&?(code|state|error)=", line):
        query = line.partition("?")[2] if "?" in line else line.partition("://")[2] or line
        return _fields(query.partition("#")[0].lstrip("&"), pkce)
    code, mark, state = line.partition("#")
    if mark and not state:
        raise ConfigError("The part behind the # is missing", "Copy the whole text that the page shows.")
    if mark:
        _check_state(state, pkce)
    return Pasted(_code(code))


# What a terminal puts around a paste, and what cannot be seen.
_MARKS = re.compile(r"\x1b\[20[01]~|[\u200b-\u200f\u2060\ufeff]")
# Quotes and the punctuation of a sentence: no code and no state begins or ends with one of them.
_AROUND = "\"'`<>()[]{},;.\u201c\u201d\u2018\u2019\u201e\u201a\u00ab\u00bb"
_API_KEY = re.compile(r"sk-(?:ant|proj|or|sp|antix|svcacct)-|xai-|AIza|gsk_")
_HOW = "Paste the address that the browser ended at, or the code that the page shows."


def _fields(query: str, pkce: Pkce) -> Pasted:
    fields = one_each(query)
    if not fields or not (fields.get("code") or fields.get("error")):
        raise ConfigError("This address holds no sign-in code", _HOW)
    if not fields.get("state"):
        raise ConfigError("The address is incomplete: it has no state", "Copy all of it, to its very end.")
    _check_state(fields["state"], pkce)
    if fields.get("error"):
        return Pasted(None, clean(fields["error"])[:80], clean(fields.get("error_description", "")))
    return Pasted(_code(fields["code"]))


def _check_state(state: str, pkce: Pkce) -> None:
    if not pkce.is_state(state):
        raise ConfigError(
            "This answer belongs to another sign-in, or is cut off",
            "Open the link that is shown now, sign in, and paste what comes of it.",
        )


def _code(code: str) -> Secret:
    if _API_KEY.match(code):
        # It would be sent to the vendor of the sign-in, which need not be the key's own.
        raise ConfigError("This is an API key, no sign-in code", "Keys are stored by `%ante key PROVIDER`.")
    if len(code) < SHORTEST_CODE or not code.isascii() or not code.isprintable():
        raise ConfigError("This is no sign-in code", _HOW)
    return Secret(code)
