"""Tokens are renewed in time and once, whatever clock, network, disk and other kernels do meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.oauth_server import OAuthServer
from support.signed_in import Person
from support.ws_server import wait_until

from ante_nb import errors as e
from ante_nb.providers.auth import lost_answers, renewal
from ante_nb.providers.auth.refusals import TransientSignInError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ante_nb.providers.spec import Secret

OLD = 1_000_000.0
"""An age in seconds at which every token is over."""


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    monkeypatch.setattr(lost_answers, "PAUSES", (0.02, 0.02))
    with OAuthServer() as server:
        yield Person(server, tmp_path / "home")


def asked(person: Person) -> int:
    return len(person.server.requests("token"))


# ---------------------------------------------------------------------------------------------- when


async def test_a_good_token_is_used_as_it_is(person: Person) -> None:
    record = person.sign_in()
    credential = await person.renewal().fresh("openai")
    assert credential.secret == record.access_token
    assert (credential.oauth, credential.preset) == (True, "openai")
    assert credential.headers == {"ChatGPT-Account-ID": "acc_fix"}
    assert asked(person) == 0


@pytest.mark.parametrize("preset", ["openai", "anthropic", "antix"])
async def test_one_that_is_over_is_renewed_once_and_stored(person: Person, preset: str) -> None:
    old = person.sign_in(preset, age=OLD)
    keeper = person.renewal()
    credential = await keeper.fresh(preset)
    assert credential.secret != old.access_token
    assert person.server.valid(credential.secret.value)
    stored = person.stored(preset)
    assert stored.access_token == credential.secret
    assert stored.refresh_token not in (None, old.refresh_token)
    assert (await keeper.fresh(preset)).secret == credential.secret
    assert (await person.renewal().fresh(preset)).secret == credential.secret
    assert asked(person) == 1 and person.server.refusals == []


async def test_a_token_of_fifteen_minutes_is_renewed_a_minute_before_its_end(person: Person) -> None:
    first = person.sign_in("antix")
    keeper = person.renewal()
    assert (await keeper.fresh("antix")).secret == first.access_token
    person.clock.wait(13.5 * 60)
    assert (await keeper.fresh("antix")).secret == first.access_token
    person.clock.wait(45)
    second = (await keeper.fresh("antix")).secret
    assert second != first.access_token and asked(person) == 1
    person.clock.wait(13.5 * 60)
    assert (await keeper.fresh("antix")).secret == second
    person.clock.wait(45)
    assert (await keeper.fresh("antix")).secret != second and asked(person) == 2


async def test_an_old_token_is_renewed_whatever_its_expiry_says(person: Person) -> None:
    person.sign_in(age=8.5 * 86400)  # it lives for ten days, but eight are the most
    await person.renewal().fresh("openai")
    assert asked(person) == 1


async def test_without_a_known_end_only_a_refusal_renews(person: Person) -> None:
    record = person.sign_in("antix", age=OLD, expires_in=None)
    keeper = person.renewal()
    assert (await keeper.fresh("antix")).secret == record.access_token and asked(person) == 0
    assert (await keeper.fresh("antix", record.access_token)).secret != record.access_token
    assert asked(person) == 1


async def test_a_refused_token_is_renewed_though_it_seems_good(person: Person) -> None:
    record = person.sign_in()
    keeper = person.renewal()
    await keeper.fresh("openai")
    new = await keeper.fresh("openai", record.access_token)
    assert new.secret != record.access_token and person.server.valid(new.secret.value)
    # Somebody else comes with the same refusal: that is over and done.
    assert (await keeper.fresh("openai", record.access_token)).secret == new.secret
    assert (await person.renewal().fresh("openai", record.access_token)).secret == new.secret
    assert asked(person) == 1


# --------------------------------------------------------------------------------------------- clocks


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_an_hour_wrong_harms_nothing(person: Person, hours: int) -> None:
    person.clock.shift = hours * 3600.0
    person.server.ledger.clock_offset = -hours * 3600.0
    record = person.sign_in("antix")
    keeper = person.renewal()
    assert (await keeper.fresh("antix")).secret == record.access_token
    person.clock.wait(14.5 * 60)
    new = await keeper.fresh("antix")
    assert new.secret != record.access_token and asked(person) == 1
    assert (await person.renewal().fresh("antix")).secret == new.secret
    assert asked(person) == 1 and person.server.valid(new.secret.value)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_by_an_hour_harms_nothing(person: Person, hours: int) -> None:
    person.sign_in("antix")
    keeper = person.renewal()
    await keeper.fresh("antix")
    person.clock.shift = hours * 3600.0
    token = (await keeper.fresh("antix")).secret
    before = asked(person)
    assert before == (1 if hours > 0 else 0)  # forwards: once too early
    for _ in range(3):
        assert (await keeper.fresh("antix")).secret == token
    assert asked(person) == before
    person.clock.wait(14.5 * 60)
    assert (await keeper.fresh("antix")).secret != token
    assert asked(person) == before + 1


async def test_a_token_from_the_future_is_good_until_it_is_refused(person: Person) -> None:
    record = person.sign_in("antix", age=-3600)  # stored by a kernel whose clock was ahead
    keeper = person.renewal()
    assert (await keeper.fresh("antix")).secret == record.access_token
    new = await keeper.fresh("antix", record.access_token)
    assert new.secret != record.access_token and asked(person) == 1


# ------------------------------------------------------------------------------------- one at a time


async def test_many_tasks_threads_and_loops_renew_once(person: Person) -> None:
    old = person.sign_in(age=OLD)
    person.server.delay = 0.1
    keeper = person.renewal()
    found: list[Secret] = []

    def thread() -> None:
        found.append(asyncio.run(keeper.fresh("openai")).secret)

    threads = [threading.Thread(target=thread) for _ in range(6)]
    for one in threads:
        one.start()
    found += [one.secret for one in await asyncio.gather(*(keeper.fresh("openai") for _ in range(20)))]
    for one in threads:
        await asyncio.to_thread(one.join)
    assert len(found) == 26 and len(set(found)) == 1 and found[0] != old.access_token
    assert asked(person) == 1


async def test_a_refusal_that_meets_an_ordinary_renewal_gets_another_token(person: Person) -> None:
    old = person.sign_in(age=OLD)
    person.server.delay = 0.1
    keeper = person.renewal()
    found = await asyncio.gather(*(keeper.fresh("openai", was) for was in (None, old.access_token, None)))
    assert len({one.secret for one in found}) == 1 and found[0].secret != old.access_token
    assert asked(person) == 1


async def test_an_interrupt_does_not_stop_a_renewal(person: Person) -> None:
    old = person.sign_in(age=OLD)
    person.server.delay = 0.3
    keeper = person.renewal()
    waiting = asyncio.create_task(keeper.fresh("openai"))
    await asyncio.to_thread(wait_until, lambda: asked(person) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(wait_until, lambda: person.stored().access_token != old.access_token)
    assert (await keeper.fresh("openai")).secret == person.stored().access_token
    assert asked(person) == 1 and person.server.refusals == []


async def test_another_kernel_that_hangs_with_the_lock(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "SHORT_LOCK", 0.2)
    monkeypatch.setattr(renewal, "LOCK_TIMEOUT", 0.3)
    record = person.sign_in("antix", age=14.5 * 60)
    keeper = person.renewal()
    with person.store.lock("antix"):
        # It is good for half a minute more.
        assert (await keeper.fresh("antix")).secret == record.access_token
        assert any("not renewed" in line for line in keeper.news("antix"))
        with pytest.raises(e.ConfigError) as caught:
            await keeper.fresh("antix", record.access_token)
    assert "\n" not in str(caught.value) and asked(person) == 0
    assert (await keeper.fresh("antix", record.access_token)).secret != record.access_token


# -------------------------------------------------------------------------------------------- network


async def test_an_answer_that_is_lost_is_asked_for_again_within_the_time_of_grace(person: Person) -> None:
    person.sign_in("antix", age=OLD)
    person.server.fail("token", status=0, after=True)  # the server has rotated, the connection breaks
    credential = await person.renewal().fresh("antix")
    assert person.server.valid(credential.secret.value)
    assert person.stored("antix").access_token == credential.secret
    assert person.server.refusals == []


async def test_without_a_time_of_grace_the_person_is_told_what_to_type(person: Person) -> None:
    old = person.sign_in(age=OLD)
    person.server.fail("token", status=0, after=True)
    keeper = person.renewal()
    with pytest.raises(e.SignInError) as caught:
        await keeper.fresh("openai")
    assert caught.value.code == "refresh_token_reused"
    assert "`%ante login openai`" in str(caught.value) and "\n" not in str(caught.value)
    for secret in (old.access_token, old.refresh_token):
        assert secret is not None and secret.value not in f"{caught.value!r} {caught.value}"
    assert person.stored().problem == "refresh_token_reused"
    asked_then = asked(person)
    for kernel in (keeper, person.renewal()):
        with pytest.raises(e.SignInError, match="%ante login openai"):
            await kernel.fresh("openai")
    assert asked(person) == asked_then  # nobody asks again
    new = person.sign_in()
    assert (await person.renewal().fresh("openai")).secret == new.access_token


@pytest.mark.parametrize("code", ["refresh_token_expired", "refresh_token_invalidated", "invalid_grant"])
async def test_a_sign_in_that_is_over_is_used_as_long_as_its_token_lives(person: Person, code: str) -> None:
    record = person.sign_in("openai", age=864000 - 100)
    body = {"error": {"code": code, "message": "No."}}
    person.server.fail("token", status=401 if code != "invalid_grant" else 400, body=body)
    keeper = person.renewal()
    assert (await keeper.fresh("openai")).secret == record.access_token
    [line] = keeper.news("openai")
    assert "%ante login openai" in line and keeper.news("openai") == []
    assert (await keeper.fresh("openai")).secret == record.access_token
    with pytest.raises(e.SignInError, match="%ante login openai"):
        await keeper.fresh("openai", record.access_token)
    assert asked(person) == 1


@pytest.mark.parametrize(
    "how", [{"status": 503}, {"status": 0}, {"status": 200, "body": "<html>proxy</html>"}]
)
async def test_a_vendor_that_fails_leaves_the_token_in_use(person: Person, how: dict[str, Any]) -> None:
    record = person.sign_in("antix", age=14.5 * 60)
    keeper = person.renewal()
    person.server.fail("token", times=3, **how)
    assert (await keeper.fresh("antix")).secret == record.access_token
    assert (await keeper.fresh("antix")).secret == record.access_token
    assert asked(person) == 3  # and then a pause
    person.clock.wait(renewal.COOL_DOWN + 1)
    assert (await keeper.fresh("antix")).secret != record.access_token
    assert person.server.refusals == []


async def test_a_vendor_that_fails_after_a_refusal_is_said_in_one_line(person: Person) -> None:
    record = person.sign_in("antix")
    keeper = person.renewal()
    person.server.fail("token", times=3, status=502, body="<html>", content_type="text/html")
    with pytest.raises(TransientSignInError) as caught:
        await keeper.fresh("antix", record.access_token)
    assert "502" in str(caught.value) and "\n" not in str(caught.value)
    assert person.stored("antix").problem is None
    assert (await keeper.fresh("antix", record.access_token)).secret != record.access_token


async def test_a_failure_that_passes_is_not_seen(person: Person) -> None:
    person.sign_in("antix", age=OLD)
    person.server.fail("token", times=2, status=500)
    credential = await person.renewal().fresh("antix")
    assert person.server.valid(credential.secret.value) and asked(person) == 3


async def test_another_kernel_that_knows_no_lock_was_faster(person: Person) -> None:
    """On a disk without locks between hosts: the token was used meanwhile, the new one is in the store."""
    person.sign_in("antix", age=OLD)
    person.server.ledger.grace = 0.0
    person.server.delay = 0.5
    keeper = person.renewal()
    waiting = asyncio.create_task(keeper.fresh("antix"))
    await asyncio.to_thread(wait_until, lambda: asked(person) == 1)
    family = person.server.ledger.families[-1]
    family.spent[family.current] = 0.0  # the other one has spent it
    family.current = "rt_other"
    other = person.sign_in("antix")
    assert (await waiting).secret == other.access_token
    assert person.stored("antix").problem is None


# ----------------------------------------------------------------------------------------------- disk


def _no_writing(person: Person, preset: str) -> Path:
    """Put a directory in the store's place: nothing can be read or replaced there, as root neither."""
    path = person.home / "auth" / f"oauth_{preset}.json"
    path.rename(path.with_suffix(".kept"))
    path.mkdir()
    return path


