"""How models that think aloud mark it in their text, read off their chat template.

llama-server's chat endpoint takes thinking out by itself (``reasoning_content``); text from
``/completion``, and from engines that parse nothing, still has the marks in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ante_nb.providers.wires.openai_chat_encode import thinking_fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.providers.spec import ModelSpec, Request


@dataclass(frozen=True, slots=True)
class Marks:
    """What opens a thought, what closes it, and what headings may stand before the answer after it."""

    open: str
    close: str
    headings: tuple[str, ...] = ()


THINK = Marks("<think>", "</think>")
"""DeepSeek, Qwen, GLM, MiniMax and most others."""

ALL = (
    THINK,
    Marks("<thinking>", "</thinking>"),
    Marks("<thought>", "</thought>"),
    Marks("<seed:think>", "</seed:think>"),  # Seed-OSS
    Marks("[THINK]", "[/THINK]"),  # Magistral
    Marks("<|START_THINKING|>", "<|END_THINKING|>", ("<|START_RESPONSE|>", "<|END_RESPONSE|>")),  # Command
    Marks("\u25c1think\u25b7", "\u25c1/think\u25b7"),  # Kimi-VL
    Marks("<unused94>thought\n", "<unused95>"),  # MedGemma
    Marks("<|channel>thought\n", "<channel|>"),  # Gemma 4
    Marks(  # gpt-oss (Harmony): channels instead of tags
        "<|channel|>analysis<|message|>",
        "<|end|>",
        ("<|start|>assistant", "<|channel|>final<|message|>"),
    ),
)

_SPECIAL = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|channel>", "<channel|>")


def marks_of(template: str) -> tuple[Marks, ...]:
    """The marks that ``template`` speaks of; ``<think>`` always, for many templates leave it to the model."""
    found = [marks for marks in ALL[1:-1] if marks.open.strip() in template or marks.close in template]
    if "<|channel|>" in template:  # Harmony's template puts the heading together from pieces
        found.append(ALL[-1])
    return (THINK, *found)


def preserved(all_marks: Iterable[Marks]) -> list[str]:
    """The special tokens among the marks, which a server leaves out of its text unless told."""
    words: list[str] = []
    for marks in all_marks:
        if marks is THINK:
            continue
        pieces = [word for word in _SPECIAL if word in f"{marks.open}{marks.close}{marks.headings}"]
        words += pieces or [marks.open.strip(), marks.close, *marks.headings]
    return list(dict.fromkeys(words))


def opened_by(prompt: str, all_marks: Iterable[Marks]) -> Marks | None:
    """The marks whose thought ``prompt`` has opened already, as some templates do."""
    end = prompt.rstrip()
    return next((marks for marks in all_marks if end.endswith(marks.open.rstrip())), None)


def template_fields(request: Request, model: ModelSpec, *, off: bool = False) -> dict[str, Any]:
    """The fields of a request that tell a template whether to think.

    ``off``: no thinking, whatever is set, since the next token is to be that of a call.
    """
    if off:
        return {"chat_template_kwargs": {"enable_thinking": False}}
    return {
        key: value
        for key, value in thinking_fields(request, model).items()
        if key in ("chat_template_kwargs", "reasoning_effort")
    }
