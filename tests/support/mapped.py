"""What a request of ``ante_nb.map`` is about."""

from __future__ import annotations

import re
from typing import Any


def item_of(request: Any) -> str:
    """The item of a recorded request; empty where it has none."""
    last = [message for message in request.body["messages"] if message["role"] == "user"][-1]
    content = last["content"]
    words = content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)
    found = re.findall(r"<item>\n(.*?)\n</item>", words, re.DOTALL)
    return found[-1] if found else ""
