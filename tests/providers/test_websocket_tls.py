"""wss: the certificates that HTTP trusts are the ones that count."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.ws_server import ResponsesServer
from support.ws_talk import DIALOGUE, Talk, make, whole_talk

from ante_nb import errors as e
from ante_nb.messages import Message

if TYPE_CHECKING:
    from pathlib import Path


async def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ResponsesServer(DIALOGUE, tls=context) as server:
        assert server.url.startswith("https://")
        stranger = make(server)
        with pytest.raises(e.NetworkError, match="SSL_CERT_FILE"):
            await Talk(stranger).step(messages=(Message.user("hi"),))
        await stranger.aclose()
        assert server.seen == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        provider = make(server)
        talk = await whole_talk(provider)
        assert talk.transports == ["websocket_auto"] * 5 and server.ways() == ["websocket"] * 5
        await provider.aclose()
