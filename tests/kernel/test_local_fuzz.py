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
READABLE = (
    "is not a usable GGUF model", "holds a vocabulary", "and no model", "parts of a model",  # by its header
    "could not load", "crashed while it loaded", "was killed while it loaded", "was not loaded within",
    "of memory with", "the local server ended", "template", "token",  # by the engine
)  # fmt: skip
"""What a turn may say of such a file."""


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
                outcome = kernel.run(PROMPT, timeout=170)
                assert outcome.done and kernel.alive and kernel.pid == pid
                times.append(outcome.seconds * 1000)
                check = kernel.run("print(turn.status, precious == list(range(7)))")
                assert check.stdout.split()[1:] == ["True"], check.text
                try:
                    read_model(file)
                    seen = "passed by the header's check"
                except LocalEngineError:
                    seen = "refused by the header's check"
                if outcome.status == "ok":
                    count["answered"] += 1
                else:
                    lines = outcome.error.strip().splitlines()
                    assert len(lines) == 1, lines
                    assert any(words in lines[0] for words in READABLE), (name, changes, lines)
                    count[kind_of(lines[0])] += 1
                count[seen] += 1
                asyncio.run(stop_all(base))
                put(file, {at: head[at : at + len(new)] for at, new in changes.items()})
            # The file is whole again, and works.
            outcome = kernel.run(PROMPT, timeout=170)
            assert outcome.status == "ok", outcome.text
        finally:
            asyncio.run(stop_all(base))
        assert not servers(base)
    assert sum(count.values()) == 2 * number
    prove(
        "local_fuzz", files=number, kernels_lost=0, variables_lost=0, outcomes=dict(count), turn=spread(times)
    )


def kind_of(line: str) -> str:
    if "crashed while it loaded" in line or "was killed" in line:
        return "the server crashed"
    if "is not a usable GGUF" in line or "no model" in line or "parts of a model" in line:
        return "refused before the start"
    if "could not load" in line:
        return "refused by the engine"
    return "other words"


def put(file: Path, changes: dict[int, bytes]) -> None:
    with file.open("r+b") as target:
        for at, new in changes.items():
            target.seek(at)
            target.write(new)
