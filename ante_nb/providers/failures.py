"""What went wrong with a model call: one table from a vendor's answer to a typed error.

Classified in this order: the vendor's own code or type, quota texts, overflow texts, the HTTP status
(quota before overflow: quota texts speak of tokens too). Codes and texts come from the vendors' error
pages and SDKs; they are matched loosely and what is unknown falls through to the status.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Any

from ante_nb import errors as e
from ante_nb.providers import hints
from ante_nb.providers.failure_words import BLOCKED, LOADING, Target, describe
from ante_nb.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LOADING", "Facts", "Target", "classify", "parse_body", "read_facts"]

# ------------------------------------------------------------------------------------------ the table

# (error class, retryable or None for the class's own rule, codes and types of the vendors)
_CODES: tuple[tuple[type[e.ProviderError], bool | None, tuple[str, ...]], ...] = (
    (
        e.QuotaError,
        False,
        (
            "insufficient_quota", "usage_limit_reached", "usage_not_included", "billing_error",
            "billing_hard_limit_reached", "billing_not_active", "payment_required", "insufficient_balance",
            "insufficient_credits", "quota_exceeded",
            # Z.ai: balance, daily cap, plan window, plan expired, model not in plan.
            "1113", "1304", "1308", "1309", "1311",
        ),
    ),
    (
        e.OverloadedError,
        None,
        ("overloaded_error", "overloaded", "server_is_overloaded", "slow_down", "unavailable", "unavailable_error", "1305"),
    ),
    (
        e.RateLimitError,
        None,
        ("rate_limit_error", "rate_limit_exceeded", "resource_exhausted", "too_many_requests", "1302", "1303"),
    ),
    (
        e.ContextOverflowError,
        False,
        ("context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded", "1261"),
    ),
    (e.RequestTooLargeError, False, ("request_too_large",)),
    (
        e.AuthError,
        False,
        (
            "invalid_api_key", "authentication_error", "api_key_invalid", "unauthenticated", "unauthorized",
            "invalid_authentication_error", "1000", "1001", "1002", "1003", "1004",
        ),
    ),
    (e.PermissionDeniedError, False, ("permission_error", "permission_denied")),
    (e.NotFoundError, False, ("not_found_error", "model_not_found", "not_found", "1211")),
    (
        e.ContentFilterError,
        False,
        ("content_filter", "content_policy_violation", "data_inspection_failed", "sensitive", "1301"),
    ),
    # Antix: the model has no price there, which another try does not change.
    (e.ServerError, False, ("model_not_priced",)),
    (
        e.ServerError,
        None,
        (
            "api_error", "server_error", "internal_server_error", "internal", "deadline_exceeded",
            # DeepSeek; Z.ai (also as a finish reason); Z.ai 1234: network error.
            "insufficient_system_resource", "network_error", "1234",
        ),
    ),
)  # fmt: skip
_BY_CODE = {code: (cls, retry) for cls, retry, codes in _CODES for code in codes}

_QUOTA = re.compile(
    r"""insufficient.?(balance|credit|fund|quota) | exceeded\ your\ current\ quota | budget\ exceeded
    | billing | requires\ more\ credits | out\ of\ credits | spend.?limit | per.?day | daily\ (cap|limit|quota)
    | usage\ limit\ has\ been\ reached | plan\ (has\ )?expired""",
    re.IGNORECASE | re.VERBOSE,
)
_OVERFLOW = re.compile(
    r"""prompt\ is\ too\ long | input\ length\ and\ `?max_tokens`?\ exceed\ context\ limit
    | model_context_window_exceeded | context[_\ ]length[_\ ]exceeded | exceeds\ the\ context\ window
    | maximum\ context\ length\ is | input\ token\ count.*exceeds\ the\ maximum | maximum\ prompt\ length\ is
    | prompt\ exceeds\ max\ length | range\ of\ input\ length\ should\ be | exceeded\ model\ token\ limit
    | context\ window\ exceeds\ limit | exceed_context_size_error | exceeds\ the\ available\ context\ size
    | greater\ than\ the\ context\ length | reduce\ the\ length\ of\ the\ messages
    | input\ is\ too\ long\ for\ requested\ model | token.*exceeds\ the\ limit\ of\ \d | exceeds\ the\ limit\ of\ \d+.*token
    | too\ large\ for\ model\ with\ \d+\ maximum\ context\ length""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_OVERFLOW_GENERIC = re.compile(r"too many tokens|token limit exceeded", re.IGNORECASE)
