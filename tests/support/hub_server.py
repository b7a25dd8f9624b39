"""A model hub on a loopback socket: listings, redirects to a content network, ranges, gates and accidents.

Answers as Hugging Face's hub does to what a download asks: ``GET /api/models/ORG/NAME[/revision/REV]``,
``GET`` and ``HEAD /ORG/NAME/resolve/REV/FILE``, which sends on to another host with a signed address. Files for
downloads from an address lie below ``/files/``.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40


@dataclass
class Repo:
    """A repository. ``gated`` and ``private`` ones want ``token``; ``access`` says whether it is enough."""

    files: dict[str, bytes]
    gated: bool = False
    private: bool = False
    access: bool = True
    digests: dict[str, str] = field(default_factory=dict)
    """Checksums that the listing claims in place of the true ones."""


class HubServer:
    """``repos`` by ``organisation/name``, ``files`` for plain addresses.

    Accidents: ``cuts`` are the numbers of bytes after which the next answers break off, ``statuses`` the status
    codes of the next answers with content, ``pause`` the seconds between two blocks, ``ranges`` whether parts
    can be asked for. What was asked is in ``asked`` as ``(path, range, authorization)``.
    """

    token = "hf_" + "t" * 20

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.locations: list[str] = []
        self.pause = 0.0
        self.ranges = True
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.sent = 0
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))

    def __enter__(self) -> HubServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause = 0.0
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def ranges_asked(self) -> list[str]:
        """The parts of content that were asked for by bytes."""
        return [span for path, span, _ in self.asked if span and "/resolve/" not in path]


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.server_hub, unquote(urlsplit(self.path).path)
        hub.asked.append((self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        try:
            if path.startswith("/api/models/"):
                self._listing(path.removeprefix("/api/models/"))
            elif "/resolve/" in path:
                self._resolve(path)
            elif path.startswith("/cdn/"):
                self._content(path.removeprefix("/cdn/"))
            elif path.startswith("/files/"):
                self._file(path.removeprefix("/files/"))
            else:
                self._error(404)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _error(self, status: int, code: str = "", **headers: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.server_hub.token}"

    def _listing(self, path: str) -> None:
        name, _, revision = path.partition("/revision/")
        repo = self.server_hub.repos.get(name)
        if repo is None or (repo.private and not self._known()):
            self._error(404 if self._known() else 401, "RepoNotFound")
            return
        if revision not in ("", "main", COMMIT):
            self._error(404, "RevisionNotFound")
            return
        rows = []
        for file, data in repo.files.items():
            digest = repo.digests.get(file, hashlib.sha256(data).hexdigest())
            lfs = {"sha256": digest, "size": len(data), "pointerSize": 134}
            rows.append({"rfilename": file, "size": len(data), "blobId": "b" * 40, "lfs": lfs})
        body = json.dumps({"id": name, "modelId": name, "sha": COMMIT, "siblings": rows}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _resolve(self, path: str) -> None:
        name, _, rest = path.strip("/").partition("/resolve/")
        _, _, file = rest.partition("/")
        repo = self.server_hub.repos.get(name)
        if repo is None:
            self._error(401, "RepoNotFound")
        elif repo.gated and not (self._known() and repo.access):
            self._error(403 if self._known() else 401, "GatedRepo")
        elif file not in repo.files:
            self._error(404, "EntryNotFound")
        else:
            data = repo.files[file]
            digest = hashlib.sha256(data).hexdigest()
            # Another name of this machine: a host of its own, to which no key may be sent.
            self._error(
                302,
                Location=f"http://localhost:{self.server_hub.port}/cdn/{digest}?Signature=secret",
                ETag=f'"{digest}"',
                X_Repo_Commit=COMMIT,
                X_Linked_Size=str(len(data)),
                X_Linked_ETag=f'"{digest}"',
            )

    def _content(self, digest: str) -> None:
        every = (data for repo in self.server_hub.repos.values() for data in repo.files.values())
        data = next((data for data in every if hashlib.sha256(data).hexdigest() == digest), None)
        if data is None or "Signature=" not in self.path or self.headers.get("Authorization"):
            self._error(400)
        else:
            self._send(data)

    def _file(self, name: str) -> None:
        if self.server_hub.locations:
            self._error(302, Location=self.server_hub.locations.pop(0))
        elif name in self.server_hub.files:
            self._send(self.server_hub.files[name])
        else:
            self._error(404)

    def _send(self, data: bytes) -> None:
        hub = self.server_hub
        if hub.statuses:
            self._error(hub.statuses.pop(0), Retry_After="0")
            return
        etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        span = self.headers.get("Range") if hub.ranges else None
        if self.headers.get("If-Range") not in (None, etag):
            span = None
        begin, end = 0, len(data)
        if span:
            first, _, last = span.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last) + 1 if last else len(data), len(data))
            if begin >= len(data):
                self._error(416, Content_Range=f"bytes */{len(data)}")
                return
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = hub.cuts.pop(0) if hub.cuts else None
        stop = end if cut is None else min(end, begin + cut)
        for at in range(begin, stop, 1 << 20):
            block = data[at : min(at + (1 << 20), stop)]
            self.wfile.write(block)
            hub.sent += len(block)
            time.sleep(hub.pause)
        if stop < end:
            self.close_connection = True
