"""The data policy in turns: what is attached, what results of tools may carry, what the person allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import Reply, text, tool, tools

from ante_nb.agent.host import Approval
from ante_nb.agent.tools.datafile import is_data_file
from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from support.desk import Desk

NAME = "Ann Mallory"


async def test_attached_variables_follow_the_policy(desk: Desk) -> None:
    desk.host.namespace["people"] = [NAME]
    for policy, seen in (("stats", False), ("sample", True)):
        await desk.run("who is in @people?", data_policy=policy, tools="none")
        assert (NAME in desk.said()[-1]) is seen
    desk.runtime.variable_policies["people"] = "schema"
    await desk.run("and?", variables=("people",))
    assert NAME not in desk.said()[-1] and 'policy="schema"' in desk.said()[-1]


async def test_a_variable_that_is_not_there(desk: Desk) -> None:
    turn = await desk.run("look", variables=("nobody",))
    assert isinstance(turn.error, ConfigError) and "no variable nobody" in str(turn.error)


async def test_where_the_policy_comes_from(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def words() -> tuple[str, str]:
        policies, source = desk.runtime.policies(None, desk.runtime.settings())
        return policies.words(), source

    assert words() == ("sample", "built-in default")
    desk.runtime.config.data_policy = "full"
    assert words() == ("full", "ipython_config.py")
    desk.home.mkdir(parents=True, exist_ok=True)
    (desk.home / "settings.json").write_text('{"data_policy": "stats"}')
    assert words() == ("stats", str(desk.runtime.settings().source))
    desk.runtime.choices.data_policy = "schema"
    desk.runtime.variable_policies["df"] = "full"
    assert words() == ("schema, df full", "%ante")


def call(name: str, *, ident: str = "c1", **arguments: Any) -> Reply:
    return Reply(tool(name, arguments, id=ident))


SCRIPTS = {
    "value": ("Python", {"code": "people"}),
    "printed": ("Python", {"code": "print(people)"}),
    "error": ("Python", {"code": "x = 1\n{}[people[0]]"}),
    "message": ("Python", {"code": "raise ValueError(people[0])"}),
    "shell": ("Bash", {"command": "cat data.csv"}),
    "file": ("Read", {"file_path": "data.csv"}),
    "lines": ("Grep", {"pattern": "Ann", "output_mode": "content"}),
    "variables": ("Variables", {"names": ["people"]}),
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("policy", ["schema", "stats", "sample"])
async def test_no_result_carries_values(desk: Desk, name: str, policy: str) -> None:
    desk.host.namespace["people"] = [NAME]
    (desk.cwd / "data.csv").write_text(f"who\n{NAME}\n")
    tool_name, arguments = SCRIPTS[name]
    desk.server.enqueue(call(tool_name, **arguments), Reply(text("ok")))
    turn = await desk.run("go", data_policy=policy, mode="yolo")
    assert turn.status == "completed", turn.error
    told = desk.results()["c1"]
    assert (NAME in told) is (policy == "sample"), told
    if policy != "sample" and name != "variables":
        assert f"Data policy {policy}: values are withheld" in told


async def test_what_is_told_instead(desk: Desk) -> None:
    desk.host.namespace["people"] = [NAME, "Bob"]
    code = "print('a', people)\npeople"
    desk.server.enqueue(call("Python", code=code), Reply(text("ok")))
    await desk.run("go", data_policy="schema", mode="yolo")
    told = desk.results()["c1"]
    assert "printed: 1 line, " in told and "value: list, 2 items\nitem types: str" in told
    desk.server.enqueue(call("Python", ident="c2", code="y = 1\n1 / 0"), Reply(text("ok")))
    await desk.run("go", data_policy="schema", mode="yolo")
    assert "error: ZeroDivisionError at line 2" in desk.results()["c2"]


async def test_code_and_prose_are_read_all_the_same(desk: Desk) -> None:
    (desk.cwd / "model.py").write_text("RATE = 3\n")
    desk.server.enqueue(call("Read", file_path="model.py"), Reply(text("ok")))
    await desk.run("go", data_policy="schema")
    assert "RATE = 3" in desk.results()["c1"]


async def test_the_person_lets_a_result_through(desk: Desk) -> None:
    desk.host.namespace["people"] = [NAME]
    for number, (answer, seen) in enumerate(
        ((Approval("once"), True), (Approval("deny"), False), (Approval("session"), True))
    ):
        desk.server.enqueue(call("Python", ident=f"c{number}", code="people"), Reply(text("ok")))
        await desk.run("go", data_policy="stats", allow=("Python",), answers=[answer])
        [asked] = desk.host.asked
        assert asked.grant == "Data(Python)" and NAME in asked.detail
        assert (NAME in desk.results()[f"c{number}"]) is seen
    desk.server.enqueue(call("Python", ident="c9", code="people"), Reply(text("ok")))
    await desk.run("go", data_policy="stats", allow=("Python",))
    assert not desk.host.asked and NAME in desk.results()["c9"]


@pytest.mark.parametrize(("allow", "seen"), [(("Data(Python)", "Python"), True), (("*", "Python"), False)])
async def test_rules_about_data(desk: Desk, allow: tuple[str, ...], seen: bool) -> None:
    desk.host.namespace["people"] = [NAME]
    desk.server.enqueue(call("Python", code="people"), Reply(text("ok")))
    await desk.run("go", data_policy="stats", allow=allow, mode="yolo")
    assert (NAME in desk.results()["c1"]) is seen


async def test_a_closer_variable_keeps_all_code_in(desk: Desk) -> None:
    desk.host.namespace.update(people=[NAME], other=["Bob Open"])
    desk.runtime.variable_policies["people"] = "schema"
    desk.server.enqueue(
        Reply(
            tools(
                tool("Variables", {"names": ["other"]}, id="c1"), tool("Python", {"code": "people"}, id="c2")
            )
        ),
        Reply(text("ok")),
    )
    await desk.run("go", mode="yolo")
    assert "Bob Open" in desk.results()["c1"] and NAME not in desk.results()["c2"]


@pytest.mark.parametrize(
    ("name", "data"),
    [("a/b/sales.CSV", True), ("x.tar.gz", True), ("notes.txt", True), ("run.ipynb", True), ("model.py", False),
     ("README.md", False), ("package.json", False), ("requirements-dev.txt", False), ("Makefile", False)],
)  # fmt: skip
def test_data_files(name: str, data: bool) -> None:
    assert is_data_file(name) is data
