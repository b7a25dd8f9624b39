"""Every example command of the providers page as a ``%%ante`` cell: URL, headers, authentication, model."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from support.four_wires import WireServer
from support.kernel import Kernel
from support.shared import ROOT

from ante_nb.providers.catalog.load import load_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "token-of-a-test-0123456789"


@dataclass(frozen=True)
class Command:
    """A command of the page and what must arrive. ``path`` is below the catalog's host."""

    flags: str
    path: str
    auth: str
    model: str
    key: str | None = None
    """The variable that holds the key; without one, a sign-in or nothing."""
    base_variable: str | None = None
    """The variable that leads to the loopback server; without one, a catalog entry with a base URL."""
    env: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    said: str = ""
    """What the page writes, where the flags alone are not its command."""

    @property
    def command(self) -> str:
        return self.said or f"ante {self.flags}".strip()

    @property
    def provider(self) -> str:
        found = re.search(r"--provider (\S+)", self.flags)
        return found[1] if found else "anthropic"


BEARER, X_KEY, GOOGLE = "authorization", "x-api-key", "x-goog-api-key"
VERSION = {"anthropic-version": "2023-06-01"}

COMMANDS = [
    Command(
        "--provider anthropic --model claude-sonnet-4-5",
        "/v1/messages",
        X_KEY,
        "claude-sonnet-4-5",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        headers=VERSION,
    ),
    Command("", "/v1/messages", X_KEY, "claude-sonnet-4-6", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL",
            headers=VERSION, said="Built-in default — Anthropic with Claude Sonnet"),
    Command("--provider openai --model gpt-5.4", "/v1/responses", BEARER, "gpt-5.4", "OPENAI_API_KEY",
            "OPENAI_BASE_URL"),
    # The loopback server has no WebSocket, so the answer comes over HTTP.
    Command("--provider openai --model gpt-5-mini", "/v1/responses", BEARER, "gpt-5-mini", "OPENAI_API_KEY",
            "OPENAI_BASE_URL", {"ANTE_OPENAI_TRANSPORT": "websocket_auto"},
            said="ANTE_OPENAI_TRANSPORT=websocket_auto ante --provider openai --model gpt-5-mini"),
    Command("--provider gemini --model gemini-3.1-pro-preview",
            "/v1beta/models/gemini-3.1-pro-preview:streamGenerateContent?alt=sse", GOOGLE, "", "GEMINI_API_KEY"),
    Command("--provider vertex-gemini --model gemini-3.1-pro-preview",
            "/v1/publishers/google/models/gemini-3.1-pro-preview:streamGenerateContent?alt=sse", GOOGLE, "",
            "VERTEX_GEMINI_API_KEY"),
    Command("--provider xai --model grok-4-latest", "/v1/responses", BEARER, "grok-4-latest", "XAI_API_KEY"),
    Command("--provider zai --model glm-5.1", "/api/paas/v4/chat/completions", BEARER, "glm-5.1", "Z_AI_API_KEY"),
    Command("--provider openrouter --model anthropic/claude-sonnet-4.6", "/api/v1/chat/completions", BEARER,
            "anthropic/claude-sonnet-4.6", "OPENROUTER_API_KEY"),
    Command("--provider openrouter --model deepseek/deepseek-reasoner", "/api/v1/chat/completions", BEARER,
            "deepseek/deepseek-reasoner", "OPENROUTER_API_KEY"),
    Command("--provider deepseek --model deepseek-v4-flash", "/chat/completions", BEARER, "deepseek-v4-flash",
            "DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL"),
    Command("--provider ali-coding-plan --model qwen3.5-plus", "/apps/anthropic/v1/messages", BEARER,
            "qwen3.5-plus", "ALI_CODING_PLAN_API_KEY",
            headers={**VERSION, "x-dashscope-useragent": "coding-agent"}),
    Command("--provider ali-coding-plan-oai --model qwen3-max-2026-01-23", "/v1/chat/completions", BEARER,
            "qwen3-max-2026-01-23", "ALI_CODING_PLAN_API_KEY",
            headers={"user-agent": "ante-cli/1.0.0", "x-dashscope-useragent": "coding-agent"},
            said='"ali-coding-plan-oai": {'),
    Command("--provider my-provider --model my-model", "/v1/chat/completions", BEARER, "my-model",
            "MY_PROVIDER_API_KEY", said='"my-provider": {'),
    Command("--provider antix --model claude-sonnet-4-6", "/v1/messages", BEARER, "claude-sonnet-4-6",
            "ANTIX_API_KEY", "ANTIX_BASE_URL", headers=VERSION),
    Command("--provider antix-subscription", "/v1/messages", BEARER, "claude-sonnet-4-6", headers=VERSION,
            said="Use --provider antix-subscription for OAuth-backed access."),
    Command("--provider anthropic-subscription", "/v1/messages", BEARER, "claude-sonnet-4-6",
            headers={**VERSION, "anthropic-beta": "oauth-2025-04-20"}, said="anthropic-subscription | "),
    Command("--provider anthropic-subscription --model claude-haiku-4-5 --thinking high", "/v1/messages", BEARER,
            "claude-haiku-4-5", said="anthropic-subscription | ",
            headers={**VERSION, "anthropic-beta": "oauth-2025-04-20,interleaved-thinking-2025-05-14"}),
    Command("--provider openai-subscription", "/backend-api/codex/responses", BEARER, "gpt-5.4",
            said="openai-subscription | "),
    Command("--provider openai-compatible --model meta-llama/Llama-3-70b-chat-hf", "/v1/chat/completions", BEARER,
            "meta-llama/Llama-3-70b-chat-hf", "OPENAI_COMPATIBLE_API_KEY", "OPENAI_COMPATIBLE_BASE_URL"),
    Command("--provider openai-compatible --model qwen3.6-plus", "/v1/chat/completions", BEARER, "qwen3.6-plus",
            "OPENAI_COMPATIBLE_API_KEY", "OPENAI_COMPATIBLE_BASE_URL", said="via --provider openai-compatible"),
    Command("--provider local", "/v1/chat/completions", "", "served-1"),
]  # fmt: skip

