"""``%ante providers``, ``%ante models``, ``%ante key`` in a real kernel."""

from __future__ import annotations

import json
import os
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import Reply, status
from support.four_wires import WireServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.ante import Ante
    from support.kernel import Outcome

PASTED = "sk-pasted-0123456789abcdefghij"


@pytest.fixture
def vendor() -> Iterator[WireServer]:
    with WireServer() as server:
        yield server


def line_of(outcome: Outcome, start: str) -> str:
    """The one line whose first word, after the mark, is ``start``."""
    found = [line for line in outcome.stdout.splitlines() if line.lstrip("* ").startswith(start + " ")]
    assert len(found) == 1, outcome.text
    return found[0]


def environment(ante: Ante, **variables: str) -> None:
    assert ante.kernel.run(f"import os; os.environ.update({variables!r})").status == "ok"


def everything_said(ante: Ante) -> str:
    shown = (message for cell in ante.kernel.cells for message in cell.messages)
    return json.dumps([message.content for message in shown if message.kind != "execute_input"])


def stored(home: Path) -> dict[str, str]:
    return json.loads((home / ".ante/auth/api_keys.json").read_text())


# --------------------------------------------------------------------------------------- providers


def test_providers(ante: Ante, isolated_home: Path) -> None:
    environment(
        ante,
        ANTHROPIC_API_KEY="key-of-a-test-000000",
        ANTHROPIC_BASE_URL="https://me:secret-of-me@proxy.example/v1?key=secret-of-me",
        MODEL_BASE_URL="https://all.example/v1",
    )
    entry = {"base_url": "https://mine.example/v1", "wire_style": "OpenAiCompatible", "display_name": "Mine"}
    (isolated_home / ".ante/catalog.json").write_text(json.dumps({"providers": {"mine": entry}}))
    outcome = ante.kernel.run("%ante providers")
    assert outcome.status == "ok", outcome.text
    ids = [line[2:].split()[0] for line in outcome.stdout.splitlines()[1:-1]]
    assert ids == [
        *("anthropic", "anthropic-subscription", "openai", "openai-compatible", "openai-subscription"),
        *("gemini", "vertex-gemini", "openrouter", "xai", "zai", "deepseek", "ali-coding-plan"),
        *("antix", "antix-subscription", "mine", "local"),
    ]
    anthropic = line_of(outcome, "anthropic")
    assert "AnthropicMessage" in anthropic and "environment ANTHROPIC_API_KEY" in anthropic
    assert "https://proxy.example/v1 (environment ANTHROPIC_BASE_URL)" in anthropic
    assert "https://all.example/v1 (environment MODEL_BASE_URL)" in line_of(outcome, "zai")
    # A sign-in's token goes to its vendor alone.
    assert "https://api.anthropic.com/v1 (catalog)" in line_of(outcome, "anthropic-subscription")
    own = line_of(outcome, "openai-compatible")
    assert own.startswith("* ") and f"{ante.server.url} (environment OPENAI_COMPATIBLE_BASE_URL)" in own
    assert "no key (XAI_API_KEY)" in line_of(outcome, "xai")
    assert "not signed in" in line_of(outcome, "antix-subscription")
    assert "no authentication needed" in line_of(outcome, "local")
    ante.kernel.run("%ante provider anthropic")
    assert "https://proxy.example/v1 " in ante.kernel.run("%ante").stdout
    assert "secret-of-me" not in everything_said(ante) and "key-of-a-test" not in everything_said(ante)


def test_the_short_lists_stay_short(ante: Ante) -> None:
    providers = ante.kernel.run("%ante provider").stdout
    assert "ready: environment OPENAI_COMPATIBLE_API_KEY" in providers and "https://" not in providers
    assert "* test-model" in ante.kernel.run("%ante model").stdout
    ante.kernel.run("import os; os.environ['ZAI_API_KEY'] = 'key-of-a-test-0000'")
    ante.kernel.run("%ante provider zai")
    models = ante.kernel.run("%ante model").stdout.splitlines()
    assert models[0].startswith("* glm-5.1 ") and models[0].endswith("200,000 tokens of context")
    assert ante.kernel.run("%ante providers please").status == "error"


# ------------------------------------------------------------------------------------------ models


