"""Attempts to get past a deny rule: none is let through without a question, in any mode but yolo."""

from __future__ import annotations

import os
import pathlib
import random
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from corpus import attempts_python, attempts_shell
from support.judge import Desk, judged

from ante_nb.agent.permissions import Permissions

if TYPE_CHECKING:
    from pathlib import Path

MODES = ("strict", "auto")


def typed(line: str) -> str:
    for written, meant in {"\\n": "\n", "\\t": "\t", "\\r": "\r"}.items():
        line = line.replace(written, meant)
    for written in ("\\u00a0", "\\u2028", "\\u200b"):
        line = line.replace(written, chr(int(written[2:], 16)))
    return line


SHELL = [(attempts_shell.READ_FILE, typed(line)) for line in attempts_shell.READING]
SHELL += [(attempts_shell.RUN_PROGRAM, typed(line)) for line in attempts_shell.RUNNING]

PATHS = """
.env
./.env
././/.env
src/../.env
'.env'
".env"
`.env`
 .env
link
./link
hidden/key.txt
hidden/../hidden/key.txt
secrets/key.txt
secrets/./key.txt
src/../secrets/key.txt
.ENV
.Env
Secrets/Key.txt
/proc/self/cwd/.env
/proc/self/cwd/secrets/key.txt
/proc/thread-self/cwd/.env
{cwd}/.env
{cwd}/src/../.env
{cwd}/../work/.env
../work/.env
//{cwd}/.env
{home}/.env
""".strip("\n").splitlines()


class Thing:
    data: Any = None

    def save(self) -> None: ...

    def remove(self, name: str) -> None: ...


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    cwd = tmp_path / "work"
    (cwd / "src").mkdir(parents=True)
    (cwd / "secrets").mkdir()
    for name in (
        ".env",
        "secrets/key.txt",
        "src/a.py",
        "precious",
        "README.md",
        "x",
        "packed.gz",
        "plot.npy",
    ):
        (cwd / name).write_text("KEY=1\n")
    (cwd / "link").symlink_to(".env")
    (cwd / "hidden").symlink_to("secrets")
    subprocess.run(["git", "init", "-q", str(cwd)], check=True)
    # /proc/self/cwd is that of this process, as it is the kernel's in a kernel.
    monkeypatch.chdir(cwd)
    monkeypatch.setenv("HOME", str(cwd))
    return Desk(cwd)


@pytest.fixture(scope="module")
def space() -> dict[str, Any]:
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    plt = pytest.importorskip("matplotlib.pyplot")
    import numpy as np

    plt.switch_backend("agg")
    figure, ax = plt.subplots()
    plt.close(figure)
    table = {"region": ["north", "south"], "sales": [1.0, 2.0]}

    def helper(path: object = None) -> None: ...

    return {
        "pd": pd,
        "np": np,
        "plt": plt,
        "pl": pl,
        "df": pd.DataFrame(table),
        "frame": pl.DataFrame(table),
        "arr": np.arange(3.0),
        "rows": [{"name": "a", "age": 3}],
        "text": "to_csv",
        "ax": ax,
        "os": os,
        "pathlib": pathlib,
        "subprocess": subprocess,
        "shutil": shutil,
        "tools": [os, 1],
        "helper": helper,
        "thing": Thing(),
    }


def test_the_corpus_is_as_large_as_promised() -> None:
    attempts = [command for _, command in SHELL]
    assert len(set(SHELL)) == len(SHELL), [a for a in attempts if attempts.count(a) > 1]
    assert len(set(attempts_python.ATTEMPTS)) == len(attempts_python.ATTEMPTS)
    assert len(SHELL) >= 400 and len(attempts_python.ATTEMPTS) >= 250


def past(desk: Desk, deny: tuple[str, ...], tool: str, words: str, space: Any = None) -> list[str]:
    """The modes in which the call would run without a question, with and without allow rules."""
    through = []
    for mode in MODES:
        for allow in ((), ("Bash", "Python", "Read", "Edit", "Write")):
            permissions = Permissions(mode, {"deny": deny, "allow": allow})
            assert permissions.problems == []
            if judged(desk, permissions, tool, words, space).action == "allow":
                through.append(f"{mode} {allow}")
    return through


@pytest.mark.parametrize(("deny", "command"), SHELL, ids=[repr(command) for _, command in SHELL])
def test_no_command_gets_past(desk: Desk, deny: tuple[str, ...], command: str) -> None:
    assert past(desk, deny, "Bash", command) == []


