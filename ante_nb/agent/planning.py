"""How a turn is made ready: everything it needs is resolved anew and frozen into a plan."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from ante_nb import paths
from ante_nb.agent.replay import taping
from ante_nb.agent.session import Node, node_id
from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from ante_nb.agent.host import Host
    from ante_nb.agent.options import TurnOptions
    from ante_nb.agent.permissions import Permissions
    from ante_nb.agent.plan import Plan
    from ante_nb.agent.runtime import Runtime
    from ante_nb.agent.tools.base import Tool
    from ante_nb.agent.turn import Turn
    from ante_nb.messages import Message
    from ante_nb.providers.spec import Choice, ToolSpec
    from ante_nb.settings import Settings

DEFAULT_MAX_STEPS = 50


async def plan_turn(runtime: Runtime, turn: Turn, options: TurnOptions, host: Host, cell: str | None) -> Plan:
    """Everything the turn needs, resolved and frozen; ``turn`` gets provider, model and level.

    Args:
        runtime: what outlives turns: session, choices, grants.
        turn: the turn to be run, so far with nothing but its prompt.
        options: what the cell or the call says.
        host: the surroundings.
        cell: the id of the cell, where the front end sends one.

    Raises:
        AnteError: something is missing or wrong; the message says what to type.
    """
    from ante_nb.agent import instructions
    from ante_nb.agent.attachments import attach
    from ante_nb.agent.images import take_images
    from ante_nb.agent.limits import Budget, limits_in_force
    from ante_nb.agent.plan import Plan
    from ante_nb.agent.prompt import MARK, changes, environment
    from ante_nb.messages import Message, Text

    settings = runtime.settings()
    allowed = limits_in_force(runtime.limits, settings, options)
    replay = runtime.replay(host.notebook_path, host.cwd)
    choice, lacking = await asyncio.to_thread(taping.choose, runtime, turn, options, settings, replay, cell)
    mode, mode_source = runtime.mode(options, settings)
    policies, policy_source = runtime.policies(options, settings)
    served, mcp_news = await _served(runtime, settings, host)
    tools = _tools(runtime, options.tools, settings, host, served)
    answer = None
    if options.schema is not None:
        from ante_nb.agent.structured import AnswerTool

        answer = AnswerTool(options.schema)
        tools[answer.name] = answer
    permissions = _permissions(runtime, mode, options, settings)
    tool_choice = _tool_choice(options.tool_choice, tools)
    if answer is not None and len(tools) == 1 and choice.provider.id == "local":
        tool_choice = answer.name  # nothing else to do: a grammar gives the value at the first call

    session = runtime.session
    parent, key = session.parent_for(cell, append=options.append)
    history = session.conversation(parent)
    limits = _limits(choice)
    words, pasted = await asyncio.to_thread(take_images, turn.prompt, limits)
    parts, names = await attach(words if options.mentions else "", host, policies, options.variables)
    if options.item is not None:
        parts.append(Text(f"<item>\n{options.item}\n</item>"))
    if pasted:
        names.append(f"{len(pasted)} pasted image{'s' * (len(pasted) != 1)}")
    lead: list[Message] = []
    told = await asyncio.to_thread(instructions.find, host.cwd, limit=limits.result_chars)
    if told is not None and not _has(history, told.text):
        lead.append(Message.user(told.text))
    known = _has(history, MARK)
    if tools and not known:
        lead.append(Message.user(environment(host.cwd, host.notebook_path)))

    if tools and runtime.undo.news:
        lead.append(Message.user(changes(runtime.undo.news)))

    turn.attached = frozenset(part.text for part in parts if isinstance(part, Text))
    turn.provider, turn.model = choice.provider.id, choice.model.id
    turn.thinking_level = choice.thinking
    node = Node(
        id=node_id(
            parent,
            turn.prompt,
            (*names, *taping.digest((*pasted, *parts))),
            choice.provider.id,
            choice.model.id,
            choice.thinking,
        ),
        parent=parent,
        cell=key,
        prompt=turn.prompt,
        turn_id=turn.id,
    )
    session.tool_state.limits = limits
    session.tool_state.policies = policies
    sources = choice.sources
    status = {
        "provider": (choice.provider.id, sources.get("provider", "")),
        "model": (choice.model.id or choice.model.display_name or "", sources.get("model", "")),
        "thinking": (choice.thinking or "default", sources.get("thinking", "not set: nothing is sent")),
        "mode": (mode, mode_source),
        "data": (policies.words(), policy_source),
    }
    if told is not None:
        status["instructions"] = (", ".join(path.name for path in told.files), "")
    if choice.provider.websocket:
        status["OpenAI Transport"] = (runtime.transport_words(choice), sources.get("transport", ""))
    if replay.mode != "off":
        status["replay"] = (replay.mode, replay.source)
    opening = (*lead, Message.user(words, *pasted, *parts))
    return Plan(
        prompt=turn.prompt,
        choice=choice,
        system=_system(choice, bool(tools), settings),
        tools=tools,
        permissions=permissions,
        history=history,
        node=node,
        opening=opening,
        tape=taping.tape(replay, node, turn, options, host, session.secret, tuple(names), opening, lacking),
        status=status,
        attachments=tuple(names),
        notices=(*_news(runtime, choice, settings, permissions), *mcp_news),
        budget=Budget(allowed, session, turn, choice),
        max_steps=int(allowed.turn.steps or settings.values.max_steps or DEFAULT_MAX_STEPS),
        auto_compact=settings.values.auto_compact is not False,
        tool_choice=tool_choice,
        answer=answer,
        always=runtime.allow_always,
        granted=runtime.keep_grant,
    )


async def _served(
    runtime: Runtime, settings: Settings, host: Host
) -> tuple[dict[str, Tool], tuple[str, ...]]:
    """The tools of MCP servers, and what there is to tell of them."""
    configured = settings.values.mcp_servers
    if not configured and runtime.mcp is None:
        return {}, ()
    return await runtime.mcp_servers().tools(configured, host.cwd)


def _has(history: list[Message], text: str) -> bool:
    """Whether the conversation has a text that begins so."""
    from ante_nb.messages import Text

    return any(
        isinstance(part, Text) and part.text.startswith(text) for message in history for part in message.parts
    )


def _tools(
    runtime: Runtime,
    wanted: str | None,
    settings: Settings,
    host: Host,
    served: dict[str, Tool] | None = None,
) -> dict[str, Tool]:
    """The tools of a turn: those that the cell names, else the session's choice, else the settings'."""
    from ante_nb.agent.tools import builtin_tools, select
    from ante_nb.agent.tools.functions import REGISTERED

    everything = {**builtin_tools(host), **REGISTERED, **(served or {})}
    wanted = wanted if wanted is not None else runtime.choices.tools
    if wanted is not None or settings.values.tools is None:
        return select(everything, wanted)
    try:
        return select(everything, ",".join(settings.values.tools) or "none")
    except ConfigError as error:
        where = paths.display(settings.path or paths.settings())
        raise ConfigError(f"{where}: `tools`: {error.message}", error.hint) from None


def _system(choice: Choice | None, tools: bool, settings: Settings) -> str:
    from ante_nb.agent.prompt import system_prompt

    limit = None if choice is None else choice.model.context_limit
    return system_prompt(
        8192 if choice is not None and choice.provider.id == "local" else limit,
        tools=tools,
        own=settings.values.system_prompt,
        more=settings.values.append_system_prompt,
    )


class _Kernel:
    """A kernel's surroundings, as far as the list of tools depends on them."""

    has_python = has_cells = True


