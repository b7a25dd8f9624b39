"""What a tool is: its arguments, its place in the order of calls, its outcome, and what it remembers.

``ToolOutcome.display`` is what the person sees in place of the result's text. Its kinds:

========  ==========================================  =======================================================
kind      keys                                        meaning
========  ==========================================  =======================================================
diff      ``path``, ``diff``                          a file changed; ``diff`` is a unified diff
todo      ``todos``                                   the task list: dicts ``content``, ``active_form``,
                                                      ``status``
python    ``code``                                    code that ran in the kernel; its images, if any, are
                                                      the ``Image`` parts of the result
bash      ``command``, ``exit_code``, ``timed_out``,  a shell command; ``exit_code`` is ``None`` while it runs
          ``job``                                     in the background, ``job`` is then its directory
images    ``path``, ``count``                         the ``Image`` parts of the result are to be shown
========  ==========================================  =======================================================
"""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from ante_nb.agent.tools.schema import parameters_of
from ante_nb.describe.policy import Policies
from ante_nb.errors import ToolError
from ante_nb.messages import Image, Text
from ante_nb.providers.spec import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ante_nb.agent.host import ToolContext

DefaultDecision: TypeAlias = Literal["allow", "ask"]


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What a tool call gave, before it is cleaned and capped for the model.

    ``files`` and ``variables`` name what the call changed (files relative to the working directory
    where they are below it). ``verbatim`` text is capped but not cleaned: the model edits by it.
    ``trusted`` text was written by the tool itself and needs no envelope.
    """

    content: tuple[Text | Image, ...]
    is_error: bool = False
    display: dict[str, Any] | None = None
    files: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    verbatim: bool = False
    trusted: bool = False
    described: Mapping[str, str] = field(default_factory=dict)
    """By data policy, what may be told of a value in place of ``content``."""


FILES = "file:"
"""In a footprint: any file there is."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a call reads and changes: ``file:PATH``, :data:`FILES`, ``kernel``, ``todo``.

    Two calls conflict where one changes what the other touches. The empty footprint conflicts with none.
    """

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()

    def conflicts(self, other: Footprint) -> bool:
        return _meet(self.writes, other.reads | other.writes) or _meet(other.writes, self.reads)


def _meet(some: frozenset[str], others: frozenset[str]) -> bool:
    if some & others:
        return True
    return any(
        FILES in these and any(name.startswith(FILES) for name in those)
        for these, those in ((some, others), (others, some))
    )


class ToolArguments(BaseModel):
    """Base of every tool's arguments. Fields that a model makes up are ignored, not refused."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, frozen=True)


