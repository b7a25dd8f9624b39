"""``%%ante`` in a real kernel against the loopback server: what the kernel tests share."""

from __future__ import annotations

import json
import os
import platform
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.chat_server import Reply, text

if TYPE_CHECKING:
    from support.chat_server import ChatServer, Recorded
    from support.kernel import Kernel, Outcome

ROOT = Path(__file__).resolve().parents[2]
PROVE = os.environ.get("ANTE_PROVE") == "1"


def rounds(normally: int, proving: int) -> int:
    """How often a campaign repeats: ``proving`` under ``make prove``."""
    return proving if PROVE else normally


def seeded(name: str) -> random.Random:
    """Random numbers of a campaign; the seed is printed, ``ANTE_SEED`` repeats it."""
    seed = int(os.environ.get("ANTE_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"{name}: ANTE_SEED={seed}")
    return random.Random(seed)


def machine() -> dict[str, Any]:
    """What a number was measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def prove(name: str, **numbers: Any) -> None:
    """Under ``make prove``, write the numbers to ``benchmarks/proofs/<name>.json``."""
    if not PROVE:
        return
    folder = ROOT / "benchmarks" / "proofs"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), **numbers}, indent=1, sort_keys=True)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def spread(values: list[float]) -> dict[str, float]:
    """p50, p95 and the greatest of some milliseconds."""
    ordered = sorted(values)
    pick = lambda part: round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 1)  # noqa: E731
    return {"n": len(ordered), "p50_ms": pick(0.5), "p95_ms": pick(0.95), "max_ms": round(ordered[-1], 1)}


def point_at(server: ChatServer, home: Path, **settings: Any) -> dict[str, str]:
    """Make the loopback server the default provider; returns the environment that a kernel needs."""
    folder = home / ".ante"
    folder.mkdir(mode=0o700, exist_ok=True)
    chosen = {"provider": "openai-compatible", "model": "test-model", **settings}
    (folder / "settings.json").write_text(json.dumps(chosen), encoding="utf-8")
    return {"OPENAI_COMPATIBLE_BASE_URL": server.url, "OPENAI_COMPATIBLE_API_KEY": "loopback-key-0123456789"}


def check_conversation(messages: list[dict[str, Any]]) -> None:
    """A Chat Completions history that every vendor takes: each call answered once, right after it."""
    pending: dict[str, str] = {}
    for number, message in enumerate(messages):
        role = message["role"]
        assert role in ("system", "developer", "user", "assistant", "tool"), f"message {number}: {role}"
        if role == "tool":
            name = pending.pop(message["tool_call_id"], None)
            assert name is not None, f"message {number} answers a call that is not open"
            assert message["content"], f"message {number} is an empty result"
            continue
        assert not pending, f"message {number}: {role} while {sorted(pending.values())} are unanswered"
        if role in ("system", "developer"):
            assert number == 0, f"message {number}: a system message in mid-conversation"
        if role == "assistant":
            calls = message.get("tool_calls") or []
            assert calls or message.get("content"), f"message {number} says nothing"
            for call in calls:
                assert isinstance(json.loads(call["function"]["arguments"]), dict)
                assert call["id"] not in pending, f"message {number}: call id twice"
                pending[call["id"]] = call["function"]["name"]
    assert not pending, f"unanswered at the end: {sorted(pending.values())}"


def words_of(message: dict[str, Any]) -> str:
    """The text of a message of the request, whatever its form."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(item.get("text", "") for item in content)


def echo(request: Recorded) -> Reply:
    """Answers with what the person typed: the last text of the last user message."""
    content = next(m["content"] for m in reversed(request.body["messages"]) if m["role"] == "user")
    typed = content if isinstance(content, str) else content[-1]["text"]
    # The first message of a conversation also says where and when it takes place, and a prompt that was
    # never answered comes in one message with the next.
    typed = re.sub(r"\n*<environment>.*?</environment>", "", typed, flags=re.DOTALL)
    return Reply(text("echo: " + typed.rpartition("\n\n")[2]))


class Ante:
    """A kernel with the extension loaded, and the server that answers its prompts."""

    def __init__(self, kernel: Kernel, server: ChatServer, cwd: Path) -> None:
        self.kernel = kernel
        self.server = server
        server.handler = echo
        self.cwd = cwd

    def prompt(self, words: str, flags: str = "", timeout: float = 60, **options: Any) -> Outcome:
        """Run a ``%%ante`` cell to its end."""
        return self.kernel.run(f"%%ante {flags}\n{words}", timeout, **options)

    def start(self, words: str, flags: str = "", **options: Any) -> Outcome:
        """Start a ``%%ante`` cell and return."""
        return self.kernel.start(f"%%ante {flags}\n{words}", **options)

    def turn(self, attribute: str, name: str = "_ante") -> Any:
        """A plain value of the last turn: ``turn("status")``."""
        return self.kernel.value(f"{name}.{attribute}")

    @property
    def last_messages(self) -> list[dict[str, Any]]:
        """The messages of the last model call."""
        return list(self.server.chats[-1].body["messages"])

    def check_usable(self) -> None:
        """The kernel computes, the next turn is answered, and its history is valid."""
        assert self.kernel.value("6 * 7") == 42
        awaited = self.kernel.run("import asyncio\nawait asyncio.sleep(0.01)\nprint('awaited')")
        assert awaited.stdout == "awaited\n", awaited.text
        after = self.prompt("still there?")
        assert after.status == "ok", after.text
        assert self.turn("status") == "completed"
        assert self.turn("text") == "echo: still there?"
        check_conversation(self.last_messages)
