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
    "last line of a message": ("Python", {"code": "raise ValueError('bad row\\n' + people[0].split()[1])"}),
    "file": ("Read", {"file_path": "data.csv"}),
    "file without a suffix": ("Read", {"file_path": "data"}),
    "a copy of a file": ("Read", {"file_path": "data.csv.bak"}),
    "a link with another name": ("Read", {"file_path": "code.py"}),
    "lines of a link": ("Grep", {"pattern": "Ann", "path": "code.py", "output_mode": "content"}),
    "lines of a file without a suffix": (
        "Grep",
        {"pattern": "Ann", "path": "data", "output_mode": "content"},
    ),
    "keys": ("Python", {"code": "{people[0]: 1}"}),
    "lines": ("Grep", {"pattern": "Ann", "output_mode": "content"}),
    "variables": ("Variables", {"names": ["people"]}),
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("policy", ["schema", "stats", "sample"])
async def test_no_result_carries_values(desk: Desk, name: str, policy: str) -> None:
    desk.host.namespace["people"] = [NAME]
    for file in ("data.csv", "data", "data.csv.bak"):
        (desk.cwd / file).write_text(f"who\n{NAME}\n")
    (desk.cwd / "code.py").symlink_to("data.csv")
    tool_name, arguments = SCRIPTS[name]
    desk.server.enqueue(call(tool_name, **arguments), Reply(text("ok")))
    turn = await desk.run("go", data_policy=policy, mode="yolo")
    assert turn.status == "completed", turn.error
    told = desk.results()["c1"]
    assert ("Mallory" in told) is (policy == "sample"), told
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
    "code",
    [
        "tmp = people",
        "tmp = list(people)",
        "tmp = {'a': people}",
        "globals().update(tmp=people)",
        "other.extend(people)",
    ],
)
async def test_a_closer_variable_keeps_what_is_made_of_it_in(desk: Desk, code: str) -> None:
    desk.host.namespace.update(people=[NAME], other=["Bob Open"], mine=["Cy Open"])
    desk.runtime.variable_policies["people"] = "schema"
    desk.server.enqueue(
        call("Python", ident="c1", code=code),
        call("Variables", ident="c2", names=["tmp", "other", "mine"]),
        Reply(text("ok")),
    )
    await desk.run("go", mode="yolo")
    assert NAME not in desk.results()["c2"] and "Cy Open" in desk.results()["c2"]
    await desk.run("what is in @tmp and @other?")
    assert NAME not in desk.said()[-1]
    desk.runtime.variable_policies.update(tmp="sample", other="sample")
    await desk.run("and in @tmp and @other?")
    assert NAME in desk.said()[-1]


@pytest.mark.parametrize(
    ("name", "data"),
    [("sales", True), ("sales.csv.bak", True), ("sales.csv~", True), (".csv", True), ("report.html", True),
     ("setup.cfg", False), (".gitignore", False), ("a/Dockerfile", False), ("a/b/sales.CSV", True), ("x.tar.gz", True), ("notes.txt", True), ("run.ipynb", True), ("model.py", False),
     ("README.md", False), ("package.json", False), ("requirements-dev.txt", False), ("Makefile", False)],
)  # fmt: skip
def test_data_files(name: str, data: bool) -> None:
    assert is_data_file(name) is data


@pytest.mark.parametrize("policy", ["schema", "sample"])
async def test_edit_quotes_a_data_file_only_where_the_policy_lets_it(desk: Desk, policy: str) -> None:
    (desk.cwd / "data.csv").write_text(f"who,n\n{NAME},1\n")
    (desk.cwd / "code.py").write_text("first = 1\nsecond = 2\n")
    desk.server.enqueue(
        call("Read", ident="c1", file_path="data.csv"),
        call("Edit", ident="c2", file_path="data.csv", old_string="Ann Mallary,1", new_string="x"),
        call("Edit", ident="c3", file_path="data.csv", old_string="who,n", new_string="who,m"),
        call("Read", ident="c4", file_path="code.py"),
        call("Edit", ident="c5", file_path="code.py", old_string="first = 1", new_string="first = 3"),
        Reply(text("ok")),
    )
    turn = await desk.run("go", data_policy=policy, mode="yolo")
    told = desk.results()
    for ident in ("c2", "c3"):
        assert (NAME in told[ident]) is (policy == "sample"), told[ident]
    assert "Edited data.csv" in told["c3"] and "second = 2" in told["c5"]
    assert (desk.cwd / "data.csv").read_text() == f"who,m\n{NAME},1\n"
    sent = [call.data for step in turn.steps for call in step.tool_calls if call.id == "c3"]
    assert sent == ["sent" if policy == "sample" else ""]


@pytest.mark.parametrize("policy", ["stats", "sample"])
async def test_an_error_of_the_persons_tool_follows_the_policy(desk: Desk, policy: str) -> None:
    from ante_nb.agent.tools import functions

    @functions.tool(allow=True)
    def look_up(key: str) -> str:
        raise LookupError(f"two rows of {NAME}")

    try:
        desk.server.enqueue(call("look_up", key="x"), Reply(text("ok")))
        await desk.run("go", data_policy=policy)
    finally:
        functions.remove("look_up")
    told = desk.results()["c1"]
    assert "look_up failed: LookupError" in told and (NAME in told) is (policy == "sample")
