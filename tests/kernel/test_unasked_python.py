"""In a kernel: work on the person's own data runs without a question, all else does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.chat_server import Reply, text, tool

if TYPE_CHECKING:
    from support.ante import Ante


def tried(ante: Ante, mode: str, *codes: str) -> list[str]:
    """How each cell ended, with nobody to ask."""
    calls = [Reply(tool("Python", {"code": code}, id=f"call_{n}")) for n, code in enumerate(codes)]
    ante.server.enqueue(*calls, Reply(text("done")))
    outcome = ante.prompt("go", f"--mode {mode}")
    assert outcome.status == "ok", outcome.text
    found = ante.kernel.value("[c.status for c in _ante.tool_calls]")
    assert isinstance(found, list)
    return found


def test_names_are_judged_by_what_they_are_bound_to(ante: Ante) -> None:
    pytest.importorskip("pandas")
    (ante.cwd / "sales.csv").write_text("region,sales\nnorth,1\nsouth,2\n")
    (ante.cwd / "precious").write_text("keep")
    ante.kernel.run("import os\nimport pandas as pd\ndf = pd.read_csv('sales.csv')\ntools = [os]")
    look = "df.groupby('region')['sales'].sum()"
    change = "df['double'] = df['sales'] * 2\ntotal = df['double'].sum()"
    harm = ["os.remove('precious')", "tools[0].remove('precious')", "df = os\ndf.remove('precious')"]
    assert tried(ante, "strict", look, change, *harm) == ["ok", *["denied"] * 4]
    assert tried(ante, "auto", look, change, *harm) == ["ok", "ok", *["denied"] * 3]
    assert ante.kernel.value("int(total)") == 6
    assert (ante.cwd / "precious").read_text() == "keep"
    # The same words, about something else now.
    ante.kernel.run("df = os")
    assert tried(ante, "auto", "df.remove('precious')", look) == ["denied", "denied"]
    assert (ante.cwd / "precious").read_text() == "keep"


def test_in_auto_a_fresh_kernel_loads_and_draws_unasked(ante: Ante) -> None:
    pytest.importorskip("matplotlib")
    (ante.cwd / "sales.csv").write_text("region,sales\nnorth,1\nsouth,2\n")
    load = "import pandas as pd\nimport matplotlib.pyplot as plt\ndf = pd.read_csv('sales.csv')\ndf.head()"
    draw = "df.plot.bar(x='region', y='sales')\nplt.title('Sales')\nplt.savefig('sales.png')"
    assert tried(ante, "auto", load, draw, "pd.read_csv('../other.csv')") == ["ok", "ok", "denied"]
    assert (ante.cwd / "sales.png").stat().st_size > 1000
    (ante.cwd / "numexpr.py").write_text("print('mine')")
    assert tried(ante, "auto", "import polars as pl\npl.DataFrame()") == ["denied"]
