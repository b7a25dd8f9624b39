"""Ante's files: ``offline-config.json`` and ``verified_models.json``, read and written."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from local_files import gguf

from ante_nb import local
from ante_nb.errors import ConfigError, LocalEngineError
from ante_nb.local import discovery, engine, options, preferences, verified
from ante_nb.local.engine import Launch

if TYPE_CHECKING:
    from pathlib import Path

ANTES = """{
  "version": "1.0.0",
  "model_directory": "~/.ante/models",
  "port": 8080,
  "last_model": "Some-Q4_K_M.gguf",
  "future": {"kept": [1, 2.5, null]},
  "model_preferences": {
    "Some-Q4_K_M.gguf": {
      "model_id": "Some-Q4_K_M.gguf",
      "context_window": 16384,
      "thinking_enabled": true,
      "temperature": 0.7,
      "extra_args": "--threads 12 --override-kv 'a b=int:1'"
    },
    "bad": 5, "worse": {"context_window": "many", "temperature": true, "extra_args": "'"}
  },
  "llama_cpp": {"binaries": {"server": "/no/such", "cli": "/no"}, "server_defaults": {"gpu_layers": 24}}
}
"""
"""The example of Ante's documentation, with more in it."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / ".ante"
    (home / "models").mkdir(parents=True)
    for name in ("Some-Q4_K_M", "Other-Q8_0"):
        (home / "models" / f"{name}.gguf").write_bytes(gguf(keys={"llama.context_length": 131072}))
    return home


def loaded(home: Path, **env: str) -> options.Options:
    return options.load({}, {"HOME": str(home.parent), **env}, home)


def config(home: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((home / "offline-config.json").read_text(encoding="utf-8"))
    return data


def test_antes_file(home: Path) -> None:
    (home / "offline-config.json").write_text(ANTES)
    chosen = loaded(home)
    assert (chosen.last_model, chosen.gpu_layers, chosen.llama_server) == ("Some-Q4_K_M.gguf", 24, None)
    name = "Some-Q4_K_M"
    assert chosen.preferred(name, "context_window", int) == 16384
    assert chosen.preferred(f"{name}.gguf", "thinking_enabled", bool) is True
    assert chosen.preferred(name, "temperature", (int, float)) == 0.7
    assert chosen.preferred(name, "extra_args", (list, tuple)) == [
        "--threads",
        "12",
        "--override-kv",
        "a b=int:1",
    ]
    for word in ("context_window", "temperature"):
        assert chosen.preferred("worse", word, (int, float)) is None
    models = {model.id: model for model in local.models(settings=chosen)}
    assert models[name].default and models[name].context == 16384
    assert models["Other-Q8_0"].context == options.CONTEXT_CAP
    wide = local.models(settings=loaded(home, ANTE_OFFLINE_CONTEXT="65536"))
    assert {model.context for model in wide if model.own} == {65536}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "\ufeff{}",
        '{"model_preferences": []}',
        '{"last_model": 5, "model_directory": "~nobody-here/x\\u0000"}',
        "[" * 99999,
    ],
)
def test_damaged_files_cost_nothing(home: Path, text: str) -> None:
    for name in ("offline-config.json", "verified_models.json"):
        (home / name).write_text(text, encoding="utf-8")
    chosen = loaded(home)
    assert chosen.last_model is None and not chosen.preferences
    assert len(verified.read(home)) == len(verified.BUILT_IN)


def test_use_writes_what_ante_reads(home: Path) -> None:
    (home / "offline-config.json").write_text(ANTES)
    chosen = loaded(home)
    info = local.use("other", context=4096, settings=chosen)
    assert info.default and info.context == 4096
    now = config(home)
    before = json.loads(ANTES)
    assert now["last_model"] == "Other-Q8_0.gguf"
    assert now["model_preferences"]["Other-Q8_0.gguf"] == {
        "model_id": "Other-Q8_0.gguf",
        "context_window": 4096,
    }
    for key in ("version", "future", "port", "llama_cpp"):
        assert now[key] == before[key]
    assert now["model_preferences"]["Some-Q4_K_M.gguf"] == before["model_preferences"]["Some-Q4_K_M.gguf"]
    again = loaded(home)
    assert (
        discovery.choose(None, discovery.find_models(home, {"HOME": str(home)}), last=again.last_model).id
        == "Other-Q8_0"
    )
    local.use("other", context=0, settings=again)
    assert "context_window" not in config(home)["model_preferences"]["Other-Q8_0.gguf"]
    assert not [
        path
        for path in home.iterdir()
        if "offline" in path.name and path.name[0] != "." and path.suffix != ".json"
    ]


def test_a_new_file(home: Path) -> None:
    local.use("some", settings=loaded(home))
    assert config(home) == {"version": "1.0.0", "last_model": "Some-Q4_K_M.gguf"}
    assert (home / "offline-config.json").stat().st_mode & 0o777 == 0o600
    elsewhere = home.parent / "Else.gguf"
    elsewhere.write_bytes(gguf())
    local.use(elsewhere, settings=loaded(home))
    assert config(home)["last_model"] == str(elsewhere)
    assert next(m for m in local.models(settings=loaded(home)) if m.default).path == elsewhere
    elsewhere.unlink()  # then it does not count any more
    assert next(m for m in local.models(settings=loaded(home)) if m.default).id == "Other-Q8_0"
    with pytest.raises(LocalEngineError, match="no local model is called"):
        local.use("nothing", settings=loaded(home))


