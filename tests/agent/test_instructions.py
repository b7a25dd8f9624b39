"""AGENTS.md: found where it should be, told once, told anew when it was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ante_nb.agent.instructions import find

if TYPE_CHECKING:
    from pathlib import Path

    from support.desk import Desk


def test_nothing(tmp_path: Path, isolated_home: Path) -> None:
    assert find(tmp_path) is None


def test_the_nearest_within_the_repository(tmp_path: Path, isolated_home: Path) -> None:
    repository, deep = tmp_path / "repo", tmp_path / "repo" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "AGENTS.md").write_text("of somebody else")
    assert find(deep) is None, "without a repository nothing above is read"
    (repository / ".git").mkdir()
    assert find(deep) is None, "nor above the repository"
    (repository / "AGENTS.md").write_text("of the repository")
    found = find(deep)
    assert found is not None and "of the repository" in found.text
    (repository / "a" / "CLAUDE.md").write_text("of the folder")
    found = find(deep)
    assert found is not None and found.files == (repository / "a" / "CLAUDE.md",)
    (repository / "a" / "AGENTS.md").write_text("first name")
    found = find(deep)
    assert found is not None and found.files == (repository / "a" / "AGENTS.md",)


def test_the_persons_own_comes_first(tmp_path: Path, isolated_home: Path) -> None:
    own = isolated_home / ".ante" / "AGENTS.md"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("\ufeffAnswer in German.\n", encoding="utf-8")
    (tmp_path / "AGENTS.md").write_text("Use polars.")
    found = find(tmp_path)
    assert found is not None
    assert found.text.index("Answer in German.") < found.text.index("Use polars.")
    assert "\ufeff" not in found.text and len(found.files) == 2


def test_odd_files(tmp_path: Path, isolated_home: Path) -> None:
    (tmp_path / "AGENTS.md").mkdir()
    (tmp_path / "CLAUDE.md").write_bytes(b"\xff\xfe broken \x80" + b"x" * 50_000)
    found = find(tmp_path, limit=1000)
    assert found is not None and "broken" in found.text and "[cut after 1,000 characters]" in found.text
    assert len(found.text) < 1200


async def test_told_once_and_again_when_changed(desk: Desk) -> None:
    file = desk.cwd / "AGENTS.md"
    file.write_text("Use polars, not pandas.")
    turn = await desk.run("one", tools="none")
    assert turn.status == "completed"
    await desk.run("two", tools="none")
    assert str(desk.server.chats[-1].body["messages"]).count("Use polars") == 1
    file.write_text("Use pandas after all.")
    await desk.run("three", tools="none")
    sent = str(desk.server.chats[-1].body["messages"])
    assert sent.count("Use polars") == 1 and sent.count("Use pandas after all") == 1
    assert sent.index("two") < sent.index("Use pandas after all") < sent.index("three")
