"""git in a repository whose configuration names programs: asked about, and only then."""

from __future__ import annotations

import os
import shutil
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ante_nb.agent.host import ToolContext
from ante_nb.agent.permissions import Permissions
from ante_nb.agent.permissions.gitconfig import runs_programs
from ante_nb.agent.tools import builtin_tools
from ante_nb.agent.tools.base import ToolState
from ante_nb.messages import ToolCall

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(cwd: Path, *words: str) -> None:
    # What this machine's user has set is no part of the test.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "HOME": str(cwd)}
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *who, *words], cwd=cwd, env=env, check=True, capture_output=True, timeout=60)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    path = tmp_path / "repo"
    (path / "src").mkdir(parents=True)
    (path / "src" / "a.py").write_text("x = 1\n")
    git(path, "init", "-q", "-b", "fix-pager-alias")
    git(path, "add", ".")
    git(path, "commit", "-q", "-m", "one")
    git(path, "remote", "add", "origin", "https://example.org/x.git")
    git(path, "config", "branch.fix-pager-alias.remote", "origin")
    git(path, "config", "user.name", "filter.external")
    return path


def decide(cwd: Path, command: str, mode: str = "strict", **env: str) -> Any:
    host: Any = SimpleNamespace(cwd=cwd, env=env, notebook_path=None, has_python=True, has_cells=True)
    tool = builtin_tools(host)["Bash"]
    arguments = {"command": command}
    context = ToolContext(host, ToolCall("c", "Bash", arguments), ToolState())
    return Permissions(mode).decide(tool, tool.parse(arguments), context)


READS = ("git status", "git diff", "git log -1", "timeout 5 git status", "ls | head; /usr/bin/git status")


@pytest.mark.parametrize("command", READS)
def test_a_plain_repository_is_not_asked_about(repo: Path, command: str) -> None:
    assert decide(repo, command).action == "allow"
    assert decide(repo / "src", command).action == "allow"


KEYS = """
    core.fsmonitor diff.external diff.x.textconv diff.x.command core.pager pager.log alias.status include.path
    includeIf.gitdir:/.path core.hooksPath core.sshCommand gpg.program gpg.ssh.program filter.x.clean
    filter.x.process core.editor sequence.editor credential.helper credential.https://e.org.helper
    merge.x.driver interactive.diffFilter remote.origin.uploadpack protocol.ext.allow core.askPass
""".split()  # noqa: SIM905 - a table


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_names_a_program(repo: Path, key: str) -> None:
    git(repo, "config", key, "touch made;true" if not key.startswith("include") else "other")
    for cwd in (repo, repo / "src"):
        decision = decide(cwd, "git status")
        assert decision.action == "ask", key
        first, last = key.lower().split(".")[0], key.lower().split(".")[-1]
        assert f"sets {first}.{last}" in decision.reason
    for command in READS:
        assert decide(repo, command).action == decide(repo, command, "auto").action == "ask"
    assert decide(repo, "mkdir new && git status", "auto").action == "ask"
    assert decide(repo, "ls -la").action == "allow", "other commands are as before"


def test_the_harm_is_real(repo: Path) -> None:
    git(repo, "config", "core.fsmonitor", f"touch {repo.parent}/made; true")
    git(repo, "status")
    assert (repo.parent / "made").exists(), "git status runs what the repository names"
    assert decide(repo, "git status").action == "ask"


@pytest.mark.parametrize("value", ["false", "off", ""])
def test_fsmonitor_switched_off(repo: Path, value: str) -> None:
    git(repo, "config", "core.fsmonitor", value)
    assert decide(repo, "git status").action == "allow"


TEXTS = [
    ("[core]fsmonitor=x", "core.fsmonitor"),
    ("[CORE]\n\tFSMonitor = x", "core.fsmonitor"),
    ("[core]\n\tfsmonitor", "core.fsmonitor"),
    ("[core] bare = false ; no\\\n fsmonitor = x", "core.fsmonitor"),
    ('[diff "a]\\"b"] textconv = x', "diff.textconv"),
    ("[diff.a] command = x", "diff.command"),
    ("[user] name = a\\\n[core] fsmonitor = x", None),  # a value goes on
    ('[user] name = "[core]\\n fsmonitor = x"', None),
    ("# [core] fsmonitor = x", None),
    ("[user] name = a # b\n[core]\r\n bare = false\r\n", None),
    ("[core\nfsmonitor = x", "can't be read"),
    ('[core]\n name = "x', "can't be read"),
    ("\udcff", "can't be read"),
]


@pytest.mark.parametrize(("text", "reason"), TEXTS, ids=range(len(TEXTS)))
def test_the_text_of_a_configuration(repo: Path, text: str, reason: str | None) -> None:
    (repo / ".git" / "config").write_bytes(text.encode("utf-8", "surrogateescape"))
    found = runs_programs(repo, {})
    assert found is None if reason is None else reason in (found or "")


def test_where_a_configuration_may_be(repo: Path, tmp_path: Path) -> None:
    (repo / ".git" / "config.worktree").write_text("[core] fsmonitor = x\n")
    assert decide(repo, "git status").action == "ask"
    (repo / ".git" / "config.worktree").unlink()
    git(repo, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    assert decide(tmp_path / "tree", "git status").action == "allow"
    git(repo, "clone", "-q", "--bare", str(repo), str(tmp_path / "bare"))
    git(repo, "config", "core.fsmonitor", "x")
    assert decide(tmp_path / "tree", "git status").action == "ask", "the main repository's configuration"
    assert decide(tmp_path, "git status").action == "allow", "no repository"
    assert decide(tmp_path, "git status", GIT_DIR=str(repo / ".git")).action == "ask"
    git(tmp_path / "bare", "config", "core.fsmonitor", "x")
    assert decide(tmp_path / "bare", "git log").action == "ask"
    (tmp_path / ".git").write_text("gitdir: nowhere-to-be-found\n")
    assert decide(tmp_path / "tree", "ls").action == "allow"


def test_a_hook_that_git_status_runs(repo: Path) -> None:
    (repo / ".git" / "hooks" / "post-index-change").write_text("#!/bin/sh\n")
    assert "hook" in decide(repo, "git status").reason


def test_submodules(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "outer")
    git(tmp_path / "outer", "submodule", "--quiet", "add", str(repo), "inner")
    decision = decide(tmp_path / "outer", "git status")
    assert decision.action == "ask" and "submodules" in decision.reason


@pytest.mark.parametrize(
    "command",
    [
        "git -c core.fsmonitor=x status",
        "git --exec-path=. status",
        "git --config-env=core.pager=X log",
        "GIT_EXTERNAL_DIFF=x git diff",
        "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0=x git status",
        "GIT_DIR=elsewhere git status",
        "export GIT_DIR=elsewhere; git status",
        "env GIT_DIR=elsewhere git status",
        "git --git-dir=elsewhere status",
        "git -C elsewhere status",
    ],
)
def test_configuration_from_the_command_line(repo: Path, command: str) -> None:
    assert decide(repo, command).action == decide(repo, command, "auto").action == "ask"