def test_a_damaged_file_is_not_overwritten(home: Path) -> None:
    (home / "offline-config.json").write_text("{ mine")
    with pytest.raises(ConfigError, match="is damaged and was not changed"):
        local.use("some", settings=loaded(home))
    assert (home / "offline-config.json").read_text() == "{ mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written(home: Path) -> None:
    home.chmod(0o500)
    try:
        with pytest.raises(ConfigError, match="cannot be written"):
            local.use("some", settings=loaded(home))
    finally:
        home.chmod(0o700)


def test_many_writers(home: Path) -> None:
    model = discovery.choose("some", discovery.find_models(home, {"HOME": str(home)}))

    def write(number: int) -> None:
        with preferences.changed(preferences.config_file(home)) as data:
            data[f"n{number}"] = number
        preferences.prefer(home, model, temperature=number / 10)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {f"n{number}" for number in range(8)} <= set(config(home))


def test_preferences(home: Path) -> None:
    model = discovery.choose("some", discovery.find_models(home, {"HOME": str(home)}))
    preferences.prefer(home, model, extra_args=["-x", "a b"], thinking_enabled=False, temperature=1)
    assert config(home)["model_preferences"]["Some-Q4_K_M.gguf"]["extra_args"] == "-x 'a b'"
    assert loaded(home).preferred(model.id, "extra_args", list) == ["-x", "a b"]
    assert loaded(home).preferred(model.id, "thinking_enabled", bool) is False
    for values in (
        {"context_window": "8k"},
        {"context_window": 1},
        {"temperature": True},
        {"model_id": "x"},
        {"color": 1},
    ):
        with pytest.raises(ConfigError, match="is no preference"):
            preferences.prefer(home, model, **values)  # type: ignore[arg-type]


def test_extra_arguments_open_no_door() -> None:
    def launch(*words: str) -> Launch:
        return Launch("llama-server", "x", "m", "a", 1, 1, -1, 1, 1, 1, 1, "s", words)

    assert launch("--threads", "2").extra_args == ("--threads", "2")
    for word in ("--host", "--port=80", "--api-key", "--tools"):
        with pytest.raises(LocalEngineError, match="which is not to be set"):
            launch("--verbose", word, "0.0.0.0")


def test_antes_own_llama_server(home: Path, tmp_path: Path) -> None:
    program = home / "llama.cpp/current/bin/llama-server"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    assert loaded(home).llama_server is None
    program.chmod(0o755)
    assert loaded(home).llama_server == str(program)
    assert engine.detect(loaded(home), {"PATH": ""}).binary == str(program)
    own = options.load({"llama_server": "/bin/ls"}, {}, home)
    assert own.llama_server == "/bin/ls"


def test_verified_models(home: Path) -> None:
    rows = [
        {"name": "Nine", "repo": "q/nine", "filename": "Qwen3.5-9B-Q4_K_M.gguf", "context_window": 4096},
        {"name": "Mine", "repo": "o/m", "filename": "Some-Q4_K_M.gguf", "file_size_mb": 5000,
         "kv_cache_bytes_per_token": 131072, "support_vision": False},
        {"name": "no file"}, 5, {"name": "odd", "filename": "odd.gguf", "context_window": -1, "file_size_mb": 1e999},
    ]  # fmt: skip
    text = json.dumps({"models": rows, "comment": "kept"}).replace("Infinity", "1e999")
    (home / "verified_models.json").write_text(text)
    known = {row.name: row for row in verified.read(home)}
    assert known["Nine"].repo == "q/nine" and known["Nine"].context_window == 4096
    assert "Qwen3.5 9B" not in known and "Qwen3.5 27B" in known and "no file" not in known
    assert known["Mine"].kv_cache_bytes_per_token == 131072 and known["Mine"].support_vision is False
    assert loaded(home).labels["Mine"] == "Some-Q4_K_M.gguf"
    info = next(model for model in local.models(settings=loaded(home)) if model.verified)
    assert (info.id, info.name) == ("Some-Q4_K_M", "Mine")
    found = discovery.find_models(home, {"HOME": str(home)})
    assert discovery.choose("Mine", found, labels=loaded(home).labels).id == "Some-Q4_K_M"
    verified.add(home, verified.VerifiedModel("Mine too", "some-q4_k_m.gguf", "o/n", support_vision=True))
    verified.add(home, verified.VerifiedModel("New", "new.gguf", "o/n"))
    data = json.loads((home / "verified_models.json").read_text())
    assert data["comment"] == "kept" and [row["name"] for row in data["models"] if isinstance(row, dict)] == [
        "Nine", "Mine too", "no file", "odd", "New",
    ]  # fmt: skip
    assert data["models"][1]["file_size_mb"] == 5000 and data["models"][1]["support_vision"] is True


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Qwen3.6-27B-Q4_K_M.gguf", "Qwen3.6 27B"),
        ("MiniMax-M2.7-UD-Q3_K_XL.gguf", "MiniMax-M2.7"),
        ("Qwen3.5-122B-A10B-Q2_K.gguf", "Qwen3.5 122B-A10B"),
        ("gemma-4-26B-A4B-it-Q4_K_M.gguf", "Gemma 4 26B-A4B-it"),
        ("Qwen3.6-27B-Q8_0.gguf", None),
        ("Qwen3.5-Q4_K_M.gguf", None),
    ],
)
def test_built_in_ones_are_known_again(tmp_path: Path, file: str, name: str | None) -> None:
    row = verified.find(verified.read(tmp_path), file)
    assert (row.name if row else None) == name
