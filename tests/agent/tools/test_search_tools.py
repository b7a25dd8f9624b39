"""Glob and Grep, with ripgrep where it is there and always with the stand-in."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from support.tools import Bench, bench

from ante_nb.agent.tools.ignore import expand_braces
from ante_nb.errors import ToolError

__all__ = ["bench"]

RG = shutil.which("rg")


@pytest.fixture
def tree(bench: Bench) -> Bench:
    bench.file(".gitignore", "build/\n*.log\n!keep.log\n/top.txt\n")
    bench.file("a.py", "import os\n\ndef main():\n    return 1\n\nmain()\n")
    bench.file("src/b.py", "def helper():\n    return 'Main'\n")
    bench.file("src/.gitignore", "generated.py\n")
    bench.file("src/generated.py", "def main(): pass\n")
    bench.file("src/c.ts", "main();\n")
    bench.file("build/out.py", "main()\n")
    bench.file("x.log", "main\n")
    bench.file("keep.log", "main\n")
    bench.file("top.txt", "main\n")
    bench.file("src/top.txt", "main\n")
    bench.file(".github/ci.yml", "run: main\n")
    bench.file(".git/config", "main\n")
    bench.file(".ipynb_checkpoints/n.ipynb", "main\n")
    bench.file("data.bin", b"main\0main")
    bench.file("sp ace/ü.md", "main\n")
    return bench


@pytest.fixture(params=["rg", "stand-in"])
def engine(request: pytest.FixtureRequest, tree: Bench) -> Bench:
    """The tree, searched by one engine or the other."""
    if request.param == "rg":
        if RG is None:
            pytest.skip("ripgrep is not installed")
        tree.host.env["PATH"] = os.pathsep.join([str(Path(RG).parent), tree.host.env["PATH"]])
    else:
        # Nothing but the shell's own directories, with rg taken out of them if it is there.
        tree.host.env["PATH"] = "/nonexistent"
    return tree


async def test_glob_respects_gitignore(tree: Bench) -> None:
    found = (await tree.text("Glob", pattern="**/*.py")).splitlines()
    assert sorted(found) == ["a.py", "src/b.py"]
    assert sorted((await tree.text("Glob", pattern="*.log")).splitlines()) == ["keep.log"]
    assert (await tree.text("Glob", pattern="top.txt")) == "src/top.txt"
    assert sorted((await tree.text("Glob", pattern="src/*.{py,ts}")).splitlines()) == ["src/b.py", "src/c.ts"]
    assert (await tree.text("Glob", pattern="*.py", path="build")) == "build/out.py"
    assert (await tree.text("Glob", pattern=f"{tree.cwd}/src/*.ts")) == "src/c.ts"
    assert "No file" in await tree.text("Glob", pattern="*.nothing")
    with pytest.raises(ToolError, match="not a directory"):
        await tree.run("Glob", pattern="*", path="a.py")


async def test_glob_gives_the_newest_first_and_at_most_100(bench: Bench) -> None:
    for number in range(130):
        os.utime(bench.file(f"f{number}.txt", ""), (number, number))
    lines = (await bench.text("Glob", pattern="*.txt")).splitlines()
    assert lines[:2] == ["f129.txt", "f128.txt"]
    assert len(lines) == 101
    assert "30 more" in lines[-1]


async def test_links_are_listed_but_not_followed(bench: Bench) -> None:
    bench.file("real/a.txt", "")
    (bench.cwd / "loop").symlink_to(".")
    (bench.cwd / "link.txt").symlink_to("real/a.txt")
    assert sorted((await bench.text("Glob", pattern="*.txt")).splitlines()) == ["link.txt", "real/a.txt"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a", ["a"]),
        ("{a,b}", ["a", "b"]),
        ("x.{a,{b,c}}y", ["x.ay", "x.by", "x.cy"]),
        ("{a", ["{a"]),
        ("{a}", ["{a}"]),
    ],
)
def test_braces(pattern: str, expected: list[str]) -> None:
    assert expand_braces(pattern) == expected


CASES: list[tuple[dict[str, Any], str]] = [
    ({"pattern": "main"}, ".github/ci.yml\na.py\nkeep.log\nsp ace/ü.md\nsrc/c.ts\nsrc/top.txt"),
    ({"pattern": "main", "-i": True, "glob": "*.py"}, "a.py\nsrc/b.py"),
    ({"pattern": "main", "type": "ts"}, "src/c.ts"),
    ({"pattern": "main", "type": "py", "output_mode": "count"}, "a.py:2"),
    ({"pattern": "main", "path": "src"}, "src/c.ts\nsrc/top.txt"),
    ({"pattern": "main", "path": "a.py", "output_mode": "content"}, "a.py:3:def main():\na.py:6:main()"),
    (
        {"pattern": "return", "path": "a.py", "output_mode": "content", "-B": 1},
        "a.py-3-def main():\na.py:4:    return 1",
    ),
    (
        {"pattern": "import|^main", "glob": "a.py", "output_mode": "content", "-A": 1},
        "a.py:1:import os\na.py-2-\n--\na.py:6:main()",
    ),
    (
        {"pattern": "import|return", "path": "a.py", "output_mode": "content", "-C": 1},
        "a.py:1:import os\na.py-2-\na.py-3-def main():\na.py:4:    return 1\na.py-5-",
    ),
    (
        {"pattern": r"main\(\):.*return", "multiline": True, "output_mode": "content"},
        "a.py:3:def main():\na.py:4:    return 1",
    ),
    ({"pattern": "main", "glob": "!*.{py,ts,yml,log,md}"}, "src/top.txt"),
    ({"pattern": "main", "path": "build"}, "build/out.py"),
    ({"pattern": "-main"}, "Nothing in . matches '-main'."),
    ({"pattern": "--pre=id"}, "Nothing in . matches '--pre=id'."),
]


@pytest.mark.parametrize(("arguments", "expected"), CASES, ids=[str(case[0]) for case in CASES])
async def test_grep(engine: Bench, arguments: dict[str, Any], expected: str) -> None:
    assert await engine.text("Grep", **arguments) == expected


async def test_grep_says_what_is_wrong(engine: Bench) -> None:
    with pytest.raises(ToolError, match="search failed"):
        await engine.run("Grep", pattern="(")
    with pytest.raises(ToolError, match="unrecognized file type"):
        await engine.run("Grep", pattern="x", type="nope")
    with pytest.raises(ToolError, match="does not exist"):
        await engine.run("Grep", pattern="x", path="nowhere")


async def test_grep_leaves_hidden_files_out(engine: Bench) -> None:
    engine.state.hidden = lambda path: path.endswith("a.py")
    assert "a.py" not in await engine.text("Grep", pattern="main")
    assert "a.py" not in await engine.text("Grep", pattern="main", output_mode="content")
    assert "a.py" not in await engine.text("Glob", pattern="*.py")


async def test_a_module_in_the_working_directory_is_not_run(tree: Bench) -> None:
    tree.host.env["PATH"] = "/nonexistent"
    for name in ("json.py", "re.py", "pathspec.py", "ante_nb.py"):
        tree.file(name, "import pathlib; pathlib.Path('hijacked').write_text('')\n")
    assert "a.py" in await tree.text("Grep", pattern="def main")
    assert not (tree.cwd / "hijacked").exists()


async def test_a_hopeless_expression_can_be_interrupted(bench: Bench) -> None:
    bench.host.env["PATH"] = "/nonexistent"
    bench.file("a.txt", "a" * 60 + "!\n")
    task = asyncio.ensure_future(bench.run("Grep", pattern="(a+)+$"))
    await asyncio.sleep(1.0)
    assert not task.done()
    begin = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begin < 5