def _writing(path: Path) -> None:
    path.rmdir()
    path.with_suffix(".kept").rename(path)


async def test_nothing_is_spent_where_nothing_can_be_stored(person: Person) -> None:
    record = person.sign_in("antix", age=14.5 * 60)
    block = person.home / "auth" / ".oauth_antix.json.tmp"
    block.mkdir()
    keeper = person.renewal()
    assert (await keeper.fresh("antix")).secret == record.access_token
    assert any("was not renewed" in line for line in keeper.news("antix"))
    with pytest.raises(e.ConfigError):
        await keeper.fresh("antix", record.access_token)
    assert asked(person) == 0
    block.rmdir()
    assert (await keeper.fresh("antix", record.access_token)).secret != record.access_token


async def test_a_lost_write_keeps_the_sign_in(person: Person) -> None:
    old = person.sign_in(age=OLD)
    person.server.delay = 0.5
    keeper = person.renewal()
    waiting = asyncio.create_task(keeper.fresh("openai"))
    await asyncio.to_thread(wait_until, lambda: asked(person) == 1)
    path = _no_writing(person, "openai")  # after the token was sent
    new = (await waiting).secret
    assert new != old.access_token and person.server.valid(new.value)
    [line] = keeper.news("openai")
    assert "could not be stored" in line and "%ante login openai" in line
    assert keeper.unsaved("openai")
    assert (await keeper.fresh("openai")).secret == new  # and again, without a further word
    assert keeper.news("openai") == []
    assert (await keeper.fresh("openai", old.access_token)).secret == new
    assert asked(person) == 1

    _writing(path)
    assert (await keeper.fresh("openai")).secret == new
    assert person.stored().access_token == new and not keeper.unsaved("openai")
    assert (await person.renewal().fresh("openai")).secret == new
    assert asked(person) == 1 and person.server.refusals == []


