"""Sign-ins and keys in files and in a keyring: locks, writers at once, moves, refusals."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import keyring
import pytest
from keyring.errors import InitError, KeyringLocked, NoKeyringError, PasswordSetError
from support.file_keyring import WINDOWS_LIMIT, FileKeyring

from ante_nb.errors import ConfigError
from ante_nb.providers.auth.keys import KeyRing, KeyStore
from ante_nb.providers.auth.record import SignInRecord
from ante_nb.providers.auth.store import SignInStore
from ante_nb.providers.spec import AuthSpec, ProviderSpec, Secret

TESTS = Path(__file__).resolve().parents[2]
TOKEN = "tok-" + "0123456789" * 260
"""2.6 KB, as a real one: more than Windows takes in one entry."""


def sign_in(preset: str = "openai", token: str = TOKEN) -> SignInRecord:
    return SignInRecord(
        preset, Secret(token), 1000.0, Secret("rt-1"), id_token=Secret("id-" + "y" * 1500), expires_in=900.0
    )


@pytest.fixture
def told():
    return []


@pytest.fixture
def home(isolated_home):
    return isolated_home / ".ante"


@pytest.fixture
def store(home, told):
    return SignInStore(home, "file", told.append)


@pytest.fixture(params=[None, WINDOWS_LIMIT], ids=["large", "windows"])
def ring(request, tmp_path):
    """A keyring that is in use, one of them as narrow as the one of Windows."""
    before = keyring.get_keyring()
    backend = FileKeyring(tmp_path / "ring.json", request.param)
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def everything_in(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.rglob("*")) if path.is_file())


def choose(home: Path, **settings: str) -> None:
    home.mkdir(exist_ok=True)
    (home / "settings.json").write_text(json.dumps(settings))


# ------------------------------------------------------------------------------------------------ files


def test_a_sign_in_is_kept_per_preset(store, home):
    assert store.load("openai") is None and store.presets() == () and not home.exists()
    store.save(sign_in())
    store.save(sign_in("antix", "at-2"))
    assert store.load("openai") == sign_in() and store.load("antix") == sign_in("antix", "at-2")
    assert (
        store.presets() == ("antix", "openai") and store.place("openai") == "~/.ante/auth/oauth_openai.json"
    )
    assert store.delete("openai") is True and store.delete("openai") is False
    assert store.load("openai") is None and store.presets() == ("antix",)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home / "auth").iterdir()}
    assert set(modes.values()) == {0o600}


def test_ante_home_is_honoured_at_every_call(tmp_path, monkeypatch):
    store = SignInStore()
    for name in ("one", "two"):
        monkeypatch.setenv("ANTE_HOME", str(tmp_path / name))
        assert store.load("openai") is None
        store.save(sign_in(token=name))
        KeyStore().set("openai", f"sk-{name}")
    for name in ("one", "two"):
        monkeypatch.setenv("ANTE_HOME", str(tmp_path / name))
        assert store.load("openai").access_token.value == name
        assert KeyStore().get("openai").value == f"sk-{name}"
        assert (tmp_path / name / "auth" / "oauth_openai.json").exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", ".x", "x" * 65, "ante nb"])
def test_a_preset_never_leaves_the_directory(store, home, name):
    for act in (store.load, store.delete, store.prepare, lambda name: store.save(sign_in(name))):
        with pytest.raises(ConfigError, match="cannot be the name"):
            act(name)
    assert not home.exists()


def test_a_damaged_sign_in_says_what_to_do_and_is_kept_aside(store, home, told):
    store.save(sign_in())
    file = home / "auth" / "oauth_openai.json"
    file.write_text('{"access_token": "tok-half')
    with pytest.raises(ConfigError) as caught:
        store.load("openai")
    assert "oauth_openai.json is no valid JSON" in str(caught.value) and "%ante login openai" in str(
        caught.value
    )
    assert "tok-half" not in str(caught.value)
    assert store.presets() == ("openai",) and "oauth_openai.json" in store.place("openai")
    with store.lock("openai"):
        store.prepare("openai")
        store.save(sign_in(token="tok-after"))
    assert store.load("openai").access_token.value == "tok-after"
    assert file.with_name("oauth_openai.json.corrupt-1").read_text() == '{"access_token": "tok-half'
    assert len(told) == 1 and "oauth_openai.json.corrupt-1" in told[0]


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"version": 7}, "later"), ({"scopes": 3}, "corrupt"), ({"access_token": ""}, "corrupt")],
)
def test_what_cannot_be_understood_is_kept_aside_at_the_next_sign_in(store, home, told, change, kind):
    store.save(sign_in())
    file = home / "auth" / "oauth_openai.json"
    text = json.dumps({**json.loads(file.read_text()), **change})
    file.write_text(text)
    with pytest.raises(ConfigError):
        store.load("openai")
    store.save(sign_in())
    assert file.with_name(f"{file.name}.{kind}-1").read_text() == text
    assert store.load("openai") == sign_in() and len(told) == 1


def test_a_file_of_another_preset_is_not_used(store, home):
    store.save(sign_in("antix"))
    (home / "auth" / "oauth_antix.json").rename(home / "auth" / "oauth_openai.json")
    with pytest.raises(ConfigError, match="sign-in of 'antix'"):
        store.load("openai")


def test_unknown_keys_survive(store, home):
    store.save(sign_in())
    file = home / "auth" / "oauth_openai.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "from_later": [1]}))
    store.save(store.load("openai"))
    assert json.loads(file.read_text())["from_later"] == [1]


def test_the_renewal_lock_keeps_others_out_and_can_be_left_in_another_thread(store, home):
    held = store.lock("openai")
    held.__enter__()
    store.prepare("openai")
    store.save(sign_in())  # needs no lock of its own that this one would block
    for path in (home, home / "auth" / ".." / "."):
        with (
            pytest.raises(ConfigError, match="locked by another kernel"),
            SignInStore(path).lock("openai", timeout=0.2),
        ):
            pass
    code = (
        "import sys\nfrom ante_nb.errors import ConfigError\nfrom ante_nb.providers.auth.store import SignInStore\n"
        "try:\n  with SignInStore().lock('openai', timeout=0.2): print('got it')\nexcept ConfigError as e: print(e)\n"
    )

    def other() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout

    assert "locked by another kernel" in other()
    with store.lock("antix", timeout=0.2):
        pass  # another preset is another lock
    thread = threading.Thread(target=held.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    assert other() == "got it\n"


def test_the_lock_of_a_process_that_was_killed_is_free(store):
    code = (
        "import time\nfrom ante_nb.providers.auth.store import SignInStore\n"
        "with SignInStore().lock('openai'):\n  print('held', flush=True)\n  time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    with pytest.raises(ConfigError), store.lock("openai", timeout=0.1):
        pass
    child.kill()
    child.wait()
    child.stdout.close()
    with store.lock("openai", timeout=5):
        pass


WRITER = """
import sys, time
from ante_nb.providers.auth.keys import KeyStore
from ante_nb.providers.auth.record import SignInRecord
from ante_nb.providers.auth.store import SignInStore
from ante_nb.providers.spec import Secret
me, backend = sys.argv[1], sys.argv[2]
store, keys = SignInStore(backend=backend), KeyStore(backend=backend)
for n in range(10):
    with store.lock(f"own{me}"):
        store.save(SignInRecord(f"own{me}", Secret(f"tok-{me}-{n}"), 1000.0, extra={"n": n}))
    with store.lock("shared"):
        old = store.load("shared")
        count = old.extra["n"] if old else 0
        store.prepare("shared")
        store.save(SignInRecord("shared", Secret(f"tok-{count + 1}"), 1000.0, extra={"n": count + 1}))
    keys.set(f"p{me}-{n}", f"sk-{me}-{n}")
    assert store.load(f"own{me}").extra["n"] == n
