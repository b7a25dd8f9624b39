"""``%ante login`` in a real kernel against a real OAuth server: as a card, by stdin, and with nobody there."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.card import CardFront
from support.kernel import Kernel
from support.oauth_server import OAuthServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kernel import Outcome

TESTS = Path(__file__).resolve().parents[1]
LINK = re.compile(r"http://127\.0\.0\.1:\d+/oauth/authorize\S+")


class Desk:
    """A kernel with the extension, the vendor's server, and a home that points at it."""

    def __init__(self, kernel: Kernel, server: OAuthServer, home: Path) -> None:
        self.kernel = kernel
        self.server = server
        self.home = home

    def stored(self, preset: str = "openai") -> dict[str, Any]:
        return json.loads((self.home / f".ante/auth/oauth_{preset}.json").read_text())

    def is_stored(self, preset: str = "openai") -> bool:
        return (self.home / f".ante/auth/oauth_{preset}.json").exists()

    def link(self) -> str:
        outcome = self.kernel.wait_for(lambda outcome: bool(LINK.search(outcome.text)))
        found = LINK.search(outcome.text)
        assert found, outcome.text
        return found[0]

    def check_done(self, outcome: Outcome, preset: str = "openai") -> None:
        """Signed in with a token that works, and nothing of the way there is left in the notebook."""
        assert outcome.status == "ok", outcome.text
        assert self.server.valid(self.stored(preset)["access_token"])
        self.check_clean(outcome)
        assert "Signed in to " in outcome.text
        assert not self.server.refusals

    def check_clean(self, outcome: Outcome) -> None:
        """The outputs as a notebook saves them hold neither link nor code, and the kernel goes on."""
        shown = json.dumps(outcome.outputs)
        assert "/oauth/" not in shown and "state=" not in shown and "code_challenge" not in shown, shown
        assert "widget-view" not in shown
        for seen in self.server.seen:
            for name in ("code", "state", "code_verifier", "refresh_token", "device_auth_id", "user_code"):
                for value in (seen.query.get(name), seen.body.get(name)):
                    assert not value or value not in shown
        assert self.kernel.value("6 * 7") == 42
        again = self.kernel.run("print(input('word: '))", stdin=["still asks"])
        assert again.stdout == "still asks\n", again.text
        again = self.kernel.run("import asyncio\nawait asyncio.sleep(0.01)\nprint('awaited')")
        assert again.stdout == "awaited\n"
        handler = self.kernel.value("__import__('signal').getsignal(2).__qualname__")
        assert "TypedAnswer" not in handler and "InterruptGuard" not in handler


def point(server: OAuthServer, home: Path, *presets: str, **more: Any) -> None:
    folder = home / ".ante"
    folder.mkdir(mode=0o700, exist_ok=True)
    entries: dict[str, Any] = {}
    for preset in presets or ("openai", "antix"):
        entries |= server.catalog_entry(preset, **more)
    (folder / "catalog.json").write_text(json.dumps({"oauth": entries}))


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


@pytest.fixture
def desk(server: OAuthServer, isolated_home: Path, tmp_path: Path) -> Iterator[Desk]:
    point(server, isolated_home)
    with Kernel(cwd=tmp_path) as kernel:
        loaded = kernel.run("%load_ext ante_nb")
        assert (loaded.status, loaded.outputs) == ("ok", []), loaded.text
        yield Desk(kernel, server, isolated_home)


def come_back(address: str) -> str:
    """The browser follows the vendor's redirect to the kernel's listener."""
    with urllib.request.urlopen(address, timeout=20) as page:
        return str(page.read().decode())


# ------------------------------------------------------------------------------------------- the card


