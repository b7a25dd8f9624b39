"""The data policy in turns: what is attached, what results of tools may carry, what the person allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
