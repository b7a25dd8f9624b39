"""Model files with damaged headers in a real kernel: each is refused, fails readably, or answers.

Ten files; five hundred under ``make prove``, which also writes the numbers to ``benchmarks/proofs/``.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.ante import prove, rounds, seeded, spread
from support.kernel import Kernel
from support.local_kernels import demo_model, servers, use_model

from ante_nb.errors import LocalEngineError
from ante_nb.local import stop_all
from ante_nb.local.gguf import read_model

if TYPE_CHECKING:
    import random
    from pathlib import Path

pytestmark = [pytest.mark.model]

PROMPT = "%%ante --tools none -o turn\nSay yes."
READABLE = {
    "is not a usable GGUF model": "refused by the header's check",
    "and no model": "refused by the header's check",
    "parts of a model": "refused by the header's check",
    "crashed while it loaded": "the server crashed while it loaded",
    "was killed while it loaded": "the server crashed while it loaded",
    "could not load": "refused by the engine",
    "was not loaded within": "not loaded in time",
    "of memory with": "too large for the memory",
    "The local server has ended": "the server crashed while it answered",
    "The conversation is": "the context that the file claims is too small",
}
"""What a turn may say of such a file, and what it counts as."""


def sections(data: bytes) -> dict[str, tuple[int, int]]:
    """Where the values before the vocabulary, the vocabulary, and the table of tensors lie."""
    words = data.index(b"tokenizer.ggml.tokens")
    template = data.index(b"tokenizer.chat_template")
    table = data.index(b"general.quantization_version") + 32
    end = data.index(b"output_norm.weight", table) if data.find(b"output_norm.weight", table) > 0 else table
    return {
        "start": (0, 24),
        "values": (24, words),
        "vocabulary": (words, template),
        "template": (template, table),
        "tensors": (table, max(end, table + 16_000)),
    }


def damage(
    data: bytes, random: random.Random, where: dict[str, tuple[int, int]]
) -> tuple[str, dict[int, bytes]]:
    """A few bytes to put in other bytes' places: single ones, or a whole number that is extreme."""
    name = random.choice(
        ["start", "values", "values", "values", "vocabulary", "template", "tensors", "tensors"]
    )
    begin, end = where[name]
    changes: dict[int, bytes] = {}
    for _ in range(random.randint(1, 6)):
        at = random.randrange(begin, end - 8)
        kind = random.randrange(4)
        if kind == 0:
            changes[at] = bytes([data[at] ^ (1 << random.randrange(8))])
        elif kind == 1:
            changes[at] = bytes([random.randrange(256)])
        elif kind == 2:
            changes[at] = struct.pack("<I", random.choice([0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000]))
        else:
            changes[at] = struct.pack("<Q", random.choice([0, 1 << 63, (1 << 64) - 1, 1 << 32, 1 << 20]))
    return name, changes


def test_damaged_headers(isolated_home: Path, tmp_path: Path) -> None:
    """The kernel lives, keeps its variables, and says in one line what is wrong."""
    random = seeded("local fuzz")
    file = tmp_path / "fuzzed.gguf"
    shutil.copyfile(demo_model(), file)
    with file.open("rb") as source:
        head = source.read(4 << 20)
    where = sections(head)
    base = use_model(isolated_home, file, context=512, start_timeout=60, sleep_idle=30)
    count: Counter[str] = Counter()
    passed, unreadable = 0, list[str]()
    times: list[float] = []
    number = rounds(10, 500)
    env = {"MODEL_MAX_TOKENS": "8"}
    with Kernel(cwd=tmp_path, env=env) as kernel:
        loaded = kernel.run("%load_ext ante_nb\nprecious = list(range(7))")
        assert loaded.status == "ok", loaded.text
        pid = kernel.pid
        try:
            for _ in range(number):
                name, changes = damage(head, random, where)
                put(file, changes)
                kernel.run("%ante reset")
                outcome = kernel.run(PROMPT, timeout=170)
                assert outcome.done and kernel.alive and kernel.pid == pid
                times.append(outcome.seconds * 1000)
                check = kernel.run("print(turn.status, precious == list(range(7)))")
                assert check.stdout.split()[1:] == ["True"], check.text
                said = "" if outcome.status == "ok" else outcome.error.strip()
                kind = next((kind for words, kind in READABLE.items() if words in said), "answered")
                if (kind == "answered" and said) or "\n" in said:
                    unreadable.append(f"{name} {changes}: {said}")
                count[kind] += 1
                try:
                    passed += bool(read_model(file))
                except LocalEngineError:
                    assert said
                asyncio.run(stop_all(base))
                put(file, {at: head[at : at + len(new)] for at, new in changes.items()})
            # The file is whole again, and works.
            kernel.run("%ante reset")
            outcome = kernel.run(PROMPT, timeout=170)
            assert outcome.status == "ok", outcome.text
        finally:
            asyncio.run(stop_all(base))
        assert not servers(base)
    assert not unreadable, "\n".join(unreadable)
    prove(
        "local_fuzz",
        files=number,
        passed_by_the_headers_check=passed,
        kernels_lost=0,
        variables_lost=0,
        outcomes=dict(count),
        turn=spread(times),
    )


def put(file: Path, changes: dict[int, bytes]) -> None:
    with file.open("r+b") as target:
        for at, new in changes.items():
            target.seek(at)
            target.write(new)
