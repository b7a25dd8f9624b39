"""The sub-commands of ``%ante``. Each prints a few lines; what is wrong is raised as one clear line."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.errors import AnteError, ConfigError
from ante_nb.notebook import (
    arguments,
    auth_commands,
    context_commands,
    keys,
    login,
    mcp_commands,
    provider_commands,
    replay_commands,
    session_commands,
    undo_commands,
)
from ante_nb.notebook.printing import say, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.notebook.state import KernelState


def run(state: KernelState, line: str) -> None:
    """Run one ``%ante`` line.

    Raises:
        AnteError: an unknown sub-command, a value that cannot be used.
    """
    words = line.split(maxsplit=1)
    name, rest = (words[0].lower(), words[1].strip() if len(words) > 1 else "") if words else ("status", "")
    if name in ("-h", "--help"):
        name = "help"
    handler = _HANDLERS.get(name)
    if handler is None:
        near = difflib.get_close_matches(name, _HANDLERS, n=2)
        guess = f"Did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(
            f"%ante has no sub-command {name!r}",
            f"{guess}Known: {', '.join(_HANDLERS)}. A prompt goes into a cell that starts with %%ante.",
        )
    handler(state, rest)


def choose(state: KernelState, what: str, value: str | None) -> None:
    """Set one choice of the session layer, checked; ``None`` takes it back.

    Raises:
        ConfigError: no such provider, level or mode; the choice stays as it was.
    """
    from ante_nb.agent.options import parse_mode

    choices = state.runtime.choices
    if value is not None:
        if what == "openai_transport":
            value = value.strip() or None
        elif what == "provider":
            value = state.runtime.catalog().provider(value).id
        elif what == "thinking":
            from ante_nb.providers.thinking import parse_level

            value = parse_level(value)
        elif what == "data_policy":
            from ante_nb.describe import parse_policy

            value = parse_policy(value, "%ante policy")
        elif what == "mode":
            value = parse_mode(value)
            if value == "yolo" and state.runtime.settings().forbid_yolo:
                raise ConfigError("the administrator of this machine forbids yolo", "Use strict or auto.")
    if what == "provider" and value != choices.provider:
        # A model belongs to the provider it was chosen for.
        choices.model = None
    setattr(choices, what, value)
    if what == "openai_transport":
        notice = state.runtime.openai_transport(state.runtime.settings())[2]
        if notice:
            say(notice)
    state.runtime.changed()


# --------------------------------------------------------------------------------------- sub-commands


def _status(state: KernelState, rest: str) -> None:
    from ante_nb.providers.failure_words import safe_url

    runtime = state.runtime
    settings = runtime.settings()
    rows: list[tuple[str, str]] = []
    try:
        choice = runtime.choose(settings=settings)
    except AnteError as error:
        rows.append(("not ready:", str(error)))
    else:
        source = choice.sources
        rows += [
            ("provider", f"{choice.provider.id}  ({source.get('provider', '')})"),
            ("model", f"{choice.model.id or choice.model.display_name}  ({source.get('model', '')})"),
            (
                "thinking",
                f"{choice.thinking or 'default'}  ({source.get('thinking', 'not set: nothing is sent')})",
            ),
            (
                "base URL",
                f"{safe_url(choice.base_url) if choice.base_url else '-'}  ({source.get('base_url', '')})",
            ),
            ("credential", source.get("credential", "none needed")),
        ]
        if choice.provider.websocket:
            words = runtime.transport_words(choice)
            rows.append(("OpenAI Transport:", f"{words}  ({source.get('transport', '')})"))
        rows += [("note", text) for text in choice.notices]
    mode, mode_source = runtime.mode(None, settings)
    session = runtime.session
    rows += [
        ("mode", f"{mode}  ({mode_source})"),
        ("data policy", "{}  ({})".format(*_policy_words(state))),
        ("session", f"{session.id}, {session.turns} turn{'s' * (session.turns != 1)}"),
        ("working directory", str(Path.cwd())),
    ]
    if state.notebook_path is not None:
        rows.append(("notebook", str(state.notebook_path)))
    table(rows)
    for problem in _problems(state):
        say(problem)
    say(f"sub-commands: {', '.join(_HANDLERS)}   (`%ante help`)")


def _policy_words(state: KernelState) -> tuple[str, str]:
    policies, source = state.runtime.policies(None, state.runtime.settings())
    return policies.words(), source


def _problems(state: KernelState) -> list[str]:
    from ante_nb.agent.permissions import check_rules

    settings = state.runtime.settings()
    rules = check_rules(settings)
    refused = (f"{line}: prompts are refused until it is corrected" for line in rules.broken)
    report = state.runtime.catalog().report()
    return [*settings.problems, *refused, *rules.notices, *([report] if report else ())]


def _provider(state: KernelState, rest: str) -> None:
    if rest:
        choose(state, "provider", _value(rest))
        _chosen(state)
    else:
        provider_commands.short_providers(state)


def _model(state: KernelState, rest: str) -> None:
    if rest:
        choose(state, "model", _value(rest))
        _chosen(state)
        return
    try:
        provider_commands.short_models(state)
    except AnteError as error:
        say(str(error))


def _thinking(state: KernelState, rest: str) -> None:
    if rest:
        choose(state, "thinking", _value(rest))
    try:
        choice = state.runtime.choose()
    except AnteError:
        say(f"thinking: {state.runtime.choices.thinking or 'default'}")
        return
    from ante_nb.providers.thinking import levels_of

    levels = ", ".join(levels_of(choice.model)) or "none: this model has no thinking control"
    say(f"thinking: {choice.thinking or 'default'}   ({choice.model.id} has {levels})")


def _mode(state: KernelState, rest: str) -> None:
    if rest:
        choose(state, "mode", _value(rest))
    mode, source = state.runtime.mode(None, state.runtime.settings())
    meaning = {
        "strict": "reading is allowed, changing and running asks",
        "auto": "all but dangerous or unknown calls are allowed",
        "yolo": "everything is allowed without asking",
    }[mode]
    say(f"mode: {mode} ({source}): {meaning}")


def _policy(state: KernelState, rest: str) -> None:
    from ante_nb.describe import parse_policy

    for word in rest.replace(",", " ").split():
        name, separate, level = word.partition("=")
        if not separate:
            choose(state, "data_policy", _value(word))
        elif not name.isidentifier():
            raise ConfigError(f"%ante policy: {name!r} is not a variable name", "Write it like `df=schema`.")
        elif _value(level or "default") is None:
            state.runtime.variable_policies.pop(name, None)
        else:
            state.runtime.variable_policies[name] = parse_policy(level, f"%ante policy {name}")
    state.runtime.changed()
    policies, source = state.runtime.policies(None, state.runtime.settings())
    meaning = {
        "schema": "names, types and shapes of your data may be sent, no values",
        "stats": "names, types, shapes, null shares and ranges may be sent, no single values",
        "sample": "some values are sent where they help",
        "full": "whatever a tool reads is sent, up to its usual limits",
    }[policies.default]
    say(f"data policy: {policies.words()} ({source}): {meaning}")


def _sent(state: KernelState, rest: str) -> None:
    from ante_nb.notebook.sent import sent

    sent(state, rest)


def _value(rest: str) -> str | None:
    return None if rest.lower() in ("default", "unset", "-") else rest


def _chosen(state: KernelState) -> None:
    try:
        choice = state.runtime.choose()
    except AnteError as error:
        say(f"chosen, but not ready: {error}")
        return
    say(f"{choice.provider.id} / {choice.model.id or choice.model.display_name}")
    for text in choice.notices:
        say(text)


def _save(state: KernelState, rest: str) -> None:
    for line in save_choices(state):
        say(line)


def save_choices(state: KernelState) -> list[str]:
    """Write the session's choices to settings.json; what there is to say of it.

    Raises:
        ConfigError: the file cannot be written.
    """
    from ante_nb.settings import TRANSPORTS, save

    choices = state.runtime.choices
    changes: dict[str, Any] = {
        key: value for key in ("provider", "model", "thinking") if (value := getattr(choices, key))
    }
    said = []
    if choices.mode == "yolo":
        said.append("yolo is never saved; the mode in settings.json stays as it is")
    elif choices.mode:
        changes["permission_mode"] = choices.mode
    if choices.openai_transport in TRANSPORTS:
        changes["openai_transport"] = choices.openai_transport
    if choices.data_policy:
        changes["data_policy"] = choices.data_policy
    if not changes:
        return [
            *said,
            "nothing to save: no provider, model, thinking level, mode, transport or data policy was chosen"
            " in this session",
        ]
    path = save(changes)
    return [*said, f"saved to {path}: " + ", ".join(f"{key} = {value}" for key, value in changes.items())]


def _reset(state: KernelState, rest: str) -> None:
    state.runtime.reset()
    say(f"new session {state.runtime.session.id}; your variables and files are untouched")


def _usage(state: KernelState, rest: str) -> None:
    session = state.runtime.session
    usage = session.usage
    cost = f"${session.cost:.4f}" + ("" if session.cost_known else " and what has no known price")
    table(
        [
            ("session", session.id),
            ("turns", str(session.turns)),
            (
                "input",
                f"{usage.input:,} tokens ({usage.cache_read:,} read from cache, {usage.cache_write:,} written)",
            ),
            ("output", f"{usage.output:,} tokens ({usage.reasoning:,} reasoning)"),
            ("cost", cost if session.cost or session.cost_known else "unknown"),
        ]
    )


def fix_prompt(state: KernelState, words: str) -> str:
    """The prompt of ``%ante fix``: the last error with the cell that raised it.

    Raises:
        ConfigError: no cell has failed.
    """
    import traceback

    failure = state.last_failure
    if failure is None:
        raise ConfigError("no cell has failed in this kernel", "Run the cell that fails, then `%ante fix`.")
    frames = failure.error.__traceback__
    # The first frames are IPython's own.
    while frames is not None and "IPython" in frames.tb_frame.f_code.co_filename and frames.tb_next:
        frames = frames.tb_next
    trace = "".join(traceback.format_exception(type(failure.error), failure.error, frames, limit=-12))
    request = words or "Find out why this cell fails and say how to fix it."
    return f"{request}\n\nThe cell:\n```python\n{failure.source.rstrip()}\n```\n\nThe error:\n```\n{trace.rstrip()[-8000:]}\n```"


def _fix(state: KernelState, rest: str) -> None:
    from ante_nb.notebook.cell import run_fix_blocking

    run_fix_blocking(state.shell, rest)


def _local(state: KernelState, rest: str) -> None:
    from ante_nb.notebook.local_commands import local

    local(state, rest)


def _doctor(state: KernelState, rest: str) -> None:
    from ante_nb.notebook.doctor import report

    for ok, what, hint in report(state):
        say(f"{'ok ' if ok else '-- '} {what}" + (f"\n      {hint}" if hint and not ok else ""))


def _panel(state: KernelState, rest: str) -> None:
    from ante_nb.notebook.panel_command import panel

    panel(state, rest)


def _help(state: KernelState, rest: str) -> None:
    print(arguments.full_help())


_HANDLERS: dict[str, Callable[[Any, str], None]] = {
    "status": _status,
    "provider": _provider,
    "providers": provider_commands.providers,
    "model": _model,
    "models": provider_commands.models,
    "thinking": _thinking,
    "mode": _mode,
    "policy": _policy,
    "sent": _sent,
    "key": keys.key,
    "login": login.login,
    "logout": auth_commands.logout,
    "auth": auth_commands.auth,
    "save": _save,
    "reset": _reset,
    "usage": _usage,
    "sessions": session_commands.sessions,
    "resume": session_commands.resume,
    "fork": session_commands.fork,
    "rewind": session_commands.rewind,
    "branches": session_commands.branches,
    "rename": session_commands.rename,
    "export": session_commands.export,
    "context": context_commands.context,
    "compact": context_commands.compact,
    "limits": context_commands.limits,
    "changes": undo_commands.changes,
    "undo": undo_commands.undo,
    "redo": undo_commands.redo,
    "record": replay_commands.record,
    "check": replay_commands.check,
    "fix": _fix,
    "local": _local,
    "mcp": mcp_commands.mcp,
    "doctor": _doctor,
    "panel": _panel,
    "help": _help,
}
