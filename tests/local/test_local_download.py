"""Downloads, with the real huggingface_hub against a hub on a loopback socket."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from local_files import gguf

from ante_nb.errors import LocalEngineError
from ante_nb.local.download import download
from ante_nb.local.download_main import pick

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "a" * 40


class Hub:
    """The three answers of a hub that one file needs. ``cut``: bytes after which the first GET breaks off."""

    def __init__(self, data: bytes) -> None:
        self.data, self.sha = data, hashlib.sha256(data).hexdigest()
        self.cut: int | None = None
        self.ranges: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.file_headers(len(outer.data))

            def do_GET(self) -> None:
                if self.path.startswith("/api/models/o/m"):
                    lfs = {"sha256": outer.sha, "size": len(outer.data), "pointerSize": 1}
                    files = [
                        {"rfilename": "m-Q4_K_M.gguf", "size": len(outer.data), "blobId": "b", "lfs": lfs}
                    ]
                    body = json.dumps({"id": "o/m", "sha": COMMIT, "siblings": files}).encode()
                    self.send_response(200)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    return
                if "/resolve/" not in self.path:
                    self.send_error(404)
                    return
                asked = self.headers.get("range")
                outer.ranges.append(asked)
                start = int(asked.split("=")[1].split("-")[0]) if asked else 0
                self.send_response(206 if asked else 200)
                if asked:
                    self.send_header(
                        "content-range", f"bytes {start}-{len(outer.data) - 1}/{len(outer.data)}"
                    )
                self.file_headers(len(outer.data) - start)
                end = outer.cut
                outer.cut = None
                self.wfile.write(outer.data[start:end])

            def file_headers(self, length: int) -> None:
                self.send_header("etag", f'"{outer.sha}"')
                self.send_header("x-repo-commit", COMMIT)
                self.send_header("x-linked-size", str(len(outer.data)))
                self.send_header("x-linked-etag", f'"{outer.sha}"')
                self.send_header("content-length", str(length))
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    if importlib.util.find_spec("huggingface_hub") is None:
        pytest.skip("huggingface_hub is not installed: pip install huggingface_hub")
    server = Hub(gguf(tensors=(("w", (6000, 1000)),)))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.http.server_port}")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    yield server
    server.http.shutdown()
    server.thread.join()
    server.http.server_close()


async def test_download(hub: Hub, tmp_path: Path) -> None:
    lines: list[str] = []
    path = await download("o/m", home=tmp_path, progress=lines.append)
    assert path.read_bytes() == hub.data and path.is_relative_to(tmp_path / "models")
    assert "downloading m-Q4_K_M.gguf" in lines[0] and "checked" in lines[-1]


async def test_a_broken_download_goes_on(hub: Hub, tmp_path: Path) -> None:
    hub.cut = 22 << 20  # the library writes in pieces of 10 MB
    for _ in range(3):
        try:
            path = await download("o/m", "Q4", home=tmp_path)
            break
        except LocalEngineError as error:
            assert "Try again" in str(error)
    assert path.read_bytes() == hub.data
    assert any(asked and not asked.startswith("bytes=0-") for asked in hub.ranges), "it began anew"


async def test_damage_is_found(hub: Hub, tmp_path: Path) -> None:
    hub.sha = "0" * 64
    with pytest.raises(LocalEngineError, match="damaged"):
        await download("o/m", home=tmp_path)
    assert not list(tmp_path.rglob("*.gguf"))


async def test_what_is_not_there(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(LocalEngineError, match=r"it has: m-Q4_K_M\.gguf"):
        await download("o/m", "Q8_0", home=tmp_path)
    with pytest.raises(LocalEngineError, match="could not be downloaded"):
        await download("o/none", home=tmp_path)
    with pytest.raises(LocalEngineError, match="no repository"):
        await download("../m", home=tmp_path)


async def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LocalEngineError, match="pip install huggingface_hub"):
        await download("o/m", home=tmp_path)


def test_which_file() -> None:
    names = ["README.md", "mmproj-m.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-BF16-00001-of-00002.gguf"]
    assert pick(names, None) == "m-Q4_K_M.gguf" and pick(names, "q8") == "m-Q8_0.gguf"
    assert pick(names, "Q2") is None and pick(["a"], None) is None
