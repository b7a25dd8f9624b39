"""The words of a failed model call: what happened, and what the person does next."""

from __future__ import annotations

import difflib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ante_nb import errors as e
from ante_nb.redact import redact

if TYPE_CHECKING:
    from ante_nb.providers.spec import ProviderSpec

MAX_VENDOR_TEXT = 400
LOADING = "loading_model"
"""The code of the error for a llama.cpp server that is still loading its model."""
BLOCKED = "blocked_by_firewall"
"""The code of the error for a 403 that is a web page: Cloudflare's, not the API's."""


@dataclass(frozen=True, slots=True)
class Target:
    """Who was called, for the words of an error."""

    provider: ProviderSpec
    model: str
    base_url: str | None = None
    credential_source: str | None = None
    sign_in: str | None = None
    """What to type to sign in again, where a sign-in signs the requests."""

    @property
    def name(self) -> str:
        return self.provider.display_name or self.provider.id


def clip(text: str) -> str:
    """A vendor's words for a person: one line, no credentials, no end of text."""
    text = redact(" ".join(text.split()))
    return text if len(text) <= MAX_VENDOR_TEXT else text[: MAX_VENDOR_TEXT - 1] + "…"


def describe(
    target: Target,
    cls: type[e.ProviderError],
    status: int | None,
    said: str,
    after: float | None,
    code: str | None,
    plan: str | None = None,
) -> tuple[str, str | None]:
    """What happened and what to do next.

    Args:
        target: who was called.
        cls: the kind of error.
        status: the HTTP status, if there was one.
        said: the vendor's own words.
        after: seconds until it is worth another try, if the vendor says so.
        code: the vendor's code, or one of the constants of this module.
        plan: the plan of the account (ChatGPT: ``plus``, ``pro`` ...), if the vendor names it.
    """
    name, said = target.name, clip(said)
    at = f" (HTTP {status})" if status else ""
    told = f": {said}" if said else ""
    if cls is e.SignInError:
        return f"{name} refused your sign-in{at}{told}", f"Sign in again: `{target.sign_in}`."
    if cls is e.AuthError:
        return f"{name} refused the key{at}{told}", key_hint(target)
    if code == BLOCKED:
        return (
            f"A firewall in front of {name} blocked the request{at}, with a web page{told}",
            "Often it is the network (VPN, proxy, data centre): try from another one"
            + (", or use an API key." if target.sign_in else "."),
        )
    if cls is e.PermissionDeniedError:
        return (
            f"{name} does not allow this{at}{told}",
            "The key is valid but lacks the right; try another model or key.",
        )
    if cls is e.NotFoundError:
        return (
            f"{name} does not know this model or address{at}, model {target.model!r}{told}",
            not_found_hint(target),
        )
    if cls is e.ToolsRejectedError:
        return (
            f"{target.model} at {name} takes no tools{at}{told}",
            "Use `--tools none` for a plain answer, or choose another model.",
        )
    if cls is e.ContextOverflowError:
        return (
            f"The conversation is longer than the context of {target.model}{at}{told}",
            "Start a new session with `%ante reset`, or choose a model with a larger context.",
        )
    if cls is e.RequestTooLargeError:
        return (
            f"The request is larger than {name} takes{at}{told}",
            "Attach less, or start anew with `%ante reset`.",
        )
    if cls is e.QuotaError and code in ("usage_limit_reached", "usage_not_included"):
        return _plan_words(target, at, after, code, plan)
    if cls is e.QuotaError:
        when = f" It resets at {clock_time(after)}." if after else ""
        return f"The balance, plan or quota at {name} is used up{at}{told}", (
            f"Check the account's billing or choose another provider with `--provider`.{when}"
        )
    if cls is e.RateLimitError:
        return f"{name} limits the rate of requests{at}{told}", (
            f"Free again at {clock_time(after)}." if after and after > 60 else "Try again in a moment."
        )
    if cls is e.OverloadedError:
        if code == LOADING:
            return f"{name} is still loading its model{at}", "Try again in a moment."
        return f"{name} is overloaded{at}{told}", "Try again in a moment, or choose another model."
    if cls is e.ContentFilterError:
        return (
            f"The content filter of {name} stopped this{at}{told}",
            "Rephrase the prompt or choose another model.",
        )
    if cls is e.InvalidRequestError:
        return (
            f"{name} refused the request{at}{told}",
            "Change what it names and run the cell again; if that is nothing of yours, `%ante reset` or another"
            " model may help.",
        )
    if cls is e.ServerError:
        return f"{name} failed{at}{told}", "Try again in a moment."
    return f"{name} gave an unexpected answer{at}{told}", "Check the base URL with `%ante status`."


def _plan_words(target: Target, at: str, after: float | None, code: str, plan: str | None) -> tuple[str, str]:
    """The usage limit of a subscription (ChatGPT), or a plan that has none of this."""
    yours = f"your {' '.join(plan.split('_')).title()} plan" if plan else "your plan"
    other = "choose another provider with `--provider`, or use an API key"
    if code == "usage_not_included":
        return f"{target.name}: {yours} does not include this{at}", f"{other[0].upper()}{other[1:]}."
    when = f"It resets at {clock_time(after)}" + f" (in {span(after)})" if after else ""
    hint = f"{when}; until then, {other}." if when else f"{other[0].upper()}{other[1:]}."
    return f"{target.name}: the usage limit of {yours} is reached{at}", hint


def span(seconds: float) -> str:
    """``3 h 20 min``: how long, in the two units that matter."""
    minutes = max(1, round(seconds / 60))
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return " ".join([part for part in parts if part][:2])


def clock_time(after: float) -> str:
    """The local time ``after`` seconds from now, with the date when that is another day."""
    then = time.time() + after
    same_day = time.localtime(then)[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if same_day else "%Y-%m-%d %H:%M", time.localtime(then))


def key_hint(target: Target) -> str:
    """How to give this provider another key."""
    spec = target.provider
    names = spec.auth.env_keys if spec.auth else ()
    used = f"The key came from {target.credential_source}. " if target.credential_source else ""
    page = f", from {spec.key_page}" if spec.key_page else ""
    if names:
        return f"{used}Set {names[0]} or type `%ante key {spec.id}` to enter another{page}."
    if spec.auth is not None and spec.auth.oauth_preset:
        return f"{used}Sign in again with `%ante login {spec.id}`."
    return f"{used}This server wants a key: type `%ante key {spec.id}`."


def not_found_hint(target: Target) -> str:
    """Near matches of the model, or the path that the base URL probably lacks."""
    near = difflib.get_close_matches(target.model, target.provider.models, n=3, cutoff=0.5)
    near = [model for model in near if model != target.model]
    out = []
    if near:
        out.append(f"Near matches: {', '.join(near)}.")
    path = urlsplit(target.base_url).path.rstrip("/") if target.base_url else ""
    if target.base_url and not re.search(r"/v\d+[a-z0-9]*(/|$)", path):
        out.append(
            f"If the model is right, the base URL may lack `/v1`: {safe_url(target.base_url).rstrip('/')}/v1."
        )
    out.append("`%ante models --live` lists what the server has.")
    return " ".join(out)


def safe_url(url: str) -> str:
    """A URL without user, password and query, where keys hide."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the base URL"
    if not parts.scheme or not parts.hostname:
        return redact(url.partition("?")[0].rpartition("@")[2])
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
