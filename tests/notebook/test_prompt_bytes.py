"""What is typed below ``%%ante`` reaches the model byte for byte, through a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.chat_server import Reply, text

from ante_nb.notebook.transformer import rewrite

if TYPE_CHECKING:
    from support.ante import Ante
    from support.chat_server import Recorded

# Everything that IPython or a shell gives a meaning to, line ends of all kinds, quotes, Unicode.
pieces = st.sampled_from(
    ["{}", "{x}", "$x", "$(ls)", "%d", "%%ante", "%timeit x", "!ls", "?", "x?", "??x", "\\", "\\n", "'''", '"""',
     "`", "#", "@property", "é", "日本", "🙂", "\t", "  ", "a", "def f():", "  return", "await x", "\u2028", "\u00a0",
     "\x0b", "\x0c", "\x1b[31m", "\x00", ">>> 1", "In [1]: x", "...: y", ";", "/x", ",f a b", "\ufeff", "\u200b"]
)  # fmt: skip
ends = st.sampled_from(["\n", "\r\n", "\n\n", " ", ""])
prompts = st.lists(st.tuples(pieces | st.text(max_size=4).filter(lambda s: not _half(s)), ends), min_size=1, max_size=12).map(
    lambda pairs: "".join(word + end for word, end in pairs)
)  # fmt: skip


def _half(words: str) -> bool:
    """Whether the text holds half a surrogate pair: no front end can send one."""
    return any("\ud800" <= char <= "\udfff" for char in words)


def sent(ante: Ante) -> str:
    content = ante.server.chats[-1].body["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompts)
@example("{} $x %d x?")
@example("ends with a line break\n")
@example("a\r\nb\r\n")
@example("  indented\n    more")
@example("help?")
@example("!ls\n%cd /\n%%bash\necho")
def test_the_prompt_is_sent_byte_for_byte(ante: Ante, prompt: str) -> None:
    if not prompt.strip() or "@" in prompt.replace("@property", ""):
        return
    ante.server.reset()

    def answer(request: Recorded) -> Reply:
        return Reply(text("ok"))

    ante.server.handler = answer
    assert ante.kernel.run("%ante reset").status == "ok"
    outcome = ante.kernel.run(f"%%ante --tools none\n{prompt}")
    assert outcome.status == "ok", (prompt, outcome.text)
    assert sent(ante) == prompt


@pytest.mark.parametrize(
    "first", ["%%ante", "%%ante ", "%%ante\t", "\n\n%%ante --tools none", "%%ante --tools none  "]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_first_line_in_all_its_forms(ante: Ante, first: str, end: str) -> None:
    outcome = ante.kernel.run(f"{first}{end}what is x?")
    assert outcome.status == "ok", outcome.text
    assert sent(ante).endswith("what is x?")


@given(st.lists(st.text(max_size=10), max_size=6))
def test_cells_that_are_no_prompts_are_left_alone(lines: list[str]) -> None:
    cell = [line + "\n" for line in lines]
    first = next((line for line in cell if line.strip()), "")
    if not first.startswith(("%%ante", "%ante")):
        assert rewrite(cell) == cell


@pytest.mark.parametrize(
    "first", ["%%antelope x\n", "%% ante\n", "x = 1  # %%ante\n", " %%ante\n", "%antefix\n", "%ante fixes\n"]
)
def test_what_only_looks_like_a_prompt_cell_is_left_alone(first: str) -> None:
    assert rewrite([first, "body\n"]) == [first, "body\n"]


@given(st.text(max_size=60), st.text(max_size=20).filter(lambda s: not set(s) & set("\r\n")))
def test_the_rewritten_cell_holds_the_prompt_as_one_literal(body: str, flags: str) -> None:
    import ast

    (line,) = rewrite([f"%%ante {flags}\n", *body.splitlines(keepends=True)])
    call = ast.parse(line, mode="exec").body[0].value.value  # type: ignore[attr-defined]
    assert [argument.value for argument in call.args] == [
        flags.strip(" \t") if flags.strip(" \t") else "",
        body,
    ]


def test_a_rewritten_cell_stays_as_it_is() -> None:
    once = rewrite(["%%ante -v\n", "hi\n"])
    assert rewrite(once) == once