class Tool(ABC):
    """One tool. An instance is stateless: what it must remember is in :class:`ToolState`."""

    name: ClassVar[str]
    description: ClassVar[str]
    Arguments: ClassVar[type[BaseModel]]
    default: ClassVar[DefaultDecision]
    """What the strict mode does with a call that no rule matches."""
    path_argument: ClassVar[str | None] = None
    """The argument that names a file or directory; permission rules then match it as a path."""
    writes: ClassVar[bool] = False
    """Whether a call changes the file at ``path_argument``."""

    def spec(self) -> ToolSpec:
        """The tool as the model sees it; the same bytes at every call."""
        return ToolSpec(self.name, self.description, parameters_of(self.Arguments))

    def parse(self, arguments: dict[str, Any]) -> BaseModel:
        """The arguments checked and completed.

        Raises:
            ToolError: an argument is missing or wrong; the message tells the model which and why.
        """
        fields = self.Arguments.model_fields
        # Some models send null for what they mean to leave out.
        given = {
            key: value
            for key, value in arguments.items()
            if value is not None or (key in fields and fields[key].is_required())
        }
        try:
            return self.Arguments.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(_problem(item) for item in error.errors(include_url=False)[:5])
            known = ", ".join(fields)
            raise ToolError(
                f"{self.name}: {problems}.", f"Call it again with valid arguments: {known}."
            ) from None

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        """What the call touches; calls of one step whose footprints conflict run in call order."""
        return Footprint()

    def primary(self, arguments: BaseModel) -> str:
        """What permission rules match on; empty where there is nothing to match."""
        return ""

    def paths(self, arguments: BaseModel, ctx: ToolContext) -> list[Path]:
        """The files and directories that the call is about, absolute; permission rules look at them.

        Raises:
            ToolError: an argument is no path.
        """
        if self.path_argument is None:
            return []
        from ante_nb.agent.tools.paths import resolve

        return [resolve(str(getattr(arguments, self.path_argument)), Path(ctx.host.cwd))]

    def summary(self, arguments: BaseModel) -> str:
        """The call in one line, for the person."""
        primary = " ".join(self.primary(arguments).split())
        return f"{self.name}: {primary[:160]}" if primary else self.name

    def decision(self, arguments: BaseModel) -> DefaultDecision:
        """What the strict mode does with this call where no rule matches."""
        return self.default

    def python_code(self, arguments: BaseModel, ctx: ToolContext) -> str | None:
        """The Python code that this call has run in the kernel, where that is what it does."""
        return None

    def doubt(self, arguments: BaseModel, ctx: ToolContext) -> str:
        """Why this call is asked about in mode auto as well; empty where it need not be."""
        return ""

    def grant(self, arguments: BaseModel) -> str | None:
        """The rule that "allow for this session" adds; ``None`` leaves it to the kind of tool."""
        return None

    def detail(self, arguments: BaseModel, ctx: ToolContext) -> str:
        """The whole command, code or unified diff that an approval is about."""
        return self.primary(arguments)

    def carries_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        """Whether the result may carry values of the person's data."""
        return False

    def shows_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        """Whether the result holds values that the tool itself has cut down to what the policy allows."""
        return False

    def without_data(self, arguments: BaseModel, outcome: ToolOutcome, policy: str) -> str:
        """What may be told of such a result under ``policy`` (``schema`` or ``stats``)."""
        from ante_nb.agent.data_gate import count_words

        told = count_words("\n".join(part.text for part in outcome.content if isinstance(part, Text)))
        return f"{'It failed; ' if outcome.is_error else ''}{told or 'no text'}"

    @abstractmethod
    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        """Do it.

        Raises:
            ToolError: it failed; the message goes to the model.
            asyncio.CancelledError: after whatever the call had started has been stopped.
        """


def _problem(item: Any) -> str:
    where = ".".join(str(step) for step in item["loc"]) or "arguments"
    message = str(item["msg"])
    return f"{where}: {message[:1].lower()}{message[1:]}"


@dataclass(frozen=True, slots=True)
class FileStamp:
    """A file as a tool last saw it: SHA-256 of its bytes, and its modification time in ns."""

    digest: str
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class SeenCell:
    """A notebook cell as the model saw it last; ``whole`` says whether it saw all of ``source``."""

    number: int
    kind: str
    source: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a result reaches the model. Characters, lines and bytes."""

    result_chars: int = 30_000
    read_lines: int = 2_000
    line_chars: int = 2_000
    read_bytes: int = 32 * 1024 * 1024
    """A larger text file is refused without ``offset`` and ``limit``."""
    image_bytes: int = 3_500_000
    """Vendors take 5 MB of base64 per image (the smallest of their limits, Anthropic's)."""
    image_side: int = 1_568
    """Longest side in pixels that vendors don't scale down themselves (Anthropic)."""


def _home() -> Path:
    return Path(os.environ.get("ANTE_HOME") or "~/.ante").expanduser()


@dataclass(slots=True)
class ToolState:
    """What the tools of one session remember between calls.

    ``session_secret`` keys the nonces of result envelopes; the session keeps it with its metadata so
    that a re-encoded conversation has the same bytes. ``roots`` are directories beside the working
    directory that file tools may use without asking. ``policies`` bounds what of the person's values may
    leave the machine. ``hidden`` says whether a permission rule keeps
    the file at a path (absolute) from being read: listing and searching tools leave it out.
    """

    session_id: str = ""
    session_secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    home: Path = field(default_factory=_home)
    roots: list[Path] = field(default_factory=list)
    reads: dict[str, FileStamp] = field(default_factory=dict)
    todos: list[dict[str, str]] = field(default_factory=list)
    cells: dict[str, SeenCell] = field(default_factory=dict)
    """The notebook's cells by id, as the model saw them last."""
    limits: Limits = field(default_factory=Limits)
    policies: Policies = field(default_factory=Policies)
    hidden: Callable[[str], bool] = field(default=lambda path: False)


def text_outcome(text: str, **more: Any) -> ToolOutcome:
    """An outcome that is one text."""
    return ToolOutcome((Text(text),), **more)