_TRANSIENT = re.compile(
    r"rate.?limit|overloaded|service.?unavailable|upstream.?connect|connection.?refused", re.IGNORECASE
)
_TOOLS = re.compile(
    r"""(?:does\ not|doesn't|do\ not|not)\ support\ (?:\w+\ ){0,2}(?:tools?|function.?call)
    | (?:tools?|tool.?use|tool.?choice|function.?call\w*)\b.{0,40}\b(?:is|are)?\ *(?:not|un)\ ?(?:supported|available|allowed|enabled)
    | no\ endpoints\ found\ that\ support\ tool | (?:unsupported|unknown|unrecognized)\b.{0,30}\b(?:tools|tool_choice)\b
    | requires?\ --jinja | tools\ param\ requires""",
    re.IGNORECASE | re.VERBOSE,
)
_AUTH = re.compile(
    r"api.?key.{0,20}(invalid|not valid|incorrect|expired)|(invalid|incorrect).{0,12}api.?key", re.IGNORECASE
)
_FILTER = re.compile(r"moderation|content.?(policy|filter)|inappropriate content|flagged", re.IGNORECASE)
_PAGE = re.compile(r"<\s*(!doctype|html|head|body|title|h1)\b", re.IGNORECASE)
_LOADING = re.compile(r"\bloading model\b", re.IGNORECASE)


def _by_status(status: int) -> type[e.ProviderError]:
    exact: dict[int, type[e.ProviderError]] = {
        401: e.AuthError,
        402: e.QuotaError,
        403: e.PermissionDeniedError,
        404: e.NotFoundError,
        405: e.NotFoundError,
        408: e.ServerError,
        409: e.ServerError,
        410: e.NotFoundError,
        413: e.RequestTooLargeError,
        425: e.ServerError,
        429: e.RateLimitError,
        503: e.OverloadedError,
        529: e.OverloadedError,
    }
    if status in exact:
        return exact[status]
    if 500 <= status < 600:
        return e.ServerError
    if 400 <= status < 500:
        return e.InvalidRequestError
    return e.ProviderError


# 501, 505 ...: the server will not learn it by the next try.
_RETRIED_5XX = frozenset({500, 502, 503, 504, *range(520, 525), 529})


# ------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class Facts:
    """What an error body says, in no vendor's terms."""

    message: str = ""
    codes: tuple[str, ...] = ()
    body: Any = None

    @property
    def code(self) -> str | None:
        return self.codes[0] if self.codes else None


def read_facts(body: Any) -> Facts:
    """The message and the codes of an error body in any of the shapes that vendors use.

    Args:
        body: the parsed JSON, or text.
    """
    if isinstance(body, list) and len(body) == 1:  # Gemini wraps a streamed error in a list
        body = body[0]
    if not isinstance(body, dict):
        return Facts(_page_text(body) if isinstance(body, str) else "", (), body)
    inner = body.get("error", body)
    codes: list[Any] = []
    message = ""
    if isinstance(inner, dict):
        codes += [inner.get("code"), inner.get("type"), inner.get("status")]
        details = inner.get("details")
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict):
                codes.append(detail.get("reason"))
        message = _first_text(inner.get("message"), inner.get("detail"), inner.get("error"), inner.get("msg"))
        metadata = inner.get("metadata")
        if isinstance(metadata, dict):  # OpenRouter: what the provider behind it said
            behind = _first_text(metadata.get("raw"))
            if behind and behind not in message:
                message = f"{message} ({behind})" if message else behind
    elif isinstance(inner, str):  # xAI: {"code": words, "error": words}
        message = inner
        codes.append(body.get("code"))
    if not message:
        message = _first_text(body.get("message"), body.get("detail"))
    found = tuple(
        dict.fromkeys(str(code) for code in codes if code is not None and not isinstance(code, dict | list))
    )
    return Facts(message, found, body)


def _first_text(*values: Any) -> str:
    for value in values:
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, list) and value:  # FastAPI: detail: [{"loc": ..., "msg": ...}]
            texts = [
                str(item.get("msg") or item) if isinstance(item, dict) else str(item) for item in value[:3]
            ]
            return "; ".join(texts)
    return ""


def _page_text(text: str) -> str:
    """The words of an HTML page (its title, else its text), or the text itself."""
    if not _PAGE.search(text):
        return text.strip()
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    words = (
        title[1]
        if title
        else re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    )
    return unescape(" ".join(words.split()))


def parse_body(data: bytes) -> Any:
    """An error body as JSON, else as text; never raises."""
    text = data.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


# ------------------------------------------------------------------------------------------ classify


