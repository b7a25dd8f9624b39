"""The arguments of ``%%ante`` and ``%ante``: one definition for the parser, ``%ante?``, ``-h`` and the docs."""

from __future__ import annotations

import argparse
import difflib
import shlex
import textwrap
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any, NoReturn

from ante_nb.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of ``%%ante``: its names, what follows it, and what it does."""

    names: tuple[str, ...]
    help: str
    value: str | None = None
    """What the help calls the flag's value; ``None`` for a switch."""
    repeat: bool = False
    number: bool = False

    @property
    def field(self) -> str:
        return self.names[-1].lstrip("-").replace("-", "_")


FLAGS: tuple[Flag, ...] = (
    Flag(("-p", "--provider"), "provider id, see `%ante provider`", "ID"),
    Flag(("-m", "--model"), "model id; with --provider any id is passed through", "ID"),
    Flag(
        ("-t", "--thinking"),
        "thinking level: min low medium high xhigh max, or Disabled Enabled Deep Max",
        "LEVEL",
    ),
    Flag(
        ("--tools",), "tools the model may use: `none`, `all`, or names and globs like `Read,Grep`", "NAMES"
    ),
    Flag(("--tool-choice",), "force one tool for the first step (for models too small to choose)", "NAME"),
    Flag(("--max-steps",), "model calls at most (default 50)", "N", number=True),
    Flag(("--max-tokens",), "tokens that the turn may read and write at most, all steps together", "N"),
    Flag(("--max-cost",), "US dollars that the turn may cost at most", "USD"),
    Flag(("--max-seconds",), "seconds after which the turn is ended", "S"),
    Flag(("--mode",), "permission mode for this cell: strict, auto or yolo", "MODE"),
    Flag(("--data",), "what of your data this cell may send: schema, stats, sample or full", "LEVEL"),
    Flag(
        ("--allow",),
        "allow calls by a rule, like `Bash(git *)` or `Write`; may be repeated",
        "RULE",
        repeat=True,
    ),
    Flag(
        ("--schema",),
        "a pydantic model, dataclass or type of yours; the answer is validated into Turn.value",
        "NAME",
    ),
    Flag(("--dry-run",), "show what would be sent, its tokens and its price, and send nothing"),
    Flag(("--summary",), "the cell's text takes the place of the conversation's summary; nothing is sent"),
    Flag(("--append",), "go on from the last turn, also when this cell ran before"),
    Flag(("--fresh",), "ask the model anew, also where its answer is recorded"),
    Flag(("--keep-going",), "end the cell ok even if the turn fails"),
    Flag(
        ("-v", "--variable"),
        "attach a variable, as far as the data policy allows; may be repeated",
        "NAME",
        repeat=True,
    ),
    Flag(("--verbose",), "show thinking and tool output unfolded"),
    Flag(("-o", "--output"), "bind the Turn to this variable (always to `_ante`)", "NAME"),
    Flag(("-h", "--help"), "show this help"),
)


@dataclass(frozen=True, slots=True)
class Command:
    """A sub-command of ``%ante``."""

    name: str
    arguments: str
    help: str


