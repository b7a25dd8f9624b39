"""The loopback listener: what it takes, what it refuses, and the ports."""

from __future__ import annotations

import asyncio
import re
import socket
from urllib.parse import urlencode

import pytest
from support.raw_http import answer, free_ports, get, send

from ante_nb.providers.auth import callback
from ante_nb.providers.auth.callback import Listener, Page
from ante_nb.providers.auth.pkce import Pkce

PATH = "/auth/callback"


class Desk:
    """A listener and what reached it."""

    def __init__(self, ports: tuple[int, ...] = (0,), page: Page | None = None) -> None:
        self.pkce = Pkce.new()
        self.page = page or Page(200, "Signed in", "All good.")
        self.answers: list[dict[str, str]] = []
        self.cancelled = 0
        self.hold: asyncio.Event | None = None
        self.listener = Listener(self.pkce, PATH, ports, self.took, self.cancel, self.pause)
        self.pauses: list[float] = []

    async def took(self, fields: dict[str, str]) -> Page:
        self.answers.append(fields)
        if self.hold:
            await self.hold.wait()
        return self.page

    def cancel(self) -> None:
        self.cancelled += 1
        self.closing = asyncio.get_running_loop().create_task(self.listener.close())

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0.01)

    def url(self, path: str = PATH, **query: str) -> str:
        given = {"code": "ac_1", "state": self.pkce.state.value} | query
        return f"http://localhost:{self.listener.port}{path}?{urlencode(given)}"


@pytest.fixture
async def desk():
    one = Desk()
    assert await one.listener.start()
    yield one
    await one.listener.close()


async def test_the_answer_arrives_and_the_page_is_safe(desk):
    desk.page = Page(200, "Signed <in>", "a & \"b\" <script>alert('x')</script>")
    status, headers, body = await get(desk.url())
    assert status == 200 and desk.answers == [{"code": "ac_1", "state": desk.pkce.state.value}]
    assert headers["connection"] == "close" and headers["cache-control"] == "no-store"
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert (
        "<script" not in body and "&lt;script&gt;alert(&#x27;x&#x27;)" in body and "Signed &lt;in&gt;" in body
    )
    assert int(headers["content-length"]) == len(body.encode())


async def test_both_loopback_addresses_and_no_other(desk):
    port = desk.listener.port
    names = {one.getsockname()[:2] for server in desk.listener._servers for one in server.sockets}
    assert ("127.0.0.1", port) in names and names <= {("127.0.0.1", port), ("::1", port)}
    if socket.has_ipv6 and ("::1", port) in names:
        request = f"GET {PATH}?code=ac_2&state={desk.pkce.state.value} HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n"
        assert answer(await send(port, request.encode(), "::1"))[0] == 200


async def test_a_wrong_state_changes_nothing(desk):
    state = desk.pkce.state.value
    for wrong in ("", "x", state[:-1], state + "x", Pkce.new().state.value, "é"):
        assert (await get(desk.url(state=wrong)))[0] == 400
    assert (await get(f"http://localhost:{desk.listener.port}{PATH}?code=ac_1"))[0] == 400
    assert (await get(desk.url(code="")))[0] == 400
    assert (await get(desk.url() + f"&state={state}"))[0] == 400
    assert (await get(desk.url() + "&code=other"))[0] == 400
    assert desk.answers == []
    assert (await get(desk.url()))[0] == 200 and len(desk.answers) == 1


async def test_it_takes_one_answer(desk):
    assert (await get(desk.url()))[0] == 200
    assert (await get(desk.url()))[0] == 410
    assert (await get(desk.url(code="ac_other")))[0] == 410
    assert len(desk.answers) == 1


async def test_two_connections_at_once_give_one_answer(desk):
    desk.hold = asyncio.Event()
    first = asyncio.create_task(get(desk.url()))
    while not desk.answers:
        await asyncio.sleep(0.01)
    assert (await get(desk.url()))[0] == 410  # while the first is still being worked on
    desk.hold.set()
    assert (await first)[0] == 200 and len(desk.answers) == 1


async def test_an_error_of_the_vendor_arrives(desk):
    desk.page = Page(400, "Not signed in", "denied")
    url = f"http://localhost:{desk.listener.port}{PATH}?" + urlencode(
        {"error": "access_denied", "error_description": "<b>no</b>", "state": desk.pkce.state.value}
    )
    assert (await get(url))[0] == 400
    assert desk.answers[0]["error"] == "access_denied" and desk.answers[0]["error_description"] == "<b>no</b>"


@pytest.mark.parametrize(
    "host",
    ["evil.example:PORT", "evil.example", "localhost", "localhost:1", "localhost.evil.example:PORT", "10.0.0.1:PORT",
     "127.0.0.1.evil.example:PORT", "[::1", "", "localhost:PORT, evil", "user@evil:PORT", "localhost:PORTx"],
)  # fmt: skip
async def test_a_host_that_is_not_this_machine(desk, host):
    name = host.replace("PORT", str(desk.listener.port))
    assert (await get(desk.url(), Host=name))[0] == 400
    assert desk.answers == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
async def test_hosts_that_are(desk, host):
    assert (await get(desk.url(), Host=f"{host}:{desk.listener.port}"))[0] == 200


async def test_two_hosts(desk):
    port = desk.listener.port
    two = f"GET {PATH}?code=a&state={desk.pkce.state.value} HTTP/1.1\r\nHost: localhost:{port}\r\nHost: evil\r\n\r\n"
    assert answer(await send(port, two.encode()))[0] == 400
    assert desk.answers == []


