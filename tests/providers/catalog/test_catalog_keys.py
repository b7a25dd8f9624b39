"""The key store on a real disk: modes, links, mistakes, several processes."""

from __future__ import annotations

import json
import stat
import subprocess
import sys

import pytest

from ante_nb.errors import ConfigError
from ante_nb.providers.auth import KeyStore, check_key


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_round_trip_and_modes(tmp_path):
    store = KeyStore(tmp_path)
    assert store.get("openai") is None and store.providers() == ()
    assert list(tmp_path.iterdir()) == [], "asking writes nothing"
    store.set("openai", "  sk-1\n")
    store.set("xai", "xai-2")
    assert store.get("openai").value == "sk-1"
    assert "sk-1" not in repr(store.get("openai")) + str(store.get("openai"))
    assert json.loads(store.path.read_text()) == {"openai": "sk-1", "xai": "xai-2"}
    assert (mode(store.path), mode(store.path.parent)) == (0o600, 0o700)
    assert store.delete("openai") is True and store.delete("openai") is False
    assert store.providers() == ("xai",)
    assert {path.name for path in store.path.parent.iterdir()} <= {"api_keys.json", "api_keys.lock"}


def test_loose_modes_are_repaired(tmp_path):
    store = KeyStore(tmp_path)
    store.set("openai", "sk-1")
    store.path.chmod(0o644)
    store.path.parent.chmod(0o755)
    assert store.get("openai").value == "sk-1"
    assert mode(store.path) == 0o600
    store.set("xai", "k")
    assert mode(store.path.parent) == 0o700


def test_a_symbolic_link_is_not_followed(tmp_path):
    target = tmp_path / "elsewhere.json"
    target.write_text('{"openai": "sk-elsewhere"}')
    store = KeyStore(tmp_path / "home")
    store.path.parent.mkdir(parents=True)
    store.path.symlink_to(target)
    with pytest.raises(ConfigError, match="symbolic link"):
        store.get("openai")
    with pytest.raises(ConfigError, match="symbolic link"):
        store.set("openai", "sk-1")
    assert target.read_text() == '{"openai": "sk-elsewhere"}'


def test_a_linked_directory_is_not_written(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "auth").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="symbolic link"):
        KeyStore(tmp_path / "home").set("openai", "sk-1")
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("text", ["{ sk-secret", "[]", '{"openai": 3}', "", '"sk-secret"'])
def test_a_broken_store_is_left_alone_and_not_shown(tmp_path, text):
    store = KeyStore(tmp_path)
    store.path.parent.mkdir()
    store.path.write_text(text)
    for act in (
        lambda: store.get("openai"),
        lambda: store.set("openai", "sk-1"),
        lambda: store.delete("openai"),
    ):
        with pytest.raises(ConfigError) as caught:
            act()
        assert "api_keys.json" in str(caught.value) and "%ante key" in str(caught.value)
        assert "secret" not in str(caught.value) and caught.value.__cause__ is None
    assert store.path.read_text() == text


@pytest.mark.parametrize("key", ["", "   ", "sk 1", "sk-1\nsk-2", "sk-\u00e9", "sk-\u200b1", "sk-\x00"])
def test_unusable_keys(tmp_path, key):
    with pytest.raises(ConfigError) as caught:
        KeyStore(tmp_path).set("openai", key)
    assert "key for openai" in str(caught.value)
    assert not (tmp_path / "auth" / "api_keys.json").exists()


def test_check_key_never_shows_the_key():
    with pytest.raises(ConfigError) as caught:
        check_key("sk-top secret", "OPENAI_API_KEY")
    assert "top" not in str(caught.value) and "OPENAI_API_KEY" in str(caught.value)


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    code = (
        "import sys; from pathlib import Path; from ante_nb.providers.auth import KeyStore\n"
        "store = KeyStore(Path(sys.argv[1]))\n"
        "for n in range(10): store.set(f'p{sys.argv[2]}-{n}', 'k')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert len(KeyStore(tmp_path).providers()) == 30