def test_models_of_one_provider(ante: Ante) -> None:
    outcome = ante.kernel.run("%ante models anthropic")
    row = line_of(outcome, "claude-sonnet-4-5").split()
    assert row[1:7] == ["200,000", "64,000", "3", "/", "0.3", "/"]
    assert "2026-11-30, then claude-sonnet-4-6" in line_of(outcome, "claude-sonnet-4-5")
    assert "min low medium high max" in line_of(outcome, "claude-opus-4-6")
    plan = ante.kernel.run("%ante models ali-coding-plan")
    assert " plan " in line_of(plan, "qwen3.5-plus") and "131,072" in line_of(plan, "MiniMax-M2.5")
    unknown = line_of(ante.kernel.run("%ante models deepseek"), "deepseek-v4-flash")
    assert "1,048,576" in unknown and "393,216" in unknown and "unknown" in unknown
    free = ante.kernel.run("%ante models openai-compatible").stdout
    assert "* test-model" in free and "any model id" in free


def test_models_of_all_providers(ante: Ante, isolated_home: Path) -> None:
    models = {"my-model": {"name": "my-model", "context_limit": 4321, "max_tokens": 32}}
    (isolated_home / ".ante/catalog.json").write_text(json.dumps({"models": models}))
    outcome = ante.kernel.run("%ante models")
    assert outcome.status == "ok", outcome.text
    for group in ("anthropic: ", "openai-subscription: ", "vertex-gemini: ", "antix: ", "local: "):
        assert sum(line.startswith(group) for line in outcome.stdout.splitlines()) == 1, group
    for model in ("gpt-5.4-pro", "grok-4-latest", "moonshotai/kimi-k3", "qwen-plus"):
        assert model in outcome.stdout
    assert "4,321" in line_of(outcome, "my-model")


def test_models_of_nobody(ante: Ante) -> None:
    for line in ("models nowhere", "models --alive", "models openai gemini"):
        outcome = ante.kernel.run(f"%ante {line}")
        assert outcome.status == "error" and len(outcome.error.splitlines()) == 1, outcome.text


def test_live_models_of_every_wire(ante: Ante, vendor: WireServer, isolated_home: Path) -> None:
    (isolated_home / ".ante/catalog.json").write_text(
        json.dumps({"providers": {"gemini": {"base_url": f"{vendor.origin}/v1beta"}}})
    )
    environment(
        ante,
        ANTHROPIC_API_KEY="key-a-0123456789",
        # Without /v1, as the vendor's own SDK has it.
        ANTHROPIC_BASE_URL=vendor.origin,
        OPENAI_API_KEY="key-o-0123456789",
        OPENAI_BASE_URL=f"{vendor.origin}/v1",
        GEMINI_API_KEY="key-g-0123456789",
    )
    vendor.listing = {"data": [{"id": "claude-new", "max_input_tokens": 345_678}, {"id": "claude-haiku-4-5"}]}
    outcome = ante.kernel.run("%ante models --live anthropic")
    assert outcome.status == "ok", outcome.text
    assert "345,678" in line_of(outcome, "claude-new")
    # What the server does not say comes from the catalog.
    assert "200,000" in line_of(outcome, "claude-haiku-4-5")
    asked = vendor.requests[-1]
    assert asked.path == "/v1/models?limit=1000"
    assert (asked.headers["x-api-key"], asked.headers["anthropic-version"]) == (
        "key-a-0123456789",
        "2023-06-01",
    )

    vendor.listing = {
        "models": [{"name": "models/gemini-new", "inputTokenLimit": 7777, "outputTokenLimit": 99}]
    }
    outcome = ante.kernel.run("%ante models gemini --live")
    assert line_of(outcome, "gemini-new").split()[1:3] == ["7,777", "99"]
    assert vendor.requests[-1].path == "/v1beta/models?pageSize=1000"
    assert vendor.requests[-1].headers["x-goog-api-key"] == "key-g-0123456789"

    vendor.listing = {"data": [{"id": "gpt-5.4"}, {"id": "evil\x1b[2J\nmodel"}]}
    outcome = ante.kernel.run("%ante models --live openai")
    assert "1,050,000" in line_of(outcome, "gpt-5.4")
    assert "\x1b" not in outcome.stdout and len(outcome.stdout.splitlines()) == 4
    assert vendor.requests[-1].headers["authorization"] == "Bearer key-o-0123456789"

    outcome = ante.kernel.run("%ante models --live")
    assert "* test-model" in outcome.stdout and "openai-compatible: 1 model," in outcome.stdout