"""


def test_eight_processes_lose_nothing(store, home):
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(me), "file"]) for me in range(8)]
    # A reader meanwhile never sees a half-written record.
    while any(child.poll() is None for child in running):
        found = store.load("shared")
        assert found is None or found.access_token.value == f"tok-{found.extra['n']}"
        time.sleep(0.05)
    assert [child.wait(timeout=120) for child in running] == [0] * 8
    assert store.load("shared").extra["n"] == 80
    assert store.presets() == (*(f"own{me}" for me in range(8)), "shared")
    assert {store.load(f"own{me}").access_token.value for me in range(8)} == {
        f"tok-{me}-9" for me in range(8)
    }
    assert len(KeyStore(home).providers()) == 80
    assert not [path for path in (home / "auth").iterdir() if path.suffix == ".tmp"]


def test_two_threads_lose_nothing(store):
    failed: list[BaseException] = []

    def work(preset: str) -> None:
        try:
            for number in range(25):
                store.save(SignInRecord(preset, Secret(f"tok-{number}"), 1000.0))
                with store.lock("shared"):
                    old = store.load("shared")
                    count = old.extra["n"] + 1 if old else 1
                    store.save(SignInRecord("shared", Secret("tok"), 1000.0, extra={"n": count}))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and store.load("shared").extra["n"] == 50
    assert {store.load(name).access_token.value for name in ("one", "two")} == {"tok-24"}


def test_what_was_prepared_can_be_given_up(store, home):
    store.prepare("openai")
    assert (home / "auth" / ".oauth_openai.json.tmp").stat().st_size == 65536
    assert store.load("openai") is None and store.presets() == ()
    store.release("openai")
    assert not (home / "auth" / ".oauth_openai.json.tmp").exists()


# ---------------------------------------------------------------------------------------------- keyring


def test_in_the_keyring_nothing_secret_is_on_the_disk(home, ring):
    store, keys = SignInStore(home, "keyring"), KeyStore(home, "keyring")
    store.save(sign_in())
    store.save(sign_in(token=TOKEN + "2"))
    keys.set("openai", "sk-one")
    keys.set("xai", "xai-two")
    assert store.load("openai") == sign_in(token=TOKEN + "2") and store.place("openai") == "system keyring"
    assert (keys.get("openai").value, keys.get("xai").value, keys.place()) == ("sk-one", "xai-two", "keyring")
    assert store.presets() == ("openai",)
    text = everything_in(home)
    assert not any(secret in text for secret in ("tok-", "rt-1", "sk-one", "xai-two"))
    assert all(entry.startswith("ante_nb/") for entry in ring.entries)
    if ring.limit:
        assert max(len(value.encode("utf-16-le")) for value in ring.entries.values()) <= WINDOWS_LIMIT
    assert keys.delete("openai") is True and keys.providers() == ("xai",)
    assert store.delete("openai") is True and store.load("openai") is None
    assert not any("oauth_openai" in entry for entry in ring.entries)


def test_lengths_around_the_limit_and_shrinking(home, ring):
    store = SignInStore(home, "keyring")
    for length in (10, 900, 999, 1000, 1001, 1279, 1280, 1281, 5000, 30000, 40, 20000, 1):
        record = SignInRecord("openai", Secret("t" * length), 1.0)
        with store.lock("openai"):
            store.prepare("openai")
            store.save(record)
        assert store.load("openai") == record
    assert store.delete("openai") and ring.entries == {}


def test_another_home_is_another_entry(tmp_path, ring):
    one, two = (SignInStore(tmp_path / name, "keyring") for name in ("one", "two"))
    one.save(sign_in(token="tok-one"))
    two.save(sign_in(token="tok-two"))
    assert (one.load("openai").access_token.value, two.load("openai").access_token.value) == (
        "tok-one",
        "tok-two",
    )
    one.delete("openai")
    assert two.load("openai").access_token.value == "tok-two"


def test_the_settings_choose_and_both_move_both_ways(home, ring, told):
    store, keys = SignInStore(home, notify=told.append), KeyStore(home, notify=told.append)
    store.save(sign_in())
    keys.set("openai", "sk-one")
    choose(home, credential_store="keyring")
    assert store.load("openai") == sign_in() and keys.get("openai").value == "sk-one"
    assert store.place("openai") == "system keyring" and "tok-" not in everything_in(home / "auth")
    assert [("in the system keyring" in line) for line in told] == [True, True]
    told.clear()
    choose(home)  # without the key, everything stays where it is
    assert store.load("openai") == sign_in()
    store.save(sign_in(token="tok-next"))
    assert store.place("openai") == "system keyring" and keys.place() == "keyring" and told == []
    choose(home, credential_store="file")
    assert store.load("openai") == sign_in(token="tok-next") and keys.get("openai").value == "sk-one"
    assert ring.entries == {} and store.place("openai") != "system keyring"
    assert [("in this file now" in line) for line in told] == [True, True]
    choose(home, credential_store="cloud")  # reported with the other settings
    assert store.load("openai") == sign_in(token="tok-next")


def test_saving_also_moves(home, ring):
    SignInStore(home, "file").save(sign_in())
    SignInStore(home, "keyring").save(sign_in(token="tok-next"))
    assert "tok-" not in everything_in(home) and SignInStore(home, "keyring").load("openai") == sign_in(
        token="tok-next"
    )
    SignInStore(home, "file").save(sign_in(token="tok-last"))
    assert ring.entries == {} and SignInStore(home, "file").load("openai") == sign_in(token="tok-last")


FAILURES = [
    (KeyringLocked("tok-told"), "system keyring is locked.*Unlock it"),
    (InitError("tok-told"), "system keyring is locked"),
    (NoKeyringError("tok-told"), "no keyring that can be used.*credential_store.*file"),
    (PasswordSetError("Can't store tok-told"), r"failed \(PasswordSetError\).*keyring diagnose"),
    (OSError("D-Bus: tok-told"), r"failed \(OSError\)"),
]


@pytest.mark.parametrize(("error", "words"), FAILURES, ids=lambda value: type(value).__name__)
def test_a_keyring_that_fails_is_told_and_loses_nothing(home, ring, told, error, words):
    inside = SignInStore(home, "keyring", told.append)
    inside.save(sign_in())
    SignInStore(home, "file").save(sign_in("antix"))
    entries = ring.entries
    ring.broken = error
    acts = (
        lambda: inside.load("openai"),
        lambda: inside.save(sign_in(token="tok-next")),
        lambda: inside.prepare("openai"),
        lambda: inside.delete("openai"),
        lambda: inside.save(sign_in("fresh")),
        lambda: SignInStore(home, "file").save(sign_in("openai", "tok-x")) or inside.load("openai"),
    )
    for act in acts[:5]:
        with pytest.raises(ConfigError, match=words) as caught:
            act()
        assert "tok-" not in str(caught.value) and caught.value.__cause__ is None
    # What is in a file stays readable there, and the person is told that it did not move.
    assert inside.load("antix") == sign_in("antix") and "not moved" in told[-1]
    assert inside.presets() == ("antix", "openai"), "no pointer without an entry"
    ring.broken = None
    assert inside.load("openai") == sign_in() and inside.load("antix") == sign_in("antix")
    assert set(entries) <= set(ring.entries)


class Forgetful(FileKeyring):
    def set_password(self, service: str, username: str, password: str) -> None:
        pass


def test_a_keyring_that_keeps_nothing_is_found_out(home, tmp_path, told):
    before = keyring.get_keyring()
    keyring.set_keyring(Forgetful(tmp_path / "ring.json"))
    try:
        SignInStore(home, "file").save(sign_in())
        store = SignInStore(home, "keyring", told.append)
        assert store.load("openai") == sign_in(), "it is not moved there"
        assert "does not keep what is stored" in told[0]
        for act in (lambda: store.prepare("openai"), lambda: store.save(sign_in(token="tok-2"))):
            with pytest.raises(ConfigError, match="does not keep what is stored"):
                act()
        assert store.load("openai") == sign_in()
    finally:
        keyring.set_keyring(before)


def test_without_the_package_the_way_on_is_told(home):
    SignInStore(home, "file").save(sign_in())
    code = (
        "import sys\nsys.modules['keyring'] = None\n"
        "from ante_nb.errors import ConfigError\nfrom ante_nb.providers.auth.store import SignInStore\n"
        "lines = []\nstore = SignInStore(backend='keyring', notify=lines.append)\n"
        "print(store.load('openai').access_token.value[:4], lines)\n"
        "try: store.prepare('openai')\nexcept ConfigError as e: print(e)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    ).stdout.splitlines()
    assert out[0].startswith("tok-") and "not moved" in out[0]
    assert (
        "not installed" in out[1] and "ante_nb[keyring]" in out[1] and '"credential_store": "file"' in out[1]
    )


def test_an_entry_that_is_gone_is_told_and_can_be_made_again(home, ring, told):
    store = SignInStore(home, "keyring", told.append)
    store.save(sign_in())
    ring.path.unlink()
    assert store.load("openai") is None
    assert "is gone" in told[0] and "%ante login openai" in told[0]
    store.save(sign_in())
    assert store.load("openai") == sign_in()


def test_an_entry_with_a_part_missing_is_no_sign_in(home, tmp_path, told):
    before = keyring.get_keyring()
    ring = FileKeyring(tmp_path / "ring.json", WINDOWS_LIMIT)
    keyring.set_keyring(ring)
    try:
        store = SignInStore(home, "keyring", told.append)
        store.save(sign_in())
        part = next(entry for entry in ring.entries if entry.endswith("#a1"))
        ring.path.write_text(json.dumps({key: value for key, value in ring.entries.items() if key != part}))
        assert store.load("openai") is None and "is gone" in told[0]
        store.save(sign_in())
        assert store.load("openai") == sign_in()
        assert store.delete("openai")
        assert ring.entries == {}
    finally:
        keyring.set_keyring(before)


def test_processes_that_move_and_write_at_once_lose_nothing(home, tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
        "PYTHON_KEYRING_BACKEND": "support.file_keyring.FileKeyring",
        "ANTE_TEST_KEYRING": str(tmp_path / "ring.json"),
    }
    # This backend replaces its whole file without a lock, so only one preset is written, under the store's.
    code = (
        "import sys\nfrom ante_nb.providers.auth.record import SignInRecord\n"
        "from ante_nb.providers.auth.store import SignInStore\nfrom ante_nb.providers.spec import Secret\n"
        "for n in range(15):\n"
        "  store = SignInStore(backend='keyring' if (n + int(sys.argv[1])) % 2 else 'file')\n"
        "  with store.lock('shared'):\n"
        "    old = store.load('shared')\n"
        "    count = old.extra['n'] + 1 if old else 1\n"
        "    store.save(SignInRecord('shared', Secret('tok-' + 'x' * 3000), 1.0, extra={'n': count}))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(n)], env=environment) for n in range(3)]
    assert [child.wait(timeout=120) for child in running] == [0, 0, 0]
    before = keyring.get_keyring()
    keyring.set_keyring(FileKeyring(tmp_path / "ring.json"))
    try:
        assert SignInStore(home, "file").load("shared").extra["n"] == 45
    finally:
        keyring.set_keyring(before)


# ------------------------------------------------------------------------------------------------- keys


def provider(preset: str | None = None) -> ProviderSpec:
    return ProviderSpec(
        id="openai",
        display_name="OpenAI",
        wire_style="OpenAiResponse",
        base_url="https://api.example",
        auth=AuthSpec("bearer", env_keys=("OPENAI_API_KEY",), oauth_preset=preset),
    )


def test_the_ring_names_where_a_key_came_from_and_tells_repairs(home, ring):
    keys = KeyRing(home)
    keys.store.set("openai", "sk-one")
    assert keys.find(provider(), {}).source == "key store"
    assert keys.find(provider(), {"OPENAI_API_KEY": "sk-env"}).source == "environment OPENAI_API_KEY"
    assert keys.take_notices() == ()
    keys.store.path.chmod(0o644)
    keys.find(provider(), {})
    (line,) = keys.take_notices()
    assert "mode 644" in line and keys.take_notices() == ()
    choose(home, credential_store="keyring")
    assert keys.find(provider(), {}).secret.value == "sk-one"
    assert keys.find(provider(), {}).source == "system keyring"
    (line,) = keys.take_notices()
    assert "system keyring" in line
    ring.broken = KeyringLocked()
    with pytest.raises(ConfigError, match="locked"):
        keys.find(provider(), {})


def test_a_damaged_key_store_keeps_all_it_had(home, ring):
    for backend in ("file", "keyring"):
        keys = KeyStore(home, backend)
        (home / "auth").mkdir(parents=True, exist_ok=True, mode=0o700)
        keys.path.write_text('{"openai": "sk-half')
        for act in (lambda keys=keys: keys.get("openai"), lambda keys=keys: keys.set("xai", "xai-1")):
            with pytest.raises(ConfigError, match=r"api_keys\.json is no valid JSON.*%ante key"):
                act()
        assert keys.path.read_text() == '{"openai": "sk-half' and ring.entries == {}


def test_a_key_of_a_provider_called_like_the_mark_is_a_key(home):
    keys = KeyStore(home, "file")
    keys.set("ante_nb", "k-1")
    keys.set("xai", "k-2")
    assert keys.get("ante_nb").value == "k-1" and keys.providers() == ("ante_nb", "xai")