async def test_tokens_that_were_never_stored_are_renewed_in_turn(person: Person) -> None:
    person.sign_in("antix", age=OLD)
    person.server.delay = 0.4
    keeper = person.renewal()
    waiting = asyncio.create_task(keeper.fresh("antix"))
    await asyncio.to_thread(wait_until, lambda: asked(person) == 1)
    path = _no_writing(person, "antix")
    first = (await waiting).secret
    person.clock.wait(14.5 * 60)
    # They can't be stored now either, so nothing is spent, and the token is used as long as it lives.
    assert (await keeper.fresh("antix")).secret == first
    assert asked(person) == 1
    _writing(path)
    person.clock.wait(renewal.COOL_DOWN + 1)
    second = (await keeper.fresh("antix")).secret
    assert second != first and person.stored("antix").access_token == second
    assert person.server.refusals == []


async def test_who_signs_in_or_out_elsewhere_meanwhile_wins(person: Person) -> None:
    for elsewhere in ("in", "out"):
        person.sign_in(age=OLD)
        person.server.delay = 0.4
        keeper, before = person.renewal(), asked(person)
        waiting = asyncio.create_task(keeper.fresh("openai"))
        await asyncio.to_thread(wait_until, lambda before=before: asked(person) == before + 1)
        path = _no_writing(person, "openai")
        await waiting
        _writing(path)
        assert keeper.unsaved("openai")
        if elsewhere == "in":
            new = person.sign_in()
            assert (await keeper.fresh("openai")).secret == new.access_token
        else:
            person.store.delete("openai")
            with pytest.raises(e.SignInError, match="%ante login openai"):
                await keeper.fresh("openai")
        assert not keeper.unsaved("openai")


async def test_signed_out_elsewhere(person: Person) -> None:
    record = person.sign_in()
    keeper = person.renewal()
    await keeper.fresh("openai")
    person.store.delete("openai")
    with pytest.raises(e.SignInError, match=r"not signed in.*%ante login openai"):
        await keeper.fresh("openai", record.access_token)
    assert asked(person) == 0


async def test_a_renewal_takes_no_longer_than_others_wait(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_answers, "ATTEMPT", 0.3)
    monkeypatch.setattr(lost_answers, "TOGETHER", 1.0)
    person.sign_in("antix", age=OLD)
    person.server.delay = 2.0
    keeper = person.renewal()
    began = time.monotonic()
    await keeper.fresh("antix")
    assert 2 <= asked(person) <= 3 and time.monotonic() - began < 20