@pytest.mark.parametrize("code", attempts_python.ATTEMPTS)
def test_no_code_gets_past(desk: Desk, code: str, space: dict[str, Any]) -> None:
    assert past(desk, attempts_python.DENY, "Python", code, space) == []
    # Nor without knowing what the names are bound to.
    assert past(desk, attempts_python.DENY, "Python", code) == []


@pytest.mark.parametrize(
    "place", ["pandas.py", "numexpr.py", "statistics.py", "mpl_toolkits/mplot3d.py", "scipy/stats.py"]
)
def test_no_file_of_the_working_directory_is_imported_for_a_library(
    desk: Desk, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend("")
    code = "import pandas as pd\ndf = pd.DataFrame()"
    (desk.cwd / "mine.py").write_text("")
    assert judged(desk, Permissions("auto"), "Python", code, {}).action == "allow"
    (desk.cwd / place).parent.mkdir(exist_ok=True)
    (desk.cwd / place).write_text("print('mine')")
    decision = judged(desk, Permissions("auto"), "Python", code, {})
    assert decision.action == "ask" and place.split("/")[0] in decision.reason


@pytest.mark.parametrize("path", PATHS)
def test_no_path_gets_past(desk: Desk, path: str) -> None:
    words = path.format(cwd=desk.cwd, home="~")
    for tool in ("Read", "Edit", "Write"):
        deny = tuple(f"{tool}({pattern})" for pattern in (".env", "secrets/**"))
        for mode in MODES:
            permissions = Permissions(mode, {"deny": deny, "allow": [tool]})
            assert judged(desk, permissions, tool, words).action == "deny", (tool, mode)


def test_what_must_not_be_edited_must_not_be_written_over(desk: Desk) -> None:
    for rule, tool in (("Edit(precious)", "Write"), ("Write(precious)", "Edit")):
        for mode in MODES:
            assert judged(desk, Permissions(mode, {"deny": [rule]}), tool, "./precious").action == "deny"


@pytest.mark.parametrize(
    "rule", ["Read(.env)", "Read(**/.env)", "Read(./.env)", "Read(*.env)", "read('.env')"]
)
def test_however_the_rule_is_written(desk: Desk, rule: str) -> None:
    permissions = Permissions("auto", {"deny": [rule]})
    for tool, words in (("Read", "src/../.env"), ("Bash", "cat ./.e*"), ("Python", "open('link')")):
        assert judged(desk, permissions, tool, words, {}).action != "allow", (tool, words)


WRAPPED = (
    "{}",
    "{};true",
    "true;{}",
    "true&&{}",
    "({})",
    "{{ {}; }}",
    "{}|cat",
    "echo $({})",
    "timeout 9 {}",
    "! {}",
)


def disguised(rng: random.Random, command: str) -> str:
    """The same command with quotes, backslashes and blanks put in, inside of something else."""
    out = []
    for word in command.split():
        spot = rng.randrange(len(word) + 1)
        how = rng.randrange(6)
        if how == 0:
            word = word[:spot] + "''" + word[spot:]
        elif how == 1:
            word = word[:spot] + '""' + word[spot:]
        elif how == 2 and spot < len(word) and word[spot].isalnum():
            word = word[:spot] + "\\" + word[spot:]
        elif how == 3 and not set(word) & set("*?[$~'\"\\"):
            word = f"'{word}'"
        elif how == 4 and spot < len(word) and word[spot].isalpha():
            word = f'{word[:spot]}"{word[spot]}"{word[spot + 1 :]}'
        out.append(word)
    return rng.choice(WRAPPED).format(rng.choice([" ", "  ", "\t", " \\\n"]).join(out))


def test_a_thousand_disguises_of_denied_commands(desk: Desk) -> None:
    rng = random.Random(7)
    plain = [
        (attempts_shell.READ_FILE, words)
        for words in (
            "cat .env",
            "head -3 ./.env",
            "grep KEY link",
            "sort secrets/key.txt",
            "tail hidden/key.txt",
        )
    ]
    plain += [
        (attempts_shell.RUN_PROGRAM, words)
        for words in ("rm x", "git push origin", "cat .env", "cat ./.env", "curl x", "git --no-pager push")
    ]
    for deny, words in plain:
        for _ in range(100):
            command = disguised(rng, words)
            for mode in MODES:
                action = judged(desk, Permissions(mode, {"deny": deny}), "Bash", command).action
                assert action != "allow", (mode, command)
