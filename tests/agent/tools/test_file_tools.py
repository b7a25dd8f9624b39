"""Read, Write and Edit on real files."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from support.tools import Bench, bench

from ante_nb.agent.tools.base import ToolState
from ante_nb.errors import ToolError

__all__ = ["bench"]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


async def test_read_numbers_lines_and_pages(bench: Bench) -> None:
    bench.file("a.txt", "".join(f"line {n}\n" for n in range(1, 5001)))
    text = await bench.text("Read", path="a.txt")
    assert text.startswith("     1\tline 1\n     2\tline 2\n")
    assert "continue with offset" in text.splitlines()[-1]
    text = await bench.text("Read", file_path="a.txt", offset=4999, limit=10)
    assert text == "  4999\tline 4999\n  5000\tline 5000"
    text = await bench.text("Read", file_path="a.txt", offset=10, limit=2)
    assert text.splitlines()[-1] == "[Lines 10 to 11 of 5000; continue with offset 12.]"
    with pytest.raises(ToolError, match="has 5000 lines"):
        await bench.run("Read", file_path="a.txt", offset=6000)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("häß\n".encode(), "häß"),
        ("häß\n".encode("utf-8-sig"), "häß"),
        ("häß\n".encode("utf-16"), "häß"),
        (b"\xfe\xff" + "häß\n".encode("utf-16-be"), "häß"),
        ("long enough\n".encode("utf-16-le"), "long enough"),
        ("häß\n".encode("utf-32"), "häß"),
        ("häß\n".encode("latin-1"), "häß"),
        (b"", "is empty"),
        (b"a\r\nb\r\n", "     2\tb"),
        (b"a\rb\r", "     2\tb"),
    ],
)
async def test_read_finds_the_encoding(bench: Bench, data: bytes, expected: str) -> None:
    bench.file("a.txt", data)
    assert expected in await bench.text("Read", file_path="a.txt")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x7fELF\x02\x01\x01\x00" + bytes(100), "ELF"),
        (b"PK\x03\x04" + bytes(50), "ZIP"),
        (zlib.compress(os.urandom(5000)), "binary data"),
        (bytes(range(256)) * 10, "binary data"),
        (b"SQLite format 3\x00" + bytes(100), "SQLite"),
    ],
)
async def test_read_refuses_binary_files_by_type_and_size(bench: Bench, data: bytes, kind: str) -> None:
    bench.file("a.bin", data)
    with pytest.raises(ToolError, match=kind) as caught:
        await bench.run("Read", file_path="a.bin")
    assert f"{len(data)} bytes" in str(caught.value)


async def test_read_says_what_a_path_is_instead(bench: Bench) -> None:
    bench.file("report.txt", "x")
    with pytest.raises(ToolError, match=r"Did you mean report\.txt"):
        await bench.run("Read", file_path="raport.txt")
    with pytest.raises(ToolError, match=r"directory.*Glob"):
        await bench.run("Read", file_path=".")
    with pytest.raises(ToolError, match="not a regular file"):
        await bench.run("Read", file_path="/dev/zero")
    os.mkfifo(bench.cwd / "pipe")
    with pytest.raises(ToolError, match="not a regular file"):
        await bench.run("Read", file_path="pipe")
    with pytest.raises(ToolError, match="NUL"):
        await bench.run("Read", file_path="a\0b")
    (bench.cwd / "loop").symlink_to("loop")
    with pytest.raises(ToolError):
        await bench.run("Read", file_path="loop")


async def test_read_caps_long_lines(bench: Bench) -> None:
    bench.file("a.txt", "x" * 10_000 + "\nshort\n")
    text = await bench.text("Read", file_path="a.txt")
    assert "8000 more characters in this line" in text
    assert text.endswith("     2\tshort")


async def test_read_takes_a_huge_file_in_pieces(bench: Bench) -> None:
    bench.state = ToolState(limits=type(bench.state.limits)(read_bytes=10_000))
    bench.file("a.txt", "".join(f"line {n}\n" for n in range(1, 5001)))
    with pytest.raises(ToolError, match="too many to read whole"):
        await bench.run("Read", file_path="a.txt")
    assert "  4000\tline 4000" in await bench.text("Read", file_path="a.txt", offset=4000, limit=2)


async def test_read_shows_a_notebook_as_cells(bench: Bench) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"], "metadata": {}},
        {
            "cell_type": "code",
            "execution_count": 3,
            "source": "print('x')",
            "metadata": {},
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["\x1b[31mred\x1b[0m\n"]},
                {
                    "output_type": "display_data",
                    "metadata": {},
                    "data": {"image/png": "AAAA", "text/plain": "<Fig>"},
                },
                {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []},
            ],
        },
    ]
    bench.file("n.ipynb", json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
    text = await bench.text("Read", file_path="n.ipynb")
    for part in (
        "# cell 1 [markdown]",
        "# Title",
        "# cell 2 [code] In [3]",
        "red",
        "[image/png]",
        "ValueError: no",
    ):
        assert part in text
    assert "\x1b" not in text
    bench.file("broken.ipynb", '{"cells": [')
    assert '{"cells": [' in await bench.text("Read", file_path="broken.ipynb")


async def test_read_gives_images(bench: Bench) -> None:
    bench.file("a.png", PNG)
    outcome = await bench.run("Read", file_path="a.png")
    image = outcome.content[1]
    assert image.media_type == "image/png"
    assert base64.b64decode(image.data)[:8] == PNG[:8]
    assert outcome.display == {"kind": "images", "path": "a.png", "count": 1}


async def test_large_images_are_scaled_down(bench: Bench) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pillow.new("RGB", (4000, 1000), "red").save(bench.cwd / "a.png")
    outcome = await bench.run("Read", file_path="a.png")
    import io

    assert pillow.open(io.BytesIO(base64.b64decode(outcome.content[1].data))).size == (1568, 392)
    bench.file("broken.png", PNG[:40])
    with pytest.raises(ToolError, match="damaged"):
        await bench.run("Read", file_path="broken.png")


async def test_read_gives_the_text_of_a_pdf(bench: Bench) -> None:
    bench.file("a.pdf", b"%PDF-1.4\n%broken")
    with pytest.raises(ToolError, match="PDF"):
        await bench.run("Read", file_path="a.pdf")
    pypdf = pytest.importorskip("pypdf")
    writer = pypdf.PdfWriter()
    for _ in range(3):
        writer.add_blank_page(100, 100)
    writer.write(bench.cwd / "b.pdf")
    text = await bench.text("Read", file_path="b.pdf", offset=2, limit=1)
    assert "page 2 of 3" in text
    assert "continue with offset 3" in text


async def test_write_creates_directories_and_follows_the_umask(bench: Bench) -> None:
    old = os.umask(0o027)
    try:
        outcome = await bench.run("Write", file_path="new/deep/a.txt", content="one\ntwo\n")
    finally:
        os.umask(old)
    path = bench.cwd / "new/deep/a.txt"
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert outcome.files == ("new/deep/a.txt",)
    assert outcome.display["diff"].splitlines()[-2:] == ["+one", "+two"]


async def test_an_unread_file_is_neither_written_nor_edited(bench: Bench) -> None:
    path = bench.file("a.txt", "one\n")
    for tool, arguments in (
        ("Write", {"content": "x"}),
        ("Edit", {"old_string": "one", "new_string": "two"}),
    ):
        with pytest.raises(ToolError, match="has not been read"):
            await bench.run(tool, file_path="a.txt", **arguments)
    assert path.read_text() == "one\n"


async def test_a_file_that_changed_since_is_not_overwritten(bench: Bench) -> None:
    path = bench.file("a.txt", "one\n")
    await bench.run("Read", file_path="a.txt")
    before = path.stat()
    path.write_text("ONE\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time: the hash tells
    for tool, arguments in (
        ("Write", {"content": "x"}),
        ("Edit", {"old_string": "ONE", "new_string": "two"}),
    ):
        with pytest.raises(ToolError, match="changed since it was read"):
            await bench.run(tool, file_path="a.txt", **arguments)
    assert path.read_text() == "ONE\n"
    await bench.run("Read", file_path="a.txt")
    await bench.run("Edit", file_path="a.txt", old_string="ONE", new_string="two")
    await bench.run("Edit", file_path="a.txt", old_string="two", new_string="three")
    assert path.read_text() == "three\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
async def test_edit_keeps_encoding_and_line_endings(bench: Bench, encoding: str, newline: str) -> None:
    before = newline.join(["häß", "zwei", "drei", ""])
    path = bench.file("a.txt", before.encode(encoding))
    await bench.run("Read", file_path="a.txt")
    await bench.run("Edit", file_path="a.txt", old_string="häß\nzwei", new_string="öl\nx\nzwei")
    assert path.read_bytes() == newline.join(["öl", "x", "zwei", "drei", ""]).encode(encoding)
    await bench.run("Write", file_path="a.txt", content="ä\nneu\n")
    assert path.read_bytes() == newline.join(["ä", "neu", ""]).encode(encoding)


async def test_edit_leaves_mixed_line_endings_alone(bench: Bench) -> None:
    path = bench.file("a.txt", b"a\r\nb\nc\r\nd\n")
    await bench.run("Read", file_path="a.txt")
    await bench.run("Edit", file_path="a.txt", old_string="b", new_string="B")
    assert path.read_bytes() == b"a\r\nB\nc\r\nd\n"


async def test_text_that_does_not_fit_the_encoding(bench: Bench) -> None:
    path = bench.file("a.txt", "häß\n".encode("latin-1"))
    await bench.run("Read", file_path="a.txt")
    with pytest.raises(ToolError, match="latin-1"):
        await bench.run("Edit", file_path="a.txt", old_string="h", new_string="€")
    assert "UTF-8" in await bench.text("Write", file_path="a.txt", content="€")
    assert path.read_text("utf-8") == "€"


async def test_mode_links_and_neighbours_survive(bench: Bench) -> None:
    path = bench.file("bin/run.sh", "echo a\n")
    path.chmod(0o751)
    (bench.cwd / "link.sh").symlink_to("bin/run.sh")
    await bench.run("Read", file_path="link.sh")
    await bench.run("Edit", file_path="link.sh", old_string="a", new_string="b")
    assert (bench.cwd / "link.sh").is_symlink()
    assert path.read_text() == "echo b\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert [entry.name for entry in path.parent.iterdir()] == ["run.sh"]


async def test_a_failed_write_leaves_the_old_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bench.file("a.txt", "old")
    await bench.run("Read", file_path="a.txt")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ToolError, match="No space left"):
        await bench.run("Write", file_path="a.txt", content="new")
    assert path.read_text() == "old"
    assert [entry.name for entry in bench.cwd.iterdir()] == ["a.txt"]


async def test_edit_helps_with_what_does_not_match(bench: Bench) -> None:
    bench.file("a.py", "def f():\n    return 1\n\ndef g():\n    return 1\n")
    await bench.run("Read", file_path="a.py")

    async def failure(**arguments: Any) -> str:
        with pytest.raises(ToolError) as caught:
            await bench.run("Edit", file_path="a.py", **{"new_string": "z", **arguments})
        return str(caught.value)

    assert "2 times in a.py (lines 2, 5)" in await failure(old_string="return 1")
    assert "white space from line 2" in await failure(old_string="\treturn 1\n\ndef g():")
    assert "nearest line is 4: 'def g():'" in await failure(old_string="def gg():")
    assert "line numbers" in await failure(old_string="     2\t    return 1")
    assert "Read the file again" in await failure(old_string="qqqqqqqqqqqqqqq")
    assert "the same" in await failure(old_string="def f", new_string="def f")
    assert "not empty" in await failure(old_string="")
    text = await bench.text(
        "Edit", file_path="a.py", old_string="return 1", new_string="return 2", replace_all=True
    )
    assert text.count("+    return 2") == 2


async def test_edit_creates_a_file(bench: Bench) -> None:
    await bench.run("Edit", file_path="new.txt", old_string="", new_string="x\n")
    assert (bench.cwd / "new.txt").read_text() == "x\n"
    await bench.run("Edit", file_path="new.txt", old_string="x", new_string=r"\1\g<0>\n")
    assert (bench.cwd / "new.txt").read_text() == "\\1\\g<0>\\n\n"


@pytest.mark.parametrize("name", ["n.ipynb", "link.ipynb", "hard.ipynb", "./sub/../n.ipynb"])
async def test_the_running_notebook_is_never_changed(bench: Bench, name: str) -> None:
    path = bench.file("n.ipynb", '{"cells": []}')
    (bench.cwd / "link.ipynb").symlink_to(path)
    os.link(path, bench.cwd / "hard.ipynb")
    bench.host.notebook_path = path
    await bench.run("Read", file_path=name)
    for tool, arguments in (
        ("Write", {"content": "x"}),
        ("Edit", {"old_string": "cells", "new_string": "x"}),
    ):
        with pytest.raises(ToolError, match="running notebook"):
            await bench.run(tool, file_path=name, **arguments)
    assert path.read_text() == '{"cells": []}'


async def test_previews_and_footprints(bench: Bench) -> None:
    bench.file("a.txt", "one\n")
    (bench.cwd / "link.txt").symlink_to("a.txt")
    edit = {"old_string": "one", "new_string": "two"}
    assert bench.detail("Edit", file_path="a.txt", **edit).splitlines()[-2:] == ["-one", "+two"]
    assert bench.detail("Write", file_path="b.txt", content="x").splitlines()[-1] == "+x"
    assert "+two" in bench.detail("Edit", file_path="a.txt", old_string="none", new_string="two")
    real = f"file:{os.path.realpath(bench.cwd / 'a.txt')}"
    changes = [
        bench.footprint("Edit", file_path="link.txt", **edit),
        bench.footprint("Write", path="a.txt", content=""),
    ]
    assert [change.writes for change in changes] == [{real}, {real}] and changes[0].conflicts(changes[1])
    same, other = bench.footprint("Read", file_path="a.txt"), bench.footprint("Read", file_path="b.txt")
    assert changes[0].conflicts(same) and same.conflicts(changes[0]) and not same.conflicts(same)
    assert not changes[0].conflicts(other)


@pytest.mark.parametrize(
    ("first", "second", "ordered"),
    [
        (("Bash", {"command": "make"}), ("Bash", {"command": "cat out"}), True),
        (("Bash", {"command": "ls"}), ("Bash", {"command": "cat out"}), False),
        (("Bash", {"command": "make"}), ("Read", {"file_path": "a"}), True),
        (("Bash", {"command": "ls"}), ("Write", {"file_path": "a", "content": ""}), True),
        (("Glob", {"pattern": "*"}), ("Grep", {"pattern": "x"}), False),
        (("Grep", {"pattern": "x"}), ("Edit", {"file_path": "a", "old_string": "", "new_string": "b"}), True),
        (("Python", {"code": "1"}), ("Python", {"code": "2"}), True),
        (("Python", {"code": "1"}), ("Read", {"file_path": "a"}), True),
        (("TodoWrite", {"todos": []}), ("Python", {"code": "2"}), False),
        (("TodoWrite", {"todos": []}), ("TodoWrite", {"todos": []}), True),
    ],
)
def test_what_runs_in_call_order(bench: Bench, first: Any, second: Any, ordered: bool) -> None:
    one, two = (bench.footprint(name, **arguments) for name, arguments in (first, second))
    assert one.conflicts(two) is two.conflicts(one) is ordered


def test_specs_are_stable_and_plain(bench: Bench) -> None:
    def digest() -> str:
        specs = [tool.spec() for tool in bench.tools.values()]
        return hashlib.sha256(
            json.dumps([(s.name, s.description, s.parameters) for s in specs]).encode()
        ).hexdigest()

    assert digest() == digest()
    for tool in bench.tools.values():
        text = json.dumps(tool.spec().parameters)
        for word in ("$ref", "$defs", '"title"', "anyOf", '"null"'):
            assert word not in text
        assert tool.spec().parameters["type"] == "object"


def test_arguments_are_checked_with_a_message_to_act_on(bench: Bench) -> None:
    read = bench.tools["Read"]
    assert read.parse({"path": "a", "limit": None, "made_up": 1}).model_dump() == {
        "file_path": "a",
        "offset": 1,
        "limit": None,
    }
    with pytest.raises(ToolError, match=r"file_path: field required; limit: .*valid integer"):
        read.parse({"limit": "many"})
    with pytest.raises(ToolError, match="file_path"):
        read.parse({"file_path": None})
    grep = bench.tools["Grep"].parse({"pattern": "x", "-A": 2, "-i": True})
    assert grep.model_dump()["after"] == 2
    assert grep.model_dump()["ignore_case"] is True


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anything")
async def test_a_write_protected_file_stays(bench: Bench) -> None:
    path = bench.file("a.txt", "x")
    path.chmod(0o444)
    await bench.run("Read", file_path="a.txt")
    with pytest.raises(ToolError, match="write-protected"):
        await bench.run("Write", file_path="a.txt", content="y")
    assert Path(path).read_text() == "x"
