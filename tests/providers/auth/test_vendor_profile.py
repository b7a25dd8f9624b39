"""Anthropic's credential profile, as its SDK writes it."""

from __future__ import annotations

import json
import os
import time

import pytest

from ante_nb.errors import ConfigError
from ante_nb.providers.auth import vendor_profile
from ante_nb.providers.auth.oauth_spec import OAuthSpec

SPEC = OAuthSpec("anthropic", "Anthropic", "anthropic-subscription", profile="anthropic")
TOKEN = "sk-ant-oat01-abc"


class Folder:
    def __init__(self, path):
        self.path = path

    def write(self, name="default", *, config=None, credentials=None, life=3600):
        config = {"version": "1.0", "authentication": {"type": "user_oauth"}} if config is None else config
        if credentials is None:
            credentials = {
                "version": "1.0",
                "type": "oauth_token",
                "access_token": TOKEN,
                "refresh_token": "sk-ant-ort01-theirs",
                "expires_at": int(time.time()) + life,
            }
        for part, data, mode in (("configs", config, 0o644), ("credentials", credentials, 0o600)):
            folder = self.path / part
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = folder / f"{name}.json"
            file.unlink(missing_ok=True)
            file.write_text(data if isinstance(data, str) else json.dumps(data))
            file.chmod(mode)

    def config(self, name="default"):
        return self.path / "configs" / f"{name}.json"

    def credentials(self, name="default"):
        return self.path / "credentials" / f"{name}.json"


@pytest.fixture
def folder(isolated_home):
    return Folder(isolated_home / ".config" / "anthropic")


def test_nothing_there(folder):
    assert vendor_profile.read(SPEC, {}) is None


def test_the_default_profile(folder):
    folder.write(
        config={
            "authentication": {"type": "user_oauth"},
            "organization_id": "org-1",
            "workspace_id": "wrk_1",
        }
    )
    found = vendor_profile.read(SPEC, {})
    assert found.preset == "anthropic" and found.access_token.value == TOKEN
    assert 3500 < found.left() <= 3601 and not found.due() and not found.expired()
    assert found.account_id == "org-1" and found.headers == {"anthropic-workspace-id": "wrk_1"}
    assert found.source == "Anthropic profile default" and vendor_profile.is_profile(found)
    assert found.refresh_token is None, "it belongs to the program that wrote it"
    assert TOKEN not in repr(found)


def test_nothing_of_it_is_changed(folder):
    folder.write()
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.path.rglob("*.json")}
    vendor_profile.read(SPEC, {})
    assert before == {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.path.rglob("*")
        if path.is_file()
    }


def test_a_renewal_by_its_owner_is_seen(folder):
    folder.write(life=-5)
    old = vendor_profile.read(SPEC, {})
    assert old.expired() and old.due()
    credentials = json.loads(folder.credentials().read_text())
    folder.write(
        credentials={**credentials, "access_token": "sk-ant-oat01-new", "expires_at": int(time.time()) + 900}
    )
    new = vendor_profile.read(SPEC, {})
    assert new.access_token.value == "sk-ant-oat01-new" and not new.expired()


def test_which_profile(folder, tmp_path):
    for name in ("default", "work", "home"):
        folder.write(name)
    assert vendor_profile.read(SPEC, {}).source.endswith(" default")
    (folder.path / "active_config").write_text("work\n")
    assert vendor_profile.read(SPEC, {}).source.endswith(" work")
    assert vendor_profile.read(SPEC, {"ANTHROPIC_PROFILE": "home"}).source.endswith(" home")
    other = Folder(tmp_path / "elsewhere")
    other.write("default", credentials={"access_token": "t-other", "expires_at": None})
    found = vendor_profile.read(SPEC, {"ANTHROPIC_CONFIG_DIR": str(other.path)})
    assert found.access_token.value == "t-other" and found.expires_in is None and not found.due()


