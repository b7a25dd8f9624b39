"""Recorded answers are replayed: nothing is sent, tools run again, what differs is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import Reply, status, text, thinking, tool, usage
from support.small_model import describe_model

from ante_nb.agent.host import Approval
from ante_nb.agent.runtime import Runtime
from ante_nb.messages import Notice, TextDelta, ToolEnded

if TYPE_CHECKING:
    from pathlib import Path

    from support.desk import Desk


@pytest.fixture
def auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTE_REPLAY", "auto")


def folder(desk: Desk) -> Path:
    return desk.cwd / ".ante" / "recordings"


def files(desk: Desk) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder(desk).iterdir()}


async def afresh(desk: Desk) -> None:
    """What a restarted kernel has: no session, no connection."""
    await desk.runtime.aclose()
    desk.runtime = Runtime()


def warnings(desk: Desk) -> list[str]:
    return [event.text for event in desk.host.shown(Notice) if event.kind == "warning"]


async def test_nothing_is_recorded_by_default(desk: Desk) -> None:
    await desk.run("one", tools="none")
    assert not (desk.cwd / ".ante").exists()


async def test_a_second_run_sends_nothing_and_says_the_same(desk: Desk, auto: None) -> None:
    desk.server.enqueue(Reply(thinking("hm"), text("First.", pieces=3)))
    desk.server.enqueue(Reply(text("Second.")))
    first = [await desk.run(p, cell=c, tools="none") for c, p in (("a", "one"), ("b", "two"))]
    assert [turn.text for turn in first] == ["First.", "Second."]
    assert all(turn.replayed == 0 for turn in first)
    before, sent = files(desk), len(desk.server.chats)
    for _ in range(2):
        await afresh(desk)
        again = [await desk.run(p, cell=c, tools="none") for c, p in (("a", "one"), ("b", "two"))]
        assert [turn.text for turn in again] == ["First.", "Second."]
        assert [turn.thinking for turn in again] == [turn.thinking for turn in first]
        assert [(turn.replayed, turn.transport, turn.cost) for turn in again] == [(1, "replay", 0.0)] * 2
        assert desk.runtime.session.cost == 0 and desk.runtime.session.usage.input == 0
    assert len(desk.server.chats) == sent
    assert files(desk) == before
    assert "".join(event.text for event in desk.host.shown(TextDelta)) == "Second."


async def test_a_changed_prompt_is_asked_anew_and_so_is_what_comes_after_it(desk: Desk, auto: None) -> None:
    for cell, prompt in (("a", "one"), ("b", "two"), ("c", "three")):
        await desk.run(prompt, cell=cell, tools="none")
    await afresh(desk)
    sent = len(desk.server.chats)
    turns = [
        await desk.run(prompt, cell=cell, tools="none")
        for cell, prompt in (("a", "one"), ("b", "two, changed"), ("c", "three"))
    ]
    assert [turn.replayed for turn in turns] == [1, 0, 0]
    assert len(desk.server.chats) == sent + 2


async def test_what_is_attached_is_part_of_the_context(desk: Desk, auto: None) -> None:
    (desk.cwd / "a.txt").write_text("one")
    await desk.run("See @a.txt", tools="none")
    await afresh(desk)
    assert (await desk.run("See @a.txt", tools="none")).replayed == 1
    await afresh(desk)
    (desk.cwd / "a.txt").write_text("two")
    assert (await desk.run("See @a.txt", tools="none")).replayed == 0


async def test_tools_run_again_and_a_result_that_differs_is_told(desk: Desk, auto: None) -> None:
    (desk.cwd / "a.txt").write_text("first line\n")
    desk.server.enqueue(Reply(tool("Read", {"file_path": "a.txt"}, id="c1")), Reply(text("It says first.")))
    await desk.run("What does it say?", cell="a")
    sent = len(desk.server.chats)
    await afresh(desk)
    same = await desk.run("What does it say?", cell="a")
    assert (same.replayed, same.divergences) == (2, [])
    await afresh(desk)
    (desk.cwd / "a.txt").write_text("other line\n")
    before = files(desk)
    other = await desk.run("What does it say?", cell="a")
    assert other.text == "It says first." and other.replayed == 2
    assert len(other.divergences) == 1 and "first line" in other.divergences[0], other.divergences
    assert other.divergences[0] in warnings(desk)
    assert "other line" in other.tool_calls[0].result.text  # type: ignore[union-attr]
    assert len(desk.server.chats) == sent and files(desk) == before


async def test_a_recording_grants_nothing(desk: Desk, auto: None) -> None:
    call = Reply(tool("Bash", {"command": "echo made > made.txt; cat made.txt"}, id="c1"))
    desk.server.enqueue(call, Reply(text("Done.")))
    await desk.run("Make it", cell="a", answers=[Approval("once")])
    assert (desk.cwd / "made.txt").exists()
    (desk.cwd / "made.txt").unlink()
    await afresh(desk)
    again = await desk.run("Make it", cell="a")  # nobody to ask
    assert len(desk.host.asked) == 1 and not (desk.cwd / "made.txt").exists()
    [ended] = desk.host.shown(ToolEnded)
    assert ended.status == "denied"
    assert ended.result.text.startswith("(recorded, not run: ") and "made" in ended.result.text
    assert (again.text, again.status, again.replayed, again.divergences) == ("Done.", "completed", 2, [])
    # Allowed, it runs.
    await afresh(desk)
    await desk.run("Make it", cell="a", answers=[Approval("once")])
    assert (desk.cwd / "made.txt").exists()


async def test_only_opens_no_socket_and_needs_no_key(
    desk: Desk, auto: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.cwd / "a.txt").write_text("words\n")
    desk.server.enqueue(Reply(tool("Read", {"file_path": "a.txt"}, id="c1")), Reply(text("Words.")))
    await desk.run("What does it say?", cell="a")
    await afresh(desk)
    monkeypatch.setenv("ANTE_REPLAY", "only")
    for name in ("OPENAI_COMPATIBLE_BASE_URL", "OPENAI_COMPATIBLE_API_KEY"):
        monkeypatch.delenv(name)
    import socket

    def forbidden(*args: Any, **more: Any) -> Any:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    turn = await desk.run("What does it say?", cell="a")
    assert (turn.text, turn.replayed, turn.error) == ("Words.", 2, None)
    other = await desk.run("Something else", cell="b")
    assert other.status == "failed" and "ANTE_REPLAY=only" in str(other.error), other.error
    assert "is recorded" in str(other.error)


async def test_only_says_why_there_is_no_recording(
    desk: Desk, auto: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.run("one", cell="a", tools="none")
    await desk.run("two", cell="b", tools="none")
    await afresh(desk)
    monkeypatch.setenv("ANTE_REPLAY", "only")
    turn = await desk.run("two", cell="b", tools="none")
    assert "after other prompts" in str(turn.error)
    turn = await desk.run("one", cell="a", tools="none", model="another")
    assert "test-model" in str(turn.error)


async def test_record_on_is_no_way_out_of_only(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTE_REPLAY", "only")
    desk.runtime.recording = "auto"
    sent = len(desk.server.chats)
    assert (await desk.run("one", tools="none")).status == "failed"
    assert len(desk.server.chats) == sent


async def test_the_file_is_plain_stable_and_holds_no_key(desk: Desk, auto: None) -> None:
    secret = "sk-ant-api03-AAAABBBBCCCCDDDD1234"
    (desk.cwd / "a.txt").write_text(f"key {secret}\n")
    desk.server.enqueue(Reply(tool("Read", {"file_path": "a.txt"}, id="c1")), Reply(text(f"It is {secret}")))
    await desk.run(f"Look, {secret}", cell="a")
    written = files(desk)
    assert all(secret.encode() not in data for data in written.values())
    [name] = [name for name in written if not name.startswith("context-")]
    data = json.loads(written[name])
    assert data["v"] == 1 and data["prompt"].startswith("Look") and len(data["steps"]) == 2
    assert list(data) == sorted(data)
    assert not any(word in written[name].decode() for word in ("turn_", "step_", "ses_", "tool_output"))
    # Recorded anew, the bytes are the same.
    for path in folder(desk).iterdir():
        path.unlink()
    await afresh(desk)
    desk.server.enqueue(Reply(tool("Read", {"file_path": "a.txt"}, id="c1")), Reply(text(f"It is {secret}")))
    await desk.run(f"Look, {secret}", cell="a")
    assert files(desk) == written


async def test_a_failed_step_is_not_recorded_and_the_turn_goes_on_from_what_is(
    desk: Desk, auto: None
) -> None:
    (desk.cwd / "a.txt").write_text("words\n")
    desk.server.enqueue(
        Reply(tool("Read", {"file_path": "a.txt"}, id="c1")), Reply(status(400, {"error": {}}))
    )
    assert (await desk.run("Go", cell="a")).status == "failed"
    await afresh(desk)
    desk.server.enqueue(Reply(text("Now it works.")))
    turn = await desk.run("Go", cell="a")
    assert (turn.text, turn.replayed, len(turn.steps)) == ("Now it works.", 1, 2)
    await afresh(desk)
    assert (await desk.run("Go", cell="a")).replayed == 2


async def test_fresh_asks_anew_and_records_that(desk: Desk, auto: None) -> None:
    desk.server.enqueue(Reply(text("Old.")), Reply(text("New.")))
    await desk.run("Go", cell="a", tools="none")
    assert (await desk.run("Go", cell="a", tools="none", fresh=True)).text == "New."
    await afresh(desk)
    again = await desk.run("Go", cell="a", tools="none")
    assert (again.text, again.replayed) == ("New.", 1)


async def test_a_recorded_turn_needs_no_key_in_auto_either(
    desk: Desk, auto: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.run("Go", cell="a", tools="none")
    await afresh(desk)
    for name in ("OPENAI_COMPATIBLE_BASE_URL", "OPENAI_COMPATIBLE_API_KEY"):
        monkeypatch.delenv(name)
    assert (await desk.run("Go", cell="a", tools="none")).replayed == 1
    other = await desk.run("Other", cell="b", tools="none")
    assert other.status == "failed" and "ANTE_REPLAY" not in str(other.error)


async def test_a_later_format_and_a_damaged_file_are_refused_politely(desk: Desk, auto: None) -> None:
    await desk.run("Go", cell="a", tools="none")
    [path] = [path for path in folder(desk).iterdir() if not path.name.startswith("context-")]
    for content, words in (('{"v": 2, "steps": []}', "later version"), ('{"v": 1', "no recording")):
        path.write_text(content)
        await afresh(desk)
        turn = await desk.run("Go", cell="a", tools="none")
        assert turn.status == "failed" and words in str(turn.error), turn.error
        assert path.read_text() == content


async def test_a_folder_that_cannot_be_written_costs_the_recording_not_the_turn(
    desk: Desk, auto: None
) -> None:
    (desk.cwd / ".ante").write_text("in the way")
    turn = await desk.run("Go", tools="none")
    assert turn.status == "completed", turn.error
    assert any("not recorded" in words for words in warnings(desk)), warnings(desk)


async def test_what_is_said_meanwhile_is_asked_of_the_model(desk: Desk, auto: None) -> None:
    (desk.cwd / "a.txt").write_text("words\n")
    desk.server.enqueue(Reply(tool("Read", {"file_path": "a.txt"}, id="c1")), Reply(text("Words.")))
    await desk.run("Go", cell="a")
    await afresh(desk)
    desk.server.enqueue(Reply(text("In capitals: WORDS.")))
    show = desk.host.show

    def steer(event: Any) -> None:
        if isinstance(event, ToolEnded):
            assert desk.runtime.steer("In capitals")
        show(event)

    desk.host.show = steer  # type: ignore[method-assign]
    desk.runtime.running = object()
    turn = await desk.run("Go", cell="a")
    assert turn.text == "In capitals: WORDS." and turn.replayed == 1


async def test_an_unknown_mode_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTE_REPLAY", "sometimes")
    turn = await desk.run("Go", tools="none")
    assert "ANTE_REPLAY" in str(turn.error) and "off, auto, only" in str(turn.error)


async def test_a_recording_is_good_in_another_directory(
    desk: Desk, auto: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = desk.cwd
    (old / "a.txt").write_text("words\n")
    beside = f"{old}2/a.txt"
    desk.server.enqueue(
        Reply(tool("Read", {"file_path": str(old / "a.txt")}, id="c1")),
        Reply(tool("Glob", {"pattern": "*.txt", "path": str(old)}, id="c2")),
        Reply(tool("Read", {"file_path": beside}, id="c3")),
        Reply(text(f"Seen in {old}, ${{ANTE_CWD}}.")),
    )
    first = await desk.run("Look", cell="a")
    assert [call.status for call in first.tool_calls] == ["ok", "ok", "denied"]
    [written] = [data.decode() for name, data in files(desk).items() if not name.startswith("context-")]
    assert "${ANTE_CWD_1}/a.txt" in written and f'"{beside}"' in written
    await afresh(desk)
    new = old.rename(tmp_path / "elsewhere")
    monkeypatch.chdir(new)
    desk.host.cwd = new
    monkeypatch.setenv("ANTE_REPLAY", "only")
    turn = await desk.run("Look", cell="a")
    assert turn.error is None and turn.text == first.text, turn.error
    assert turn.tool_calls[0].arguments == {"file_path": str(new / "a.txt")}
    assert [call.status for call in turn.tool_calls] == ["ok", "ok", "denied"]
    assert turn.divergences == []


async def test_a_provider_that_is_none_is_that_error_under_only(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTE_REPLAY", "only")
    turn = await desk.run("hello", provider="no-such-provider")
    assert type(turn.error).__name__ == "UnknownProviderError", turn.error


async def test_a_summary_that_was_needed_is_replayed_with_its_turn(
    desk: Desk, auto: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_model(desk, context_limit=16_000)
    desk.server.handler = lambda request: Reply(
        text("Short: words." if "<transcript>" in str(request.body["messages"][-1]) else "An answer.")
    )
    prompts = [f"{number} " + f"word{number} " * 2_500 for number in range(6)]
    first = [await desk.run(p, cell=str(n), tools="none") for n, p in enumerate(prompts)]
    assert all(turn.status == "completed" for turn in first)
    before, sent = files(desk), len(desk.server.chats)
    assert any('"asides"' in data.decode() for data in before.values())
    monkeypatch.setenv("ANTE_REPLAY", "only")
    for _ in range(2):
        await afresh(desk)
        again = [await desk.run(p, cell=str(n), tools="none") for n, p in enumerate(prompts)]
        assert [(turn.text, turn.error) for turn in again] == [("An answer.", None)] * 6
        assert not warnings(desk), warnings(desk)
    assert len(desk.server.chats) == sent and files(desk) == before


async def test_what_the_vendor_counted_is_believed_in_a_replay_too(
    desk: Desk, auto: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a summary is due that the recording does not have: by our own estimate the context is full."""
    describe_model(desk, context_limit=20_000)

    def handler(request: Any) -> Reply:
        counted = len(json.dumps(request.body["messages"])) // 9
        return Reply(
            text("An answer."), usage(prompt_tokens=counted, completion_tokens=3, total_tokens=counted)
        )

    desk.server.handler = handler
    prompts = ["Hello", *(f"{number} " + f"word{number} " * 2_500 for number in range(5))]
    for number, prompt in enumerate(prompts):
        assert (await desk.run(prompt, cell=str(number), tools="none")).status == "completed"
    assert not any('"asides"' in data.decode() for data in files(desk).values())
    await afresh(desk)
    monkeypatch.setenv("ANTE_REPLAY", "only")
    for number, prompt in enumerate(prompts):
        turn = await desk.run(prompt, cell=str(number), tools="none")
        assert (turn.text, turn.error) == ("An answer.", None)
        assert not warnings(desk), warnings(desk)
