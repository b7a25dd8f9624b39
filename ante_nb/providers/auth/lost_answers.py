"""A refresh whose answer may get lost: asked for again, as long as that can help."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ante_nb.providers.auth import endpoint
from ante_nb.providers.auth.refusals import TransientSignInError

if TYPE_CHECKING:
    from ante_nb.providers.auth.oauth_spec import OAuthSpec
    from ante_nb.providers.auth.record import SignInRecord

ATTEMPT = 20.0
"""Seconds for one request; a lost answer can then be asked for again within the 30 s that Antix allows."""
PAUSES = (0.5, 2.0)
"""Seconds before the second and the third request, where the one before said nothing definite."""
TOGETHER = 45.0
"""Seconds within which the last request must end; other kernels wait for the lock for a minute."""


async def ask(spec: OAuthSpec, record: SignInRecord) -> SignInRecord:
    """The vendor's new tokens for the refresh token of ``record``.

    An answer that does not arrive may be one to a token that was spent. Within a time of grace the vendor
    answers it once more; where it has none, the token is lost in any case.

    Raises:
        PermanentSignInError: the refresh token is dead.
        TransientSignInError: nothing is decided, several times.
        SignInError: the client or the request is wrong.
    """
    began = time.monotonic()
    for pause in (*PAUSES, None):
        try:
            async with asyncio.timeout(ATTEMPT):
                return await endpoint.refresh(spec, record)
        except TimeoutError:
            problem = TransientSignInError(
                f"{spec.display_name} did not answer the refresh within {ATTEMPT:.0f} s",
                "Check the network and try again.",
                retryable=True,
            )
        except TransientSignInError as error:
            problem = error
        wait = max(pause or 0.0, problem.retry_after or 0.0)
        if pause is None or time.monotonic() - began + wait + ATTEMPT > TOGETHER:
            raise problem
        await asyncio.sleep(wait)
    raise AssertionError("the last try raises or returns")
