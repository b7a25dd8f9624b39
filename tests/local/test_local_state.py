"""State files, leases, engine choice and the words for an engine's end. No model needed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from local_files import gguf

from ante_nb.errors import LocalEngineError
from ante_nb.local import capabilities, shared
from ante_nb.local import engine as engines
from ante_nb.local.checks import doctor
from ante_nb.local.diagnose import explain, telling_line
from ante_nb.local.options import Options
from ante_nb.local.process import is_same, start_time, terminate
from ante_nb.local.state import Leases, is_alive, read_state, run_directory, write_state

if TYPE_CHECKING:
    from pathlib import Path


def test_processes() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = start_time(child.pid)
    assert start and is_same(child.pid, start) and not is_same(child.pid, start + "0")
    terminate(child.pid, start + "0", hard=True)
    assert child.poll() is None
    terminate(child.pid, start, hard=True)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_same(child.pid, start), "a zombie is not running"
    child.communicate()
    assert start_time(child.pid) is None and not is_same(None, None)


def test_directory_is_private(tmp_path: Path) -> None:
    directory = run_directory(tmp_path)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(0o755)
    assert stat.S_IMODE(run_directory(tmp_path).stat().st_mode) == 0o700
    directory.rmdir()
    directory.symlink_to(tmp_path)
    with pytest.raises(OSError):
        run_directory(tmp_path)


def test_state_is_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_state(path, {"pid": os.getpid(), "start": start_time(os.getpid())})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and is_alive(read_state(path))
    assert list(tmp_path.iterdir()) == [path]
    path.chmod(0o640)
    assert read_state(path) is None, "others could have seen the key"
    path.chmod(0o600)
    path.write_text('{"pid": ')
    assert read_state(path) is None
    path.unlink()
    target = tmp_path / "b.json"
    write_state(target, {"pid": 1})
    path.symlink_to(target)
    assert read_state(path) is None
    assert not is_alive(None)


def test_leases(tmp_path: Path) -> None:
    leases = Leases(tmp_path / "a.json")
    assert leases.sweep() == (False, 0.0, 0, False)
    leases.touch()
    with leases.busy(), leases.busy():
        assert leases.sweep()[0]
    busy, last, kernels, others = leases.sweep()
    assert not busy and last > 0 and kernels == 1 and not others
    dead = leases.directory / "999999999.1.1.busy"
    dead.touch()
    (leases.directory / "junk").touch()
    assert leases.sweep(remove=False).busy is False and dead.exists()
    assert leases.sweep()[0] is False and not dead.exists()
    assert len(list(leases.directory.iterdir())) == 1
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = leases.directory / f"{other.pid}.{start_time(other.pid)}.1.busy"
    mark.touch()
    with leases.busy():
        assert leases.sweep() == (True, leases.sweep().last, 2, True)
    other.communicate()
    assert leases.sweep()[0] is False and not mark.exists()
    leases.release()
    leases.release()
    assert leases.sweep().kernels == 0


def test_engine_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def there(*names: str) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if name in names else None)

    binary = tmp_path / "bin" / "llama-server"
    binary.parent.mkdir()
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    on_path, nowhere = {"PATH": str(binary.parent)}, {"PATH": str(tmp_path)}
    base = Options(tmp_path)
    there("xllamacpp", "llama_cpp")
    assert engines.detect(base, on_path).binary == str(binary)
    assert engines.detect(base, nowhere).name == "xllamacpp"
    assert engines.detect(Options(tmp_path, llama_server=str(binary)), nowhere).binary == str(binary)
    assert engines.detect(Options(tmp_path, engine="llama_cpp"), on_path).label == "llama-cpp-python"
    with pytest.raises(LocalEngineError, match="is no program here"):
        engines.detect(Options(tmp_path, llama_server="/no/such"), nowhere)
    there("llama_cpp")
    assert engines.detect(base, nowhere).name == "llama_cpp" and engines.available(nowhere)
    there()
    assert engines.available(on_path) and not engines.available(nowhere)
    with pytest.raises(LocalEngineError, match="pip install xllamacpp") as caught:
        engines.detect(base, nowhere)
    assert str(caught.value).count("pip install") == 1 and "\n" not in str(caught.value)


def test_an_engine_that_cannot_be_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(name: str) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr("importlib.util.find_spec", refuses)
    nowhere = {"PATH": str(tmp_path), "HOME": str(tmp_path), "ANTE_HOME": str(tmp_path)}
    assert not engines.available(nowhere)
    with pytest.raises(LocalEngineError, match="pip install xllamacpp"):
        engines.detect(Options(tmp_path), nowhere)
    with pytest.raises(LocalEngineError, match=r"https://.*pip install xllamacpp"):
        engines.detect(Options(tmp_path, engine="llama-server"), nowhere)
    assert any(not ok and "pip install xllamacpp" in hint for ok, _, hint in doctor(env=nowhere))


async def test_an_engine_that_does_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site/xllamacpp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('raise ImportError("libfoo.so:\\ncannot open")')
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setattr(engines, "failures", {})
    model = tmp_path / "Tiny.gguf"
    model.write_bytes(gguf())
    env = {**os.environ, "PYTHONPATH": str(package.parent)}
    chosen = Options(tmp_path / "home", engine="xllamacpp", model=str(model))
    with pytest.raises(LocalEngineError) as caught:
        await shared.acquire(None, settings=chosen, env=env)
    said = str(caught.value)
    assert "ImportError: libfoo.so: cannot open" in said and "\n" not in said
    assert "pip install --force-reinstall xllamacpp" in said and "llama-cpp-python" in said
    assert "xllamacpp" in engines.failures
    ok, what, hint = doctor(chosen, env)[0]
    assert not ok and "cannot be imported" in what and "--force-reinstall xllamacpp" in hint
    # What failed here counts even if the import works in a process of its own.
    (package / "__init__.py").write_text("")
    assert not doctor(chosen, env)[0][0]
    engines.failures.clear()
    assert doctor(chosen, env)[0][0]


def test_doctor_survives_anything(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no\nidea")

    monkeypatch.setattr(engines, "detect", fails)
    checks = doctor()
    assert (False, "engine: RuntimeError: no idea") in [(ok, what) for ok, what, _ in checks]
    assert any("state directory" in what for _, what, _ in checks)


def test_child_environment_holds_no_secrets() -> None:
    env = {
        "PATH": "/bin",
        "OPENAI_API_KEY": "sk-1",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HF_TOKEN": "y",
        "LLAMA_API_KEY": "z",
        "LLAMA_ARG_API_KEY": "z",
        "CUDA_VISIBLE_DEVICES": "0",
    }
    child = engines.child_environment(env, "secret")
    assert set(child) == {"PATH", "CUDA_VISIBLE_DEVICES", "GGML_NO_BACKTRACE", "ANTE_LOCAL_KEY"}


@pytest.mark.parametrize(
    ("code", "words"),
    [(-9, "want of memory"), (137, "want of memory"), (-6, "crashed"), (134, "crashed"), (-11, "crashed")],
)
def test_signals(tmp_path: Path, code: int, words: str) -> None:
    error = explain(code, tmp_path / "none.log", "m", "xllamacpp")
    assert words in str(error) and "\n" not in str(error)


def test_the_telling_line(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text(
        "loading\n\x1b[31mllama_model_load: error loading model: unknown architecture 'x'\x1b[0m\nsrv: exiting\n"
        'Traceback (most recent call last):\n  File "a.py", line 1\nRuntimeError: failed to load\n'
    )
    assert telling_line(log) == "RuntimeError: failed to load"
    assert "could not load m: RuntimeError" in str(explain(1, log, "m", "e"))


SCRIPTS = {
    "abort": ("echo 'GGML_ASSERT(n > 0) failed'; kill -ABRT $$", "crashed while it loaded Tiny: GGML_ASSERT"),
    "killed": ("kill -KILL $$", "most likely for want of memory"),
    "refused": (
        "echo 'error: invalid argument: --jinja'; exit 1",
        "could not load Tiny: error: invalid argument",
    ),
}


@pytest.mark.parametrize("kind", SCRIPTS)
async def test_a_program_that_ends_early(tmp_path: Path, kind: str) -> None:
    script, words = SCRIPTS[kind]
    program = tmp_path / "llama-server"
    program.write_text(f'#!/bin/sh\ncase "$1" in --help) exit 0;; esac\n{script}\n')
    program.chmod(0o755)
    model = tmp_path / "Tiny.gguf"
    model.write_bytes(gguf())
    chosen = Options(tmp_path / "home", llama_server=str(program))
    with pytest.raises(LocalEngineError) as caught:
        await shared.acquire(str(model), settings=chosen)
    assert words in str(caught.value) and "\n" not in str(caught.value)


async def test_start_timeout_ends_the_program(tmp_path: Path) -> None:
    program = tmp_path / "llama-server"
    program.write_text('#!/bin/sh\ncase "$1" in --help) exit 0;; esac\nexec sleep 600\n')
    program.chmod(0o755)
    model = tmp_path / "Tiny.gguf"
    model.write_bytes(gguf())
    chosen = Options(tmp_path / "home", llama_server=str(program), start_timeout=2)
    with pytest.raises(LocalEngineError, match="Tiny") as caught:
        await shared.acquire(str(model), settings=chosen)
    assert "load" in str(caught.value)
    assert not shared.running(tmp_path / "home")


async def test_no_memory_is_said_before_a_start(tmp_path: Path) -> None:
    model = tmp_path / "Huge.gguf"
    model.write_bytes(gguf(keys={"llama.block_count": 9000, "llama.attention.head_count_kv": 60_000}))
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\ntouch started\n")
    program.chmod(0o755)
    chosen = Options(tmp_path / "home", llama_server=str(program), context=1 << 20)
    with pytest.raises(LocalEngineError, match=r"Huge needs about .* of memory"):
        await shared.acquire(str(model), settings=chosen)
    assert not list((tmp_path / "home/run/local").glob("*.log"))


async def test_a_configured_server(chat_server: object, tmp_path: Path) -> None:
    url: str = chat_server.url  # type: ignore[attr-defined]
    server = await shared.acquire("any", settings=Options(tmp_path, engine_url=url))
    assert server.base_url == url and server.engine == "configured" and server.model_id == "any"
    assert server.capabilities.tools and not server.capabilities.completion and server.alive()
    gone = Options(tmp_path, engine_url="http://127.0.0.1:9/v1")
    with pytest.raises(LocalEngineError, match="does not answer"):
        await shared.acquire(None, settings=gone)
    assert not (tmp_path / "run").exists(), "nothing is started beside a configured server"


def test_capabilities_of_nobody() -> None:
    assert capabilities.ask("http://127.0.0.1:9", None) == capabilities.Capabilities()


def test_doctor(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = doctor()
    assert any("state directory" in what for _, what, _ in checks)
    monkeypatch.setenv("ANTE_OFFLINE_CONTEXT", "x")
    ((ok, what, hint),) = doctor()
    assert not ok and "ANTE_OFFLINE_CONTEXT" in what and hint
    monkeypatch.delenv("ANTE_OFFLINE_CONTEXT")
    for port, words in (
        ("77777", "ANTE_LOCAL_PROVIDER_PORT is '77777'"),
        ("9", "127.0.0.1:9: does not answer"),
    ):
        monkeypatch.setenv("ANTE_LOCAL_PROVIDER_PORT", port)  # every prompt goes there
        ((ok, what, hint),) = doctor()
        assert not ok and words in what and hint
    assert json.dumps(checks)
