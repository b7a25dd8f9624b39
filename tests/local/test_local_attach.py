"""Servers that somebody else runs: used when named, never asked otherwise, never stopped."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ante_nb.errors import ConfigError, LocalEngineError
from ante_nb.local import attaching, shared
from ante_nb.local.control import running_servers, stop_servers
from ante_nb.local.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Elsewhere:
    """Somebody's server on a port of this machine: answers ``/v1/models`` with ``answers`` in turn."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers, self.asked = list(answers), []
        me = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                me.asked.append((self.path, self.headers.get("Authorization")))
                status, body = (404, None)
                if self.path == "/v1/models":
                    status, body = me.answers.pop(0) if len(me.answers) > 1 else me.answers[0]
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self.server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self) -> Elsewhere:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


READY = (200, {"data": [{"id": "big-model"}, {"id": "small-model"}, {"no": "id"}, 5]})


@pytest.fixture(autouse=True)
def _left_as_found() -> Iterator[None]:
    assert attaching.attached() is None
    yield
    attaching.detach()


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (8080, "http://127.0.0.1:8080"),
        ("8080", "http://127.0.0.1:8080"),
        ("localhost:1234/v1", "http://localhost:1234"),
        ("http://10.0.0.3:80/v1/", "http://10.0.0.3:80"),
        ("https://host.example/llm/v1", "https://host.example/llm"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_addresses(target: str | int, url: str) -> None:
    assert attaching.address(target) == url


@pytest.mark.parametrize(
    "target",
    [
        "",
        "99999",
        "0",
        "ftp://a",
        "smollm2",
        "not/a/port",
        "http://",
        "http://u:p@host:1",
        "a b",
        "http://a:x",
        "file:///etc/passwd",
        "http://a?b=c",
    ],
)
def test_what_is_no_address(target: str) -> None:
    with pytest.raises(ConfigError, match="no address"):
        attaching.attach(target)
    assert attaching.attached() is None


async def test_attached_until_detached(tmp_path: Path) -> None:
    with Elsewhere(READY) as other:
        options = Options(tmp_path, engine_url="http://127.0.0.1:9/v1", engine_key_env="MY_KEY")
        found = attaching.attach(other.port, key="k")
        assert (found.url, found.status, found.models) == (other.url, "ready", ("big-model", "small-model"))
        server = await shared.acquire(None, settings=options, env={"MY_KEY": "k"})
        assert (server.base_url, server.model_id, server.pid) == (f"{other.url}/v1", "big-model", None)
        assert (
            server.alive()
            and (await shared.acquire("small-model", settings=options)).model_id == "small-model"
        )
        with server.busy():
            assert not server.waited_for()
        assert {key for path, key in other.asked if path == "/v1/models"} == {"Bearer k", None}
        # It is none of this package's servers.
        assert running_servers(tmp_path) == [] and stop_servers(home=tmp_path, force=True) == []
        assert await shared.stop_all(tmp_path) == 0
        assert attaching.look(other.url) is not None
        assert attaching.detach() == other.url and attaching.detach() is None
        with pytest.raises(LocalEngineError, match=r"127\.0\.0\.1:9 does not answer"):
            await shared.acquire(None, settings=options)
    with pytest.raises(LocalEngineError, match="remove ANTE_LOCAL_PROVIDER_PORT"):
        await shared.acquire(None, settings=options, env={"ANTE_LOCAL_PROVIDER_PORT": "9"})
    assert not (tmp_path / "run").exists(), "nothing was started in its place"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {}), "wants a key"),
        ((200, {"hello": 1}), "is no server of models"),
        ((200, b"<html>"), "is no server of models"),
        ((500, b""), "is no server of models"),
    ],
)
def test_what_cannot_be_attached(answer: tuple[int, Any], words: str) -> None:
    with Elsewhere(answer) as other, pytest.raises(LocalEngineError, match=words):
        attaching.attach(other.port)
    assert attaching.attached() is None
    with pytest.raises(LocalEngineError, match="nobody answers"):
        attaching.attach(closed_port())


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def test_one_that_still_loads_is_waited_for(tmp_path: Path) -> None:
    lines: list[str] = []
    with Elsewhere((503, {}), (503, {}), (503, {}), READY) as other:
        assert attaching.attach(other.port).status == "loading"
        server = await shared.acquire(None, settings=Options(tmp_path), progress=lines.append)
        assert server.model_id == "big-model"
    assert len(lines) == 1 and f"{other.url} loads its model" in lines[0]
    with Elsewhere((503, {})) as other:
        options = Options(tmp_path, engine_url=other.url, start_timeout=0.2)
        attaching.detach()
        with pytest.raises(LocalEngineError, match="still loads"):
            await shared.acquire(None, settings=options)


async def test_the_port_of_the_environment(tmp_path: Path) -> None:
    with Elsewhere(READY) as other:
        options = Options(tmp_path, engine_url="http://127.0.0.1:9")
        env = {attaching.PORT_VARIABLE: f" {other.port} "}
        assert (await shared.acquire(None, settings=options, env=env)).root == other.url
    for wrong in ("x", "70000", "-1"):
        with pytest.raises(ConfigError, match="ANTE_LOCAL_PROVIDER_PORT"):
            await shared.acquire(None, settings=options, env={attaching.PORT_VARIABLE: wrong})


def test_a_scan_sends_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTE_LOCAL_ENGINE_KEY", "private")
    with Elsewhere(READY) as ready, Elsewhere((401, {})) as closed, Elsewhere((200, b"x")) as site:
        ports = [ready.port, closed.port, site.port, closed_port()]
        found = {server.url: server for server in attaching.scan(ports, own=[site.url, None])}
        assert found[ready.url].models == ("big-model", "small-model") and not found[ready.url].own
        assert found[closed.url].status == "wants a key" and found[site.url].status == "unknown"
        assert found[site.url].own and len(found) == 3
        for other in (ready, closed, site):
            assert other.asked == [("/v1/models", None)], "one question, without a key"
    assert attaching.attached() is None, "looking is not attaching"


def test_something_that_is_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert attaching.scan([listener.getsockname()[1]]) == []
        thread.join(10)
