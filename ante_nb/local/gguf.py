"""The header of a GGUF file or of a split model's files, read without trust and without the engine.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Every length is checked against the
file's size before anything is read, since an engine that meets a damaged header may abort its process.
"""

from __future__ import annotations

import functools
import math
import os
import re
import stat
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from ante_nb.errors import LocalEngineError

if TYPE_CHECKING:
    from pathlib import Path

SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
"""The end of a split model's file names, without ``.gguf``."""

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
# general.file_type, enum llama_ftype of llama.h.
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
    36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip
# Hyperparameters that the engines use as sizes unchecked, with a generous upper bound.
_BOUNDS = {
    "block_count": 10_000,
    "embedding_length": 1 << 20,
    "feed_forward_length": 1 << 24,
    "context_length": 1 << 28,
    "attention.head_count": 1 << 16,
    "attention.head_count_kv": 1 << 16,
    "attention.key_length": 1 << 16,
    "attention.value_length": 1 << 16,
    "expert_count": 1 << 16,
}
_BLOCK = 1 << 20
_MAX_HEADER = 256 << 20  # some 20 MB are usual; it bounds time and memory for hostile files
_MAX_PARTS = 1000


class _BadHeader(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class Header:
    """What the package needs to know of a model before it starts an engine.

    ``size`` is the file's, or of all parts of a split model (bytes), ``kv_bytes_per_token`` what a token of
    context takes in an f16 KV cache; layers that see the last ``window`` tokens alone take
    ``window_bytes_per_token`` for those. ``quantization`` is as
    ``Q4_K_M`` or empty, ``kind`` the file's ``general.type`` (``model``, ``mmproj``, ``adapter`` ...),
    ``parts`` how many files the model is split into, ``meta`` all small metadata values by key.
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
    quantization: str = ""
    kind: str = "model"
    parts: int = 1
    window: int = 0
    window_bytes_per_token: int = 0
    meta: dict[str, Any] = field(default_factory=dict, repr=False)


class _Reader:
    """Reads a file from its beginning. In blocks of its own: a vocabulary is 100,000s of short texts, and
    a mapped file that somebody shortens meanwhile would end the process."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.block, self.at, self.before = b"", 0, 0

    def tell(self) -> int:
        return self.before + self.at

    def _fill(self, count: int) -> None:
        """Makes the next ``count`` bytes be in the block."""
        if self.at + count <= len(self.block):
            return
        rest = self.block[self.at :]
        self.before += self.at
        if self.before > _MAX_HEADER:
            raise _BadHeader(f"its header is longer than {_MAX_HEADER >> 20} MB")
        self.block, self.at = rest + self.file.read(max(count - len(rest), _BLOCK)), 0
        if len(self.block) < count:
            raise _BadHeader("it ends in the middle of its header")

    def take(self, count: int) -> bytes:
        self._fill(count)
        self.at += count
        return self.block[self.at - count : self.at]

    def unpack(self, form: str) -> Any:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def skip(self, count: int) -> None:
        if count > self.size - self.tell():
            raise _BadHeader("a length in its header is larger than the file")
        if self.at + count <= len(self.block):
            self.at += count
            return
        self.before += self.at + count
        self.file.seek(self.before)
        self.block, self.at = b"", 0

    def skip_texts(self, count: int) -> None:
        unpack, width = struct.Struct("<Q").unpack_from, 8
        for _ in range(count):
            if self.at + width > len(self.block):
                self._fill(width)
            (length,) = unpack(self.block, self.at)
            end = self.at + width + length
            if end <= len(self.block):
                self.at = end
            else:
                self.at += width
                self.skip(length)

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
        if depth and count > _KEPT_ARRAY:
            raise _BadHeader("it holds a large array of arrays")
        if item in _SCALARS:
            width = struct.calcsize("<" + _SCALARS[item])
            if count > _KEPT_ARRAY:
                self.skip(count * width)
                return {"array": count}
            return list(self.unpack(f"{count}{_SCALARS[item]}"))
        if item == _ARRAY and count > _KEPT_ARRAY:
            raise _BadHeader("it holds a large array of arrays")
        if item == _STRING and count > _KEPT_ARRAY:
            self.skip_texts(count)
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
    """Reads and checks the header of one file; blocks, 20 ms for a 50,000-word vocabulary, once per version
    of the file.

    Raises:
        LocalEngineError: the file is missing, unreadable, no regular file, no GGUF, damaged or cut off.
    """
    try:
        info = path.stat()  # before opening: opening a named pipe would wait for its writer
        if not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode):
            raise LocalEngineError(f"{path} is no regular file", "Give the path of a .gguf file.")
        return _read(str(path), info.st_size, info.st_mtime_ns)
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
    except ValueError:  # a null character
        raise LocalEngineError(f"{str(path)[:200]!r} is no path", "Give the path of a .gguf file.") from None