def usual_tools(runtime: Runtime, choice: Choice | None) -> tuple[str, tuple[ToolSpec, ...]]:
    """The system prompt and the tools of a turn without flags, before there was one."""
    settings = runtime.settings()
    try:
        tools = _tools(runtime, None, settings, cast("Host", _Kernel()))
    except ConfigError:
        tools = {}
    return _system(choice, bool(tools), settings), tuple(tool.spec() for tool in tools.values())


def _permissions(runtime: Runtime, mode: str, options: TurnOptions, settings: Settings) -> Permissions:
    from ante_nb.agent.permissions import Permissions, check_rules, parse_rules, unknown_tools

    if settings.unreadable and mode != "strict":
        raise ConfigError(
            f"mode {mode} is refused: what {settings.source} forbids is not known, for {settings.unreadable}",
            "Correct it, or remove it to start afresh; `--mode strict` works meanwhile.",
        )
    report = check_rules(settings)
    report.check()
    extra, wrong = parse_rules(options.allow)
    if wrong:
        raise ConfigError(f"--allow: {wrong[0]}", "A rule is `Tool` or `Tool(glob)`, like `Bash(git *)`.")
    rules = settings.permissions
    permissions = Permissions(
        mode,
        {"allow": [*rules.allow, *options.allow], "ask": rules.ask, "deny": rules.deny},
        runtime.grants,
        forbid_yolo=settings.forbid_yolo,
    )
    # The same problems, with the file and the key.
    permissions.problems = [*report.notices, *unknown_tools(extra, "--allow")]
    return permissions


def _news(runtime: Runtime, choice: Choice, settings: Settings, permissions: Permissions) -> tuple[str, ...]:
    """Notices of the choice, told once in a session; what is wrong with the files, told once at all."""
    report = runtime.catalog().report()
    lines = {f"{runtime.session.id} {line}": line for line in (*runtime.session.news, *choice.notices)}
    problems = (*settings.problems, *permissions.problems, *([report] if report else ()))
    lines |= {line: line for line in (*problems, *runtime.sign_in_news())}
    new = {key: line for key, line in lines.items() if key not in runtime.reported}
    runtime.reported.update(new)
    return tuple(new.values())


def _tool_choice(wanted: str | None, tools: dict[str, Any]) -> str:
    if wanted is None or wanted in ("auto", "none", "required"):
        return wanted or "auto"
    for name in tools:
        if name.lower() == wanted.lower():
            return name
    raise ConfigError(
        f"--tool-choice: there is no tool {wanted!r}",
        f"Known: {', '.join(tools) or 'none'}, auto, none, required.",
    )


def _limits(choice: Choice) -> Any:
    """Result sizes that fit the model: a small context cannot take 30,000 characters at once.

    On this machine a result also costs the time to read it, about a second for every 500 characters of
    a small model on a CPU.
    """
    from ante_nb.agent.tools.base import Limits

    context = choice.model.context_limit
    if choice.provider.id != "local":
        small = context is not None and context <= 16_384
        return Limits(result_chars=3_000, read_lines=120) if small else Limits()
    from ante_nb.local.provider import known_context

    context = context or known_context(choice.model.id) or 8_192
    size = min(8_000, max(1_500, context * 3 // 8))
    return Limits(result_chars=size, read_lines=size // 25, line_chars=500)