def test_card_browser(desk: Desk) -> None:
    desk.kernel.start("%ante login openai --browser", stdin=[])
    card = CardFront(desk.kernel)
    assert card.state["link"] == "" and card.state["state"] == "starting"
    card.send(kind="ready", local=True)
    state = card.wait(state="waiting", way="browser")
    assert state["accepts_paste"] and 200 < state["seconds_left"] <= 300
    # Who sees the notebook without widgets reads the same.
    assert desk.link() == state["link"]
    assert f'href="{state["link"].replace("&", "&amp;")}"' in desk.kernel._current().html
    assert 'rel="noopener noreferrer"' in desk.kernel._current().html
    assert "Close this page" in come_back(desk.server.allow(state["link"]))
    outcome = desk.kernel.wait()
    state = card.state
    assert state["state"] == "done" and state["link"] == state["user_code"] == "" and card.closed
    desk.check_done(outcome)
    assert "plan " in outcome.text and "@" not in outcome.text
    assert outcome.prompts == []


def test_card_paste(desk: Desk) -> None:
    desk.kernel.start("%ante login openai --paste", stdin=[])
    card = CardFront(desk.kernel)
    card.send(kind="ready", local=True)
    link = card.wait(state="waiting", way="paste")["link"]
    card.send(kind="paste", text=link)
    assert "link to open" in card.wait(problem=True)["message"]
    card.send(kind="paste", text="http://localhost:1455/auth/callback?code=abcdefghijkl&state=of-another")
    desk.kernel.wait_for(lambda _: "another sign-in" in card.state["message"])
    assert not desk.server.requests("token")
    place = desk.server.allow(link)
    card.send(kind="paste", text=f"  {place}\n")
    outcome = desk.kernel.wait()
    assert card.closed
    desk.check_done(outcome)
    code = parse_qs(urlsplit(place).query)["code"][0]
    everything = json.dumps([message.message for message in outcome.messages], default=str)
    assert code not in everything and desk.stored()["access_token"] not in everything


def test_card_device(desk: Desk) -> None:
    desk.kernel.start("%ante login openai --device", stdin=[])
    card = CardFront(desk.kernel)
    card.send(kind="ready", local=False)
    state = card.wait(state="waiting", way="device")
    assert state["link"].endswith("/codex/device") and not state["accepts_paste"]
    desk.kernel.wait_text(f"type the code {state['user_code']}")
    desk.server.allow_device(state["user_code"])
    outcome = desk.kernel.wait()
    assert card.state["user_code"] == "" and card.closed
    desk.check_done(outcome)


def test_card_of_another_host_begins_with_the_device_code(desk: Desk) -> None:
    hide_container(desk)
    desk.kernel.start("%ante login openai", stdin=[])
    card = CardFront(desk.kernel)
    card.send(kind="ready", local=False)
    state = card.wait(state="waiting")
    assert state["way"] == "device"
    card.send(kind="cancel")
    outcome = desk.kernel.wait()
    assert outcome.status == "error" and outcome.error == (
        "ante: cancelled: not signed in. Run the cell again, or type `%ante login openai`."
    )
    assert card.closed and not desk.is_stored()
    desk.check_clean(outcome)
    desk.kernel.start("%ante login openai", stdin=[])
    card = CardFront(desk.kernel)
    card.send(kind="ready", local=True)
    assert card.wait(state="waiting")["way"] == "browser"
    card.send(kind="cancel")
    assert desk.kernel.wait().status == "error"


def hide_container(desk: Desk) -> None:
    """As if the kernel were not in a container, where the tests may run."""
    done = desk.kernel.run("import ante_nb.notebook.reach as reach\nreach._CONTAINER_FILES = ()")
    assert done.status == "ok"


def test_card_interrupt(desk: Desk) -> None:
    for ready in (False, True):
        desk.kernel.start("%ante login openai --browser", stdin=[])
        card = CardFront(desk.kernel)
        if ready:
            card.send(kind="ready", local=True)
            card.wait(state="waiting")
        sent = desk.kernel.interrupt()
        outcome = desk.kernel.wait()
        assert outcome.ended - sent < 5
        assert outcome.status == "error" and "not signed in" in outcome.error
        assert len(outcome.error.splitlines()) == 1
        assert card.closed and not desk.is_stored()
        desk.check_clean(outcome)
    assert not list((desk.home / ".ante/auth").glob("*.tmp"))


