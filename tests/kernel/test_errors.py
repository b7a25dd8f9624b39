"""What goes wrong is said in one line: what happened, and what to do next."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import nbformat
import pytest
from support.ante import point_at
from support.chat_server import Reply, status
from support.kernel import Kernel

if TYPE_CHECKING:
    from pathlib import Path

    from support.ante import Ante
    from support.chat_server import ChatServer
    from support.kernel import Outcome


def one_line(outcome: Outcome) -> str:
    assert outcome.status == "error", outcome.text
    lines = outcome.error.splitlines()
    assert len(lines) == 1, outcome.error
    assert "Traceback" not in outcome.text
    return lines[0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--no-such-flag", ["no-such-flag"]),
        ("--provider openai-compatibel", ["openai-compatibel", "openai-compatible"]),
        ("--thinking enormous", ["enormous", "high"]),
        ("--mode anarchy", ["anarchy", "strict"]),
        ("--tools Raed", ["Raed", "Read"]),
        ("--max-steps many", ["many"]),
        ("--max-steps 0", ["max-steps"]),
        ("-o 1x", ["1x"]),
        ("--model", ["--model"]),
        ("'unbalanced", ["quot"]),
    ],
)
def test_a_bad_flag(ante: Ante, flags: str, words: list[str]) -> None:
    line = one_line(ante.prompt("hello", flags))
    for word in words:
        assert word.lower() in line.lower(), line
    assert ante.server.chats == []
    assert ante.prompt("hello").status == "ok"


def test_an_empty_prompt_is_no_request(ante: Ante) -> None:
    ante.prompt("   \n")
    assert ante.server.chats == []


def test_help_is_not_sent_to_the_model(ante: Ante) -> None:
    outcome = ante.prompt("hello", "-h")
    assert outcome.status == "ok" and "--provider" in outcome.text and "--keep-going" in outcome.text
    assert ante.server.chats == []
    assert "--provider" in ante.kernel.run("%ante help").text


def test_a_missing_key_names_the_variable_and_the_way_without(ante: Ante) -> None:
    ante.kernel.run("import os; del os.environ['OPENAI_COMPATIBLE_API_KEY']")
    line = one_line(ante.prompt("hello"))
    assert "OPENAI_COMPATIBLE_API_KEY" in line and "local" in line


def test_a_refused_key_is_said_and_never_shown(ante: Ante) -> None:
    ante.server.enqueue(Reply(status(401, {"error": {"message": "bad key loopback-key-0123456789"}})))
    outcome = ante.prompt("hello")
    line = one_line(outcome)
    assert "OPENAI_COMPATIBLE_API_KEY" in line
    assert "loopback-key" not in json.dumps([message.content for message in outcome.messages])
    assert ante.turn("status") == "failed"
    ante.check_usable()


def test_an_unknown_model_is_said(ante: Ante) -> None:
    body = {"error": {"message": "model `nope` does not exist", "code": "model_not_found"}}
    ante.server.enqueue(Reply(status(404, body)))
    assert "nope" in one_line(ante.prompt("hello", "--model nope"))
    ante.check_usable()


def test_a_server_that_is_not_there(ante: Ante) -> None:
    ante.server.stop()
    outcome = ante.prompt("hello", timeout=120)
    assert "127.0.0.1" in one_line(outcome)
    assert ante.turn("status") == "failed"


def test_a_failed_cell_binds_its_turn_and_keep_going_ends_ok(ante: Ante) -> None:
    refusal = Reply(status(400, {"error": {"message": "no such parameter: foo"}}))
    ante.server.enqueue(refusal)
    one_line(ante.prompt("hello", "-o failed"))
    assert ante.turn("status", "failed") == "failed"
    assert "foo" in ante.kernel.value("str(failed.error)")
    ante.server.enqueue(refusal)
    going = ante.prompt("hello", "--keep-going -o failed")
    assert going.status == "ok" and "foo" in going.text
    assert ante.turn("status", "failed") == "failed"


def test_ante_fix_sends_the_last_error_as_a_prompt(ante: Ante) -> None:
    ante.kernel.run("numbers = []\nnumbers[3]")
    outcome = ante.kernel.run("%ante fix")
    assert outcome.status == "ok", outcome.text
    sent = json.dumps(ante.last_messages)
    assert "IndexError" in sent and "numbers[3]" in sent


@pytest.mark.parametrize(
    "command", ["", "status", "usage", "doctor", "help", "provider", "model", "thinking", "mode"]
)
def test_the_line_magic_answers(ante: Ante, command: str) -> None:
    outcome = ante.kernel.run(f"%ante {command}")
    assert outcome.status == "ok", outcome.text
    assert outcome.text.strip()
    assert "loopback-key" not in outcome.text + outcome.html
    assert ante.server.chats == []


def test_the_line_magic_names_what_it_does_not_know(ante: Ante) -> None:
    assert "statsu" in one_line(ante.kernel.run("%ante statsu"))


def test_the_line_magic_sets_what_the_next_cell_uses(ante: Ante) -> None:
    assert ante.kernel.run("%ante model other-model").status == "ok"
    ante.prompt("hello")
    assert ante.server.chats[-1].body["model"] == "other-model"
    ante.prompt("hello", "--model third")
    assert ante.server.chats[-1].body["model"] == "third"
    ante.prompt("hello")
    assert ante.server.chats[-1].body["model"] == "other-model"


def test_reset_starts_a_new_conversation(ante: Ante) -> None:
    ante.prompt("one")
    assert ante.kernel.run("%ante reset").status == "ok"
    ante.prompt("two")
    assert "echo: one" not in json.dumps(ante.last_messages)


def broken_files(
    server: ChatServer, home: Path, cwd: Path, *, catalog: str | None = None, settings: str | None = None
) -> tuple[Outcome, Outcome]:
    """A turn and ``%ante doctor`` with those files in place."""
    env = point_at(server, home)
    if catalog is not None:
        (home / ".ante" / "catalog.json").write_text(catalog)
    if settings is not None:
        (home / ".ante" / "settings.json").write_text(settings)
    with Kernel(cwd=cwd, env=env) as kernel:
        assert kernel.run("%load_ext ante_nb").outputs == []
        answer = kernel.run("%%ante --provider openai-compatible --model test-model\nhello")
        return answer, kernel.run("%ante doctor")


def test_a_catalog_entry_with_a_mistake_is_skipped_and_reported(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    catalog = json.dumps({"providers": {"my-provider": {"wire_style": "OpenAiCompatible"}}})
    answer, doctor = broken_files(chat_server, isolated_home, tmp_path, catalog=catalog)
    assert answer.status == "ok", answer.text
    assert "providers.my-provider: missing field `base_url`" in answer.text + doctor.text


def test_a_catalog_that_is_no_json_is_reported_with_its_place(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    answer, doctor = broken_files(chat_server, isolated_home, tmp_path, catalog='{\n "providers": {,}\n}')
    assert answer.status == "ok", answer.text
    assert "catalog.json" in answer.text + doctor.text and "line 2" in answer.text + doctor.text


def test_settings_with_a_mistake_are_reported_and_the_rest_is_used(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    settings = json.dumps({"provider": 7, "model": "test-model", "permission_mode": "anarchy"})
    answer, doctor = broken_files(chat_server, isolated_home, tmp_path, settings=settings)
    assert answer.status == "ok", answer.text
    assert "settings.json" in answer.text + doctor.text and "provider" in answer.text + doctor.text


@pytest.mark.parametrize(("flags", "fails"), [("", True), ("--keep-going", False)])
def test_nbclient_stops_at_a_failed_turn_unless_told_to_keep_going(
    chat_server: ChatServer,
    isolated_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: str,
    fails: bool,
) -> None:
    for name, value in point_at(chat_server, isolated_home).items():
        monkeypatch.setenv(name, value)
    chat_server.enqueue(Reply(status(400, {"error": {"message": "no such parameter: foo"}})))
    cells = ["%load_ext ante_nb", f"%%ante {flags}\nhello", "open('reached', 'w').close()"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(book, tmp_path / "book.ipynb")
    done = subprocess.run(
        [sys.executable, "-c", "from nbclient.cli import main; main()", "book.ipynb"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode != 0) is fails, done.stderr
    assert (tmp_path / "reached").exists() is not fails
    if fails:
        assert "foo" in done.stderr
