"""The other side of caution: what people do all day is not asked about."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from corpus import ordinary_python, ordinary_shell
from support.ante import prove
from support.judge import Desk, judged

from ante_nb.agent.permissions import Permissions

if TYPE_CHECKING:
    from pathlib import Path

CELLS = [*ordinary_python.PURE, *ordinary_python.DATA]
COMMANDS = [*ordinary_shell.READ, *ordinary_shell.WORK]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    cwd = tmp_path / "work"
    for folder in ("data", "src"):
        (cwd / folder).mkdir(parents=True)
    for name in (
        "README.md",
        "run.log",
        "notes.txt",
        "src/clean.py",
        "src/plots.py",
        "data/a.txt",
        "data/b.txt",
    ):
        (cwd / name).write_text("text\n")
    (cwd / "config.json").write_text("{}")
    (cwd / "data" / "sales.csv").write_text("day,region,sales\n2024-03-01,north,1\n")
    (cwd / "data" / "sales.json").write_text(json.dumps([{"region": "north", "sales": 1}]))
    subprocess.run(["git", "init", "-q", str(cwd)], check=True)
    return Desk(cwd)


@pytest.fixture(scope="module")
def space() -> dict[str, Any]:
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    plt = pytest.importorskip("matplotlib.pyplot")
    import numpy as np

    table = {
        "region": ["north", "south"] * 5,
        "month": [1, 2] * 5,
        "sales": [float(n * 20) for n in range(10)],
        "price": [1.0 + n for n in range(10)],
        "day": pd.date_range("2024-03-01", periods=10),
        "note": [*["x"] * 9, None],
    }
    plt.switch_backend("agg")
    figure, ax = plt.subplots()
    plt.close(figure)
    frame = pd.DataFrame(table)
    rows = [{"name": f"n{n}", "age": 25 + n} for n in range(9)]
    return {
        "pd": pd,
        "np": np,
        "plt": plt,
        "pl": pl,
        "df": frame,
        "sales": frame[["region", "price"]],
        "prices": frame["price"],
        "arr": np.arange(5.0),
        "rows": rows,
        "text": "the end of the day",
        "frame": pl.DataFrame(table),
        "ax": ax,
        "missing": frame.isna().sum(),
    }


def asked(desk: Desk, mode: str, deny: list[str], calls: list[tuple[str, str]], space: Any) -> list[str]:
    """Those of the calls that are not simply allowed, with the reason."""
    permissions = Permissions(mode, {"deny": deny})
    out = []
    for tool, words in calls:
        decision = judged(desk, permissions, tool, words, space)
        if decision.action != "allow":
            out.append(f"{words!r}: {decision.reason}")
    return out


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(set(CELLS)) == len(CELLS) and len(set(COMMANDS)) == len(COMMANDS)
    assert len(CELLS) + len(COMMANDS) >= 200 and len(CELLS) >= 100 and len(COMMANDS) >= 100


def test_strict_does_not_ask_about_commands_that_only_read(desk: Desk) -> None:
    assert asked(desk, "strict", [], [("Bash", command) for command in ordinary_shell.READ], {}) == []


def test_strict_does_not_ask_about_pure_computation(desk: Desk, space: dict[str, Any]) -> None:
    assert asked(desk, "strict", [], [("Python", cell) for cell in ordinary_python.PURE], space) == []


def test_strict_does_ask_before_anything_changes(desk: Desk, space: dict[str, Any]) -> None:
    calls = [("Bash", command) for command in ordinary_shell.WORK]
    calls += [("Python", cell) for cell in ordinary_python.DATA]
    # What only looks is not asked about, wherever it stands in the corpus.
    free = len(calls) - len(asked(desk, "strict", [], calls, space))
    assert free <= 6


def test_auto_lets_nearly_everything_pass(desk: Desk, space: dict[str, Any]) -> None:
    calls = [("Bash", command) for command in COMMANDS] + [("Python", cell) for cell in CELLS]
    questions = asked(desk, "auto", [], calls, space)
    share = 1 - len(questions) / len(calls)
    print(f"auto: {share:.1%} of {len(calls)} not asked about", *questions, sep="\n")
    prove("permissions_ordinary", auto_not_asked=round(share, 4), calls=len(calls), asked=questions)
    assert share >= 0.97


def test_a_deny_rule_costs_few_questions(desk: Desk, space: dict[str, Any]) -> None:
    """Rules about a secret file or about pushing leave the rest of the work alone."""
    cells = [("Python", cell) for cell in CELLS]
    questions = asked(desk, "auto", ["Read(**/.env)", "Bash(git push *)"], cells, space)
    assert 1 - len(questions) / len(cells) >= 0.97, questions
    commands = [("Bash", command) for command in ordinary_shell.READ]
    questions = asked(desk, "strict", ["Bash(git push *)", "Bash(rm *)"], commands, space)
    assert questions == []


def test_the_cells_are_real(desk: Desk, space: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell of the corpus runs, so none is let through that could only fail."""
    import ast
    import io
    import warnings
    from contextlib import redirect_stdout

    monkeypatch.chdir(desk.cwd)
    for cell in CELLS:
        names = {**space, "display": print, "df": space["df"].copy()}
        if "summary" in cell:
            names["summary"] = 0
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(ast.parse(cell), cell[:60], "exec"), names)
        space["plt"].close("all")
