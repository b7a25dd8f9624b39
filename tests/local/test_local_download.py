"""Downloads: with the real huggingface_hub against a hub on a loopback socket, and from addresses."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from local_files import gguf
from support.hub_server import HubServer, Repo

from ante_nb import local
from ante_nb.errors import LocalEngineError
from ante_nb.local import download_file
from ante_nb.local.download import download, fetch, source
from ante_nb.local.download_main import name_of, pick

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG = gguf(tensors=(("w", (1500, 1000)),))  # 6 MB
SMALL = gguf()


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as server:
        server.files = {"Tiny.gguf": BIG}
        yield server


@pytest.fixture
def hub(plain: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HubServer:
    if importlib.util.find_spec("huggingface_hub") is None:
        pytest.skip("huggingface_hub is not installed: pip install huggingface_hub")
    for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", plain.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    plain.repos["o/m"] = Repo({"README.md": b"# m", "m-Q4_K_M.gguf": BIG, "m-Q8_0.gguf": SMALL})
    return plain


async def tried(what: str, home: Path, **more: Any) -> Path:
    """The path, after as many calls as it takes."""
    for _ in range(4):
        try:
            return await fetch(what, home=home, **more)
        except LocalEngineError as error:
            assert "Try again" in str(error)
    raise AssertionError("four tries")


# ------------------------------------------------------------------------------------- repositories


async def test_download(hub: HubServer, tmp_path: Path) -> None:
    lines: list[str] = []
    path = await download("o/m", home=tmp_path, progress=lines.append)
    assert path == tmp_path / "models/o--m/m-Q4_K_M.gguf" and path.read_bytes() == BIG
    assert lines[0] == "downloading m-Q4_K_M.gguf, 6 MB ..." and "checked" in lines[-1]
    assert not [file for file in path.parent.iterdir() if ".part" in file.name]
    sent = hub.sent
    assert await fetch("hf.co/o/m:m-Q4_K_M.gguf", home=tmp_path) == path and hub.sent == sent


async def test_a_token_goes_to_the_hub_alone(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-this-process")
    monkeypatch.setenv("HF_TOKEN", hub.token)
    hub.repos["o/m"].gated = hub.repos["o/m"].private = True
    assert (await fetch("o/m:q8_0", home=tmp_path)).read_bytes() == SMALL
    sent = {path.partition("?")[0].split("/")[1]: key for path, _, key in hub.asked}
    assert sent["api"] == sent["o"] == f"Bearer {hub.token}" and sent["cdn"] is None


@pytest.mark.parametrize(
    ("repo", "token", "words"),
    [
        (Repo({"m-Q4_0.gguf": SMALL}, gated=True), "", "o/x is gated.*HF_TOKEN"),
        (Repo({"m-Q4_0.gguf": SMALL}, gated=True, access=False), "yes", "o/x is gated.*Accept them"),
        (Repo({"m-Q4_0.gguf": SMALL}, private=True), "", "no public repository o/x.*HF_TOKEN"),
        (Repo({"README.md": b""}), "", "o/x has no such .gguf file. It has: none"),
        (None, "", "no public repository o/x"),
    ],
)
async def test_refusals(
    hub: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    repo: Repo | None,
    token: str,
    words: str,
) -> None:
    if repo:
        hub.repos["o/x"] = repo
    if token:
        monkeypatch.setenv("HF_TOKEN", hub.token)
    with pytest.raises(LocalEngineError, match=words) as caught:
        await fetch("o/x", home=tmp_path)
    assert hub.token not in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.gguf")) and not list(tmp_path.rglob("*.part"))


async def test_what_is_not_there(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(LocalEngineError, match=r"It has: m-Q4_K_M\.gguf, m-Q8_0\.gguf"):
        await download("o/m", "Q2_K", home=tmp_path)
    with pytest.raises(LocalEngineError, match="no revision 'v9'"):
        await download("o/m", home=tmp_path, revision="v9")
    for name in ("../m", "o", "o/m/x", "/o/m", "o/..", "o /m", ""):
        with pytest.raises(LocalEngineError, match="no repository"):
            await download(name, home=tmp_path)


async def test_a_hub_that_is_away(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(LocalEngineError, match="cannot be asked for o/m"):
        await fetch("o/m", home=tmp_path)


async def test_a_broken_download_goes_on(hub: HubServer, tmp_path: Path) -> None:
    hub.cuts = [2 << 20, 1 << 20]
    path = await tried("o/m", tmp_path)
    assert path.read_bytes() == BIG and hub.sent == len(BIG), "it began anew"
    assert [span.split("-")[0] for span in hub.ranges_asked()] == [f"bytes={2 << 20}", f"bytes={3 << 20}"]


async def test_another_version_is_not_mixed_in(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "models/o--m"
    folder.mkdir(parents=True)
    (folder / "m-Q4_K_M.gguf.part").write_bytes(BIG[:1000])
    note = {"url": "x", "sha256": "1" * 64, "total": len(BIG), "etag": '"old"'}
    (folder / "m-Q4_K_M.gguf.part.json").write_text(json.dumps(note))
    assert (await fetch("o/m", home=tmp_path)).read_bytes() == BIG and not hub.ranges_asked()


async def test_damage_is_found(hub: HubServer, tmp_path: Path) -> None:
    hub.repos["o/m"].digests["m-Q4_K_M.gguf"] = "0" * 64
    with pytest.raises(LocalEngineError, match="arrived damaged and was removed: its checksum is wrong"):
        await download("o/m", home=tmp_path)
    assert not list(tmp_path.rglob("*.gguf")) and not list(tmp_path.rglob("*.part*"))


async def test_an_own_file_that_was_damaged_is_fetched_again(hub: HubServer, tmp_path: Path) -> None:
    path = await fetch("o/m:Q8", home=tmp_path)
    path.write_bytes(b"x" * len(SMALL))
    assert (await fetch("o/m:Q8", home=tmp_path)).read_bytes() == SMALL


async def test_split_models_and_encoders(hub: HubServer, tmp_path: Path) -> None:
    encoder = gguf(keys={"general.architecture": "clip", "general.type": "mmproj"})
    parts = {f"big/v-Q4_K_M-0000{n}-of-00002.gguf": gguf(keys={"n": n, "split.count": 2}) for n in (1, 2)}
    hub.repos["o/v"] = Repo({**parts, "mmproj-v-f16.gguf": encoder, "mmproj-v-f32.gguf": b"GGUF"})
    lines: list[str] = []
    path = await fetch("o/v", home=tmp_path, progress=lines.append)
    assert sorted(file.name for file in path.parent.glob("*.gguf")) == [
        "mmproj-v-f16.gguf",
        "v-Q4_K_M-00001-of-00002.gguf",
        "v-Q4_K_M-00002-of-00002.gguf",
    ]
    assert "and 2 more" in lines[0]
    found = next(model for model in local.models(settings=chosen(tmp_path)) if model.own)
    assert (found.id, found.parts, found.vision, found.problem) == ("v-Q4_K_M", 2, True, "")
    del hub.repos["o/v"].files["big/v-Q4_K_M-00002-of-00002.gguf"]
    with pytest.raises(LocalEngineError, match=r"00002-of-00002\.gguf is missing"):
        await fetch("o/v", home=tmp_path)


def test_which_files() -> None:
    names = ["README.md", "mmproj-m.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q4_0.gguf"]
    names += [f"BF16/m-BF16-0000{n}-of-00002.gguf" for n in (1, 2)]
    assert pick(names, None) == ["m-Q4_K_M.gguf", "mmproj-m.gguf"]
    assert pick(names, None, encoder=False) == ["m-Q4_K_M.gguf"]
    assert pick(names, "q8", encoder=False) == ["m-Q8_0.gguf"]
    assert pick(names, "Q4", encoder=False) == ["m-Q4_K_M.gguf"]
    assert pick(names, "m-q4_0", encoder=False) == ["m-Q4_0.gguf"]
    assert pick(names, "bf16", encoder=False) == names[-2:]
    assert pick(names, "mmproj") == ["mmproj-m.gguf"]
    assert pick(names, "Q2") == [] and pick(["a"], None) == []


# ----------------------------------------------------------------------------------------- addresses


async def test_from_an_address(plain: HubServer, tmp_path: Path) -> None:
    lines: list[str] = []
    digest = hashlib.sha256(BIG).hexdigest()
    url = f"{plain.url}/files/Tiny.gguf?key=signed"
    path = await fetch(url, home=tmp_path, sha256=digest.upper(), progress=lines.append)
    assert path == tmp_path / "models/Tiny.gguf" and path.read_bytes() == BIG
    assert not any("signed" in line for line in lines)
    with pytest.raises(LocalEngineError, match="checksum is wrong"):
        await fetch(url, home=tmp_path / "other", sha256="0" * 64)


async def test_an_address_goes_on_where_it_broke(plain: HubServer, tmp_path: Path) -> None:
    plain.cuts, plain.statuses = [3 << 20], [503]
    path = await tried(f"{plain.url}/files/Tiny.gguf", tmp_path)
    assert path.read_bytes() == BIG and plain.sent == len(BIG)


async def test_a_server_without_ranges(plain: HubServer, tmp_path: Path) -> None:
    plain.cuts, plain.ranges = [3 << 20], False
    assert (await tried(f"{plain.url}/files/Tiny.gguf", tmp_path)).read_bytes() == BIG


async def test_a_file_that_changes_meanwhile(plain: HubServer, tmp_path: Path) -> None:
    url, other = f"{plain.url}/files/Tiny.gguf", gguf(tensors=(("v", (1500, 1001)),))
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "Tiny.gguf.part").write_bytes(BIG[: 2 << 20])
    note = {"url": url, "etag": '"of the old file"', "total": len(BIG), "sha256": None}
    (folder / "Tiny.gguf.part.json").write_text(json.dumps(note))
    plain.files["Tiny.gguf"] = other
    assert (await fetch(url, home=tmp_path)).read_bytes() == other


async def test_files_too_large_for_one_answer(
    plain: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_file, "_SEGMENT", 1 << 20)
    wanted = download_file.Wanted(f"{plain.url}/files/Tiny.gguf", tmp_path / "Tiny.gguf", len(BIG))
    steps: list[tuple[str, int, int]] = []
    path = await asyncio.to_thread(download_file.fetch, wanted, lambda *step: steps.append(step))
    assert path.read_bytes() == BIG and len(plain.ranges_asked()) == -(-len(BIG) // (1 << 20))
    assert steps[-1] == ("download", len(BIG), len(BIG)) and steps == sorted(steps)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://h/x.gguf", "no address of the web"),
        ("file:///etc/passwd", "no address of the web"),
        ("https://", "no address of the web"),
        ("http://u:secret@h/x.gguf", "password in it"),
        ("http://h/x.bin", "is no .gguf file"),
        ("http://h/..%2f.gguf", "is no .gguf file"),
        ("http://h/", "is no .gguf file"),
    ],
)
async def test_addresses_that_are_refused(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(LocalEngineError, match=words) as caught:
        await fetch(url, home=tmp_path)
    assert "secret" not in str(caught.value)


async def test_what_comes_from_an_address(plain: HubServer, tmp_path: Path) -> None:
    plain.files |= {"page.gguf": b"<html>" * 1000, "cut.gguf": SMALL[:-100]}
    cases = {
        "page": "sends is no GGUF file",
        "cut": f"removed: it is cut off: {len(SMALL)} bytes expected, {len(SMALL) - 100} there",
        "none": "there is no http",
    }
    for name, words in cases.items():
        with pytest.raises(LocalEngineError, match=words):
            await fetch(f"{plain.url}/files/{name}.gguf", home=tmp_path)
    plain.locations = ["file:///etc/passwd"]
    with pytest.raises(LocalEngineError):
        await fetch(f"{plain.url}/files/Tiny.gguf", home=tmp_path)
    assert not list(tmp_path.rglob("*.gguf"))


async def test_a_full_disk_is_told_before(
    plain: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=65 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    wanted = download_file.Wanted(f"{plain.url}/files/Tiny.gguf", tmp_path / "Tiny.gguf")
    with pytest.raises(LocalEngineError, match=r"needs 6 MB more on the disk of .*, 68 MB is free"):
        await asyncio.to_thread(download_file.fetch, wanted, lambda *step: None)
    assert plain.sent < len(BIG) and not wanted.part.exists()


async def test_an_interrupt_keeps_the_part(plain: HubServer, tmp_path: Path) -> None:
    plain.pause = 0.1
    url, part = f"{plain.url}/files/Tiny.gguf", tmp_path / "models/Tiny.gguf.part"
    task = asyncio.create_task(fetch(url, home=tmp_path))
    for _ in range(600):
        await asyncio.sleep(0.05)
        if part.exists() and part.stat().st_size:
            break
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = part.stat().st_size
    assert 0 < kept < len(BIG)
    await asyncio.sleep(0.3)
    assert part.stat().st_size == kept, "the download process lives on"
    plain.pause = 0.0
    assert (await fetch(url, home=tmp_path)).read_bytes() == BIG
    assert plain.ranges_asked()[-1].startswith(f"bytes={kept}-")


async def test_a_download_ends_with_its_kernel(plain: HubServer, tmp_path: Path) -> None:
    plain.pause = 0.2
    code = "import asyncio, sys; from ante_nb.local.download import fetch; asyncio.run(fetch(sys.argv[1]))"
    kernel = subprocess.Popen(
        [sys.executable, "-c", code, f"{plain.url}/files/Tiny.gguf"],
        env={**os.environ, "ANTE_HOME": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    part = tmp_path / "models/Tiny.gguf.part"
    try:
        for _ in range(600):
            await asyncio.sleep(0.05)
            if part.exists() and part.stat().st_size:
                break
    finally:
        kernel.kill()
        kernel.wait()
    await asyncio.sleep(1)
    size = part.stat().st_size
    await asyncio.sleep(0.6)
    assert part.stat().st_size == size < len(BIG)


# ------------------------------------------------------------------------------- words and the API


def chosen(home: Path) -> Any:
    from ante_nb.local import options

    return options.load({}, {"HOME": str(home / "nobody")}, home)


def test_words(tmp_path: Path) -> None:
    def seen(what: str) -> tuple[Any, ...]:
        found = source(what, tmp_path)
        return (found.url, found.repo, found.file, found.revision)

    assert seen("o/m") == (None, "o/m", None, None)
    assert seen("hf.co/o/m.x:Q8_0") == (None, "o/m.x", "Q8_0", None)
    assert seen("https://huggingface.co/o/m") == (None, "o/m", None, None)
    page = "https://huggingface.co/o/m/blob/main/sub/m-Q8_0.gguf?download=true"
    assert seen(page) == (None, "o/m", "sub/m-Q8_0.gguf", "main")
    assert seen("https://h.example/m.gguf?x=1") == ("https://h.example/m.gguf?x=1", "", None, None)
    with pytest.raises(LocalEngineError, match=r"Qwen3\.5 9B is kept was not published.*:Q4_K_M"):
        source("qwen3.5 9b", tmp_path)
    rows = [{"name": "Mine", "repo": "o/m", "filename": "m-Q4_K_M.gguf"}]
    (tmp_path / "verified_models.json").write_text(json.dumps({"models": rows}))
    assert seen("mine") == (None, "o/m", "m-Q4_K_M.gguf", None)
    assert name_of("http://h/a%20b.GGUF?x=/y.gguf") == "a b.GGUF"


async def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LocalEngineError, match="pip install huggingface_hub"):
        await download("o/m", home=tmp_path)


def test_get_and_remove(plain: HubServer, tmp_path: Path) -> None:
    """Blocking, as in a cell."""
    lines: list[str] = []
    settings = chosen(tmp_path)
    model = local.get(
        f"{plain.url}/files/Tiny.gguf", name="My model", settings=settings, progress=lines.append
    )
    assert (model.id, model.own, model.problem, model.parameters) == ("Tiny", True, "", 1_500_000)
    row = json.loads((tmp_path / "verified_models.json").read_text())["models"][0]
    assert row["name"] == "My model" and row["filename"] == "Tiny.gguf" and row["context_window"] == 4096
    assert [m.name for m in local.models(settings=settings) if m.own] == ["My model"]
    part = tmp_path / "models/Tiny.gguf.part"
    part.write_bytes(b"rest")
    removed = local.remove("tiny", settings=settings)
    assert removed.size == len(BIG) and [file.name for file in removed.files] == ["Tiny.gguf"]
    assert not list((tmp_path / "models").iterdir())
    with pytest.raises(LocalEngineError, match="no local model is called"):
        local.remove("tiny", settings=settings)


def test_a_file_of_the_same_name_is_not_replaced(plain: HubServer, tmp_path: Path) -> None:
    settings = chosen(tmp_path)
    path = tmp_path / "models/Tiny.gguf"
    path.parent.mkdir()
    path.write_bytes(SMALL)
    with pytest.raises(LocalEngineError, match="is there already"):
        local.get(f"{plain.url}/files/Tiny.gguf", settings=settings)
    assert path.read_bytes() == SMALL
    path.unlink()
    local.get(f"{plain.url}/files/Tiny.gguf", settings=settings)
    written = path.stat().st_mtime_ns
    local.get(f"{plain.url}/files/Tiny.gguf", settings=settings)
    assert path.stat().st_mtime_ns == written, "what is there is not fetched again"


def test_others_files_are_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    outside = tmp_path / "nobody/.lmstudio/models/p/r/Theirs.gguf"
    outside.parent.mkdir(parents=True)
    outside.write_bytes(SMALL)
    with pytest.raises(LocalEngineError, match="belongs to LM Studio: delete it there"):
        local.remove("Theirs", settings=chosen(tmp_path))
    models = tmp_path / "models/o--m"
    models.mkdir(parents=True)
    (models / "Link.gguf").symlink_to(outside)
    assert outside.exists()
    with_damage = models / "Bad.gguf"
    with_damage.write_bytes(b"GGUF" + struct.pack("<I", 9))
    assert local.remove("Bad", settings=chosen(tmp_path)).size == 8 and not with_damage.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_what_cannot_be_reached_is_not_said_to_be_deleted(tmp_path: Path) -> None:
    file = tmp_path / "models/closed/Tiny.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(SMALL)
    file.parent.chmod(0o444)
    try:
        with pytest.raises(LocalEngineError, match="cannot be deleted"):
            local.remove("Tiny", settings=chosen(tmp_path))
    finally:
        file.parent.chmod(0o700)


def test_only_what_lies_in_the_store_is_removed(tmp_path: Path) -> None:
    """A path that leads out of it again, or a link to somebody else's folder, is no way into the store."""
    store, theirs = tmp_path / "models", tmp_path / "theirs"
    store.mkdir()
    theirs.mkdir()
    (theirs / "Big.gguf").write_bytes(SMALL)
    (store / "linked").symlink_to(theirs)
    (model,) = (one for one in local.models(settings=chosen(tmp_path)) if one.id == "Big")
    assert not model.own
    for which in ("Big", str(store / "linked/Big.gguf"), str(store / "../theirs/Big.gguf")):
        with pytest.raises(LocalEngineError, match="is not in"):
            local.remove(which, settings=chosen(tmp_path))
    assert (theirs / "Big.gguf").read_bytes() == SMALL
