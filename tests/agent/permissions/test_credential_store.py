"""The store of keys and sign-ins lies below a working directory that is the person's home; no tool gets it."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import point_at
from support.chat_server import Reply, text, tool
from support.kernel import Kernel

from ante_nb.agent.host import ToolContext
from ante_nb.agent.permissions import Permissions
from ante_nb.agent.tools import builtin_tools
from ante_nb.agent.tools.base import ToolState
from ante_nb.messages import ToolCall

if TYPE_CHECKING:
    from pathlib import Path

    from support.chat_server import ChatServer

KEY = "plainkey0123456789abcdef"


@pytest.fixture
def home(isolated_home: Path) -> Path:
    """A home with a stored key, a link to the store, and something else to read."""
    store = isolated_home / ".ante/auth"
    store.mkdir(mode=0o700, parents=True)
    (store / "api_keys.json").write_text(json.dumps({"zai": KEY}))
    (store / "api_keys.json").chmod(0o600)
    (isolated_home / "shortcut").symlink_to(store)
    (isolated_home / "src").mkdir()
    (isolated_home / "src/a.py").write_text("x = 1\n")
    return isolated_home


def action(cwd: Path, name: str, mode: str = "strict", **arguments: Any) -> str:
    host: Any = SimpleNamespace(
        cwd=cwd, env=dict(os.environ), notebook_path=None, has_python=True, has_cells=False
    )
    chosen = builtin_tools(host)[name]
    context = ToolContext(host, ToolCall("c", name, arguments), ToolState())
    permissions = Permissions(mode)
    permissions.allow("Read")
    found: str = permissions.decide(chosen, chosen.parse(arguments), context).action
    return found


@pytest.mark.parametrize("mode", ["strict", "auto"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Read", {"file_path": "~/.ante/auth/api_keys.json"}),
        ("Read", {"file_path": ".ante/auth/api_keys.json"}),
        ("Read", {"file_path": "src/../shortcut/api_keys.json"}),
        ("Write", {"file_path": ".ante/auth/oauth_openai.json", "content": "{}"}),
        ("Grep", {"pattern": "key", "path": "~/.ante/auth", "output_mode": "content"}),
        ("Bash", {"command": "cat .ante/auth/api_keys.json"}),
        ("Bash", {"command": "cut -c9-40 ~/.ante/auth/*.json"}),
        ("Bash", {"command": "cd .ante && head -5 auth/api_keys.json"}),
        ("Bash", {"command": "cat shortcut/api_keys.json | tail -1"}),
    ],
)
def test_the_store_is_denied(home: Path, name: str, arguments: dict[str, Any], mode: str) -> None:
    assert action(home, name, mode, **arguments) == "deny"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("grep -r key .", "ask"),
        ("grep -rn key ~/.ante", "ask"),
        ("grep -r key", "ask"),
        ("ls -la", "allow"),
        ("cat src/a.py", "allow"),
        ("grep -r x src", "allow"),
        ("ls | head -5", "allow"),
    ],
)
def test_commands_that_would_come_across_it_are_asked_about(home: Path, command: str, expected: str) -> None:
    assert action(home, "Bash", command=command) == expected
    # From another place nothing is asked that was not asked before.
    assert action(home / "src", "Bash", command="grep -r x") == "allow"


def test_nothing_of_it_reaches_model_or_notebook(home: Path, chat_server: ChatServer) -> None:
    environment = point_at(chat_server, home)
    with Kernel(cwd=home, env=environment) as kernel:
        kernel.run("%load_ext ante_nb")
        for name, arguments in (
            ("Read", {"file_path": ".ante/auth/api_keys.json"}),
            ("Grep", {"pattern": "[a-z]{5}key", "path": ".", "output_mode": "content"}),
            ("Bash", {"command": "cut -c9-40 .ante/auth/api_keys.json"}),
        ):
            chat_server.enqueue(Reply(tool(name, arguments, id="call")), Reply(text("done")))
            outcome = kernel.run("%%ante\nwhat is in there?")
            assert outcome.status == "ok", outcome.text
            assert KEY[4:] not in json.dumps(outcome.outputs)
        outcome = kernel.run("%%ante\nLook at @.ante/auth/api_keys.json please.")
        assert outcome.status == "ok", outcome.text
    assert len(chat_server.chats) == 7
    assert all(KEY[4:] not in json.dumps(chat.body) for chat in chat_server.chats)
    journals = list((home / ".ante/sessions").rglob("*.jsonl"))
    assert journals and all(KEY[4:] not in path.read_text() for path in journals)
