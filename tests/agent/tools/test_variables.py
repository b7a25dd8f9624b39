"""Variables: the list, descriptions by name and glob, the data policy, what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ante_nb.describe import Policies
from ante_nb.errors import ToolError

if TYPE_CHECKING:
    from support.tools import Bench

from support.tools import bench

__all__ = ["bench"]


@pytest.fixture
def space(bench: Bench) -> dict[str, object]:
    bench.host.space.update(
        df=np.arange(12).reshape(3, 4), price_a=1.5, price_b=2.5, names=["Ann", "Bob"], np=np, _hidden=1
    )
    return bench.host.space


async def test_the_list(bench: Bench, space: dict[str, object]) -> None:
    assert (await bench.text("Variables")).splitlines() == [
        "df: numpy.ndarray, 3 x 4, 96 B",
        "price_a: float",
        "price_b: float",
        "names: list, 2 items",
    ]
    space.clear()
    assert await bench.text("Variables") == "(no variables)"
    space.update({f"v{n}": n for n in range(300)})
    assert (await bench.text("Variables")).endswith("... 100 more; name or glob them")


async def test_by_name_and_glob(bench: Bench, space: dict[str, object]) -> None:
    told = await bench.text("Variables", names=["price_*", "df", "nothing"])
    assert "price_a: float\nvalue: 1.5" in told and "range: 0 to 11" in told
    assert told.endswith("There is no variable nothing.")
    with pytest.raises(ToolError, match=r"no variable pric_a.*Did you mean price_a"):
        await bench.run("Variables", names=["pric_a"])


async def test_the_policy_of_a_variable(bench: Bench, space: dict[str, object]) -> None:
    bench.state.policies = Policies("sample", {"names": "schema"})
    told = await bench.text("Variables", names=["names", "price_a"])
    assert "Ann" not in told and "[data policy: schema]" in told and "1.5" in told
    bench.state.policies = Policies("schema", {"names": "full"})
    told = await bench.text("Variables", names=["names", "price_a"])
    assert "Ann" in told and "1.5" not in told
