"""The front end's extension: shipped, of the package's version, and of one protocol with the kernel's half."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import ante_nb
from ante_nb import magics
from ante_nb.notebook.cells import link
from ante_nb.widgets import panel

ROOT = Path(__file__).resolve().parents[1]
EXTENSION = ROOT / "labextension"


def test_it_is_shipped_where_jupyter_looks() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["shared-data"]["labextension"] == "share/jupyter/labextensions/ante-nb"
    assert "labextension" in build["sdist"]["include"]


def test_its_parts_fit_together() -> None:
    package = json.loads((EXTENSION / "package.json").read_text())
    assert package["version"] == ante_nb.__version__
    code = (EXTENSION / package["jupyterlab"]["_build"]["load"]).read_text()
    assert f"_JUPYTERLAB ||= {{}})['{package['name']}']" in code
    assert f"registerCommTarget('{link.TARGET}'" in code
    assert f"const PROTOCOL = {link.PROTOCOL};" in code
    assert f"const PANEL_PROTOCOL = {panel.PROTOCOL};" in code
    assert f"const VERSION = '{ante_nb.__version__}';" in code
    assert f"createComm('{panel.TARGET}')" in code and panel.TARGET == magics._PANEL
    # What a model wrote must reach the page as text alone.
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|eval\(|new Function|fetch\(", code)