def test_card_with_a_background_task(desk: Desk) -> None:
    """The person's own tasks go on while the cell waits."""
    desk.kernel.run(
        "import asyncio\nticks = []\nasync def tick():\n    while True:\n        ticks.append(1); await asyncio.sleep(0.01)\n"
        "task = asyncio.ensure_future(tick())"
    )
    desk.kernel.start("%ante login openai --browser", stdin=[])
    card = CardFront(desk.kernel)
    card.send(kind="ready", local=True)
    link = card.wait(state="waiting")["link"]
    time.sleep(0.5)
    come_back(desk.server.allow(link))
    desk.check_done(desk.kernel.wait())
    assert desk.kernel.value("len(ticks)") > 10
    desk.kernel.run("task.cancel()")


# ---------------------------------------------------------------------------------- no widgets: stdin


def test_stdin_is_left_when_the_browser_comes_back(desk: Desk) -> None:
    desk.kernel.start("%ante login openai --browser", stdin=[])
    question = desk.kernel.wait_for_input()
    assert "Paste the code" in question
    come_back(desk.server.allow(desk.link()))
    outcome = desk.kernel.wait()
    assert len(outcome.prompts) == 1
    desk.check_done(outcome)


def test_stdin_is_left_when_the_device_is_allowed(desk: Desk) -> None:
    desk.kernel.start("%ante login openai --device", stdin=[])
    outcome = desk.kernel.wait_text("type the code")
    code = re.search(r"type the code (\S+)", outcome.text)
    assert code
    desk.server.allow_device(code[1])
    outcome = desk.kernel.wait()
    assert outcome.prompts == []
    desk.check_done(outcome)


def test_stdin_paste(desk: Desk) -> None:
    desk.kernel.start("%ante login openai --paste", stdin=[])
    desk.kernel.wait_for_input()
    place = desk.server.allow(desk.link())
    desk.kernel.answer("")
    desk.kernel.wait_for_input()
    desk.kernel.answer("http://localhost:1455/auth/callback?no=thing")
    desk.kernel.wait_for_input()
    desk.kernel.wait_text("holds no sign-in code")
    query = urlsplit(place).query
    desk.kernel.answer(f"?{query}")
    outcome = desk.kernel.wait()
    assert len(outcome.prompts) == 3
    desk.check_done(outcome)


def test_stdin_asks_as_for_a_password(desk: Desk) -> None:
    """JupyterLab writes into the saved output what was typed into a plain input."""
    desk.kernel.start("%ante login openai --paste", stdin=[])
    requests = []
    original = desk.kernel._on_stdin

    def note(message: Any, at: float) -> None:
        requests.append(message["content"])
        original(message, at)

    desk.kernel._on_stdin = note  # type: ignore[method-assign]
    desk.kernel.wait_for_input()
    assert requests[-1]["password"] is True
    desk.kernel.interrupt()
    assert desk.kernel.wait().status == "error"


def test_stdin_interrupt(desk: Desk) -> None:
    desk.kernel.start("%ante login openai --browser", stdin=[])
    desk.kernel.wait_for_input()
    sent = desk.kernel.interrupt()
    outcome = desk.kernel.wait()
    assert outcome.ended - sent < 5 and outcome.status == "error" and "not signed in" in outcome.error
    desk.check_clean(outcome)


def test_in_a_cell_of_code(desk: Desk) -> None:
    """Where nothing can be awaited there is no card, and it works all the same."""
    desk.kernel.start("before = 1\n%ante login openai --browser\nafter = 2", stdin=[])
    desk.kernel.wait_for_input()
    come_back(desk.server.allow(desk.link()))
    outcome = desk.kernel.wait()
    assert not any(message.kind == "comm_open" for message in outcome.messages)
    desk.check_done(outcome)
    assert desk.kernel.value("(before, after)") == (1, 2)


