"""``@file``, ``@directory/``, ``@variable``, ``@cell:3`` in a prompt; and all the ``@`` that mean nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.desk import DeskHost

from ante_nb.agent.attachments import FILE_CHARS, attach
from ante_nb.agent.host import Cell
from ante_nb.describe import Policies

if TYPE_CHECKING:
    from pathlib import Path

    from support.desk import Desk


@pytest.fixture
def host(tmp_path: Path) -> DeskHost:
    work = tmp_path / "work"
    (work / "src" / "deep").mkdir(parents=True)
    (work / "sales.csv").write_text("month,eur\nMar,3\n")
    (work / "2024.csv").write_text("a\n1\n")
    (work / "été.txt").write_text("chaud\n")
    (work / "src" / "main.py").write_text("x = 1\n")
    (work / "src" / "deep" / "more.py").write_text("y = 1\n")
    (work / "src" / ".hidden").write_text("")
    (work / "pic.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    (work / "odd.").write_text("a name that ends in a dot\n")
    found = DeskHost(work, namespace={"df": [1, 2, 3], "property": 1, "sales": "a string"})
    found.saved_cells = [Cell(1, "markdown", "# Title"), Cell(2, "code", "1 + 1", "2", "id2")]
    return found


async def bodies(prompt: str, host: Any) -> dict[str, str]:
    parts, names = await attach(prompt, host, Policies())
    return dict(zip(names, [part.text for part in parts], strict=True))  # type: ignore[union-attr]


async def test_a_file_a_directory_a_variable_and_a_cell(host: DeskHost) -> None:
    found = await bodies("look at @sales.csv, @src/ and @df; see @cell:2", host)
    assert list(found) == ["sales.csv", "src/", "df", "cell:2"]
    assert "month,eur" in found["sales.csv"]
    assert "main.py" in found["src/"] and "deep/more.py" in found["src/"] and ".hidden" not in found["src/"]
    assert "range: 1 to 3" in found["df"] and "list, 3 items" in found["df"]
    assert "1 + 1" in found["cell:2"] and "--- outputs ---\n2" in found["cell:2"]


@pytest.mark.parametrize("tail", ["", ".", ",", "?!", ").", "'s", '"', ":", ";", "]"])
@pytest.mark.parametrize("name", ["sales.csv", "2024.csv", "./sales.csv", "src/main.py", "été.txt", "df"])
async def test_punctuation_after_a_mention(host: DeskHost, name: str, tail: str) -> None:
    assert list(await bodies(f"(what is in @{name}{tail} then", host)) == [name]


async def test_a_file_comes_before_a_variable(host: DeskHost) -> None:
    host.namespace["src"] = 5
    assert "directory" in (await bodies("@src", host))["src"]
    assert "variable" in (await bodies("@sales", host))["sales"]


async def test_a_name_that_ends_in_a_dot_wins_over_the_sentence(host: DeskHost) -> None:
    assert list(await bodies("read @odd.", host)) == ["odd."]


@pytest.mark.parametrize(
    "prompt",
    [
        "mail me at someone@df or a.b@sales.csv",
        "`@df` and `x = a @df`",
        "```python\n@df\ndef f(): ...\n```",
        "~~~\n@sales.csv\n~~~",
        "```\n@df is never closed",
        "@property\ndef name(self): ...",
        "@df.setter(1, 2)\n    @property\n    async def name(self): ...",
        "@property\nclass A: ...",
        "a @ b, @@df, @ df, @",
        "@missing.txt @nowhere/ @cell:99 @cell:x @~nobody-of-that-name/x @\0",
        "pip install git+https://host/@df",
        "@" + "x" * 5000,
    ],
)
async def test_what_is_no_mention_stays_plain_text(host: DeskHost, prompt: str) -> None:
    assert await attach(prompt, host, Policies()) == ([], [])  # type: ignore[arg-type]


async def test_a_mention_beside_code_counts(host: DeskHost) -> None:
    assert list(await bodies("why does `f(x)` fail on @df?\n```\n@src\n```\nsee @sales.csv", host)) == [
        "df",
        "sales.csv",
    ]


async def test_each_is_attached_once(host: DeskHost) -> None:
    assert list(await bodies("@df @df, @df.", host)) == ["df"]


async def test_a_binary_file_is_named_not_read(host: DeskHost) -> None:
    assert "not a text file" in (await bodies("@pic.png", host))["pic.png"]


async def test_a_long_file_is_cut_with_a_note(host: DeskHost) -> None:
    (host.cwd / "long.txt").write_text("line\n" * 100_000)
    body = (await bodies("@long.txt", host))["long.txt"]
    assert len(body) < FILE_CHARS + 1000 and 'bytes="500000"' in body


async def test_bytes_that_are_no_utf8_and_a_variable_that_cannot_be_shown(host: DeskHost) -> None:
    (host.cwd / "latin.txt").write_bytes("straße".encode("latin-1"))

    class Odd:
        def __repr__(self) -> str:
            raise ValueError("no")

        def __len__(self) -> int:
            raise TypeError("no")

    host.namespace["odd"] = Odd()
    found = await bodies("@latin.txt @odd", host)
    assert "stra\ufffde" in found["latin.txt"] and "attributes:" in found["odd"]


@given(st.text(max_size=80).map(lambda words: words.replace("x", "@")))
async def test_no_text_breaks_it(words: str) -> None:
    from pathlib import Path

    parts, names = await attach(words, DeskHost(Path("/nonexistent"), {"a": 1}), Policies())  # type: ignore[arg-type]
    assert len(parts) == len(names)


async def test_the_prompt_is_sent_as_typed_and_what_is_attached_follows(desk: Desk) -> None:
    from ante_nb.messages import TurnStarted

    (desk.cwd / "sales.csv").write_text("month,eur\n")
    desk.server.handler = None
    await desk.run("sum @sales.csv {} $x %d @nothing?", tools="none")
    content = desk.messages[-1]["content"]
    words = content if isinstance(content, str) else "\n".join(item["text"] for item in content)
    assert words.startswith("sum @sales.csv {} $x %d @nothing?") and "month,eur" in words
    assert desk.host.shown(TurnStarted)[0].attachments == ("sales.csv",)
