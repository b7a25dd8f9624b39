"""``%ante login`` in IPython in a terminal: text and a prompt, which the browser or the device may end."""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from support.oauth_server import OAuthServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pexpect = pytest.importorskip("pexpect", reason="comes with IPython, except on Windows")

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


@pytest.fixture
def terminal(server: OAuthServer, isolated_home: Path, tmp_path: Path) -> Iterator[Any]:
    folder = isolated_home / ".ante"
    folder.mkdir(mode=0o700)
    (folder / "catalog.json").write_text(json.dumps({"oauth": server.catalog_entry("openai")}))
    child = pexpect.spawn(
        sys.executable,
        [
            "-m",
            "IPython",
            "--simple-prompt",
            "--no-banner",
            "--colors=nocolor",
            "--no-confirm-exit",
            "--ext=ante_nb",
        ],
        cwd=str(tmp_path),
        env={**os.environ, "TERM": "dumb"},
        encoding="utf-8",
        timeout=60,
        dimensions=(50, 2000),
    )
    child.expect(r"In \[1\]: ")
    yield child
    child.close(force=True)


def link_of(terminal: Any) -> str:
    terminal.expect(r"Open (http://127[^\s]+)")
    return str(terminal.match[1])


def check(terminal: Any, home: Path) -> None:
    terminal.expect("Signed in to ChatGPT")
    terminal.expect(r"In \[2\]: ")
    assert (home / ".ante/auth/oauth_openai.json").exists()
    # The terminal echoes again, and an interrupt is IPython's own again.
    terminal.sendline("print('usable', 6 * 7)")
    terminal.expect("usable 42")
    terminal.expect(r"In \[3\]: ")
    terminal.sendline("import time; print('slee' 'ping', flush=True); time.sleep(60)")
    terminal.expect("sleeping")
    terminal.sendintr()
    terminal.expect("KeyboardInterrupt")
    terminal.expect(r"In \[4\]: ")
    terminal.sendline("print(input('word: '))")
    terminal.expect("word: ")
    terminal.sendline("typed")
    terminal.expect("typed\r?\n")


def test_the_browser_comes_back(terminal: Any, server: OAuthServer, isolated_home: Path) -> None:
    terminal.sendline("%ante login openai --browser --no-browser")
    link = link_of(terminal)
    terminal.expect("Paste the code")
    assert "Enter" not in terminal.after + terminal.buffer
    with urllib.request.urlopen(server.allow(link), timeout=20):
        pass
    check(terminal, isolated_home)


def test_pasted(terminal: Any, server: OAuthServer, isolated_home: Path) -> None:
    terminal.sendline("%ante login openai --paste")
    link = link_of(terminal)
    terminal.expect("Paste the code.*: ")
    terminal.sendline("http://localhost/?no=code")
    terminal.expect("holds no sign-in code")
    terminal.expect("Paste the code.*: ")
    place = server.allow(link)
    terminal.sendline(place)
    terminal.expect("Signed in to ChatGPT")
    # What was pasted is not echoed, so it is in no scrollback.
    assert place not in _ANSI.sub("", terminal.before)
    history = [path for path in isolated_home.rglob("*") if path.is_file() and "auth" not in path.parts]
    code = server.requests("token")[0].body["code"]
    assert history and not any(code.encode() in path.read_bytes() for path in history)


def test_device_and_interrupt(terminal: Any, server: OAuthServer, isolated_home: Path) -> None:
    terminal.sendline("%ante login openai --device")
    terminal.expect(r"type the code (\S+)")
    terminal.sendintr()
    terminal.expect("not signed in")
    terminal.expect(r"In \[2\]: ")
    assert not (isolated_home / ".ante/auth/oauth_openai.json").exists()
    terminal.sendline("%ante login openai --device")
    terminal.expect(r"type the code (\S+)")
    server.allow_device(terminal.match[1].strip())
    terminal.expect("Signed in to ChatGPT")


def test_where_nothing_is_awaited(terminal: Any, server: OAuthServer, isolated_home: Path) -> None:
    terminal.sendline("%autoawait off")
    terminal.expect(r"In \[2\]: ")
    terminal.sendline("%ante login openai --browser --no-browser")
    link = link_of(terminal)
    terminal.expect("Paste the code")
    with urllib.request.urlopen(server.allow(link), timeout=20):
        pass
    terminal.expect("Signed in to ChatGPT")
    terminal.expect(r"In \[3\]: ")


def test_the_browser_is_offered(server: OAuthServer, isolated_home: Path, tmp_path: Path) -> None:
    """At this machine's own screen Enter opens the link, by the program that the person has chosen."""
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {opened}\n')
    script.chmod(0o755)
    folder = isolated_home / ".ante"
    folder.mkdir(mode=0o700)
    (folder / "catalog.json").write_text(json.dumps({"oauth": server.catalog_entry("openai")}))
    # As on a person's own machine, also where the tests run in a container.
    start = "import ante_nb.notebook.reach as reach; reach._CONTAINER_FILES = (); reach._PLACES = {}"
    child = pexpect.spawn(
        sys.executable,
        [
            "-m",
            "IPython",
            "--simple-prompt",
            "--no-banner",
            "--colors=nocolor",
            "--ext=ante_nb",
            "-i",
            "-c",
            start,
        ],
        cwd=str(tmp_path),
        env={**os.environ, "TERM": "dumb", "DISPLAY": ":9", "BROWSER": str(script)},
        encoding="utf-8",
        timeout=60,
        dimensions=(50, 2000),
    )
    try:
        child.expect(r"In \[\d\]: ")
        child.sendline("%ante login openai")
        link = link_of(child)
        child.expect("press Enter to open the link in your browser: ")
        assert not opened.exists()
        child.sendline("")
        child.expect("Paste the code")
        assert opened.read_text() == link
        with urllib.request.urlopen(server.allow(link), timeout=20):
            pass
        child.expect("Signed in to ChatGPT")
    finally:
        child.close(force=True)
