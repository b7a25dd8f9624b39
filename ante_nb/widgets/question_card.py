"""The question card: the model's questions with options, and room for the person's own words."""

from __future__ import annotations

from typing import Any

from traitlets import Dict, List

from ante_nb.widgets.asking_card import AskingCard


class QuestionCard(AskingCard):
    """Sends ``{"kind": "answer", "answers": [{"chosen": [numbers], "words": text}, ...]}`` or
    ``{"kind": "decline"}``. What is typed is in no trait."""

    script = "question_card.js"

    questions: List[dict[str, Any]] = List(Dict()).tag(sync=True)
    """``header``, ``question``, ``options``, ``multiple``, ``free`` (own words are welcome)."""
