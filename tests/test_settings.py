"""settings.json, profiles, the administrator's file, saving, and where things live."""

from __future__ import annotations

import json
import stat
import subprocess
import sys

import pytest

from ante_nb import paths
from ante_nb.errors import ConfigError
from ante_nb.settings import LocalSettings, load_settings, openai_transport, save

# The whole settings.json that Ante documented for the generation of the providers page.
OLD_GENERATION = """
{"model":"claude-sonnet-4-6","provider":"anthropic","theme":"default","policy":"default",
 "has_completed_onboarding":true,"channel":"stable","status_line":["model-name","current-dir"],
 "model_thinking":{"claude-sonnet-4-6":"Enabled","gpt-5.4":"Deep"},
 "mcp_servers":{"filesystem":{"command":"npx","args":["-y","@modelcontextprotocol/server-filesystem","/tmp"]}}}
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(paths, "SYSTEM_SETTINGS", tmp_path / "etc" / "settings.json")
    directory = tmp_path / ".ante"
    directory.mkdir(mode=0o700)
    return directory


def write(home, content) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (home / "settings.json").write_text(text, encoding="utf-8")


def test_nothing_there(home):
    settings = load_settings(home, {})
    assert settings.problems == () and settings.blocked is None
    assert settings.permission_mode == "strict" and not settings.forbid_yolo
    assert settings.thinking_for("m") is None
    assert list(home.iterdir()) == [], "loading writes nothing"


def test_old_generation(home):
    write(home, OLD_GENERATION)
    settings = load_settings(home, {})
    assert settings.problems == ()
    assert (settings.values.provider, settings.values.model) == ("anthropic", "claude-sonnet-4-6")
    assert settings.permission_mode == "strict"
    assert (settings.thinking_for("claude-sonnet-4-6"), settings.thinking_for("gpt-5.4")) == (
        "medium",
        "high",
    )
    assert settings.values.mcp_servers["filesystem"].command == "npx"
    assert settings.raw["status_line"] == ["model-name", "current-dir"]


def test_new_generation(home):
    write(
        home,
        {
            "permission_mode": "auto",
            "permissions": {"allow": ["Read"], "ask": ["Bash"], "deny": ["Bash(rm *)"]},
            "model_effort": {"m": "xhigh"},
            "model_thinking": {"m": "Disabled"},
            "provider_model": {"openai": "gpt-5-mini"},
            "thinking": "Deep",
            "openai_transport": "websocket_auto",
            "data_policy": "schema",
            "max_concurrent_subagents": 0,
            "local": {"engine_url": "http://127.0.0.1:8080/v1", "context": 8192, "exit_idle": 5},
            "mcp_servers": {"s": {"command": "x", "env": {"A": "b"}, "enabled_tools": ["t"]}},
        },
    )
    settings = load_settings(home, {})
    assert settings.problems == ()
    assert settings.permission_mode == "auto"
    assert settings.permissions.deny == ["Bash(rm *)"]
    assert (settings.thinking_for("m"), settings.thinking_for("other")) == ("xhigh", "high")
    assert settings.local == LocalSettings(engine_url="http://127.0.0.1:8080/v1", context=8192, exit_idle=5)
    assert openai_transport(settings, {}) == ("websocket_auto", "settings.json", None)


MISTAKES = [
    ({"permission_mode": "wild"}, "~/.ante/settings.json: `permission_mode`: allowed are strict or auto (or default). Ignored."),
    ({"policy": "yolo"}, "~/.ante/settings.json: `policy`: yolo is never taken from a file; use `%%ante --mode yolo` in a cell."),
    ({"provider": 3}, "~/.ante/settings.json: `provider`: must be a valid string. Ignored."),
    ({"thinking": "lots"}, "~/.ante/settings.json: `thinking`: allowed are min, low, medium, high, xhigh or max (or Disabled, Enabled, Deep, Max). Ignored."),
    ({"model_thinking": {"m": "lots"}}, "~/.ante/settings.json: `model_thinking.m`: allowed are min, low, medium, high, xhigh or max (or Disabled, Enabled, Deep, Max). Ignored."),
    ({"permissions": {"allow": ["Read", 3]}}, "~/.ante/settings.json: `permissions.allow.1`: must be a valid string. Ignored."),
    ({"permissions": []}, "~/.ante/settings.json: `permissions`: must be a valid dictionary or instance of PermissionRules. Ignored."),
    ({"mcp_servers": {"s": {"args": []}}}, "~/.ante/settings.json: `mcp_servers.s.command`: is missing. Ignored."),
    ({"local": {"engine_url": "localhost:8080"}}, "~/.ante/settings.json: `local.engine_url`: must be a URL with http:// or https://. Ignored."),
    ({"local": {"context": "8k"}}, "~/.ante/settings.json: `local.context`: must be a valid integer. Ignored."),
    ({"openai_transport": "carrier_pigeon"}, "~/.ante/settings.json: `openai_transport`: allowed are http_sse or websocket_auto. Ignored."),
]  # fmt: skip


@pytest.mark.parametrize(("content", "problem"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_costs_only_itself(home, content, problem):
    write(home, {**content, "model": "kept"})
    settings = load_settings(home, {})
    assert settings.problems == (problem,)
    assert settings.values.model == "kept"
    assert settings.permission_mode == "strict"


def test_many_mistakes_at_once(home):
    write(
        home,
        {
            "permissions": {"allow": [1, "Read", 2, "Grep"]},
            "provider": [],
            "local": {"context": 0, "model": "m"},
        },
    )
    settings = load_settings(home, {})
    assert len(settings.problems) == 4
    assert settings.permissions.allow == ["Read", "Grep"]
    assert settings.local.model == "m" and settings.local.context is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{\n "a": 1,,\n}', "line 2, column 9"),
        ("[]", "must hold a JSON object"),
        ("", "line 1, column 1"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_settings(home, text, words):
    write(home, text)
    settings = load_settings(home, {})
    (problem,) = settings.problems
    assert problem.startswith("~/.ante/settings.json ") and words in problem
    with pytest.raises(ConfigError, match="not saved"):
        save({"model": "m"}, home=home, env={})
    assert (home / "settings.json").read_text() == text, "left alone"


def test_a_file_that_cannot_be_read_says_what_to_do(home):
    assert load_settings(home, {}).unreadable is None
    write(home, '{\n "a": 1,,\n}')
    settings = load_settings(home, {})
    assert settings.unreadable is not None and settings.problems[0].startswith(settings.unreadable)
    assert "modes auto and yolo refused" in settings.problems[0]
    assert settings.problems[0].endswith("Correct it, or remove it to start afresh.")


MISSPELT = [
    ({"modle": "x"}, "unknown key 'modle' (did you mean 'model'?)"),
    ({"modle": "x", "model": "y"}, "unknown key 'modle' (did you mean 'model'?)"),
    ({"permisions": {"deny": []}}, "unknown key 'permisions' (did you mean 'permissions'?)"),
    ({"permissions": {"denny": []}}, "unknown key 'permissions.denny' (did you mean 'permissions.deny'?)"),
    ({"local": {"engine_ulr": "x"}}, "unknown key 'local.engine_ulr' (did you mean 'local.engine_url'?)"),
    ({"theme": "dark", "channel": "stable", "status_line": [], "x": 1, "local": {"x": 1}}, None),
]


@pytest.mark.parametrize(("content", "line"), MISSPELT, ids=range(len(MISSPELT)))
def test_a_key_that_is_nearly_known(home, content, line):
    write(home, content)
    settings = load_settings(home, {})
    assert settings.problems == ((f"~/.ante/settings.json: {line}",) if line else ())
    assert settings.raw == content


TRANSPORTS = [
    ({}, {}, ("http_sse", "built-in default", False)),
    ({}, {"ANTE_OPENAI_TRANSPORT": "websocket_auto"}, ("websocket_auto", "environment ANTE_OPENAI_TRANSPORT", False)),
    ({"openai_transport": "websocket_auto"}, {"ANTE_OPENAI_TRANSPORT": "http_sse"}, ("http_sse", "environment ANTE_OPENAI_TRANSPORT", False)),
    ({"openai_transport": "websocket_auto"}, {"ANTE_OPENAI_TRANSPORT": "quic"}, ("http_sse", "built-in default", True)),
    ({"openai_transport": "websocket_auto"}, {"ANTE_OPENAI_TRANSPORT": " "}, ("websocket_auto", "settings.json", False)),
]  # fmt: skip


@pytest.mark.parametrize(("content", "env", "expected"), TRANSPORTS, ids=range(len(TRANSPORTS)))
def test_openai_transport(home, content, env, expected):
    write(home, content)
    transport, source, notice = openai_transport(load_settings(home, env), env)
    assert (transport, source, notice is not None) == expected
    if notice:
        assert "quic" in notice and "http_sse, websocket_auto" in notice


# -------------------------------------------------------------------------------------------- profiles


def test_a_profile_replaces_the_whole_file(home):
    write(home, {"provider": "openai", "model": "gpt-5.4"})
    (home / "profiles").mkdir()
    (home / "profiles" / "quiet.json").write_text('{"thinking": "min"}')
    settings = load_settings(home, {"ANTE_PROFILE": "quiet"})
    assert (settings.values.provider, settings.values.thinking) == (None, "min")
    assert settings.source == "profile quiet"
    assert save({"model": "m"}, home=home, env={"ANTE_PROFILE": "quiet"}) == home / "profiles" / "quiet.json"
    assert load_settings(home, {}).values.model == "gpt-5.4"


@pytest.mark.parametrize("name", ["nope", "../settings", "a/b", ".hidden"])
def test_a_profile_that_is_not_there_blocks(home, name):
    write(home, {"provider": "openai"})
    settings = load_settings(home, {"ANTE_PROFILE": name})
    assert settings.values.provider is None
    with pytest.raises(ConfigError, match="ANTE_PROFILE"):
        settings.check()


# --------------------------------------------------------------------------------- the administrator's


def system(home, text: str) -> None:
    path = home.parent / "etc" / "settings.json"
    path.parent.mkdir()
    path.write_text(text)


def test_the_administrator_forbids(home):
    system(home, '{"forbid_yolo": true, "providers": ["local"]}')
    settings = load_settings(home, {})
    assert settings.forbid_yolo and settings.blocked is None
    assert settings.allows_provider("local") and not settings.allows_provider("openai")


@pytest.mark.parametrize("text", ["{", "[]", '{"forbid_yolo": "yes"}', '{"forbid_jolo": true}'])
def test_rules_that_cannot_be_read_forbid(home, text):
    system(home, text)
    settings = load_settings(home, {})
    assert settings.forbid_yolo
    with pytest.raises(ConfigError, match="administrator"):
        settings.check()


def test_the_variable_does_not_get_round_the_administrator(home, monkeypatch, tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"forbid_yolo": true}')
    monkeypatch.setenv("ANTE_SYSTEM_SETTINGS", str(other))
    assert load_settings(home, {}).forbid_yolo, "used where there is no file in the usual place"
    system(home, "{}")
    assert not load_settings(home, {}).forbid_yolo


# ---------------------------------------------------------------------------------------------- saving


def test_save_merges_and_keeps_what_it_does_not_know(home):
    write(
        home,
        {"theme": "dark", "model": "old", "provider_model": {"xai": "g"}, "local": {"model": "m", "x": 1}},
    )
    save(
        {
            "model": None,
            "provider": "openai",
            "provider_model": {"openai": "gpt-5.4"},
            "local": {"model": None},
        },
        home=home,
        env={},
    )
    assert json.loads((home / "settings.json").read_text()) == {
        "theme": "dark",
        "provider": "openai",
        "provider_model": {"xai": "g", "openai": "gpt-5.4"},
        "local": {"x": 1},
    }


def test_save_makes_a_private_file_in_a_private_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "SYSTEM_SETTINGS", tmp_path / "none.json")
    path = save({"provider": "openai"}, home=tmp_path / "a" / "b", env={})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_save_keeps_mode_and_link(home, tmp_path):
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    real.chmod(0o640)
    (home / "settings.json").symlink_to(real)
    save({"model": "m"}, home=home, env={})
    assert (home / "settings.json").is_symlink()
    assert json.loads(real.read_text()) == {"model": "m"}
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


@pytest.mark.parametrize("key", ["policy", "permission_mode"])
def test_yolo_is_never_saved(home, key):
    with pytest.raises(ConfigError, match="never saved"):
        save({key: "YOLO"}, home=home, env={})
    assert not (home / "settings.json").exists()


def test_a_wrong_value_is_not_saved(home):
    with pytest.raises(ConfigError, match="`thinking`: allowed are min"):
        save({"thinking": "lots"}, home=home, env={})
    assert not (home / "settings.json").exists()


def test_processes_that_save_at_once_lose_nothing(home):
    code = (
        "import sys; from pathlib import Path; from ante_nb.settings import save\n"
        "for n in range(8): save({'provider_model': {f'p{sys.argv[2]}-{n}': 'm'}}, home=Path(sys.argv[1]), env={})\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(home), str(n)]) for n in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert len(load_settings(home, {}).values.provider_model) == 24


# ----------------------------------------------------------------------------------------------- paths


def test_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ANTE_HOME", raising=False)
    assert paths.home() == tmp_path / ".ante"
    monkeypatch.setenv("ANTE_HOME", "~/elsewhere")
    assert paths.home() == tmp_path / "elsewhere"
    for name in ("settings", "catalog", "sessions", "logs", "auth", "run", "models", "profiles"):
        assert getattr(paths, name)().parent == tmp_path / "elsewhere"
        assert getattr(paths, name)(tmp_path / "x").parent == tmp_path / "x"
    assert not paths.home().exists()
    made = paths.ensure(paths.logs())
    assert stat.S_IMODE(made.stat().st_mode) == stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    assert paths.ensure(made) == made
    assert paths.display(made) == "~/elsewhere/logs" and paths.display(paths.SYSTEM_SETTINGS).startswith("/")


def test_ensure_says_what_is_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        paths.ensure(tmp_path / "file" / "sub")
    with pytest.raises(NotADirectoryError):
        paths.ensure(tmp_path / "file")


def test_what_imports_pydantic():
    code = (
        "import sys, ante_nb.paths, ante_nb.providers.thinking, ante_nb.providers.catalog, ante_nb.providers.auth\n"
        "assert not {'pydantic', 'filelock', 'httpx2'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