# A kernel is two seconds, a cell is not: one kernel for all rows.
SETUP = """\
%load_ext ante_nb
import os
from ante_nb.notebook.state import kernel_state
from ante_nb.providers.auth.keys import Credential
from ante_nb.providers.spec import Secret

class SignIns:
    def token(self, preset):
        if os.environ.get("TEST_SIGNED_IN"):
            return Credential(Secret(os.environ["TEST_SIGNED_IN"]), f"sign-in {preset}", oauth=True)
    def command(self, preset):
        return f"%ante login {preset}"

kernel_state(get_ipython()).runtime.keys.sign_ins = SignIns()
"""


@dataclass
class Desk:
    kernel: Kernel
    server: WireServer
    home: Path

    def write(self, name: str, content: Any) -> None:
        (self.home / name).write_text(json.dumps(content), encoding="utf-8")

    def environment(self, variables: dict[str, str], keep: tuple[str, ...] = ()) -> None:
        """The kernel's environment holds these, and nothing that a row before has set."""
        known = sorted({name for row in COMMANDS for name in _variables(row)} | {"MODEL_BASE_URL"})
        code = f"for name in {known!r}: os.environ.pop(name, None)\nos.environ.update({variables!r})"
        assert self.kernel.run(code).status == "ok"


def _variables(row: Command) -> list[str]:
    return [name for name in (row.key, row.base_variable, "TEST_SIGNED_IN", *row.env) if name]


@pytest.fixture
def desk(isolated_home: Path, tmp_path: Path) -> Iterator[Desk]:
    home = isolated_home / ".ante"
    home.mkdir(mode=0o700)
    with WireServer() as server, Kernel(cwd=tmp_path) as kernel:
        loaded = kernel.run(SETUP)
        assert loaded.status == "ok", loaded.text
        yield Desk(kernel, server, home)


def page_entry(name: str) -> dict[str, Any]:
    """A custom provider as the page has it."""
    from pathlib import Path

    data = Path(__file__).parents[1] / "providers/catalog/data" / f"page_{name.replace('-', '_')}.json"
    return json.loads(data.read_text(encoding="utf-8"))


