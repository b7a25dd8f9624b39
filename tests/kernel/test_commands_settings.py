"""What ``%ante status`` and ``%ante doctor`` say about a settings file with mistakes, in a real kernel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from support.ante import Ante


def test_rule_problems_are_shown(ante: Ante, isolated_home: Path) -> None:
    path = isolated_home / ".ante" / "settings.json"
    wrong = {"deny": ["Bash(touch *", "Bsah"], "allow": ["Edit("]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "permissions": wrong, "modle": "x"}))
    for command in ("%ante", "%ante doctor"):
        shown = ante.kernel.run(command).stdout
        for words in (
            "`permissions.deny`: 'Bash(touch *' is no permission rule",
            "refused until it is corrected",
            "'Bsah' is about no tool that there is (did you mean Bash?)",
            "`permissions.allow`: 'Edit(' is no permission rule",
            "unknown key 'modle' (did you mean 'model'?)",
        ):
            assert words in shown, shown
    path.write_text('{"provider": ')
    for command in ("%ante", "%ante doctor"):
        shown = ante.kernel.run(command).stdout
        assert shown.count("Correct it, or remove it to start afresh") == 1, shown
        assert "line 1, column " in shown and "auto and yolo refused" in shown
    path.write_text("{}")
    shown = ante.kernel.run("%ante provider openai-compatible").stdout
    assert "no default model. Name one: `%ante model ID`" in shown