# --------------------------------------------------------------------------------------- nobody there


def test_nobody_there(desk: Desk) -> None:
    """nbclient, papermill: link at once, and whoever looks at the output can finish it elsewhere."""
    desk.kernel.start("# sign in first\n%ante login openai --browser\n%ante provider openai-subscription")
    link = desk.link()
    assert "left)" in desk.kernel._current().text
    come_back(desk.server.allow(link))
    outcome = desk.kernel.wait()
    assert not any(message.kind == "comm_open" for message in outcome.messages)
    desk.check_done(outcome)
    assert "openai-subscription / " in outcome.text
    # Run All, a second time.
    outcome = desk.kernel.run("%ante login openai")
    assert outcome.status == "ok" and "already signed in to " in outcome.stdout, outcome.text
    assert len(desk.server.requests("authorize")) == 1


def test_nobody_there_device_and_interrupt(desk: Desk) -> None:
    desk.kernel.start("%ante login antix --device")
    outcome = desk.kernel.wait_text("type the code")
    sent = desk.kernel.interrupt()
    outcome = desk.kernel.wait()
    assert outcome.ended - sent < 5 and "not signed in" in outcome.error
    desk.check_clean(outcome)
    desk.kernel.start("%ante login antix --device")
    code = re.search(r"type the code (\S+)", desk.kernel.wait_text("type the code").text)
    assert code
    desk.server.allow_device(code[1])
    desk.check_done(desk.kernel.wait(), "antix")


def test_expired(server: OAuthServer, isolated_home: Path, tmp_path: Path) -> None:
    point(server, isolated_home, "antix")
    server.device_lifetime = 1.0
    with Kernel(cwd=tmp_path) as kernel:
        kernel.run("%load_ext ante_nb")
        outcome = kernel.run("%ante login antix --device")
        assert outcome.status == "error" and "not signed in" not in outcome.stdout, outcome.text
        assert "%ante login antix" in outcome.error and len(outcome.error.splitlines()) == 1
        Desk(kernel, server, isolated_home).check_clean(outcome)


def test_denied_and_refused(desk: Desk) -> None:
    desk.kernel.start("%ante login openai --browser")
    with pytest.raises(urllib.error.HTTPError):
        come_back(desk.server.deny(desk.link()))
    outcome = desk.kernel.wait()
    assert outcome.status == "error" and "denied" in outcome.error and "<b>" not in outcome.html
    desk.check_clean(outcome)
    no_way = {"error": "invalid_grant", "error_description": "no <b>way</b>"}
    desk.server.fail("token", status=400, body=no_way)
    desk.kernel.start("%ante login openai --paste", stdin=[])
    desk.kernel.wait_for_input()
    desk.kernel.answer(desk.server.allow(desk.link()))
    desk.kernel.wait_for_input()
    desk.kernel.wait_text("did not take this code")
    assert "<b>" not in desk.kernel._current().html
    # Another try with the same link.
    desk.kernel.answer(desk.server.allow(desk.link()))
    desk.check_done(desk.kernel.wait())


def test_nothing_is_begun_that_cannot_be_stored(desk: Desk) -> None:
    folder = desk.home / ".ante/auth"
    folder.mkdir(parents=True, exist_ok=True)
    (desk.home / "elsewhere").mkdir()
    folder.rmdir()
    folder.symlink_to(desk.home / "elsewhere")
    outcome = desk.kernel.run("%ante login openai --browser")
    assert outcome.status == "error" and "symbolic link" in outcome.error
    assert not desk.server.seen and "/oauth/" not in outcome.text


# ------------------------------------------------------------------------------------------- requests


