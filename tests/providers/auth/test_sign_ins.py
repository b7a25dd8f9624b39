"""Stored sign-ins as credentials: what a choice finds, what a person is told, what turns do with them."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.chatgpt_backend import ChatGPT
from support.desk import DeskHost
from support.oauth_server import OAuthServer
from support.signed_in import Person
from support.ws_server import KEY, Dialogue, call, message, wait_until

from ante_nb import errors as e
from ante_nb.agent.options import TurnOptions
from ante_nb.agent.runtime import Runtime
from ante_nb.messages import Notice
from ante_nb.providers.auth.keys import KeyRing, KeyStore
from ante_nb.providers.catalog.load import load_catalog
from ante_nb.providers.catalog.resolve import Overrides, resolve
from ante_nb.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from ante_nb.agent.turn import Turn
    from ante_nb.providers.spec import Choice


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with OAuthServer() as server:
        yield Person(server, tmp_path / ".ante")


def choose(person: Person, provider: str | None, env: dict[str, str] | None = None) -> Choice:
    ring = KeyRing(person.home, person.sign_ins())
    settings = load_settings(person.home, {})
    return resolve(load_catalog(person.home), settings, env or {}, ring, cell=Overrides(provider))


# ------------------------------------------------------------------------------------------ resolving


def test_environment_then_key_store_then_sign_in(person: Person) -> None:
    record = person.sign_in()
    choice = choose(person, "openai")
    assert (choice.provider.id, choice.credential) == ("openai-subscription", record.access_token)
    assert choice.oauth == "openai" and choice.credential_headers == {"ChatGPT-Account-ID": "acc_fix"}
    assert choice.sources["credential"] == "sign-in with ChatGPT"
    assert any("your sign-in is used" in notice for notice in choice.notices)
    KeyStore(person.home).set("openai", "sk-stored-0123456789")
    choice = choose(person, "openai")
    assert (choice.provider.id, choice.oauth, choice.credential_headers) == ("openai", None, {})
    assert choose(person, "openai-subscription").oauth == "openai"  # it takes no key
    choice = choose(person, "openai", {"OPENAI_API_KEY": "sk-env-0123456789"})
    assert choice.sources["credential"] == "environment OPENAI_API_KEY" and choice.oauth is None


def test_the_first_that_is_signed_in_is_the_automatic_provider(person: Person) -> None:
    record = person.sign_in("antix")
    choice = choose(person, None)
    assert (choice.provider.id, choice.credential) == ("antix-subscription", record.access_token)


def test_without_a_sign_in_the_error_says_what_to_type(person: Person) -> None:
    with pytest.raises(e.SignInError, match="`%ante login openai`"):
        choose(person, "openai-subscription")
    with pytest.raises(e.MissingCredentialError, match="sign in with `%ante login openai`"):
        choose(person, "openai")


def test_a_sign_in_that_is_over_is_no_credential(person: Person) -> None:
    record = person.sign_in(age=1e6, problem="refresh_token_reused")
    with pytest.raises(e.ConfigError, match=r"no longer valid \(refresh token reused\).*%ante login openai"):
        choose(person, "openai-subscription")
    person.store.save(replace(record, obtained_at=time.time()))
    assert choose(person, "openai-subscription").credential == record.access_token  # as long as it lives


def test_a_store_that_cannot_be_read_is_said_and_other_ways_count(person: Person) -> None:
    person.sign_in()
    path = person.home / "auth" / "oauth_openai.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(e.ConfigError, match=r"oauth_openai\.json"):
        choose(person, "openai-subscription")
    choice = choose(person, "openai", {"OPENAI_API_KEY": "sk-env-0123456789"})
    assert choice.oauth is None
    assert path.read_text() == "{"


def test_the_vendors_profile_counts_as_a_sign_in(person: Person) -> None:
    folder = person.home / "anthropic"
    for name in ("configs", "credentials"):
        (folder / name).mkdir(parents=True, mode=0o700)
    config = folder / "configs" / "default.json"
    config.write_text(json.dumps({"authentication": {"type": "user_oauth"}}), encoding="utf-8")
    file = folder / "credentials" / "default.json"

    def write(token: str) -> None:
        file.write_text(json.dumps({"access_token": token, "expires_at": int(time.time()) + 3600}))
        file.chmod(0o600)
        config.chmod(0o644)

    write("token-of-the-profile-1")
    sign_ins = person.sign_ins()
    sign_ins._env = {"ANTHROPIC_CONFIG_DIR": str(folder)}
    found = sign_ins.token("anthropic")
    assert found is not None and found.secret.value == "token-of-the-profile-1"
    assert found.source == "Anthropic profile default"
    status = sign_ins.status("anthropic")
    assert status is not None and not status.renewable and status.place == "the vendor's own file"


async def test_a_refused_profile_is_read_again_and_never_renewed(person: Person) -> None:
    folder = person.home / "anthropic"
    for name in ("configs", "credentials"):
        (folder / name).mkdir(parents=True, mode=0o700)
    config = folder / "configs" / "default.json"
    config.write_text(json.dumps({"authentication": {"type": "user_oauth"}}), encoding="utf-8")
    config.chmod(0o644)
    file = folder / "credentials" / "default.json"
    said: dict[str, Any] = {"access_token": "token-1", "refresh_token": "theirs", "expires_at": 1}
    file.write_text(json.dumps(said), encoding="utf-8")
    file.chmod(0o600)
    sign_ins = person.sign_ins()
    sign_ins._env = {"ANTHROPIC_CONFIG_DIR": str(folder)}
    found = sign_ins.token("anthropic")
    assert found is not None
    assert (await sign_ins.renew("anthropic")).secret == found.secret  # it may still be good
    with pytest.raises(e.SignInError, match="Anthropic's own tool"):
        await sign_ins.renew("anthropic", found.secret)
    file.write_text(json.dumps({**said, "access_token": "token-2"}), encoding="utf-8")
    assert (await sign_ins.renew("anthropic", found.secret)).secret.value == "token-2"
    assert person.server.requests("token") == []


# --------------------------------------------------------------------------------------------- status


def test_status_for_a_person(person: Person) -> None:
    sign_ins = person.sign_ins()
    assert sign_ins.status("openai") is None and sign_ins.token("openai") is None
    record = person.sign_in(age=100.0, email="person@example.com")
    status = sign_ins.status("openai")
    assert status is not None and status.ends is not None
    assert (status.provider, status.source, status.plan) == ("openai-subscription", "browser", "plus")
    assert abs(status.ends - (time.time() + 864000 - 100)) < 60
    assert status.place.endswith("oauth_openai.json") and status.renewable and not status.over
    for secret in (record.access_token, record.refresh_token):
        assert secret is not None and secret.value not in repr(status)
    person.store.save(replace(record, obtained_at=time.time() - 1e6, problem="refresh_token_expired"))
    status = sign_ins.status("openai")
    assert status is not None and status.over and not status.renewable
    with pytest.raises(e.ConfigError, match="Known: openai"):
        sign_ins.status("nobody")
    assert sign_ins.token("nobody") is None
    assert sign_ins.command("openai") == "%ante login openai"


def test_repaired_modes_are_told_once(person: Person) -> None:
    person.sign_in()
    path = person.home / "auth" / "oauth_openai.json"
    path.chmod(0o644)
    sign_ins = person.sign_ins()
    sign_ins.token("openai")
    assert path.stat().st_mode & 0o777 == 0o600
    [line] = sign_ins.news()
    assert "oauth_openai.json" in line and sign_ins.news() == []


# ---------------------------------------------------------------------------------------------- turns


class Bench:
    def __init__(self, person: Person, server: ChatGPT, cwd: Path) -> None:
        self.person, self.server = person, server
        self.runtime, self.host = Runtime(), DeskHost(cwd)
        self.notices: list[str] = []

    async def run(self, prompt: str, **options: Any) -> Turn:
        self.host.events.clear()
        turn = self.runtime.new_turn(prompt)
        await self.runtime.run(turn, TurnOptions(provider="openai", mode="yolo", **options), self.host)
        self.notices = [notice.text for notice in self.host.shown(Notice)]
        return turn


@pytest.fixture
async def bench(person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTE_HOME", str(person.home))
    code = {"code": "print('run')"}
    dialogue = Dialogue([[call("~", "Python", code)], [message("b~", "Done.")]], free=True)
    with ChatGPT(dialogue, valid=person.server.valid) as server:
        person.write(openai_subscription={"base_url": server.url})
        bench = Bench(person, server, tmp_path)
        yield bench
        await bench.runtime.aclose()


async def test_a_renewed_token_does_not_rebuild_the_connection(bench: Bench) -> None:
    bench.person.sign_in()
    first = await bench.run("go")
    assert first.status == "completed", first.error
    assert (first.provider, first.cost_note) == ("openai-subscription", "plan")
    provider = bench.runtime._connection._provider
    bench.person.server.ledger.expire_access()
    assert (await bench.run("go on")).status == "completed"
    other_kernel = bench.person.sign_ins()
    token = other_kernel.token("openai")
    assert token is not None
    await other_kernel.renew("openai", token.secret)
    assert (await bench.run("and on")).status == "completed"
    assert bench.runtime._connection._provider is provider
    assert len(bench.server.refused_tokens) == 1  # the one that was ended; the other kernel's is used at once
    assert bench.server.problems == [] and bench.person.server.refusals == []


async def test_another_account_is_another_connection(bench: Bench) -> None:
    bench.person.sign_in()
    await bench.run("go")
    provider = bench.runtime._connection._provider
    bench.person.sign_in(account_id="acc_other")
    turn = await bench.run("go")
    assert bench.runtime._connection._provider is not provider
    assert turn.status == "failed" and "acc_other" in bench.server.problems[0]


async def test_a_turn_whose_sign_in_is_over_says_what_to_type(bench: Bench) -> None:
    record = bench.person.sign_in()
    bench.person.server.ledger.families[-1].dead = "refresh_token_invalidated"
    turn = await bench.run("go")
    assert turn.status == "failed" and isinstance(turn.error, e.SignInError)
    assert "`%ante login openai`" in str(turn.error) and "\n" not in str(turn.error)
    assert record.access_token.value not in str(turn.error)
    # A key is an answer as well.
    os.environ["OPENAI_API_KEY"] = KEY
    try:
        assert bench.runtime.choose(TurnOptions(provider="openai")).oauth is None
    finally:
        del os.environ["OPENAI_API_KEY"]


async def test_a_repaired_store_is_told_in_the_turn(bench: Bench) -> None:
    bench.person.sign_in()
    (bench.person.home / "auth" / "oauth_openai.json").chmod(0o644)
    await bench.run("go")
    assert sum("oauth_openai.json" in line for line in bench.notices) == 1
    await bench.run("go")
    assert not any("oauth_openai.json" in line for line in bench.notices)


async def test_what_could_not_be_stored_is_stored_at_the_end(bench: Bench) -> None:
    bench.person.sign_in(age=1e6)
    bench.person.server.delay = 0.5
    path = bench.person.home / "auth" / "oauth_openai.json"

    def sabotage() -> None:
        wait_until(lambda: len(bench.person.server.requests("token")) == 1, 60)
        path.rename(path.with_suffix(".kept"))
        path.mkdir()

    _, turn = await asyncio.gather(asyncio.to_thread(sabotage), bench.run("go"))
    assert turn.status == "completed", turn.error
    assert any("could not be stored" in line for line in bench.notices)
    path.rmdir()
    path.with_suffix(".kept").rename(path)
    await bench.runtime.aclose()
    stored = bench.person.stored()
    assert bench.person.server.valid(stored.access_token.value)
    assert bench.person.server.refusals == []