COMMANDS: tuple[Command, ...] = (
    Command(
        "status", "", "what a turn would use now, and where each value comes from (also: no sub-command)"
    ),
    Command("provider", "[ID]", "choose the provider for the following cells; without ID: list them"),
    Command("providers", "", "all providers: wire, how signed in, base URL in effect and its source"),
    Command("model", "[ID]", "choose the model; without ID: list the provider's"),
    Command(
        "models",
        "[--live] [PROVIDER]",
        "models with context, output limit, price, thinking levels; without PROVIDER: of all. "
        "--live asks the server itself",
    ),
    Command("thinking", "[LEVEL]", "choose the thinking level; `default` takes the choice back"),
    Command("mode", "[strict|auto|yolo]", "choose the permission mode"),
    Command(
        "policy",
        "[LEVEL] [NAME=LEVEL ...]",
        "how much of your data may be sent: schema, stats, sample, full; for all, or for a variable "
        "(`df=schema`; `df=` takes it back)",
    ),
    Command(
        "sent",
        "[--full [N]]",
        "what left this machine in the last turn, and how much of it was your data; --full prints the bodies",
    ),
    Command(
        "key",
        "PROVIDER [--delete]",
        "ask for an API key by a password prompt and store it; --delete forgets it",
    ),
    Command(
        "login",
        "PROVIDER [--device|--paste|--browser] [--no-browser] [--again]",
        "sign in with a subscription: the cell shows link and code and waits until it is done; "
        "the flags choose the way, open no browser, or sign in anew",
    ),
    Command("logout", "PROVIDER", "revoke a sign-in where the vendor can, and delete it here"),
    Command(
        "auth",
        "[store file|keyring]",
        "who is signed in, how, until when, from where; `store` moves keys and sign-ins into the system "
        "keyring or back into files",
    ),
    Command("save", "", "write the present choices to settings.json"),
    Command("reset", "", "start a new session; choices stay"),
    Command("usage", "", "tokens and cost of this session"),
    Command(
        "sessions",
        "[here|all]",
        "the recorded sessions of this notebook; `here` of the working directory, `all` of all",
    ),
    Command(
        "resume",
        "[SESSION]",
        "go on with a session, by the end of its id or its name; without more the one that this notebook had "
        "before its kernel was restarted",
    ),
    Command(
        "fork",
        "[N|TURN]",
        "go on in a new session with the same turns, or without the last N of them; the old one stays",
    ),
    Command(
        "rewind",
        "[N|TURN]",
        "take the last turn, the last N, or all from TURN on back from the conversation (they stay as a "
        "branch); files and variables are not touched",
    ),
    Command("branches", "[N]", "the branches of this session; with N: go on from the end of that one"),
    Command("rename", "NAME", "give this session a name"),
    Command(
        "export",
        "FILE [SESSION] [--force]",
        "write the conversation into FILE: .html, .md or .ipynb; --force replaces a file",
    ),
    Command("context", "", "what the conversation takes of the model's context, by category"),
    Command(
        "compact",
        "[INSTRUCTIONS|show|edit]",
        "have the model write a summary that stands for the conversation so far; show it, or edit it in a cell",
    ),
    Command(
        "limits",
        "[NAME=VALUE ...]",
        "what a turn and the session may use: steps, tokens, cost (dollars), seconds; like `cost=0.50` for each "
        "turn, `session.tokens=200k` for the session, `cost=off`, `cost=-` takes it back",
    ),
    Command(
        "changes",
        "[TURN|all]",
        "what a turn changed, files and variables; without TURN: the last one that is not undone",
    ),
    Command(
        "undo",
        "[TURN]",
        "put back what a turn changed, files and variables; what was changed since is left and named",
    ),
    Command("redo", "", "take the last undo back"),
    Command(
        "record",
        "[on|off]",
        "keep the model's answers in .ante/recordings next to the notebook: an unchanged prompt in an "
        "unchanged context is then replayed, not sent and not billed again; without more: what is in force",
    ),
    Command(
        "check",
        "[NOTEBOOK] [--all]",
        "run the saved notebook from the top in a fresh kernel, answers replayed, nothing sent; reports "
        "the first difference (--all: every one)",
    ),
    Command("fix", "[WORDS]", "send the last error as a prompt"),
    Command(
        "local",
        "[use|start|stop|attach|detach|get|rm|log] ...",
        "models on this machine; without more: engines, models and servers. use MODEL [--context N] chooses, "
        "start [MODEL] and stop [MODEL] [--force] a server, attach [PORT|URL] uses one that you run, detach "
        "leaves it, get REPO[:FILE]|URL downloads, rm MODEL deletes, log [MODEL] shows the engine's log; "
        "--scan looks for servers on ports 8080-8179",
    ),
    Command(
        "mcp",
        "[restart|stop] [NAME]",
        "the MCP servers of settings.json and their tools; starts them, as the first prompt does",
    ),
    Command("doctor", "", "what is found, what is missing, what to type"),
    Command(
        "panel",
        "[--inline]",
        "open the panel beside the notebook: provider and model, usage, a prompt box, the running turn; "
        "--inline shows it below the cell",
    ),
    Command("help", "", "this help"),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"%%ante: {message}", "`%%ante -h` shows all flags.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="%%ante", add_help=False, allow_abbrev=False)
    for flag in FLAGS:
        if flag.value is None:
            parser.add_argument(*flag.names, action="store_true", dest=flag.field)
        elif flag.repeat:
            parser.add_argument(*flag.names, action="append", default=[], dest=flag.field)
        else:
            parser.add_argument(*flag.names, default=None, dest=flag.field)
    return parser


def parse(line: str) -> argparse.Namespace:
    """The flags of a ``%%ante`` line.

    Raises:
        ConfigError: an unknown flag (with near matches), a missing or wrong value, unbalanced quotes.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(
            f"%%ante: {str(error).lower()} in the flags",
            "Check the quotes (quotation marks) of the first line.",
        ) from None
    found, rest = _parser().parse_known_args(words)
    if rest:
        raise _unknown(rest[0])
    return _checked(found)


def _unknown(word: str) -> ConfigError:
    if not word.startswith("-"):
        return ConfigError(
            f"%%ante: {word!r} is not a flag",
            "Write the prompt below the first line; `%%ante -h` shows all flags.",
        )
    names = [name for flag in FLAGS for name in flag.names]
    near = difflib.get_close_matches(word.split("=")[0], names, n=2)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    return ConfigError(f"%%ante: there is no flag {word}", f"{guess}`%%ante -h` shows all flags.")


def _checked(found: argparse.Namespace) -> argparse.Namespace:
    if found.max_steps is not None:
        try:
            steps = int(found.max_steps)
        except ValueError:
            steps = 0
        if steps < 1:
            raise ConfigError(
                f"--max-steps: {found.max_steps!r} is not a number of steps", "Use a whole number from 1 on."
            )
        found.max_steps = steps
    for name in ("tokens", "cost", "seconds"):
        text = getattr(found, f"max_{name}")
        if text is not None:
            setattr(found, f"max_{name}", _limit(name, text))
    if found.output in ("In", "Out", "get_ipython"):
        raise ConfigError(f"-o: {found.output} belongs to IPython", "Use a name of your own, like `result`.")
    if found.output is not None and (not found.output.isidentifier() or iskeyword(found.output)):
        raise ConfigError(f"-o: {found.output!r} is not a variable name", "Use a Python name like `result`.")
    for name in found.variable:
        if not name.isidentifier():
            raise ConfigError(f"-v: {name!r} is not a variable name", "`--verbose` has no short form.")
    if found.data is not None:
        from ante_nb.describe import parse_policy

        found.data = parse_policy(found.data, "--data")
    if found.mode is not None:
        from ante_nb.agent.options import parse_mode

        found.mode = parse_mode(found.mode)
    return found


def _limit(name: str, text: str) -> float:
    """The value of ``--max-tokens`` and the like; infinite for ``off``."""
    from ante_nb.agent.limits import parse_limit

    try:
        value = parse_limit(name, text)
    except ConfigError as error:
        example = {"tokens": "200000", "cost": "0.50", "seconds": "60"}[name]
        raise ConfigError(f"--max-{name}: {text!r} cannot be used", f"Write it like `{example}`.") from error
    if value is None:
        raise ConfigError(f"--max-{name} needs a number", "`off` is no limit for this cell.")
    return value


def options_of(found: argparse.Namespace) -> Any:
    """The parsed flags as :class:`~ante_nb.agent.options.TurnOptions`."""
    from ante_nb.agent.options import TurnOptions

    return TurnOptions(
        provider=found.provider,
        model=found.model,
        thinking=found.thinking,
        tools=found.tools,
        mode=found.mode,
        allow=tuple(found.allow),
        max_steps=found.max_steps,
        append=found.append,
        tool_choice=found.tool_choice,
        data_policy=found.data,
        variables=tuple(found.variable),
        dry_run=found.dry_run,
        max_tokens=found.max_tokens,
        max_cost=found.max_cost,
        max_seconds=found.max_seconds,
        fresh=found.fresh,
    )


def cell_help() -> str:
    """The help of ``%%ante``."""
    lines = [
        "%%ante [flags]",
        "PROMPT ...",
        "",
        "Run the cell's text as a prompt for the coding agent. The text is sent as it is;",
        "@file, @directory/, @variable and @cell:3 attach context.",
        "",
    ]
    for flag in FLAGS:
        left = ", ".join(flag.names) + (f" {flag.value}" if flag.value else "")
        lines.extend(_row(left, flag.help, 24))
    return "\n".join(lines)


def line_help() -> str:
    """The help of ``%ante``."""
    lines = ["%ante [sub-command]", "", "Control the coding agent of this kernel.", ""]
    for command in COMMANDS:
        lines.extend(_row(f"{command.name} {command.arguments}".strip(), command.help, 28))
    return "\n".join(lines)


def full_help() -> str:
    """Both, as ``%ante help`` and ``%ante?`` show it."""
    return f"{line_help()}\n\n{cell_help()}"


def _row(left: str, text: str, width: int) -> list[str]:
    wrapped = textwrap.wrap(text, 96 - width)
    rows = (
        [f"  {left:<{width}}{wrapped[0]}"]
        if len(left) < width
        else [f"  {left}", f"  {'':<{width}}{wrapped[0]}"]
    )
    return rows + [f"  {'':<{width}}{line}" for line in wrapped[1:]]
