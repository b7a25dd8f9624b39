"""What each vendor refuses of a request, with its own words: the strict half of the loopback server.

Every rule is one that the vendor documents or that its users have met as a 400. Two are stricter than
the vendor: fields that it would ignore are refused, and what it has signed inside a running tool loop
must come back even where it would let it be missing.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from support.vendor_answers import dump

if TYPE_CHECKING:
    from support.vendor_answers import Ledger
    from support.vendors import Vendor

DUMMY = "skip_thought_signature_validator"
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


class RefusedError(Exception):
    """The vendor answers ``status`` with ``message``."""

    def __init__(self, message: str, *, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.status, self.code = message, status, code


def need(fine: Any, message: str, *, status: int = 400, code: str | None = None) -> None:
    if not fine:
        raise RefusedError(message, status=status, code=code)


def error_body(vendor: Vendor, problem: RefusedError) -> dict[str, Any]:
    """The error as this vendor writes it."""
    message, status = problem.message, problem.status
    if vendor.style == "AnthropicMessage":
        kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
        kind = kinds.get(status, "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_loopback"}
    if vendor.style == "Gemini":
        words = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
        name = words.get(status, "INVALID_ARGUMENT")
        return {"error": {"code": status, "message": message, "status": name}}
    if vendor.id == "openai-subscription":
        return {"detail": message}
    if vendor.id == "xai":
        return {"code": "Client specified an invalid argument", "error": message}
    if vendor.id == "openrouter":
        return {"error": {"code": status, "message": message}}
    if vendor.id == "zai":
        return {"error": {"code": "1214", "message": message}}
    code = problem.code or ("invalid_api_key" if status == 401 else None)
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def check(
    vendor: Vendor, headers: dict[str, str], body: Any, model: str, ledger: Ledger, *, stream: bool
) -> None:
    """Raises :class:`RefusedError` for what the vendor would not take."""
    need(isinstance(body, dict), "the body is no JSON object")
    need(headers.get("content-type", "").startswith("application/json"), "content-type is not JSON")
    if stream:
        need("text/event-stream" in headers.get("accept", ""), "accept lacks text/event-stream", status=406)
    _CHECKS[vendor.style](vendor, body, model, ledger, headers)


def check_key(vendor: Vendor, headers: dict[str, str]) -> None:
    """The credential is there, in its place and nowhere else; so are the other headers."""
    places = {"authorization", "x-api-key", "x-goog-api-key"}
    expected = {vendor.header: f"Bearer {vendor.key}" if vendor.header == "authorization" else vendor.key}
    sent = {name: headers[name] for name in places if name in headers}
    if vendor.style == "Gemini" and sent != expected:
        raise RefusedError("API key not valid. Please pass a valid API key.")
    need(sent == (expected if vendor.key else {}), "invalid credentials", status=401)
    for name, value in vendor.needs.items():
        held = [item.strip() for item in headers.get(name, "").split(",")]
        need(value in held, f"{name}: header is required" if name not in headers else f"{name}: bad value")


# ------------------------------------------------------------------------------------------ helpers


def _fields(data: Any, allowed: str, where: str) -> None:
    need(isinstance(data, dict), f"{where}: Input should be an object")
    extra = sorted(set(data) - set(allowed.split()))
    need(not extra, f"{where}.{extra[0] if extra else ''}: Extra inputs are not permitted")


def _picture(data: Any, media_type: Any) -> None:
    try:
        raw = base64.b64decode(data, validate=True)
    except (ValueError, TypeError):
        raise RefusedError("image: invalid base64 data") from None
    kind = next((kind for magic, kind in _MAGIC.items() if raw.startswith(magic)), None)
    need(kind == media_type, f"Image does not match the provided media type {media_type}")


def _data_url(url: Any) -> None:
    found = re.fullmatch(r"data:(image/[a-z]+);base64,(.*)", url if isinstance(url, str) else "")
    need(found, "Invalid image_url: expected a base64-encoded data URL")
    assert found is not None
    _picture(found[2], found[1])


def _schema(schema: Any, where: str) -> None:
    need(isinstance(schema, dict) and schema.get("type") == "object", f"{where}: schema must be an object")
    need(isinstance(schema.get("properties"), dict), f"{where}: object schema missing properties")


def _unique(names: list[Any], what: str) -> None:
    need(len(names) == len(set(names)), f"{what} must be unique")
    for name in names:
        need(isinstance(name, str) and _NAME.fullmatch(name), f"{what}: {name!r} does not match the pattern")


def _arguments(text: Any) -> None:
    try:
        value = json.loads(text)
    except (ValueError, TypeError):
        value = None
    need(isinstance(value, dict), "Invalid 'arguments': expected a JSON object as a string")


# ---------------------------------------------------------------------------------------- Anthropic


def _anthropic(
    vendor: Vendor, body: dict[str, Any], model: str, ledger: Ledger, headers: dict[str, str]
) -> None:
    allowed = "model max_tokens messages system tools tool_choice thinking output_config temperature top_p"
    _fields(body, f"{allowed} top_k stop_sequences stream metadata container", "body")
    limit = body.get("max_tokens")
    need(isinstance(limit, int) and limit > 0, "max_tokens: Field required")
    for block in body.get("system", ()):
        _fields(block, "type text cache_control", "system")
        need(block.get("text", "").strip(), "system: text content blocks must be non-empty")
    tools = body.get("tools", [])
    for tool in tools:
        _fields(tool, "name description input_schema cache_control", "tools")
        _schema(tool.get("input_schema"), "tools.input_schema")
    _unique([tool.get("name") for tool in tools], "tools: Tool names")
    thinks = _anthropic_thinking(body, model)
    choice = body.get("tool_choice", {}).get("type", "auto")
    need(choice in ("auto", "any", "tool", "none"), "tool_choice: bad type")
    need(tools or "tool_choice" not in body, "tool_choice may only be specified while providing tools")
    need(not thinks or choice in ("auto", "none"), "Thinking may not be enabled when tool_choice forces use")
    need(dump(body).count('"cache_control"') <= 4, "A maximum of 4 blocks with cache_control may be provided")
    _anthropic_messages(vendor, body, model, ledger)


def _anthropic_thinking(body: dict[str, Any], model: str) -> bool:
    thinking = body.get("thinking")
    effort = body.get("output_config", {}).get("effort", "high")
    need(effort in ("low", "medium", "high", "max"), f"output_config.effort: {effort!r}")
    if thinking is None:
        return False
    for name in ("temperature", "top_k"):
        need(body.get(name) in (None, 1), f"`{name}` may only be set to 1 when thinking is enabled")
    if thinking.get("type") == "adaptive":
        _fields(thinking, "type display", "thinking")
        need("4-6" in model, "adaptive thinking is not supported on this model")
        return True
    _fields(thinking, "type budget_tokens", "thinking")
    budget = thinking.get("budget_tokens", 0)
    need(thinking.get("type") == "enabled", "thinking.type: bad value")
    need(budget >= 1024, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    need(budget < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`")
    first: dict[str, Any] | None = None
    for message in reversed(body["messages"]):
        if message["role"] == "assistant":
            first = message
        elif not any(block["type"] == "tool_result" for block in message["content"]):
            break
    if first is not None:
        kind = first["content"][0]["type"]
        need(
            kind in ("thinking", "redacted_thinking"),
            f"Expected `thinking` or `redacted_thinking`, but found `{kind}`. When `thinking` is enabled, a "
            "final `assistant` message must start with a thinking block",
        )
    return True


def _anthropic_messages(vendor: Vendor, body: dict[str, Any], model: str, ledger: Ledger) -> None:
    messages = body.get("messages")
    need(isinstance(messages, list) and messages, "messages: at least one message is required")
    assert isinstance(messages, list)
    need(messages[0].get("role") == "user", "messages: first message must use the `user` role")
    need(messages[-1].get("role") == "user", "This model does not support assistant message prefill.")
    seen: list[str] = []
    waiting: list[str] = []
    for at, message in enumerate(messages):
        _fields(message, "role content", f"messages.{at}")
        need(at == 0 or message["role"] != messages[at - 1]["role"], "messages: roles must alternate")
        blocks = message.get("content")
        need(isinstance(blocks, list) and blocks, f"messages.{at}: content must be non-empty")
        if message["role"] == "assistant":
            calls = _anthropic_said(vendor, blocks, model, ledger, f"messages.{at}.content")
            need(not set(calls) & set(seen), "messages: `tool_use` ids must be unique")
            seen += calls
            waiting = calls
            continue
        kinds = [block.get("type") for block in blocks]
        results = kinds.count("tool_result")
        need("tool_result" not in kinds[results:], "messages: tool_result blocks must come first")
        answered = [block.get("tool_use_id") for block in blocks[:results]]
        for ident in answered:
            need(ident in waiting, f"messages.{at}: unexpected `tool_use_id` found in `tool_result`: {ident}")
        missing = [ident for ident in waiting if ident not in answered]
        need(
            not missing and len(answered) == len(set(answered)),
            f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing}",
        )
        waiting = []
        for block in blocks:
            _anthropic_block(block, f"messages.{at}.content")


def _anthropic_said(
    vendor: Vendor, blocks: list[dict[str, Any]], model: str, ledger: Ledger, where: str
) -> list[str]:
    calls = []
    proofs = []
    for block in blocks:
        kind = block.get("type")
        if kind == "thinking":
            _fields(block, "type thinking signature", where)
            signature = block.get("signature")
            fine = ledger.holds(signature, vendor.id, model, block.get("thinking", ""))
            need(fine, f"{where}: Invalid `signature` in `thinking` block")
            proofs.append(signature)
        elif kind == "tool_use":
            _fields(block, "type id name input cache_control", where)
            need(
                re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", block.get("id", "")), f"{where}.tool_use.id: bad pattern"
            )
            need(isinstance(block.get("input"), dict), f"{where}.tool_use.input: Input should be an object")
            calls.append(block["id"])
        else:
            need(kind == "text", f"{where}: unexpected block {kind}")
            _anthropic_block(block, where)
    for ident in calls:
        issued = ledger.answer_with_call(vendor.id, model, ident)
        if issued is not None:
            need(
                proofs == issued.proofs and (not proofs or blocks[0]["type"] == "thinking"),
                f"{where}: `thinking` blocks in the latest assistant message cannot be modified",
            )
    return calls


def _anthropic_block(block: dict[str, Any], where: str) -> None:
    kind = block.get("type")
    if kind == "text":
        _fields(block, "type text cache_control", where)
        need(block.get("text", "").strip(), f"{where}: text content blocks must be non-empty")
    elif kind == "image":
        _fields(block, "type source cache_control", where)
        source = block["source"]
        _fields(source, "type media_type data", where)
        need(source["type"] == "base64", f"{where}: bad source")
        _picture(source["data"], source["media_type"])
    else:
        need(kind == "tool_result", f"{where}: unexpected block {kind}")
        _fields(block, "type tool_use_id content is_error cache_control", where)
        for inner in block.get("content", ()):
            need(inner.get("type") in ("text", "image"), f"{where}.tool_result: bad content")
            _anthropic_block(inner, f"{where}.tool_result")


# ---------------------------------------------------------------------------------------- Responses


def _responses(
    vendor: Vendor, body: dict[str, Any], model: str, ledger: Ledger, headers: dict[str, str]
) -> None:
    allowed = "model instructions input tools tool_choice parallel_tool_calls reasoning include store stream"
    if vendor.id == "openai-subscription":
        need("max_output_tokens" not in body, "Unsupported parameter: max_output_tokens")
        need(body.get("store") is False, "Store must be set to false")
        need(body.get("stream") is True, "Stream must be set to true")
        need(body.get("instructions"), "Instructions are required")
        need(headers.get("session-id"), "session-id is missing")
    else:
        allowed += " max_output_tokens temperature top_p"
    extra = sorted(set(body) - set(f"{allowed} prompt_cache_key".split()))
    need(not extra, f"Unknown parameter: '{extra[0] if extra else ''}'.")
    for tool in body.get("tools", ()):
        _fields(tool, "type name description parameters strict", "tools")
        _schema(tool.get("parameters"), "tools.parameters")
    _unique([tool["name"] for tool in body.get("tools", ())], "tools.name")
    reasoning = body.get("reasoning", {})
    _fields(reasoning, "effort summary", "reasoning")
    efforts = ("none", "low", "medium", "high", "xhigh")
    need(reasoning.get("effort", "low") in efforts, "reasoning.effort: bad value")
    need(reasoning.get("summary", "auto") in ("auto", "concise", "detailed"), "reasoning.summary: bad value")
    need(len(body.get("prompt_cache_key", "")) <= 64, "prompt_cache_key: too long")
    items = body.get("input")
    need(isinstance(items, list) and items, "Input must be a list")
    assert isinstance(items, list)
    _responses_items(vendor, items, model, ledger)


def _responses_items(vendor: Vendor, items: list[dict[str, Any]], model: str, ledger: Ledger) -> None:
    own = {ident: issued for issued in ledger.answers if issued.vendor == vendor.id for ident in issued.items}
    calls: list[str] = []
    outputs: list[str] = []
    replayed: set[str] = set()
    for at, item in enumerate(items):
        where = f"input[{at}]"
        kind = item.get("type")
        ident = item.get("id")
        if ident is not None:
            prefix = {"reasoning": "rs", "message": "msg", "function_call": "fc"}.get(str(kind), "?")
            fine = ident.startswith(prefix) and len(ident) <= 64
            need(fine, f"Invalid '{where}.id': '{ident}'. Expected an ID that begins with '{prefix}'.")
            need(ident in own, f"Item with id '{ident}' not found.", status=404)
        if kind == "reasoning":
            _fields(item, "type id summary encrypted_content content", where)
            need(isinstance(item.get("summary"), list), f"Missing required parameter: '{where}.summary'.")
            proof = item.get("encrypted_content")
            need(
                proof,
                f"Item with id '{ident}' not found. Items are not persisted when `store` is set to false",
            )
            need(
                ledger.holds(proof, vendor.id, model, str(ident)),
                "The encrypted content could not be verified.",
                code="invalid_encrypted_content",
            )
            follower = items[at + 1] if at + 1 < len(items) else {}
            need(
                follower.get("type") in ("message", "function_call") and follower.get("role") != "user",
                f"Item '{ident}' of type 'reasoning' was provided without its required following item.",
            )
            replayed.add(str(ident))
        elif kind == "function_call":
            _fields(item, "type id call_id name arguments status", where)
            need(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", item.get("call_id", "")), f"Invalid '{where}.call_id'")
            _arguments(item.get("arguments"))
            calls.append(item["call_id"])
            _needs_reasoning(vendor, item, model, ledger, own, replayed)
        elif kind == "function_call_output":
            _fields(item, "type call_id output", where)
            ident = item.get("call_id")
            need(
                ident in calls and ident not in outputs,
                f"No tool call found for function call output with call_id {ident}.",
            )
            outputs.append(str(ident))
            _responses_content(item.get("output"), "input_text", where)
        else:
            need(kind == "message", f"Invalid value: '{kind}' for {where}.type.")
            _fields(item, "type id role content status phase", where)
            role = item.get("role")
            need(role in ("user", "assistant", "system"), f"Invalid '{where}.role'")
            _responses_content(
                item.get("content"), "output_text" if role == "assistant" else "input_text", where
            )
    missing = [ident for ident in calls if ident not in outputs]
    need(not missing, f"No tool output found for function call {missing[0] if missing else ''}.")


def _needs_reasoning(
    vendor: Vendor, item: dict[str, Any], model: str, ledger: Ledger, own: dict[str, Any], replayed: set[str]
) -> None:
    issued = own.get(item.get("id") or "") or ledger.answer_with_call(vendor.id, model, item["call_id"])
    if issued is None or issued.model != model:
        return
    thoughts = [ident for ident in issued.items if ident.startswith("rs")]
    for ident in thoughts:
        # Without its id the call stands alone, which the vendor takes; here only where it cannot be helped.
        need(
            ident in replayed or not (item.get("id") or issued.proofs),
            f"Item '{item.get('id')}' of type 'function_call' was provided without its required 'reasoning' "
            f"item: '{ident}'.",
        )
    need(item.get("id") or (thoughts and not issued.proofs), f"call {item['call_id']} lost its id")


def _responses_content(content: Any, kind: str, where: str) -> None:
    if isinstance(content, str):
        return
    need(isinstance(content, list) and content, f"{where}.content: bad value")
    for part in content:
        if part.get("type") == kind:
            _fields(part, "type text annotations logprobs", where)
            need(part.get("text"), f"{where}: empty text")
        else:
            need(part.get("type") == "input_image" and kind == "input_text", f"Invalid part in {where}")
            _fields(part, "type image_url detail", where)
            _data_url(part["image_url"])


# ------------------------------------------------------------------------------- Chat Completions

_DIALECTS = {
    "deepseek": "thinking reasoning_effort",
    "zai": "thinking tool_stream",
    "openrouter": "reasoning",
    "local": "chat_template_kwargs parallel_tool_calls",
}


def _chat(vendor: Vendor, body: dict[str, Any], model: str, ledger: Ledger, headers: dict[str, str]) -> None:
    allowed = "model messages stream stream_options tools tool_choice max_tokens temperature top_p stop"
    _fields(body, f"{allowed} {_DIALECTS.get(vendor.id, 'reasoning_effort')}", "body")
    need(body.get("stream") or "stream_options" not in body, "stream_options is only allowed with stream")
    thinking = body.get("thinking")
    if thinking is not None:
        need(thinking in ({"type": "enabled"}, {"type": "disabled"}), "thinking: bad value")
    efforts = ("low", "high", "max") if vendor.id == "deepseek" else ("low", "medium", "high")
    need(body.get("reasoning_effort", "high") in efforts, "reasoning_effort: bad value")
    for tool in body.get("tools", ()):
        _fields(tool, "type function", "tools")
        _fields(tool["function"], "name description parameters", "tools.function")
        _schema(tool["function"].get("parameters"), "tools.function.parameters")
    _unique([tool["function"]["name"] for tool in body.get("tools", ())], "tools.function.name")
    messages = body.get("messages")
    need(isinstance(messages, list) and messages, "messages: at least one message is required")
    assert isinstance(messages, list)
    _chat_messages(vendor, messages, model, ledger, thinks=thinking != {"type": "disabled"})


def _chat_messages(
    vendor: Vendor, messages: list[dict[str, Any]], model: str, ledger: Ledger, *, thinks: bool
) -> None:
    reasoning = {"openrouter": "reasoning reasoning_details"}.get(vendor.id, "reasoning_content")
    pictures_of_results = "Attached image(s)"
    loop = max(
        (
            at
            for at, message in enumerate(messages)
            if message.get("role") == "user" and pictures_of_results not in dump(message.get("content"))
        ),
        default=0,
    )
    waiting: list[str] = []
    seen: list[str] = []
    before = ""
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        role = message.get("role")
        if role == "tool":
            _fields(message, "role tool_call_id content", where)
            if isinstance(message.get("content"), list):  # a part can carry a cache mark
                need(vendor.id == "openrouter", f"{where}: tool content must be a string")
                need(all(part["type"] == "text" for part in message["content"]), f"{where}: text only")
            _chat_content(vendor, message.get("content"), where)
            need(
                message.get("tool_call_id") in waiting,
                f"{where}: messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
            )
            waiting.remove(message["tool_call_id"])
        else:
            need(
                not waiting,
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {waiting}",
            )
            need(role != before, f"{where}: roles must alternate")
        if role == "assistant":
            _fields(message, f"role content tool_calls {reasoning}", where)
            lacks = vendor.id == "deepseek" and thinks and "reasoning_content" not in message
            need(not lacks, "The `reasoning_content` in the thinking mode must be passed back to the API.")
            waiting = _chat_said(vendor, message, model, ledger, where, in_loop=at > loop)
            need(not set(waiting) & set(seen), f"{where}: tool call id used twice")
            seen += waiting
        elif role in ("user", "system"):
            _fields(message, "role content", where)
            need(role == "user" or at == 0, "system message must be at the beginning")
            _chat_content(vendor, message.get("content"), where)
        before = "" if role == "tool" else str(role)
    need(not waiting, f"tool calls without an answer: {waiting}")


def _chat_said(
    vendor: Vendor, message: dict[str, Any], model: str, ledger: Ledger, where: str, *, in_loop: bool
) -> list[str]:
    calls = message.get("tool_calls", [])
    content = message.get("content")
    need(content or calls, f"{where}: content is empty")
    need(isinstance(content, str) or content is None, f"{where}: content must be a string")
    if vendor.id not in ("openrouter", "openai-compatible"):
        need(content is not None, f"{where}: content must not be null")
    for call in calls:
        _fields(call, "id type function", where)
        _fields(call["function"], "name arguments", where)
        need(len(call["id"]) <= 40, f"Invalid '{where}.tool_calls.id': string too long")
        _arguments(call["function"]["arguments"])
    details = message.get("reasoning_details", [])
    words = "".join(detail.get("text", "") for detail in details)
    for detail in details:
        signature = detail.get("signature")
        need(
            signature is None or ledger.holds(signature, vendor.id, model, words),
            f"{where}: Invalid `signature` in `thinking` block",
        )
    for call in calls:
        issued = ledger.answer_with_call(vendor.id, model, call["id"])
        if issued is None or not issued.thinking:
            continue
        if vendor.id == "openrouter":
            sent = [detail["signature"] for detail in details if "signature" in detail]
            need(
                words == issued.thinking and sent == issued.proofs, f"{where}: reasoning_details were changed"
            )
        elif in_loop or vendor.id == "deepseek":
            need(
                message.get("reasoning_content") == issued.thinking, f"{where}: reasoning_content was changed"
            )
    return [call["id"] for call in calls]


def _chat_content(vendor: Vendor, content: Any, where: str) -> None:
    if isinstance(content, str):
        need(content, f"{where}: content is empty")
        return
    need(isinstance(content, list) and content, f"{where}: content must be a string or a list")
    for part in content:
        if part.get("type") == "text":
            _fields(part, "type text cache_control", where)
            need("cache_control" not in part or vendor.id == "openrouter", f"{where}: cache_control")
        else:
            need(vendor.vision, f"{where}: this model does not support image input")
            _fields(part, "type image_url", where)
            _data_url(part["image_url"]["url"])


# ------------------------------------------------------------------------------------------ Gemini


def _gemini(
    vendor: Vendor, body: dict[str, Any], model: str, ledger: Ledger, headers: dict[str, str]
) -> None:
    for name in body:
        known = ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig")
        need(name in known, f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    config = body.get("generationConfig", {})
    _fields(config, "maxOutputTokens temperature topP topK stopSequences thinkingConfig", "generation_config")
    thinking = config.get("thinkingConfig", {})
    _fields(thinking, "includeThoughts thinkingLevel thinkingBudget", "thinking_config")
    need(
        not {"thinkingLevel", "thinkingBudget"} <= set(thinking),
        "You can only set only one of thinking budget and thinking level.",
    )
    level = thinking.get("thinkingLevel", "high")
    need(level in ("low", "medium", "high"), f"Thinking level {level} is not supported for this model.")
    for tool in body.get("tools", ()):
        _fields(tool, "functionDeclarations", "tools")
        for declared in tool["functionDeclarations"]:
            _fields(declared, "name description parametersJsonSchema", "function_declarations")
            _schema(declared["parametersJsonSchema"], "parameters_json_schema")
    contents = body.get("contents")
    need(isinstance(contents, list) and contents, "contents is not specified")
    assert isinstance(contents, list)
    need(contents[-1].get("role") == "user", "Please ensure that multiturn requests end with a user role")
    _gemini_contents(vendor, contents, model, ledger)


def _gemini_contents(vendor: Vendor, contents: list[dict[str, Any]], model: str, ledger: Ledger) -> None:
    turn = max(
        (
            at
            for at, content in enumerate(contents)
            if content.get("role") == "user"
            and not any("functionResponse" in part for part in content["parts"])
        ),
        default=-1,
    )
    waiting: list[tuple[Any, Any]] = []
    for at, content in enumerate(contents):
        where = f"contents[{at}]"
        _fields(content, "role parts", where)
        parts = content.get("parts")
        need(parts, f"{where}.parts: must not be empty")
        answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
        if answers or waiting:
            given = [(answer.get("name"), answer.get("id")) for answer in answers]
            need(
                content["role"] == "user" and given == waiting,
                "Please ensure that the number of function response parts is equal to the number of function "
                "call parts of the function call turn, and that they come in its order.",
            )
        waiting = []
        if content["role"] == "model":
            need(at and contents[at - 1]["role"] == "user", f"{where}: a model's turn follows a user's turn")
            calls = [part for part in parts if "functionCall" in part]
            waiting = [(call["functionCall"]["name"], call["functionCall"].get("id")) for call in calls]
            _gemini_said(vendor, parts, calls, model, ledger, where, in_turn=at > turn)
        else:
            need(content["role"] == "user", "Please use a valid role: user, model.")
        for part in parts:
            _gemini_part(part, where)
    need(not waiting, "Please ensure that function call turn comes immediately before a response turn.")


def _gemini_said(
    vendor: Vendor,
    parts: list[dict[str, Any]],
    calls: list[dict[str, Any]],
    model: str,
    ledger: Ledger,
    where: str,
    *,
    in_turn: bool,
) -> None:
    own = {ident for issued in ledger.answers if issued.vendor == vendor.id for ident in issued.items}
    for at, part in enumerate(parts):
        signature = part.get("thoughtSignature")
        call = part.get("functionCall")
        content = f"{call['name']}{dump(call.get('args', {}))}" if call else part.get("text", "")
        if call and call.get("id") is not None:
            need(call["id"] in own, f"{where}: unknown function call id {call['id']}")
        if signature is None:
            continue
        fine = ledger.holds(signature, vendor.id, model, content)
        first = call is not None and not any("functionCall" in earlier for earlier in parts[:at])
        mine = ledger.answer_with_call(vendor.id, model, (call or {}).get("id"))
        stand_in = signature == DUMMY and first and (mine is None or not mine.proofs)
        need(fine or stand_in, "Corrupted thought signature.")
    if calls and in_turn:
        need(
            calls[0].get("thoughtSignature"),
            "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
            "work correctly.",
        )


def _gemini_part(part: dict[str, Any], where: str) -> None:
    _fields(part, "text thought thoughtSignature functionCall functionResponse inlineData", where)
    kinds = [name for name in ("text", "functionCall", "functionResponse", "inlineData") if name in part]
    need(len(kinds) == 1, f"{where}: required oneof field 'data' must have one initialized field")
    if "inlineData" in part:
        _picture(part["inlineData"]["data"], part["inlineData"]["mimeType"])
    elif "functionCall" in part:
        _fields(part["functionCall"], "name args id", where)
    elif "functionResponse" in part:
        response = part["functionResponse"]
        _fields(response, "name response id parts", where)
        need(isinstance(response.get("response"), dict), f"{where}: response must be an object")
        for inner in response.get("parts", ()):
            _gemini_part(inner, where)
    else:
        need(part["text"] or part.get("thoughtSignature"), f"{where}: empty text parameter")


_CHECKS = {
    "AnthropicMessage": _anthropic,
    "OpenAiResponse": _responses,
    "OpenAiCompatible": _chat,
    "Gemini": _gemini,
}