def classify(
    target: Target, status: int | None, headers: Mapping[str, str], body: Any, *, now: float | None = None
) -> e.ProviderError:
    """The typed error for an HTTP answer that is one, or for an error object inside a stream.

    Args:
        target: who was called.
        status: the HTTP status; ``None`` (or 200) for an error inside a stream, whose numeric code counts then.
        headers: of the answer, any case.
        body: parsed JSON, text, or bytes.
        now: seconds since the epoch, for relative hints; the clock by default.
    """
    now = time.time() if now is None else now
    if isinstance(body, bytes):
        body = parse_body(body)
    lower = {name.lower(): value for name, value in headers.items()}
    facts = read_facts(body)
    if status is None or status < 300:
        status = _numeric_status(facts)
    cls, retryable, code = _kind(target, status, facts)
    if cls is e.AuthError and target.sign_in:
        cls = e.SignInError
    if status == 403 and isinstance(body, str) and _PAGE.search(body):
        cls, retryable, code = e.PermissionDeniedError, False, BLOCKED
    if lower.get("x-should-retry") in ("true", "false"):  # Anthropic, OpenAI
        retryable = lower["x-should-retry"] == "true"
    retry_after = hints.retry_after(lower, facts.body, facts.message, now=now)
    if code == LOADING:
        retry_after = 1.0
    message, hint = describe(target, cls, status, facts.message, retry_after, code, _plan(facts))
    return cls(
        message,
        hint,
        provider=target.provider.id,
        model=target.model,
        status=status,
        code=redact(code) if code else None,
        retry_after=retry_after,
        request_id=lower.get("request-id") or lower.get("x-request-id") or _body_request_id(body),
        retryable=retryable,
    )


def _numeric_status(facts: Facts) -> int | None:
    for code in facts.codes:
        if code.isdecimal() and 400 <= int(code) < 600:
            return int(code)
    return None


def _body_request_id(body: Any) -> str | None:
    value = body.get("request_id") if isinstance(body, dict) else None
    return value if isinstance(value, str) else None


def _kind(
    target: Target, status: int | None, facts: Facts
) -> tuple[type[e.ProviderError], bool | None, str | None]:
    message, code = facts.message, facts.code
    everything = f"{message} {' '.join(facts.codes)}"
    if status in (503, None) and _LOADING.search(message):
        return e.OverloadedError, True, LOADING
    for candidate in facts.codes:
        if candidate.lower().endswith("_spend_limit_reached"):  # Anthropic
            return e.QuotaError, False, candidate
        found = _BY_CODE.get(candidate.lower())
        if found is None:
            continue
        cls, retryable = found
        if cls is e.RateLimitError:
            if "PerDay" in str(facts.body) or re.search(r"per.?day\b", message, re.IGNORECASE):
                return e.QuotaError, False, candidate
            if message.lower().startswith("request too large"):  # OpenAI: more than a minute's tokens at once
                return e.RequestTooLargeError, False, candidate
        if cls is e.NotFoundError and _TOOLS.search(message):
            break
        return cls, retryable, candidate
    if status not in (401, 404) and _QUOTA.search(everything) and status in (None, 400, 402, 403, 429, 503):
        return e.QuotaError, False, code
    if _OVERFLOW.search(everything) or (status in (400, 413) and _OVERFLOW_GENERIC.search(everything)):
        return e.ContextOverflowError, False, code
    if status in (400, 413) and not message and not facts.codes and not facts.body:
        return e.ContextOverflowError, False, code  # Cerebras: an empty answer means too long
    if status in (400, 404, 422, 500, 501, None) and _TOOLS.search(message):
        return e.ToolsRejectedError, False, code
    if status in (400, 403, None) and _AUTH.search(message):
        return e.AuthError, False, code
    if status in (400, 403) and _FILTER.search(
        f"{message} {_reasons(facts)}"
    ):  # OpenRouter: 403 is moderation
        return e.ContentFilterError, False, code
    if status is None:
        transient = bool(_TRANSIENT.search(everything))
        return (e.OverloadedError if transient else e.ServerError), True, code
    cls = _by_status(status)
    if cls is e.ServerError and status >= 500:
        return cls, status in _RETRIED_5XX, code
    if cls is e.InvalidRequestError and _TRANSIENT.search(message) and status != 400:
        return e.ServerError, True, code
    return cls, None, code


def _plan(facts: Facts) -> str | None:
    inner = facts.body.get("error", facts.body) if isinstance(facts.body, dict) else None
    plan = inner.get("plan_type") if isinstance(inner, dict) else None
    return plan if isinstance(plan, str) and re.fullmatch(r"[A-Za-z0-9_ -]{1,32}", plan) else None


def _reasons(facts: Facts) -> str:
    inner = facts.body.get("error") if isinstance(facts.body, dict) else None
    metadata = inner.get("metadata") if isinstance(inner, dict) else None
    return "moderation" if isinstance(metadata, dict) and metadata.get("reasons") else ""
