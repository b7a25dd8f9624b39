"""A kernel whose every message is held against the Jupyter message spec while it comes in.

The schemas are those of ``jupyter_kernel_test`` (protocol 5.1). They leave open what later protocols added, so
what this package sends is held against more: no field that the spec does not name, MIME bundles whose values
have the type of their MIME type, updates of displays that exist, comms that are open, everything strict JSON,
and the order in which a request's messages must come.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import nbformat
import nbformat.v4 as v4
from jupyter_kernel_test.msgspec_v5 import mime_data, schema_fragments, validate_message

from support.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support.kernel import Outcome

Json = dict[str, Any]

_TEXT = {"type": "string"}
_OWN: dict[str, Json] = {
    # The kit says that "password" is a number; the spec and ipykernel, that it is a boolean.
    "input_request": {"properties": {"prompt": _TEXT, "password": {"type": "boolean"}}},
    "comm_open": {
        "properties": {"comm_id": _TEXT, "target_name": _TEXT, "data": {"type": "object"}},
        "required": ["comm_id", "target_name", "data"],
    },
    "comm_msg": {"properties": {"comm_id": _TEXT, "data": {"type": "object"}}},
    "comm_close": {"properties": {"comm_id": _TEXT, "data": {"type": "object"}}},
}
# Every field that the spec names (5.4) for what a kernel sends while a cell runs.
_FIELDS: dict[str, set[str]] = {
    "status": {"execution_state"},
    "execute_input": {"code", "execution_count"},
    "stream": {"name", "text"},
    "display_data": {"data", "metadata", "transient"},
    "update_display_data": {"data", "metadata", "transient"},
    "execute_result": {"data", "metadata", "transient", "execution_count"},
    "error": {"ename", "evalue", "traceback"},
    "clear_output": {"wait"},
    "input_request": {"prompt", "password"},
    "comm_open": {"comm_id", "target_name", "target_module", "data"},
    "comm_msg": {"comm_id", "data"},
    "comm_close": {"comm_id", "data"},
    "execute_reply": {
        "status", "execution_count", "payload", "user_expressions", "ename", "evalue", "traceback", "engine_info",
    },
}  # fmt: skip
_PAYLOADS = {
    "set_next_input": {"source", "text", "replace"},
    "page": {"source", "data", "start"},
    "ask_exit": {"source", "keepkernel"},
}


def check_content(message: Json) -> None:
    """One message by itself. Raises ``AssertionError`` or ``jsonschema.ValidationError``."""
    kind, content = message["header"]["msg_type"], message["content"]
    if kind in _OWN:
        jsonschema.validate(
            content, {"type": "object", "required": list(_OWN[kind]["properties"]), **_OWN[kind]}
        )
    elif kind == "execute_reply" and content.get("status") == "error":
        # The kit wants no more than the error; ipykernel says the count and the payload with it, as the spec does.
        for name in ("ename", "evalue"):
            assert isinstance(content[name], str), content
        assert all(isinstance(line, str) for line in content["traceback"])
    else:
        validate_message(message)
    assert set(content) <= _FIELDS.get(kind, set(content)), f"{kind} says more than the spec: {set(content)}"
    json.dumps(content, allow_nan=False)  # strict JSON: no NaN, no bytes, no objects
    json.dumps(message["metadata"], allow_nan=False)
    if "data" in content and kind not in _OWN:
        check_bundle(content["data"], content["metadata"])
    for item in content.get("payload") or ():
        assert set(item) <= _PAYLOADS[item["source"]], item


def check_bundle(data: Json, metadata: Json) -> None:
    """A MIME bundle and its metadata."""
    jsonschema.validate(data, mime_data)
    assert data, "an empty bundle shows nothing"
    for mime, value in data.items():
        if mime.endswith("+json") or mime == "application/json":
            assert isinstance(value, dict | list), f"{mime} must be a JSON value, not {type(value).__name__}"
        else:
            assert isinstance(value, str), f"{mime} must be text, not {type(value).__name__}"
    for name, value in metadata.items():
        if "/" in name:
            assert name in data and isinstance(value, dict), f"metadata of {name}, which is not in the bundle"


class Witness(Kernel):
    """A :class:`Kernel` whose messages are all checked; what is wrong is in ``problems``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.problems: list[str] = []
        self.seen: dict[str, int] = {}
        self._known: set[str] = set()
        self._comms: set[str] = set()

    def _check(self, message: Json) -> None:
        kind = message["header"]["msg_type"]
        self.seen[kind] = self.seen.get(kind, 0) + 1
        try:
            assert kind in schema_fragments or kind in _OWN, f"the spec knows no {kind}"
            check_content(message)
            self._check_reference(kind, message["content"])
        except (AssertionError, jsonschema.ValidationError, KeyError, TypeError, ValueError) as problem:
            self.problems.append(f"{kind}: {str(problem)[:400]}")

    def _check_reference(self, kind: str, content: Json) -> None:
        display = (content.get("transient") or {}).get("display_id")
        if kind == "update_display_data":
            assert isinstance(display, str) and display in self._known, (
                f"update of an unknown display {display!r}"
            )
        elif kind in ("display_data", "execute_result") and display is not None:
            assert isinstance(display, str) and display
            self._known.add(display)
        elif kind == "comm_open":
            assert content["comm_id"] not in self._comms, "the comm is open already"
            self._comms.add(content["comm_id"])
        elif kind == "comm_close":
            self._comms.discard(content["comm_id"])
        elif kind == "comm_msg":
            assert content["comm_id"] in self._comms, "a message of a comm that is not open"

    def _on_shell(self, message: Json, at: float) -> None:
        self._check(message)
        super()._on_shell(message, at)

    def _on_stdin(self, message: Json, at: float) -> None:
        self._check(message)
        super()._on_stdin(message, at)

    def _on_iopub(self, message: Json, at: float) -> None:
        self._check(message)
        super()._on_iopub(message, at)

    def check(self, outcomes: Iterable[Outcome] | None = None) -> None:
        """Every message was right, and so was the order in each cell; the outputs make a valid notebook."""
        assert not self.problems, "\n".join(self.problems)
        cells = list(self.cells if outcomes is None else outcomes)
        for cell in cells:
            kinds = [(m.kind, m.content.get("execution_state")) for m in cell.messages]
            assert kinds[0] == ("status", "busy") and kinds[-1] == ("status", "idle"), kinds
            assert sum(kind == "status" for kind, _ in kinds) == 2, kinds
            assert kinds[1][0] == "execute_input", kinds
            errors = [m.content for m in cell.messages if m.kind == "error"]
            assert (cell.status == "error") == bool(errors), (cell.status, errors)
            if errors:  # the same on both channels, as front ends show either
                assert all(errors[-1][name] == cell.reply[name] for name in ("ename", "evalue", "traceback"))
        book = v4.new_notebook(cells=[v4.new_code_cell("x", outputs=_saved(cell.outputs)) for cell in cells])
        nbformat.validate(book)


def _saved(outputs: list[Json]) -> list[Json]:
    return [
        out
        if out["output_type"] != "execute_result"
        else {**out, "execution_count": out.get("execution_count")}
        for out in outputs
    ]
