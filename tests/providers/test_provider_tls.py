"""HTTPS: a certificate that nobody vouches for is refused, one in SSL_CERT_FILE is accepted."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from ante_nb import errors as e
from ante_nb.messages import Message
from ante_nb.providers.provider import Provider
from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec, Request

if TYPE_CHECKING:
    from pathlib import Path


async def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
        writer.close()
        with contextlib.suppress(Exception):
            await writer.wait_closed()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, ssl=context)
    base = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    for trusted, kind, words in (
        (None, e.NetworkError, "SSL_CERT_FILE"),
        (certificate, e.AuthError, "refused the key"),
    ):
        if trusted is not None:
            monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        provider = Provider(Choice(ProviderSpec("p", "P", "OpenAiCompatible"), ModelSpec("m"), base))
        with pytest.raises(kind, match=words):
            await provider.complete(Request((Message.user("hi"),)))
        await provider.aclose()
    server.close()
    await server.wait_closed()
