"""``ante-kernel install`` and ``uninstall``: what Jupyter finds afterwards."""

from __future__ import annotations

import json
import re
import shutil
import struct
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from ante_nb.kernel import kernelspec
from ante_nb.kernel.cli import main

ROOT = Path(__file__).resolve().parents[2]


def found(name: str = "ante") -> dict[str, object]:
    spec = KernelSpecManager().get_kernel_spec(name)
    return {**spec.to_dict(), "dir": spec.resource_dir}


@pytest.fixture(autouse=True)
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip has put into this environment is out of sight, and out of reach of ``uninstall``."""
    place = tmp_path / "environment" / "share" / "jupyter"
    monkeypatch.setattr("jupyter_core.paths.ENV_JUPYTER_PATH", [str(place)])
    monkeypatch.setattr("jupyter_core.paths.SYSTEM_JUPYTER_PATH", [])
    return place


def test_install_for_the_user_and_uninstall(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "--user"]) == 0
    spec = found()
    assert capsys.readouterr().out == f"Installed kernelspec ante in {spec['dir']}\n"
    assert spec["argv"] == [sys.executable, "-m", "ante_nb.kernel", "-f", "{connection_file}"]
    assert (spec["display_name"], spec["language"]) == ("Ante", "markdown")
    assert main(["uninstall"]) == 0
    with pytest.raises(NoSuchKernel):
        found()
    assert main(["uninstall"]) == 1
    assert "no kernelspec 'ante' was found" in capsys.readouterr().err


def test_another_of_that_name_that_jupyter_finds_first_is_told_of(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a virtual environment Jupyter looks there first, and pip has put a kernelspec there."""
    shutil.copytree(kernelspec.RESOURCES, bare_environment / "kernels" / "ante")
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    assert main(["install", "--user", "--provider", "local"]) == 0
    shown = capsys.readouterr().out
    assert str(bare_environment / "kernels" / "ante") in shown and "--name" in shown
    assert main(["install", "--user", "--provider", "local", "--name", "ante-local"]) == 0
    assert "--name" not in capsys.readouterr().out
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    assert main(["install", "--user"]) == 0
    assert "--name" not in capsys.readouterr().out


def test_several_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = ["--prefix", str(tmp_path)]
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    assert main(["install", *prefix]) == 0
    assert main(["install", *prefix, "--name", "Ante-Local", "--provider", "local", "--model", "m.gguf"]) == 0
    assert main(["install", *prefix, "--name", "third", "--display-name", "My agent"]) == 0
    local = found("ante-local")
    assert local["argv"][-2:] == ["--provider=local", "--model=m.gguf"]  # type: ignore[index]
    assert local["display_name"] == "Ante (local m.gguf)"
    assert found("third")["display_name"] == "My agent"
    assert main(["uninstall", "--name", "ante-local", *prefix]) == 0
    assert {name for name in KernelSpecManager().find_kernel_specs() if name != "python3"} == {
        "ante",
        "third",
    }


def test_sys_prefix_is_this_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert main(["install", "--sys-prefix"]) == 0
    assert (tmp_path / "share" / "jupyter" / "kernels" / "ante" / "kernel.json").exists()
    assert main(["uninstall", "--sys-prefix"]) == 0
    assert not (tmp_path / "share" / "jupyter" / "kernels" / "ante").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["install", "--user", "--name", "python3"], "is the Python kernel's name"),
        (["install", "--user", "--name", "a b"], "is no name for a kernel"),
        (["install", "--user", "--name", "../up"], "is no name for a kernel"),
        (["install", "--user", "--provider", "antrhopic"], "anthropic"),
        (["install", "--user", "--name", "other"], "belongs to another kernel"),
        (["uninstall", "--name", "other"], "belongs to another kernel"),
    ],
)
def test_what_is_refused(
    words: list[str], told: str, isolated_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = isolated_home / ".jupyter-data" / "kernels" / "other"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text('{"argv": ["r"], "display_name": "R", "language": "R"}')
    assert main(words) == 1
    error = capsys.readouterr().err
    assert told in error and error.startswith("ante-kernel: ") and error.count("\n") == 1
    assert [path.name for path in other.parent.iterdir()] == ["other"]


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    for words in (["--help"], ["install", "-h"], ["--version"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
    shown = capsys.readouterr().out
    for word in ("install", "uninstall", "convert", "--sys-prefix", "--display-name", "--provider"):
        assert word in shown


def test_logos_are_pictures_of_their_size() -> None:
    for size in (32, 64):
        data = (kernelspec.RESOURCES / f"logo-{size}x{size}.png").read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", data[16:24]) == (size, size)
    assert ElementTree.parse(kernelspec.RESOURCES / "logo-svg.svg").getroot().tag.endswith("svg")


def test_pip_puts_the_same_files_in_place() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    source = kernelspec.RESOURCES.relative_to(ROOT).as_posix()
    assert shared[source] == "share/jupyter/kernels/ante"
    assert project["project"]["scripts"] == {"ante-kernel": "ante_nb.kernel.cli:main"}
    spec = json.loads((kernelspec.RESOURCES / "kernel.json").read_text(encoding="utf-8"))
    assert re.fullmatch(r"python3?", spec["argv"][0]) and spec["argv"][2] == kernelspec.MODULE
    assert {path.name for path in kernelspec.RESOURCES.iterdir()} == {
        "kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg",
    }  # fmt: skip
