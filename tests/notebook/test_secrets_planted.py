"""Every kind of credential is planted in a real kernel, everything is run that could show one, and all that
came of it is searched: messages, the saved notebook, the journal, the log, requests, process tables."""

from __future__ import annotations

import base64
import json
import string
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import nbformat
import nbformat.v4 as v4
import psutil
import pytest
from support.ante import point_at, seeded
from support.card import CardFront
from support.chat_server import Reply, tool
from support.kernel import Kernel
from support.oauth_server import OAuthServer

from ante_nb.providers.catalog.load import load_catalog

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from support.chat_server import ChatServer

pytestmark = pytest.mark.timeout(600)

LIVE = "a message of the kernel"
PIECE = 10
"""As many characters of a secret in a row are a leak: whatever cuts text must not cut a secret out of the
redactor's sight."""


class Echo:
    """A vendor that repeats the whole request in its error: headers, address and body."""

    def __init__(self) -> None:
        self.statuses = [401]
        self.count = 0
        echo = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None: ...

            def _answer(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                said = (
                    f"bad request to {self.path} with {dict(self.headers)}: {self.rfile.read(size).decode()}"
                )
                status = echo.statuses[echo.count % len(echo.statuses)]
                echo.count += 1
                if status == 200:
                    body = f"data: {json.dumps({'error': {'message': said, 'type': said, 'code': said}})}\n\n".encode()
                else:
                    body = json.dumps({"error": {"message": said, "type": said, "code": said}}).encode()
                self.send_response(status)
                self.send_header("content-type", "text/event-stream" if status == 200 else "application/json")
                self.send_header("x-request-id", self.headers.get("authorization") or "none")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _answer

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class Planted:
    """The secrets by name, and the search for them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.values: dict[str, str] = {}
        self.shown: set[str] = set()
        """What stands in the link while a sign-in runs, and in nothing that stays."""

    def new(self, name: str, prefix: str = "", size: int = 40) -> str:
        letters = string.ascii_letters + string.digits
        value = prefix + "".join(self._chance.choice(letters) for _ in range(size))
        self.values[name] = value
        return value

    def found(self, text: str) -> list[str]:
        """The names of the secrets of which ``text`` has a part."""
        return [name for name, value in self.values.items() if any(part in text for part in _parts(value))]

    def check(self, where: str, text: str) -> None:
        for name, value in self.values.items():
            if name in self.shown and where == LIVE:
                continue
            for part in _parts(value):
                at = text.find(part)
                assert at < 0, f"{name} is in {where}: ...{text[max(0, at - 300) : at + 80]}..."


def _parts(value: str) -> set[str]:
    """Pieces of it at every place; what comes before a known prefix may stay readable."""
    tail = value[-40:]
    return {tail[start : start + PIECE] for start in range(0, len(tail) - PIECE + 1, 5)} | {tail[-PIECE:]}


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def oauth() -> Iterator[OAuthServer]:
    with OAuthServer() as server:
        yield server


def environment_of(planted: Planted, home: Path) -> dict[str, str]:
    env: dict[str, str] = {}
    for provider in load_catalog(home / ".ante").providers.values():
        for name in provider.auth.env_keys if provider.auth else ():
            # As the vendors write them, and without any shape of theirs.
            shape = provider.key_prefix or "" if len(env) % 2 else ""
            env[name] = planted.new(f"environment {name}", shape)
    return env


def plant_files(planted: Planted, home: Path, echo: Echo, oauth: OAuthServer) -> None:
    catalog = {
        "oauth": {**oauth.catalog_entry("openai"), **oauth.catalog_entry("antix")},
        "providers": {
            **{
                ident: {"base_url": f"http://127.0.0.1:{echo.port}/v1"}
                for ident in load_catalog(home / ".ante").providers
                if ident not in ("local", "openai-compatible")
            },
            "by-query": {
                "display_name": "Key in the address",
                "base_url": f"http://127.0.0.1:{echo.port}/v1",
                "auth": {"query": {"name": "key", "env_key": "BY_QUERY_SECRET_OF_MINE"}},
                "wire_style": "OpenAiCompatible",
                "default_model": "m",
            },
            "by-login": {
                "display_name": "Login in the address",
                "base_url": f"http://me:{planted.new('password in catalog.json')}@127.0.0.1:{echo.port}/v1",
                "auth": {"bearer": {"env_key": "BY_LOGIN_THING"}},
                "wire_style": "OpenAiCompatible",
                "default_model": "m",
                "http_headers": {"x-gateway-key": planted.new("header in catalog.json")},
            },
        },
    }
    (home / ".ante/catalog.json").write_text(json.dumps(catalog))
    folder = home / ".config/anthropic"
    for name in ("configs", "credentials"):
        (folder / name).mkdir(parents=True)
    (folder / "configs/default.json").write_text('{"authentication": {"type": "user_oauth"}}')
    tokens = {
        "access_token": planted.new("Anthropic profile, access", "sk-ant-oat01-"),
        "refresh_token": planted.new("Anthropic profile, refresh", "sk-ant-ort01-"),
        "expires_at": int(time.time()) + 3600,
    }
    (folder / "credentials/default.json").write_text(json.dumps(tokens))
    for path in folder.rglob("*.json"):
        path.chmod(0o600)


def plant_sign_ins(kernel: Kernel, oauth: OAuthServer, planted: Planted, home: Path) -> None:
    """One by card and paste, one by the device code, a renewal, and one that ends by a logout."""
    kernel.start("%ante login openai --paste", stdin=[])
    card = CardFront(kernel)
    card.send(kind="ready", local=False)
    place = oauth.allow(card.wait(state="waiting")["link"])
    card.send(kind="paste", text=place)
    assert kernel.wait().status == "ok"
    kernel.start("%ante login antix --browser")
    outcome = kernel.wait_for(lambda out: "/oauth/authorize" in out.text)
    link = next(word for word in outcome.text.split() if "/oauth/authorize" in word)
    with urllib.request.urlopen(oauth.allow(link), timeout=20):
        pass
    assert kernel.wait().status == "ok"
    assert kernel.run("%ante logout antix").status == "ok"
    kernel.start("%ante login antix --device")
    outcome = kernel.wait_for(lambda out: "type the code" in out.text)
    oauth.allow_device(outcome.text.partition("type the code ")[2].split()[0])
    assert kernel.wait().status == "ok"
    number = 0
    for seen in oauth.seen:
        for name in (
            "code",
            "state",
            "code_verifier",
            "refresh_token",
            "token",
            "device_code",
            "device_auth_id",
        ):
            for value in (seen.query.get(name), seen.body.get(name)):
                if value and value not in planted.values.values():
                    number += 1
                    planted.values[f"OAuth {name} {number}"] = value
                    if name == "state":
                        planted.shown.add(f"OAuth {name} {number}")
    for preset in ("openai", "antix"):
        stored = json.loads((home / f".ante/auth/oauth_{preset}.json").read_text())
        for name in ("access_token", "refresh_token", "id_token"):
            if stored.get(name):
                planted.values[f"stored {preset} {name}"] = stored[name]


COMMANDS = (
    "status", "provider", "providers", "auth", "doctor", "models", "model", "usage", "help", "mode", "thinking",
)  # fmt: skip

REPRS = """
import ante_nb, copy, pprint
from ante_nb.agent.options import TurnOptions
from ante_nb.notebook.state import kernel_state
from dataclasses import asdict
state = kernel_state(get_ipython())
runtime = state.runtime
things = [state, runtime, runtime.keys, runtime.sign_ins, runtime.sign_ins.renewal, vars(runtime.sign_ins.renewal)]
for ident in runtime.catalog().providers:
    try:
        choice = runtime.choose(TurnOptions(provider=ident, model="m"))
    except ante_nb.AnteError as error:
        things.append(error)
        continue
    things += [choice, runtime.keys.find(runtime.catalog().provider(ident), __import__("os").environ)]
for preset in ("openai", "antix", "anthropic"):
    things += [runtime.sign_ins.renewal.current(preset), runtime.sign_ins.status(preset), runtime.sign_ins.token(preset)]
for thing in things:
    print(repr(thing), str(thing))
    pprint.pprint(thing)
"""

FAILING = """
import ante_nb, traceback, logging
try:
    ante_nb.ask("hello", provider={ident!r}, model="m", tools="none")
except ante_nb.AnteError as error:
    print(traceback.format_exc())
    print(repr(error), vars(error), repr(error.__cause__), repr(error.__context__), error.turn)
"""

ENV = "import os, json\nprint(json.dumps(dict(os.environ)))\nprint(os.environ)\ndict(os.environ)"
RAISING = "import os\nraise RuntimeError('the environment is ' + ' '.join(os.environ.values()))"
CUT = "import os\nprint(*(f'{n}={v}' for n, v in os.environ.items()), sep='\\n'); print('x' * 200000)"
BASH = (
    "env; cat /proc/self/environ | tr '\\0' '\\n'; set; export -p; ps -ef; "
    "cat /proc/$PPID/environ | tr '\\0' '\\n'; cat ~/.ante/auth/*.json ~/.config/anthropic/credentials/*.json"
)


def run_tools(kernel: Kernel, server: ChatServer, home: Path) -> dict[str, str]:
    """What a careless or bad model could have a look at; the process tables meanwhile."""
    tables: dict[str, str] = {}
    auth = str(home / ".ante/auth/oauth_openai.json")
    calls = [
        [tool("Bash", {"command": BASH})],
        [tool("Python", {"code": ENV})],
        [tool("Python", {"code": RAISING})],
        [tool("Python", {"code": CUT})],
        [tool("Read", {"file_path": auth})],
        [tool("Grep", {"pattern": "token|key", "path": str(home / ".ante"), "output_mode": "content"})],
        [tool("Python", {"code": REPRS})],
        [tool("Bash", {"command": "sleep 3; env"})],
    ]
    for call in calls:
        server.enqueue(Reply(*call), Reply("done"))
        watched: dict[str, str] = {}
        kernel.start("%%ante --mode yolo --verbose\nlook around")
        if "sleep" in json.dumps(call):
            deadline = time.monotonic() + 60
            while not watched and time.monotonic() < deadline:
                watched = children(kernel.pid)
                time.sleep(0.1)
            assert watched, "no child of the tool was seen"
        kernel.wait(120)
        tables |= watched
    return tables


def children(pid: int) -> dict[str, str]:
    """Command line and environment of every descendant that runs ``sleep``, and of its parents."""
    found: dict[str, str] = {}
    try:
        family = psutil.Process(pid).children(recursive=True)
        if any("sleep" in " ".join(child.cmdline()) for child in family):
            for child in family:
                found[f"process {child.pid}"] = " ".join(child.cmdline()) + " " + json.dumps(child.environ())
    except psutil.Error:
        return {}
    return found


def said(kernel: Kernel) -> str:
    """Every message of every cell."""
    return json.dumps([m.message for cell in kernel.cells for m in cell.messages], default=str)


def saved(kernel: Kernel, path: Path) -> str:
    """The notebook as a front end would save it."""
    cells = []
    for outcome in kernel.cells:
        outputs = [nbformat.from_dict(output) for output in outcome.outputs]  # type: ignore[no-untyped-call]
        cells.append(v4.new_code_cell("", outputs=outputs))  # type: ignore[no-untyped-call]
    nbformat.write(v4.new_notebook(cells=cells), path)  # type: ignore[no-untyped-call]
    return path.read_text()


def test_nothing_planted_is_found(
    chat_server: ChatServer, echo: Echo, oauth: OAuthServer, isolated_home: Path, tmp_path: Path
) -> None:
    planted = Planted(seeded("planted credentials"))
    base = point_at(chat_server, isolated_home)
    env = {**environment_of(planted, isolated_home), **base, "ANTE_LOG": "DEBUG"}
    env["OPENAI_COMPATIBLE_API_KEY"] = planted.values["environment OPENAI_COMPATIBLE_API_KEY"]
    plant_files(planted, isolated_home, echo, oauth)
    password = planted.new("password in ANTHROPIC_BASE_URL")
    # As httpx sends it.
    for name in ("password in ANTHROPIC_BASE_URL", "password in catalog.json"):
        planted.values[f"{name}, sent"] = base64.b64encode(f"me:{planted.values[name]}".encode()).decode()
    env["ANTHROPIC_BASE_URL"] = f"http://me:{password}@127.0.0.1:{echo.port}/v1"
    # Names that say nothing: only the catalog knows what they hold.
    env["BY_QUERY_SECRET_OF_MINE"] = planted.new("key as a query")
    env["BY_LOGIN_THING"] = planted.new("key with an innocent name")
    stored = {"gemini": planted.new("stored gemini", "AIza"), "xai": planted.new("stored xai")}
    with Kernel(cwd=tmp_path, env=env) as kernel:
        assert kernel.run("%load_ext ante_nb").status == "ok"
        for ident, value in stored.items():
            assert kernel.run(f"%ante key {ident}", stdin=[value]).status == "ok"
        plant_sign_ins(kernel, oauth, planted, isolated_home)
        for command in COMMANDS:
            assert kernel.run(f"%ante {command}").status == "ok"
        kernel.run("%xmode Verbose")
        idents = [
            i
            for i in load_catalog(isolated_home / ".ante").providers
            if i not in ("local", "openai-compatible")
        ]
        # An error inside a stream is tried again after a pause, and read by the wire alone.
        styles = {load_catalog(isolated_home / ".ante").providers[i].wire_style: i for i in reversed(idents)}
        streamed = sorted({*styles.values(), "by-query", "by-login"})
        for statuses, asked_of in (([401], idents), ([400], idents), ([200], streamed)):
            echo.statuses = statuses
            for ident in asked_of:
                outcome = kernel.run(f"%%ante --provider {ident} --model m --tools none\nhello", 120)
                assert outcome.status == "error", ident
        echo.statuses = [401]
        for ident in idents:
            kernel.run(f"%ante models --live {ident}")
            kernel.run(FAILING.format(ident=ident))
        kernel.run("%xmode Context")
        tables = run_tools(kernel, chat_server, isolated_home)
        kernel.run(REPRS)
        kernel.run("%ante auth")
        messages = said(kernel)
        notebook = saved(kernel, tmp_path / "planted.ipynb")
    # A kernel that has used none of them knows them all the same.
    with Kernel(cwd=tmp_path, env=env) as kernel:
        kernel.run("%load_ext ante_nb")
        tables |= run_tools(kernel, chat_server, isolated_home)
        messages += said(kernel)
        notebook += saved(kernel, tmp_path / "fresh.ipynb")
    assert echo.count > 2 * len(idents) and len(chat_server.chats) >= 32
    # The search finds what is there, and the turns have looked at it.
    asked = json.dumps([chat.body for chat in chat_server.chats])
    assert "[redacted]" in messages and "[redacted]" in asked
    for value in planted.values.values():
        assert planted.found(f"x{value}y")
    places = {
        LIVE: messages,
        "the saved notebook": notebook,
        "a request to a model": asked,
    }
    for path in sorted((isolated_home / ".ante").rglob("*")):
        if path.is_file() and "auth" not in path.parts and path.name not in ("catalog.json", "settings.json"):
            places[str(path.relative_to(isolated_home))] = path.read_text(errors="replace")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            places[path.name] = path.read_text(errors="replace")
    assert any("events.jsonl" in name for name in places) and any("logs" in name for name in places)
    places |= tables
    for where, text in places.items():
        planted.check(where, text)
        planted.check(where, urllib.parse.unquote(text))