def test_what_cannot_be_asked_for(desk: Desk) -> None:
    for line, words in {
        "login": "needs one provider",
        "login openai --fast": "no flag --fast",
        "login openai --device --paste": "takes one way at a time",
        "login openai antix": "needs one provider",
        "key openai antix": "takes one provider at a time",
        "login gemini": "takes an API key. Type `%ante key gemini`",
        "login antix-api-key": "takes an API key",
        "login local": "needs no sign-in",
        "login nowhere": "nowhere",
        "login anthropic": "Anthropic",
        "login anthropic-subscription": "Anthropic",
        "logout": "needs one provider",
        "logout gemini": "API key",
        "auth now": "takes no argument",
        "auth store": "`file` or `keyring`",
    }.items():
        outcome = desk.kernel.run(f"%ante {line}")
        assert outcome.status == "error" and words in outcome.error, (line, outcome.text)
        assert len(outcome.error.splitlines()) == 1
    leaked = desk.kernel.run("%ante login openai sk-proj-abcdefghij0123456789")
    assert "does not belong into a cell" in leaked.error and "abcdefghij" not in leaked.error
    assert not desk.server.seen


def test_ids_of_providers_are_no_keys(desk: Desk) -> None:
    """One word too many is no secret: what names a provider stays readable for the rest of the session."""
    for line in ("login openai openai-subscription", "key openai anthropic-subscription"):
        error = desk.kernel.run(f"%ante {line}").error
        assert "one provider" in error and "does not belong" not in error, error
    shown = desk.kernel.run("%ante provider").stdout
    assert "openai-subscription" in shown and "anthropic-subscription" in shown, shown
    assert "[redacted]" not in shown
    mixed = desk.kernel.run("%ante login openai antix sk-proj-abcdefghij0123456789").error
    assert "does not belong into a cell" in mixed and "abcdefghij" not in mixed


def test_anthropic_says_why_and_what_works(desk: Desk) -> None:
    error = desk.kernel.run("%ante login anthropic").error
    assert "in its own apps only" in error, error
    for works in ("%ante key anthropic", "credential profile", "catalog.json"):
        assert works in error


def test_ids_map_to_their_sign_in(desk: Desk) -> None:
    desk.kernel.start("%ante login openai-subscription --browser")
    come_back(desk.server.allow(desk.link()))
    desk.check_done(desk.kernel.wait())


def test_an_api_key_that_is_used_instead_is_told(desk: Desk) -> None:
    desk.kernel.run("import os; os.environ['OPENAI_API_KEY'] = 'sk-test-0123456789abcdef'")
    desk.kernel.start("%ante login openai --browser")
    come_back(desk.server.allow(desk.link()))
    outcome = desk.kernel.wait()
    desk.check_done(outcome)
    assert "openai goes on with its API key (environment OPENAI_API_KEY)" in outcome.stdout
    assert "%ante provider openai-subscription" in outcome.stdout


# ------------------------------------------------------------------------------------ logout and auth


def sign_in(desk: Desk, preset: str = "openai", flags: str = "--browser") -> None:
    desk.kernel.start(f"%ante login {preset} {flags}")
    come_back(desk.server.allow(desk.link()))
    desk.check_done(desk.kernel.wait(), preset)


def test_auth_and_logout(desk: Desk) -> None:
    nobody = desk.kernel.run("%ante auth")
    assert nobody.status == "ok" and nobody.stdout.count("not signed in") == 2, nobody.text
    assert "not available" in nobody.stdout
    sign_in(desk)
    desk.kernel.run("import os; os.environ['XAI_API_KEY'] = 'xai-0123456789abcdef'")
    requests = len(desk.server.seen)
    table = desk.kernel.run("%ante auth").stdout
    row = next(line for line in table.splitlines() if line.startswith("openai "))
    assert "sign-in (browser)" in row and "person@example.com (plus)" in row and "is renewed" in row
    assert "sign-in store" in row and "stored in ~/.ante/auth." in table
    assert "environment XAI_API_KEY" in table and "0123456789abcdef" not in table
    assert len(desk.server.seen) == requests, "`%ante auth` went to the network"
    token = desk.stored()["access_token"]
    outcome = desk.kernel.run("%ante logout openai")
    assert outcome.status == "ok" and "the vendor has revoked it" in outcome.stdout, outcome.text
    assert not desk.server.valid(token) and not desk.is_stored()
    assert "not signed in" in desk.kernel.run("%ante logout openai").stdout
    assert desk.kernel.run("%ante auth").stdout.count("not signed in") == 2
    for secret in (token, desk.server.requests("token")[0].body["code"]):
        assert secret not in json.dumps([cell.outputs for cell in desk.kernel.cells])


