"""The header of a GGUF file, read without trust and without the engine.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Every length is checked against the
file's size before anything is read, since an engine that meets a damaged header may abort its process.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from ante_nb.errors import LocalEngineError

if TYPE_CHECKING:
    from pathlib import Path

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)
_MAX_KEYS, _MAX_TENSORS, _MAX_STRING, _KEPT_ARRAY = 10_000, 200_000, 64 << 20, 4096
# ggml type -> (values per block, bytes per block), from ggml-common.h; others are not size-checked.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110),
    22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
# Hyperparameters that the engines use as sizes unchecked, with a generous upper bound.
_BOUNDS = {
    "block_count": 10_000,
    "embedding_length": 1 << 20,
    "feed_forward_length": 1 << 24,
    "context_length": 1 << 28,
    "attention.head_count": 1 << 16,
    "attention.head_count_kv": 1 << 16,
}


class _BadHeader(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class Header:
    """What the package needs to know of a model before it starts an engine.

    ``size`` is the file's (bytes), ``kv_bytes_per_token`` that of an f16 KV cache (an upper bound for
    models with a sliding window), ``meta`` all small metadata values by key.
    """

    size: int
    architecture: str
    name: str | None
    license: str | None
    context_length: int | None
    parameters: int
    kv_bytes_per_token: int
    vocabulary: int
    embedding: int
    chat_template: str | None
    tensors: int
    meta: dict[str, Any] = field(default_factory=dict, repr=False)


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def take(self, count: int) -> bytes:
        data = self.file.read(count)
        if len(data) != count:
            raise _BadHeader("it ends in the middle of its header")
        return data

    def unpack(self, form: str) -> Any:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def skip(self, count: int) -> None:
        if count > self.size - self.file.tell():
            raise _BadHeader("a length in its header is larger than the file")
        self.file.seek(count, os.SEEK_CUR)

    def length(self, limit: int, what: str) -> int:
        (value,) = self.unpack("Q")
        if value > min(limit, self.size):
            raise _BadHeader(f"its {what} is implausible ({value})")
        return int(value)

    def string(self) -> str:
        return self.take(self.length(_MAX_STRING, "text length")).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in _SCALARS:
            return self.unpack(_SCALARS[kind])[0]
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY or depth > 2:
            raise _BadHeader(f"it holds a value of unknown type {kind}")
        (item,) = self.unpack("I")
        count = self.length(1 << 40, "array length")
        if item in _SCALARS:
            width = struct.calcsize("<" + _SCALARS[item])
            if count > _KEPT_ARRAY:
                self.skip(count * width)
                return {"array": count}
            return list(self.unpack(f"{count}{_SCALARS[item]}"))
        if item == _STRING and count > _KEPT_ARRAY:
            for _ in range(count):
                self.skip(self.unpack("Q")[0])
            return {"array": count}
        return [self.value(item, depth + 1) for _ in range(count)]


def looks_usable(path: Path) -> bool:
    """Whether ``path`` begins as a GGUF file does; reads 24 bytes and so says nothing about the rest."""
    try:
        if not path.is_file():  # opening a named pipe would wait for its writer
            return False
        with path.open("rb") as file:
            start = file.read(24)
    except OSError:
        return False
    if len(start) < 24 or start[:4] != b"GGUF":
        return False
    version, tensors, keys = struct.unpack("<IQQ", start[4:])
    return version in _VERSIONS and tensors <= _MAX_TENSORS and keys <= _MAX_KEYS


def read_header(path: Path) -> Header:
    """Reads and checks the header of ``path``; blocks, about 50 ms for a 50,000-word vocabulary.

    Raises:
        LocalEngineError: the file is missing, unreadable, no regular file, no GGUF, damaged or cut off.
    """
    try:
        mode = path.stat().st_mode  # before opening: opening a named pipe would wait for its writer
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise LocalEngineError(f"{path} is no regular file", "Give the path of a .gguf file.")
        with path.open("rb") as file:
            return _parse(_Reader(file, os.fstat(file.fileno()).st_size))
    except IsADirectoryError:
        raise LocalEngineError(f"{path} is a directory", "Give the path of a .gguf file in it.") from None
    except FileNotFoundError:
        raise LocalEngineError(f"no model file {path}", "See `%ante models local` for those found.") from None
    except PermissionError:
        raise LocalEngineError(
            f"{path} cannot be read: permission denied", "Check its owner and mode."
        ) from None
    except OSError as error:
        raise LocalEngineError(f"{path} cannot be read: {error.strerror or error}") from error
    except (_BadHeader, struct.error, MemoryError, OverflowError) as error:
        raise LocalEngineError(
            f"{path.name} is not a usable GGUF model: {error}", "Download it again, or choose another model."
        ) from error


def _parse(reader: _Reader) -> Header:
    if reader.size == 0:
        raise _BadHeader("the file is empty")
    if reader.size < 24 or reader.take(4) != b"GGUF":
        raise _BadHeader("it does not begin with GGUF")
    version, tensors, keys = reader.unpack("IQQ")
    if version not in _VERSIONS:
        raise _BadHeader(f"its format version {version} is unknown (2 and 3 are)")
    if tensors > _MAX_TENSORS or keys > _MAX_KEYS:
        raise _BadHeader(f"it claims {tensors} tensors and {keys} keys")
    meta: dict[str, Any] = {}
    for _ in range(keys):
        key = reader.string()
        meta[key] = reader.value(reader.unpack("I")[0])
    parameters, end = _tensors(reader, tensors)
    alignment = meta.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise _BadHeader(f"its alignment {alignment!r} is implausible")
    start = -(-reader.file.tell() // alignment) * alignment
    if tensors and start + end > reader.size:
        raise _BadHeader(f"it is cut off: {start + end} bytes expected, {reader.size} there")
    return _header(reader.size, tensors, parameters, meta)


def _tensors(reader: _Reader, count: int) -> tuple[int, int]:
    """Number of parameters, and where the last tensor ends after the start of the data."""
    parameters = end = 0
    for _ in range(count):
        reader.string()
        (dimensions,) = reader.unpack("I")
        if dimensions > 8:
            raise _BadHeader(f"a tensor has {dimensions} dimensions")
        values = math.prod(reader.unpack(f"{dimensions}Q"))
        kind, offset = reader.unpack("IQ")
        per_block, width = _BLOCKS.get(kind, (1, 0))
        parameters += values
        end = max(end, offset + values // per_block * width)
    return parameters, end


def _header(size: int, tensors: int, parameters: int, meta: dict[str, Any]) -> Header:
    arch = meta.get("general.architecture")
    if not isinstance(arch, str):
        raise _BadHeader("it names no architecture")
    for key, limit in _BOUNDS.items():
        value = meta.get(f"{arch}.{key}", 1)
        for number in value if isinstance(value, list) else [value]:
            if not isinstance(number, int) or not 0 <= number <= limit:
                raise _BadHeader(f"{arch}.{key} is implausible ({number})")

    def number_of(key: str, default: int = 0) -> int:
        value = meta.get(f"{arch}.{key}", default)
        return value if isinstance(value, int) else default

    layers, heads, embedding = (
        number_of("block_count"),
        number_of("attention.head_count"),
        number_of("embedding_length"),
    )
    kv_heads = meta.get(f"{arch}.attention.head_count_kv", heads)
    key_length = number_of("attention.key_length", embedding // heads if heads else 0)
    value_length = number_of("attention.value_length", key_length)
    all_heads = sum(kv_heads) if isinstance(kv_heads, list) else int(kv_heads) * layers
    words = meta.get("tokenizer.ggml.tokens")
    template = meta.get("tokenizer.chat_template")
    text = {key: value for key in ("name", "license") if isinstance(value := meta.get(f"general.{key}"), str)}
    return Header(
        size=size,
        architecture=arch,
        name=text.get("name"),
        license=text.get("license"),
        context_length=number_of("context_length") or None,
        parameters=parameters,
        kv_bytes_per_token=2 * all_heads * (key_length + value_length),
        vocabulary=words["array"] if isinstance(words, dict) else len(words or ()),
        embedding=embedding,
        chat_template=template if isinstance(template, str) else None,
        tensors=tensors,
        meta=meta,
    )