@pytest.mark.parametrize(
    "path",
    ["/favicon.ico", "/", "/auth/callback/", "/auth//callback", "/AUTH/callback", "/auth/%63allback",
     "/auth/callback;x", "//auth/callback", "/success", "/cancel"],
)  # fmt: skip
async def test_other_paths(desk, path):
    assert (await get(desk.url(path)))[0] == 404
    assert desk.answers == [] and desk.cancelled == 0


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "get", "DELETE"])
async def test_other_methods_spend_nothing(desk, method):
    status, headers, body = await get(desk.url(), method)
    assert status == 405 and headers["allow"] == "GET" and desk.answers == []
    assert (body == "") is (method == "HEAD")
    assert (await get(desk.url()))[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",  # TLS
        b"GET /auth/callback\r\n\r\n",
        b"GET http://localhost/auth/callback?code=a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET  /auth/callback HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=range(6),
)
async def test_what_is_no_request(desk, data):
    assert answer(await send(desk.listener.port, data))[0] == 400
    assert desk.answers == []


async def test_a_head_without_end(desk):
    port = desk.listener.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nX: " + b"a" * (callback.HEAD_LIMIT + 10))
    status = (await asyncio.wait_for(reader.readline(), 30)).split()[1]
    assert status == b"431"
    writer.transport.abort()
    assert (await get(desk.url()))[0] == 200


async def test_silent_connections_do_not_hold_up_the_answer_nor_the_end(desk):
    """Browsers open connections ahead and may never use them."""
    port = desk.listener.port
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
    half = await asyncio.open_connection("127.0.0.1", port)
    half[1].write(b"GET /auth/callback?co")
    gone = await asyncio.open_connection("127.0.0.1", port)
    gone[1].transport.abort()
    assert (await get(desk.url()))[0] == 200
    await asyncio.wait_for(desk.listener.close(), 5)
    for reader, writer in [*silent, half]:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        writer.transport.abort()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_silent_connection_is_given_up(desk, monkeypatch):
    monkeypatch.setattr(callback, "HEAD_TIMEOUT", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.listener.port)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.transport.abort()


async def test_a_flood_of_connections(desk, monkeypatch):
    monkeypatch.setattr(callback, "MAX_CONNECTIONS", 5)
    port = desk.listener.port
    many = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
    ended = [asyncio.create_task(reader.read()) for reader, _ in many]
    done, _ = await asyncio.wait(ended, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert done
    await desk.listener.close()
    await asyncio.wait(ended, timeout=10)
    for task in ended:
        task.exception()
    for _, writer in many:
        writer.transport.abort()


async def test_the_page_is_sent_before_the_end(desk):
    desk.hold = asyncio.Event()
    asking = asyncio.create_task(get(desk.url()))
    while not desk.answers:
        await asyncio.sleep(0.01)
    ending = asyncio.create_task(desk.listener.close())
    await asyncio.sleep(0.05)
    assert not ending.done()
    desk.hold.set()
    assert (await asking)[0] == 200
    await ending


# ------------------------------------------------------------------------------------------- ports


async def test_a_free_registered_port_is_taken_first():
    ports = free_ports(2)
    desk = Desk(ports)
    assert await desk.listener.start() == ports[0]
    await desk.listener.close()


async def test_an_older_sign_in_gives_way():
    ports = free_ports(2)
    old, new = Desk(ports), Desk(ports)
    await old.listener.start()
    assert await new.listener.start() == ports[0]
    assert old.cancelled == 1 and new.cancelled == 0
    assert set(new.pauses) == {0.2} and len(new.pauses) <= 10
    assert (await get(new.url()))[0] == 200
    await old.closing
    await new.listener.close()


@pytest.mark.parametrize("answers", [True, False], ids=["answers", "silent"])
async def test_a_foreign_listener_stays_and_the_next_registered_port_is_taken(answers, monkeypatch):
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            if answers:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    foreign = await asyncio.start_server(serve, "127.0.0.1", 0)
    taken = foreign.sockets[0].getsockname()[1]
    desk = Desk((taken, *free_ports(1)))
    assert await desk.listener.start() == desk.listener._ports[1]
    assert desk.pauses == [0.2] * 10
    assert re.match(rb"GET /cancel HTTP/1.1\r\nHost: 127.0.0.1:\d+\r\n", asked[0]) and len(asked) == 1
    assert (await get(desk.url()))[0] == 200
    await desk.listener.close()
    foreign.close()
    await foreign.wait_closed()


async def test_all_registered_ports_are_taken():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        desk = Desk((one.getsockname()[1], two.getsockname()[1]))
        assert await desk.listener.start() is None
        assert desk.pauses == [0.2] * 20 and desk.listener.port is None
        await desk.listener.close()


async def test_a_port_that_another_has_on_ipv6_only_is_taken():
    """A browser may try ::1 first for localhost, and would bring the code to the other one."""
    try:
        six = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::1", 0))
        six.listen()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with six:
        port = six.getsockname()[1]
        desk = Desk((port, *free_ports(1)))
        assert await desk.listener.start() != port
        await desk.listener.close()


async def test_cancel_is_for_registered_ports_and_not_for_web_pages():
    desk = Desk(free_ports(1))
    await desk.listener.start()
    url = f"http://127.0.0.1:{desk.listener.port}/cancel"
    assert (await get(url, Sec_Fetch_Site="cross-site"))[0] == 400
    assert (await get(url, Origin="https://evil.example"))[0] == 400
    assert (await get(url, Referer="https://evil.example/"))[0] == 400
    assert (await get(url, Host="evil.example"))[0] == 400
    assert (await get(url, "POST"))[0] == 404
    assert (await get(url + "/x"))[0] == 404
    assert desk.cancelled == 0
    assert (await get(url))[0] == 200 and desk.cancelled == 1
    await desk.closing