def read_model(path: Path) -> Header:
    """:func:`read_header` of a whole model: with ``-00001-of-0000N`` in its name, of all its parts.

    Raises:
        LocalEngineError: as :func:`read_header` for any of the parts; a part is missing; ``path`` is not the
            first one; or it is no model at all (an image encoder, an adapter, a vocabulary).
    """
    files = parts(path)
    missing = [file for file in files if not _there(file)]
    if missing and missing[0] != path:
        raise LocalEngineError(
            f"{path.name} lacks {len(missing)} of its {len(files)} parts, first {missing[0].name}",
            "Download the missing files into the same directory.",
        )
    header = read_header(path)
    rest = [read_header(file) for file in files[1:]]
    claimed = header.meta.get("split.count", 1)
    if claimed != len(files) and claimed in range(2, _MAX_PARTS):
        raise LocalEngineError(
            f"{path.name} is one of {claimed} parts of a model",
            f"Its name has to end in -00001-of-{claimed:05d}.gguf, with the other parts beside it.",
        )
    if header.kind != "model" or header.architecture == "clip":
        what = "an image encoder" if header.architecture == "clip" else f"of the kind {header.kind!r}"
        raise LocalEngineError(f"{path.name} is {what} and no model", "Choose another file.")
    whole = [header, *rest]
    if not any(one.tensors for one in whole):
        raise LocalEngineError(f"{path.name} holds a vocabulary and no model", "Choose another file.")
    return replace(
        header,
        size=sum(one.size for one in whole),
        parameters=sum(one.parameters for one in whole),
        tensors=sum(one.tensors for one in whole),
        parts=len(files),
    )


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # it may be: reading it will say what is wrong
        return True


def parts(path: Path) -> list[Path]:
    """The files of the model whose first one is ``path``, by their names alone.

    Raises:
        LocalEngineError: ``path`` is a later part.
    """
    shard = SHARD.search(path.stem) if path.suffix.lower() == ".gguf" else None
    if shard is None:
        return [path]
    if int(shard[1]) != 1:
        raise LocalEngineError(
            f"{path.name} is a later part of a split model", "Give the path of its first part."
        )
    base, count = path.stem[: shard.start()], min(max(int(shard[2]), 1), _MAX_PARTS)
    return [
        path,
        *(path.with_name(f"{base}-{n:05d}-of-{shard[2]}{path.suffix}") for n in range(2, count + 1)),
    ]


@functools.lru_cache(256)
def _read(path: str, size: int, changed: int) -> Header:
    with open(path, "rb") as file:  # noqa: PTH123 (a word to cache by)
        return _parse(_Reader(file, os.fstat(file.fileno()).st_size))


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
        raise _BadHeader(f"its alignment is implausible ({_word(alignment)})")
    start = -(-reader.tell() // alignment) * alignment
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
        if values > 1 << 50:
            raise _BadHeader(f"a tensor has {values:.1e} values")
        kind, offset = reader.unpack("IQ")
        per_block, width = _BLOCKS.get(kind, (1, 0))
        parameters += values
        end = max(end, offset + values // per_block * width)
    return parameters, end


def _header(size: int, tensors: int, parameters: int, meta: dict[str, Any]) -> Header:
    arch = meta.get("general.architecture")
    if not isinstance(arch, str) or not re.fullmatch(r"[\w.\-]{1,64}", arch):
        raise _BadHeader("it names no architecture")
    for key, limit in _BOUNDS.items():
        value = meta.get(f"{arch}.{key}", 1)
        for number in value if isinstance(value, list) else [value]:
            if not isinstance(number, int) or not 0 <= number <= limit:
                raise _BadHeader(f"{arch}.{key} is implausible ({_word(number)})")

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
    per_head = 2 * (key_length + value_length)
    heads_of = kv_heads if isinstance(kv_heads, list) else [int(kv_heads)] * layers
    interval = number_of("full_attention_interval", 1)  # the layers between are recurrent: no cache
    if interval > 1 and not isinstance(kv_heads, list):
        heads_of = heads_of[: layers // interval]
    window = number_of("attention.sliding_window")
    slides = (
        _sliding(arch, len(heads_of), meta.get(f"{arch}.attention.sliding_window_pattern")) if window else []
    )
    sliding = sum(heads for heads, short in zip(heads_of, slides, strict=False) if short)
    words = meta.get("tokenizer.ggml.tokens")
    template = meta.get("tokenizer.chat_template")
    text = {
        key: _word(meta[f"general.{key}"])
        for key in ("name", "license", "type")
        if isinstance(meta.get(f"general.{key}"), str)
    }
    file_type = meta.get("general.file_type")
    return Header(
        size=size,
        architecture=arch,
        name=text.get("name"),
        license=text.get("license"),
        context_length=number_of("context_length") or None,
        parameters=parameters,
        quantization=_FILE_TYPES.get(file_type, "") if isinstance(file_type, int) else "",
        kind=text.get("type") or "model",
        kv_bytes_per_token=(sum(heads_of) - sliding) * per_head,
        window=window if sliding else 0,
        window_bytes_per_token=sliding * per_head,
        vocabulary=words["array"] if isinstance(words, dict) else len(words or ()),
        embedding=embedding,
        chat_template=template if isinstance(template, str) else None,
        tensors=tensors,
        meta=meta,
    )


# Every how manieth layer sees all of the context, where the file does not say it (llama.cpp's llama-model.cpp).
_PATTERNS = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4}


def _sliding(arch: str, layers: int, pattern: Any) -> list[bool]:
    """For each layer, whether it sees a window of the context alone; none where that is not known."""
    if isinstance(pattern, list):
        return [item is True for item in pattern[:layers]]
    every = pattern if type(pattern) is int and pattern > 1 else _PATTERNS.get(arch)
    return [(layer + 1) % every != 0 for layer in range(layers)] if every else []


def _word(value: Any) -> str:
    """A value out of the file as a person may see it: one short printable line."""
    text = str(value)[:200] if isinstance(value, str | int | float) else type(value).__name__
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:100]
