"""Random tool calls, good, malformed, huge and hostile, with interrupts at random moments.

After each: the kernel computes and the person's variables are what they were, nothing outside the working
directory has changed, and the conversation is one that every vendor takes. Twenty rounds; two thousand
under ``make prove``, which writes benchmarks/proofs/fuzz_tools.json.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import Ante, check_conversation, point_at, prove, rounds, seeded, spread
from support.chat_server import Reply, text, thinking, tool, tools
from support.kernel import Kernel

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from support.chat_server import ChatServer

ROUNDS = rounds(20, 2000)
HUGE = 200_000

HOSTILE_COMMANDS = [
    "cat ../outside/private.txt",
    "echo broken > ../outside/private.txt",
    "rm -rf ../outside",
    "rm -rf ~/* .",
    "cp -r ../outside .",
    "mv ../outside/private.txt .",
    "cat ~+/../outside/private.txt",
    "cat li[^x]k/private.txt",
    "echo x >> link/private.txt",
    "find .. -name private.txt -delete",
    "kill -9 $PPID",
    "kill -9 -1",
    ":(){ :|:& };:",
    "exec 1>&-; echo x",
    "$(rm -rf ../outside)",
    "sed -i s/a/b/ ../outside/private.txt",
    "tee ../outside/private.txt < a.txt",
    "ln -sf ../outside/private.txt a.txt",
    "cd .. && rm -rf outside",
    "git -c alias.x='!rm -rf ../outside' x",
    "env -i rm ../outside/private.txt",
    "python3 -c \"open('../outside/private.txt', 'w')\"",
    "xargs rm <<< ../outside/private.txt",
]
HARMLESS_COMMANDS = [
    "ls -la",
    "cat a.txt",
    "wc -l a.txt b.txt | tail -1",
    "mkdir -p made/deep",
    "cp a.txt copy.txt",
    "grep -n line a.txt",
    "false",
    "cat nothing",
    "seq 1 20000",
    "head -c 100000 /dev/zero",
    "sleep 0.3",
]
HOSTILE_CODE = [
    "open('../outside/private.txt', 'w').write('broken')",
    "import shutil; shutil.rmtree('../outside')",
    "import os; os.kill(os.getpid(), 9)",
    "import os; os._exit(1)",
    "exit()",
    "raise SystemExit",
    "raise KeyboardInterrupt",
    "mine.clear()",
    "del mine",
    "%reset -f",
    "!rm -rf ../outside",
    "get_ipython().kernel.do_shutdown(False)",
    "__import__('signal').signal(2, __import__('signal').SIG_IGN)",
    "import builtins; builtins.print = None",
    "import asyncio; asyncio.get_running_loop().stop()",
    "import sys; sys.stdout = None",
    "df.to_csv('../outside/private.txt')",
    "[__import__][0]('os').remove('../outside/private.txt')",
    "(lambda: 0).__globals__['mine'].clear()",
]
HARMLESS_CODE = [
    "1 + 1",
    "sum(range(1000))",
    "scratch = [n * n for n in range(50)]\nscratch[-1]",
    "print('x' * 50_000)",
    "len(mine)",
    "1 / 0",
    "this is no python",
    "for n in range(2000):\n    print(n)",
    "def f(n):\n    return n + 1\n\nf(2)",
    "with open('a.txt') as f:\n    body = f.read()\nlen(body)",
    "total = 0\nfor n in range(3_000_000):\n    total += n",
]
HOSTILE_PATHS = [
    "../outside/private.txt",
    "link/private.txt",
    "/proc/self/mem",
    "/dev/zero",
    "/dev/tty",
    "~/.ante/settings.json",
    "a\0b",
    "",
    "x" * 5000,
    "/" * 3000,
    "../" * 200 + "etc/passwd",
    ".git/hooks/pre-commit",
    "\ud800",
    "loop",
    "fifo",
]


def junk(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON value, of any shape and sometimes of a size that nobody expects."""
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice([0, -1, 1, 2**31, -(2**63), 10**30, 0.5, 1e308])
    if kind == 2:
        return "".join(rng.choice("aé\u202e\x1b\n\0'\"`$(){};&|*~%\\/.") for _ in range(rng.randrange(40)))
    if kind == 3:
        return rng.choice(HOSTILE_PATHS)
    if kind == 4:
        return rng.choice("ax\n ") * rng.choice([1, 1000, HUGE])
    if kind == 5:
        return rng.choice(HOSTILE_COMMANDS + HOSTILE_CODE)
    if kind == 6:
        return [junk(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {str(junk(rng, 3))[:50]: junk(rng, depth + 1) for _ in range(rng.randrange(4))}


def arguments(rng: random.Random, name: str) -> dict[str, Any]:
    """Arguments of the right form for a tool, harmless or hostile."""
    path = rng.choice(["a.txt", "b.txt", "new.txt", "made/x.txt", *HOSTILE_PATHS])
    bad = rng.random() < 0.5
    if name == "Bash":
        return {"command": rng.choice(HOSTILE_COMMANDS if bad else HARMLESS_COMMANDS), "timeout": 3000}
    if name == "Python":
        return {"code": rng.choice(HOSTILE_CODE if bad else HARMLESS_CODE)}
    if name == "Read":
        return {
            "file_path": path,
            "offset": rng.choice([0, 1, -5, 10**9]),
            "limit": rng.choice([1, 0, 10**9]),
        }
    if name == "Write":
        return {"file_path": path, "content": rng.choice(["text\n", "\0", "é" * HUGE, "\ud800"])}
    if name == "Edit":
        words = {
            "old_string": rng.choice(["line", "", "nothing"]),
            "new_string": rng.choice(["row", "line", ""]),
        }
        return {"file_path": path, **words, "replace_all": rng.random() < 0.5}
    if name == "Glob":
        return {
            "pattern": rng.choice(["**/*", "*.txt", "../**", "[", "{a,b}", "/" * 50]),
            "path": rng.choice([".", path]),
        }
    if name == "Grep":
        return {"pattern": rng.choice(["line", "(", "(a+)+$", "", "."]), "path": rng.choice([".", path])}
    if name == "TodoWrite":
        return {"todos": [{"content": "x", "status": rng.choice(["pending", "done?", "completed"])}]}
    if name == "Variables":
        return {"names": rng.choice([["mine"], ["nothing"], [], ["__builtins__"]])}
    if name == "Cells":
        return {
            "action": rng.choice(["read", "next", "insert", "replace", "delete", "run", "x"]),
            "source": "1 + 1",
        }
    return {"questions": [{"question": "which?", "options": ["a", "b"]}]}


NAMES = [
    "Bash",
    "Python",
    "Read",
    "Write",
    "Edit",
    "Glob",
    "Grep",
    "TodoWrite",
    "Variables",
    "Cells",
    "AskUser",
]


def a_call(rng: random.Random, number: int) -> dict[str, Any]:
    name = rng.choice([*NAMES, "Bash", "Python", "Python"])
    ident = f"call_{number}"
    form = rng.random()
    if form < 0.6:
        return tool(name, arguments(rng, name), id=ident)
    if form < 0.8:
        given = arguments(rng, name)
        given[rng.choice([*given, "more"])] = junk(rng)
        return tool(name, given, id=ident)
    if form < 0.9:
        found = junk(rng)
        return tool(name, found if isinstance(found, dict) else {"x": found}, id=ident)
    if form < 0.96:
        whole = json.dumps(arguments(rng, name))
        return tool(name, whole[: rng.randrange(len(whole))], id=ident)
    return tool(rng.choice(["NoSuchTool", "bash", "rm -rf /", "é", "x" * 300]), {}, id=ident)


def a_step(rng: random.Random) -> Reply:
    actions: list[Any] = [thinking("hm")] if rng.random() < 0.3 else []
    if rng.random() < 0.5:
        actions.append(text("Some words. "))
    calls = [a_call(rng, number) for number in range(rng.choice([1, 1, 1, 2, 4]))]
    return Reply(*actions, tools(*calls))


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file below, with its mode and a hash of what is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        data = what.encode() if isinstance(what, str) else what
        found[str(path.relative_to(folder))] = f"{path.lstat().st_mode:o} {hashlib.sha256(data).hexdigest()}"
    return found


@pytest.fixture
def ante(chat_server: ChatServer, isolated_home: Path, tmp_path: Path) -> Iterator[Ante]:
    cwd, outside = tmp_path / "work", tmp_path / "outside"
    cwd.mkdir()
    outside.mkdir()
    (outside / "private.txt").write_text("private\n")
    (outside / "deep").mkdir()
    (outside / "deep" / "more.bin").write_bytes(bytes(range(256)))
    (cwd / "link").symlink_to(outside)
    (cwd / "loop").symlink_to("loop")
    os.mkfifo(cwd / "fifo")
    with Kernel(cwd=cwd, env=point_at(chat_server, isolated_home)) as kernel:
        assert kernel.run("%load_ext ante_nb").status == "ok"
        yield Ante(kernel, chat_server, cwd)


def ended(ante: Ante, number: int, *, interrupted: bool) -> bool:
    """Wait for the end of the cell; ``False`` where the turn has ended and ipykernel has lost the reply.

    It does so, with any cell, when an interrupt comes between the end of the code and the reply.
    """
    try:
        ante.kernel.wait(timeout=30)
    except TimeoutError as error:
        outcome = ante.kernel.cells[-1]
        closed = re.search(r"^ante: .* steps?\b", outcome.text, re.MULTILINE)
        if not (interrupted and closed):
            raise AssertionError(f"round {number} hangs: {error}") from None
        outcome.idle, outcome.reply = True, {"status": "lost"}
        with contextlib.suppress(ValueError):  # what was half sent spoils the next message
            ante.kernel.value("1")
        return False
    return True


BEFORE = """
import signal
mine = {"a": [1, 2, 3], "b": "words"}
handler = signal.getsignal(signal.SIGINT)
"""
INTACT = (
    "(mine == {'a': [1, 2, 3], 'b': 'words'}, signal.getsignal(signal.SIGINT) is handler, "
    "__import__('os').getcwd())"
)


@pytest.mark.timeout(7200)
def test_random_calls_with_random_interrupts(ante: Ante, isolated_home: Path) -> None:
    rng = seeded("fuzz_tools")
    outside = ante.cwd.parent / "outside"
    keep = isolated_home / "documents"
    keep.mkdir()
    (keep / "letter.txt").write_text("dear\n")
    settings = (isolated_home / ".ante" / "settings.json").read_bytes()
    untouched = fingerprint(outside), fingerprint(keep)
    assert ante.kernel.run(BEFORE).status == "ok"
    pid = ante.kernel.pid
    seen: dict[str, int] = {}
    latencies: list[float] = []
    lost = 0
    for number in range(ROUNDS):
        for name in ("a.txt", "b.txt"):
            place = ante.cwd / name
            if not place.is_file() or place.is_symlink():
                place.unlink(missing_ok=True)
            place.write_text("line one\nline two\n" * 50)
        if number % 20 == 0:  # the history grows, and is sent and checked whole each time
            assert ante.kernel.run("%ante reset").status == "ok"
        ante.server.reset()
        stopped = rng.random() < 0.5
        # What is to be stopped does not end before; see ``ended``.
        last = Reply(text("on and on " * 3000, size=10, delay=0.02)) if stopped else Reply(text("End."))
        ante.server.enqueue(*[a_step(rng) for _ in range(rng.randrange(1, 4))], last)
        # Nobody to ask, or a person who answers no: in no round does anybody say yes.
        asked: dict[str, Any] = {} if rng.random() < 0.5 else {"stdin": ["n"] * 40}
        flags = f"--mode {rng.choice(['strict', 'auto'])} --keep-going"
        ante.start(f"round {number}", flags, **asked)
        sent = 0.0
        if stopped:
            # Before a cell's code runs, ipykernel drops an interrupted request, and never answers it.
            ante.kernel.wait_for(lambda outcome: bool(outcome.outputs))
            time.sleep(rng.choice([0.0, 0.05, 0.2, 0.5]) * rng.random() * 2)
            sent = ante.kernel.interrupt()
        unanswered = not ended(ante, number, interrupted=bool(sent))
        lost += unanswered
        outcome = ante.kernel.cells[-1]
        if sent and not unanswered:
            latencies.append(max(0.0, outcome.ended - sent) * 1000)
        bound = ante.kernel.value("'_ante' in globals()")
        how = ante.turn("status") if bound else "not begun"
        seen[how] = seen.get(how, 0) + 1
        for request in list(ante.server.chats):
            check_conversation(request.body["messages"])
        # The kernel, the person's variables and their interrupt handler.
        assert ante.kernel.pid == pid and ante.kernel.alive
        assert ante.kernel.value(INTACT) == (True, True, str(ante.cwd)), (number, how)
        # What is outside the working directory.
        assert (fingerprint(outside), fingerprint(keep)) == untouched, (number, how)
        assert (isolated_home / ".ante" / "settings.json").read_bytes() == settings
        # The conversation goes on.
        ante.server.reset()
        follow = ante.prompt("and now?", "--append" if rng.random() < 0.5 else "")
        assert follow.status == "ok", (number, follow.text)
        assert ante.turn("text") == "echo: and now?"
        check_conversation(ante.last_messages)
    ante.check_usable()
    print(seen, f"{lost} replies lost in ipykernel")
    assert "completed" in seen
    assert lost <= max(1, ROUNDS // 50)
    numbers = spread(latencies) if latencies else {}
    prove("fuzz_tools", rounds=ROUNDS, intact=ROUNDS, statuses=seen, interrupts=numbers, replies_lost=lost)