def test_auth_shows_no_key_that_is_not_there(desk: Desk) -> None:
    """What cannot be read is told once, and never as an API key."""
    sign_in(desk)
    folder = desk.home / ".ante/auth"
    (folder / "oauth_openai.json").write_text('{"access_token": "half')
    shown = desk.kernel.run("%ante auth").stdout
    assert shown.count("oauth_openai.json is no valid JSON") == 1 and "API key" not in shown, shown
    (folder / "api_keys.json").write_text("{")
    desk.kernel.run("import os; os.environ['XAI_API_KEY'] = 'xai-0123456789abcdef'")
    shown = desk.kernel.run("%ante auth").stdout
    assert shown.count("api_keys.json is no valid JSON") == 1 and shown.count("API key ") == 1, shown
    assert "environment XAI_API_KEY" in shown
    # A vendor's profile that cannot be used is no file of ours.
    desk.kernel.run("os.environ['ANTHROPIC_PROFILE'] = '../x'")
    shown = desk.kernel.run("%ante auth").stdout
    assert "Unset ANTHROPIC_PROFILE" in shown and "oauth_anthropic.json" not in shown, shown


def test_logout_without_the_vendor(desk: Desk) -> None:
    sign_in(desk)
    desk.server.fail("revoke", times=9, status=500, body="oops")
    outcome = desk.kernel.run("%ante logout openai")
    assert outcome.status == "ok" and not desk.is_stored(), outcome.text
    assert "stays valid" in outcome.stdout


def test_logout_interrupted_keeps_the_record(desk: Desk) -> None:
    sign_in(desk)
    before = desk.stored()
    desk.server.fail("revoke", times=9, status=200, body="", delay=8.0)
    desk.kernel.start("%ante logout openai")
    deadline = time.monotonic() + 30
    while not desk.server.requests("revoke") and time.monotonic() < deadline:
        time.sleep(0.05)
    sent = desk.kernel.interrupt()
    outcome = desk.kernel.wait()
    assert outcome.ended - sent < 5
    assert outcome.status == "error" and "still stored" in outcome.error, outcome.text
    assert desk.stored() == before


def test_a_damaged_record_can_be_signed_out_of_and_signed_in_again(desk: Desk) -> None:
    sign_in(desk)
    path = desk.home / ".ante/auth/oauth_openai.json"
    path.write_text('{"access_token": "half')
    note = next(
        line for line in desk.kernel.run("%ante auth").stdout.splitlines() if line.startswith("openai: ")
    )
    assert "no valid JSON" in note and "half" not in note
    sign_in(desk)
    path.write_text("[]")
    outcome = desk.kernel.run("%ante logout openai")
    assert outcome.status == "ok" and not path.exists(), outcome.text


def test_signing_in_anew_replaces_the_record(desk: Desk) -> None:
    sign_in(desk)
    first = desk.stored()["access_token"]
    sign_in(desk, flags="--browser --again")
    assert desk.stored()["access_token"] != first


def test_refused_in_a_tool(desk: Desk) -> None:
    state = "__import__('ante_nb.notebook.state').notebook.state.kernel_state(get_ipython())"
    desk.kernel.run(f"{state}.in_tool = True")
    for line in ("login openai", "logout openai", "auth store file"):
        outcome = desk.kernel.run(f"%ante {line}")
        assert outcome.status == "error" and "tool" in outcome.error
    desk.kernel.run(f"{state}.in_tool = False")
    assert not desk.server.seen


# ------------------------------------------------------------------------------------ store and profile