def test_live_models_before_a_model_was_chosen(ante: Ante, isolated_home: Path) -> None:
    (isolated_home / ".ante/settings.json").write_text(json.dumps({"provider": "openai-compatible"}))
    assert "test-model" in ante.kernel.run("%ante models --live").stdout


def test_live_models_of_the_configured_local_server(ante: Ante, isolated_home: Path) -> None:
    local = {"local": {"engine_url": ante.server.url}}
    (isolated_home / ".ante/settings.json").write_text(json.dumps(local))
    outcome = ante.kernel.run("%ante models --live local")
    assert "test-model" in outcome.stdout, outcome.text


def test_a_server_without_a_list(ante: Ante, isolated_home: Path) -> None:
    environment(ante, VERTEX_GEMINI_API_KEY="key-v-0123456789")
    outcome = ante.kernel.run("%ante models --live vertex-gemini")
    assert "no list of models" in outcome.error and "%ante models vertex-gemini" in outcome.error
    changed = {"providers": {"openai-compatible": {"models_endpoint": "/nothing"}}}
    (isolated_home / ".ante/catalog.json").write_text(json.dumps(changed))
    error = ante.kernel.run("%ante models --live").error
    assert "no list of models" in error and f"{ante.server.url}/nothing" in error and "/v1" in error
    environment(ante, OPENAI_API_KEY="key-o-0123456789", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert "127.0.0.1:9" in ante.kernel.run("%ante models --live openai").error


@pytest.mark.parametrize("awaited", [False, True])
def test_an_interrupt_ends_the_wait_for_a_list(ante: Ante, vendor: WireServer, awaited: bool) -> None:
    environment(ante, OPENAI_API_KEY="key-o-0123456789", OPENAI_BASE_URL=f"{vendor.origin}/v1")
    vendor.hold.clear()
    tail = "\nimport asyncio; await asyncio.sleep(0)" if awaited else ""
    ante.kernel.start(f"%ante models --live openai{tail}")
    deadline = time.monotonic() + 60
    while not vendor.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    assert vendor.requests
    sent = ante.kernel.interrupt()
    outcome = ante.kernel.wait()
    assert outcome.ended - sent < 5
    assert outcome.status == "error" and "interrupted" in outcome.error
    assert len(outcome.error.splitlines()) == 1
    vendor.hold.set()
    assert "served-1" in ante.kernel.run("%ante models --live openai").stdout
    ante.check_usable()


# --------------------------------------------------------------------------------------------- key


@pytest.mark.parametrize("awaited", [False, True])
def test_a_key_by_password_prompt(ante: Ante, isolated_home: Path, vendor: WireServer, awaited: bool) -> None:
    environment(ante, OPENAI_BASE_URL=f"{vendor.origin}/v1")
    tail = "\nimport asyncio; await asyncio.sleep(0)" if awaited else ""
    outcome = ante.kernel.run(f"%ante key openai{tail}", stdin=[f" {PASTED}\n"])
    assert outcome.status == "ok", outcome.text
    assert "~/.ante/auth/api_keys.json" in outcome.stdout
    assert "platform.openai.com" in outcome.prompts[0]
    assert stored(isolated_home) == {"openai": PASTED}
    if os.name == "posix":
        assert stat.S_IMODE((isolated_home / ".ante/auth/api_keys.json").stat().st_mode) == 0o600
    assert "key store" in line_of(ante.kernel.run("%ante providers"), "openai")
    assert ante.prompt("hi", "--provider openai").status == "ok"
    assert vendor.posts[-1].headers["authorization"] == f"Bearer {PASTED}"
    ante.kernel.run(f"print('{PASTED[:9]}' '{PASTED[9:]}')")  # the person's own print is theirs
    said = [m.content for cell in ante.kernel.cells[:-1] for m in cell.messages if m.kind != "execute_input"]
    assert PASTED not in json.dumps(said)
    outcome = ante.kernel.run("%ante key openai --delete")
    assert "deleted" in outcome.stdout and stored(isolated_home) == {}
    assert "there is no key" in ante.kernel.run("%ante key --delete openai").stdout


def test_the_prompt_hides_what_is_typed(ante: Ante) -> None:
    ante.kernel.start("%ante key openai", stdin=[])
    seen: list[dict[str, Any]] = []
    take = ante.kernel._on_stdin
    ante.kernel._on_stdin = lambda message, at: (seen.append(message["content"]), take(message, at))  # type: ignore[method-assign,assignment,func-returns-value]
    ante.kernel.wait_for_input()
    assert seen[0]["password"] is True
    ante.kernel.interrupt()
    outcome = ante.kernel.wait()
    assert "no key was stored" in outcome.error and len(outcome.error.splitlines()) == 1
    assert ante.kernel.value("6 * 7") == 42


def test_a_variable_wins_over_the_store_and_that_is_said(ante: Ante) -> None:
    outcome = ante.kernel.run("%ante key openai-compatible", stdin=[PASTED])
    assert "OPENAI_COMPATIBLE_API_KEY is set" in outcome.stdout
    ante.prompt("hi")
    assert ante.server.chats[-1].headers["authorization"] == "Bearer loopback-key-0123456789"


def test_a_key_of_another_kind_is_pointed_out(ante: Ante) -> None:
    outcome = ante.kernel.run("%ante key ali-coding-plan", stdin=[PASTED])
    assert "sk-sp-" in outcome.stdout and "stored" in outcome.stdout
    fits = ante.kernel.run("%ante key ali-coding-plan", stdin=["sk-sp-0123456789"])
    assert "sk-sp-" not in fits.stdout


def test_a_key_that_is_none_is_not_stored(ante: Ante, isolated_home: Path) -> None:
    for typed in ("", "   ", "export OPENAI_API_KEY=sk-1", "sk-ключ-0123456789"):
        outcome = ante.kernel.run("%ante key openai", stdin=[typed])
        assert outcome.status == "error" and len(outcome.error.splitlines()) == 1, typed
    assert not (isolated_home / ".ante/auth/api_keys.json").exists()


def test_a_key_in_the_cell_is_refused_and_not_repeated(ante: Ante, isolated_home: Path) -> None:
    for words in (
        f"openai {PASTED}",
        f"openai '{PASTED}'",
        f"openai --key={PASTED}",
        PASTED,
        f"OPENAI_API_KEY={PASTED}",
        "0123456789abcdef0123456789abcdef",
    ):
        outcome = ante.kernel.run(f"%ante key {words}", stdin=[])
        assert outcome.status == "error" and outcome.prompts == [], words
        line = outcome.error
        assert len(line.splitlines()) == 1, words
        assert "history" in line and "Revoke" in line and "nothing was stored" in line, words
        assert words.split()[-1].rpartition("=")[2].strip("'") not in line, words
    assert not (isolated_home / ".ante/auth/api_keys.json").exists()


def test_a_key_for_nobody(ante: Ante) -> None:
    for line, words in (
        ("key", "%ante providers"),
        ("key opnai", "openai"),
        ("key local", "needs no key"),
        ("key anthropic-subscription", "%ante key anthropic"),
    ):
        outcome = ante.kernel.run(f"%ante {line}", stdin=[])
        assert outcome.status == "error" and words in outcome.error, outcome.text
        assert outcome.prompts == []


def test_a_front_end_without_a_prompt(ante: Ante) -> None:
    outcome = ante.kernel.run("%ante key openai")
    assert "OPENAI_API_KEY" in outcome.error and len(outcome.error.splitlines()) == 1


# ----------------------------------------------------------------------------------------- notices


def test_a_notice_is_told_once_in_a_session(ante: Ante) -> None:
    ante.kernel.run("%ante provider deepseek")
    environment(ante, DEEPSEEK_API_KEY="key-d-0123456789", DEEPSEEK_BASE_URL=ante.server.url)
    notice = "is passed through"
    shown = [notice in f"{o.text}{o.html}" for o in (ante.prompt("hi", "--model odd-one") for _ in range(3))]
    assert shown == [True, False, False]
    ante.kernel.run("%ante reset")
    again = ante.prompt("hi", "--model odd-one")
    assert notice in f"{again.text}{again.html}"


def test_an_overflow_says_how_to_go_on(ante: Ante) -> None:
    body = {"error": {"message": "This model's maximum context length is 8192 tokens", "code": 400}}
    ante.server.enqueue(Reply(status(400, body)))
    error = ante.prompt("hi").error
    assert "%ante reset" in error and "larger context" in error
    ante.check_usable()