def prepare(desk: Desk, row: Command, origin: str) -> None:
    """Lead the row's provider to ``origin``, by its variable or by a catalog entry that changes the base URL."""
    builtin = load_catalog(desk.home / "none").providers
    catalog: dict[str, Any] = {"providers": {}, "models": {}}
    variables = dict(row.env)
    settings: dict[str, Any] = {}
    if row.provider not in builtin:
        catalog = page_entry(row.provider)
        url = catalog["providers"][row.provider]["base_url"]
    else:
        url = builtin[row.provider].base_url or "https://host/v1"
    base = origin + urlsplit(url).path
    if row.base_variable:
        variables[row.base_variable] = base
    elif row.provider == "local":
        settings["local"] = {"engine_url": base}
    else:
        catalog["providers"].setdefault(row.provider, {})["base_url"] = base
    if row.key:
        variables[row.key] = TOKEN
    elif row.auth:
        variables["TEST_SIGNED_IN"] = TOKEN
    desk.write("catalog.json", catalog)
    desk.write("settings.json", settings)
    desk.environment(variables)


def test_every_command_of_the_page(desk: Desk) -> None:
    for row in COMMANDS:
        prepare(desk, row, desk.server.origin)
        before = len(desk.server.posts)
        outcome = desk.kernel.run(f"%%ante {row.flags}\nsay hello")
        assert outcome.status == "ok", (row.command, outcome.text)
        assert desk.kernel.value("_ante.text") == "hello", row.command
        assert desk.kernel.value("_ante.provider") == row.provider, row.command
        assert TOKEN not in json.dumps([message.content for message in outcome.messages]), row.command
        [asked] = desk.server.posts[before:]
        assert asked.path == row.path, row.command
        assert asked.body.get("model", "") == row.model, row.command
        for name in (BEARER, X_KEY, GOOGLE):
            wanted = (f"Bearer {TOKEN}" if name == BEARER else TOKEN) if name == row.auth else None
            assert asked.headers.get(name) == wanted, (row.command, name)
        for name, value in row.headers.items():
            assert asked.headers.get(name) == value, (row.command, name)
        if "user-agent" not in row.headers:
            assert asked.headers["user-agent"].startswith("ante_nb/"), row.command
        assert asked.body.get("stream", True) is True, row.command


def test_base_urls_by_precedence(desk: Desk) -> None:
    row = next(row for row in COMMANDS if row.provider == "openai-compatible")
    prepare(desk, row, desk.server.origin + "/own")
    extra = {"MODEL_BASE_URL": desk.server.origin + "/global/v1"}
    desk.kernel.run(f"os.environ.update({extra!r})")
    assert desk.kernel.run(f"%%ante {row.flags}\nhi").status == "ok"
    assert desk.server.posts[-1].path == "/own/v1/chat/completions"
    desk.kernel.run("del os.environ['OPENAI_COMPATIBLE_BASE_URL']")
    assert desk.kernel.run(f"%%ante {row.flags}\nhi").status == "ok"
    assert desk.server.posts[-1].path == "/global/v1/chat/completions"
    # A sign-in's token is for its vendor alone.
    row = next(row for row in COMMANDS if row.provider == "antix-subscription")
    prepare(desk, row, desk.server.origin + "/vendor")
    desk.kernel.run(f"os.environ.update({extra!r})")
    assert desk.kernel.run(f"%%ante {row.flags}\nhi").status == "ok"
    assert desk.server.posts[-1].path == "/vendor/v1/messages"


def test_the_page_has_no_other_command() -> None:
    page = ROOT / "providers-page.md"
    if not page.exists():
        pytest.skip("the providers page is not part of the repository")
    text = page.read_text(encoding="utf-8")
    written = set(re.findall(r"\bante (--provider \S+(?: --model [^\s`]+)?)", text))
    rows = {row.flags for row in COMMANDS}
    assert written and written <= rows, written - rows
    for row in COMMANDS:
        assert row.command in text, row.command