def test_the_store_moves(server: OAuthServer, isolated_home: Path, tmp_path: Path) -> None:
    pytest.importorskip("keyring", reason="needs keyring (the dev extra)")
    ring = tmp_path / "ring.json"
    environment = {
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
        "PYTHON_KEYRING_BACKEND": "support.file_keyring.FileKeyring",
        "ANTE_TEST_KEYRING": str(ring),
    }
    point(server, isolated_home)
    with Kernel(cwd=tmp_path, env=environment) as kernel:
        kernel.run("%load_ext ante_nb")
        desk = Desk(kernel, server, isolated_home)
        sign_in(desk)
        token = desk.stored()["access_token"]
        assert kernel.run("%ante key xai", stdin=["xai-0123456789abcdefghij"]).status == "ok"
        moved = kernel.run("%ante auth store keyring")
        assert moved.status == "ok" and "the system keyring from now on" in moved.stdout, moved.text
        on_disk = "".join(path.read_text() for path in (isolated_home / ".ante/auth").iterdir())
        assert token not in on_disk and "xai-0123" not in on_disk
        assert token in ring.read_text().replace('\\"', '"') and "xai-0123" in ring.read_text()
        table = kernel.run("%ante auth").stdout
        assert table.count("system keyring") >= 3 and "sign-in store" not in table, table
        assert kernel.run("%ante login openai").stdout.startswith("already signed in")
        assert kernel.run("%ante auth store file").status == "ok"
        assert desk.stored()["access_token"] == token and token not in ring.read_text()
        # A keyring that keeps nothing: nothing is moved.
        kernel.run("import keyring, keyring.backends.null as n; keyring.set_keyring(n.Keyring())")
        refused = kernel.run("%ante auth store keyring")
        assert refused.status == "error" and len(refused.error.splitlines()) == 1, refused.text
        assert desk.stored()["access_token"] == token


def test_anthropics_own_profile(desk: Desk) -> None:
    folder = desk.home / ".config/anthropic"
    for name in ("configs", "credentials"):
        (folder / name).mkdir(parents=True)
    (folder / "configs/default.json").write_text('{"authentication": {"type": "user_oauth"}}')
    credentials = folder / "credentials/default.json"
    secrets = {
        "access_token": "sk-ant-oat01-of-the-profile-0123456789",
        "refresh_token": "sk-ant-ort01-of-the-profile-0123456789",
        "expires_at": int(time.time()) + 3600,
    }
    credentials.write_text(json.dumps(secrets))
    for path in (credentials, folder / "configs/default.json"):
        path.chmod(0o600)
    shown = desk.kernel.run("%ante auth").stdout
    row = next(line for line in shown.splitlines() if line.startswith("anthropic "))
    assert "Anthropic profile default" in row and "vendor's own" in row, shown
    assert "already signed in to Anthropic" in desk.kernel.run("%ante login anthropic").stdout
    outcome = desk.kernel.run("%ante logout anthropic")
    assert outcome.status == "ok" and "sign out with the vendor's tool" in outcome.stdout
    assert json.loads(credentials.read_text()) == secrets and not desk.is_stored("anthropic")
    assert "of-the-profile" not in json.dumps([cell.outputs for cell in desk.kernel.cells])


def test_anthropic_with_a_client_of_the_person(
    server: OAuthServer, isolated_home: Path, tmp_path: Path
) -> None:
    """The flow that Anthropic's own apps have, whole, with a client id and endpoints that were configured."""
    point(server, isolated_home, "anthropic")
    with Kernel(cwd=tmp_path) as kernel:
        kernel.run("%load_ext ante_nb")
        desk = Desk(kernel, server, isolated_home)
        kernel.start("%ante login anthropic --paste", stdin=[])
        kernel.wait_for_input()
        # The vendor's page shows code#state.
        shown = urlsplit(server.allow(desk.link()))
        query = parse_qs(shown.query)
        kernel.answer(f"{query['code'][0]}#{query['state'][0]}")
        desk.check_done(kernel.wait(), "anthropic")