def test_credentials_elsewhere_and_a_federation(folder, tmp_path):
    path = tmp_path / "token.json"
    path.write_text(json.dumps({"access_token": "t-fed", "expires_at": str(int(time.time()) + 600)}))
    path.chmod(0o600)
    config = {
        "authentication": {"type": "oidc_federation", "credentials_path": str(path)},
        "workspace_id": "wrk_1",
    }
    folder.write(config=config)
    found = vendor_profile.read(SPEC, {})
    assert found.access_token.value == "t-fed" and 500 < found.left() <= 601
    assert found.headers == {}, "a federation's token is bound to its workspace already"


@pytest.mark.parametrize(
    ("base", "used", "good"),
    [
        (None, None, True),
        ("https://api.anthropic.com/", None, True),
        ("https://eu.example", None, False),
        ("https://eu.example", "https://EU.example/v1/", False),
        ("https://API.anthropic.com/v1", "https://proxy.example", True),
        (5, None, False),
    ],
)
def test_a_token_goes_to_its_own_deployment_only(folder, base, used, good):
    folder.write(config={"authentication": {"type": "user_oauth"}, "base_url": base})
    env = {"ANTHROPIC_PROFILE": "default", **({"ANTHROPIC_BASE_URL": used} if used else {})}
    if good:
        assert vendor_profile.read(SPEC, env).access_token.value == TOKEN
    else:
        with pytest.raises(ConfigError, match=r"profile default is for .*ANTHROPIC_BASE_URL="):
            vendor_profile.read(SPEC, env)


def replace_by_link(path, target):
    path.rename(target)
    path.symlink_to(target)


DAMAGE = {
    "no config": (lambda f, t: f.config().unlink(), "default.json: No such file"),
    "no credentials": (lambda f, t: f.credentials().unlink(), "default.json: No such file"),
    "config writable by others": (lambda f, t: f.config().chmod(0o666), r"mode 666.*chmod go-w"),
    "credentials readable by others": (lambda f, t: f.credentials().chmod(0o644), r"mode 644.*chmod 600"),
    "credentials linked": (lambda f, t: replace_by_link(f.credentials(), t / "real.json"), "symbolic link"),
    "credentials damaged": (lambda f, t: f.write(credentials='{"access_token": "tok-half'), "no valid JSON"),
    "credentials a list": (lambda f, t: f.write(credentials="[]"), "must hold a JSON object"),
    "credentials a directory": (
        lambda f, t: (f.credentials().unlink(), f.credentials().mkdir()), "no regular file"),
    "no token": (lambda f, t: f.write(credentials={"expires_at": 1}), "no usable `access_token`"),
    "another type": (
        lambda f, t: f.write(credentials={"type": "key", "access_token": TOKEN}), "no usable `access_token`"),
    "a date": (
        lambda f, t: f.write(credentials={"access_token": TOKEN, "expires_at": "2026-01-01"}), "Unix seconds"),
    "no authentication": (lambda f, t: f.write(config={}), "authentication.type"),
    "unknown authentication": (lambda f, t: f.write(config={"authentication": {"type": "x"}}), "authentication.type"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_profile_that_cannot_be_used(folder, tmp_path, name):
    folder.write()
    act, words = DAMAGE[name]
    act(folder, tmp_path)
    mode = os.stat(folder.credentials()).st_mode if folder.credentials().exists() else None
    assert vendor_profile.read(SPEC, {}) is None, "one that merely lies there is no error"
    with pytest.raises(ConfigError, match=words) as caught:
        vendor_profile.read(SPEC, {"ANTHROPIC_PROFILE": "default"})
    assert TOKEN not in str(caught.value) and "tok-half" not in str(caught.value)
    if mode is not None:
        assert os.stat(folder.credentials()).st_mode == mode, "the vendor's file is not ours to repair"


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a\\b", "a\0b"])
def test_a_name_that_leaves_the_directory(folder, name):
    folder.write()
    with pytest.raises(ConfigError, match="cannot be the name"):
        vendor_profile.read(SPEC, {"ANTHROPIC_PROFILE": name})
