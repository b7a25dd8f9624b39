"""``ante_nb.map``: one prompt over many items, each a turn of its own, many at once."""

from __future__ import annotations

import dataclasses
import json
import queue
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.ids import new_id
from ante_nb.mapping.jobs import Job, go_on, run_job, stop
from ante_nb.mapping.progress import Progress
from ante_nb.mapping.result import Failed, MapResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor

    from ante_nb.agent.options import TurnOptions
    from ante_nb.agent.runtime import Runtime
    from ante_nb.agent.turn import Turn

__all__ = ["Failed", "MapResult", "map"]

CONCURRENCY = 8


def map(  # the name that the person calls it by, `ante_nb.map`
    prompt: str | Callable[[Any], str],
    items: Iterable[Any],
    *,
    executor: Executor | None = None,
    concurrency: int = CONCURRENCY,
    provider: str | None = None,
    model: str | None = None,
    thinking: str | None = None,
    tools: str | None = None,
    mode: str | None = None,
    allow: tuple[str, ...] | list[str] = (),
    max_steps: int | None = None,
    tool_choice: str | None = None,
    schema: Any = None,
    progress: bool = True,
) -> MapResult:
    """Run a prompt over many items, each in a turn and a session of its own, many at once; blocks.

    Nobody is asked anything: a tool call that needs a person's word is denied (``allow`` gives rules).
    Answers are asked for whole, not streamed. When the vendor asks for a pause, all items pause. With
    recording on (``%ante record on``) an item that was answered before is replayed.

    Args:
        prompt: sent byte for byte, followed by the item: text as it is, anything else as JSON. Or a
            function that makes an item's whole prompt; mentions (``@file``) in its text attach nothing.
        items: what to map over; of a data frame a column, or ``df.to_dict("records")``.
        executor: any ``concurrent.futures`` executor: of processes, of ipyparallel
            (``view.executor``), of Dask (``client.get_executor()``). By default threads of this process.
            A worker elsewhere needs this package, and keys of its own.
        concurrency: items under way at once in one process.
        provider, model, thinking, tools, mode, allow, max_steps, tool_choice, schema: as of ``ask``.
        progress: whether a progress bar is shown.

    Returns:
        The turns in the order of the items. An item that failed is there with its error, and
        ``result.resume()`` runs the failed ones again.

    Raises:
        ConfigError: an argument cannot be used, or no provider is ready.
        TurnError: interrupted; ``error.result`` has what was answered until then, and can be resumed.
    """
    from ante_nb.api import _options, _runtime, _shell
    from ante_nb.errors import BusyError, ConfigError

    first = prompt if isinstance(prompt, str) else "a function"
    if not isinstance(prompt, str) and not callable(prompt):
        raise ConfigError(
            f"the prompt is a {type(prompt).__name__}", "Pass a string, or a function of the item."
        )
    if not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigError(
            f"concurrency={concurrency!r} is not a number of items", "Use a whole number from 1 on."
        )
    options = _options({**locals(), "prompt": first})
    shell = _shell()
    if shell is not None:
        from ante_nb.notebook.state import kernel_state

        if kernel_state(shell).in_tool:
            raise BusyError(
                "map() inside a tool call is refused", "The agent cannot start itself; use a cell."
            )
    runtime = _runtime(shell)
    notebook = kernel_state(shell).notebook_path if shell is not None else None
    everything = list(items)
    map_id = new_id("map")
    common: dict[str, Any] = {
        "map_id": map_id,
        "options": _frozen(runtime, options, notebook),
        "concurrency": concurrency,
        "cwd": str(Path.cwd()),
        "replay": runtime.recording,
        "notebook": str(notebook) if notebook else None,
        "grants": tuple(runtime.grants),
    }
    if isinstance(prompt, str):
        jobs = [Job(prompt=prompt, item=_text(item), **common) for item in everything]
    else:
        jobs = [Job(prompt=_prompt(prompt, item), item=None, **common) for item in everything]
    turns = [_waiting(job) for job in jobs]

    def run(result: MapResult, numbers: list[int], other: Executor | None, shown: bool | None) -> None:
        bar = Progress(len(numbers), shell, progress if shown is None else shown)
        _run(runtime, jobs, numbers, result, other or executor, concurrency, bar)

    result = MapResult(everything, turns, run)
    run(result, list(range(len(jobs))), None, None)
    return result


def _run(
    runtime: Runtime,
    jobs: list[Job],
    numbers: list[int],
    result: MapResult,
    executor: Executor | None,
    concurrency: int,
    bar: Progress,
) -> None:
    if not numbers:
        return
    map_id = jobs[0].map_id
    go_on(map_id)
    own = None
    if executor is None:
        executor = own = ThreadPoolExecutor(min(concurrency, len(numbers)), thread_name_prefix="ante-map")
    ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    futures: list[Any] = []
    done = failed = 0
    interrupted = False
    try:
        for number in numbers:
            try:
                future = executor.submit(run_job, dataclasses.replace(jobs[number], run=new_id("job")))
            except (
                Exception
            ) as refusal:  # a broken pool, a cluster that was shut down, a job that cannot travel
                future = Future()
                future.set_exception(refusal)
            futures.append(future)
            # Not concurrent.futures.wait: executors elsewhere have futures of their own kind.
            future.add_done_callback(partial(_put, ended, number))
        while done < len(numbers):
            bar.update(done, failed)
            try:
                number, future = ended.get(timeout=0.2)
            except queue.Empty:
                continue
            turn = _turn_of(future, jobs[number])
            result.turns[number] = turn
            _count(runtime, turn)
            done += 1
            failed += turn.error is not None
    except KeyboardInterrupt:
        interrupted = True
        stop(map_id)
        for future in futures:
            future.cancel()
    finally:
        if own is not None:
            # What runs was stopped; a second interrupt does not wait for it.
            own.shutdown(wait=True, cancel_futures=True)
        while not ended.empty():
            number, future = ended.get()
            if not future.cancelled():
                result.turns[number] = _turn_of(future, jobs[number])
                _count(runtime, result.turns[number])
        answered = sum(result.turns[number].error is None for number in numbers)
        bar.update(answered if interrupted else done, 0 if interrupted else failed, last=True)
    if interrupted:
        from ante_nb.errors import TurnError

        error = TurnError(
            f"interrupted: {answered} of {len(numbers)} items were answered",
            "`error.result` (also `ante_nb.mapping.last`) has them; its `.resume()` runs the others.",
        )
        error.result = result  # type: ignore[attr-defined]
        global last
        last = result
        raise error


last: MapResult | None = None
"""What the map that was interrupted last had until then."""


def _put(ended: queue.SimpleQueue[tuple[int, Any]], number: int, future: Any) -> None:
    ended.put((number, future))


def _turn_of(future: Any, job: Job) -> Turn:
    """The turn of an item; where the worker itself failed, one that says so."""
    from ante_nb.agent.turn import Turn
    from ante_nb.errors import AnteError

    try:
        turn = future.result()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        turn = _waiting(job)
        turn.status = "failed"
        turn.error = AnteError(
            f"the worker failed: {type(error).__name__}: {error}",
            "A worker needs ante_nb and a key of its own, and what it is given must be picklable.",
        )
    assert isinstance(turn, Turn)
    if turn.error is not None:
        turn.error.turn = turn
    return turn


def _waiting(job: Job) -> Turn:
    """The turn of an item that was never begun."""
    from ante_nb.agent.turn import Turn
    from ante_nb.errors import TurnError

    turn = Turn(id="", session_id="", prompt=job.prompt, status="interrupted")
    turn.error = TurnError("this item was not begun", "`result.resume()` runs it.")
    return turn


def _count(runtime: Runtime, turn: Turn) -> None:
    """What an item cost is on the bill of the session that the map was called in."""
    session = runtime.session
    if turn.usage is not None:
        session.usage += turn.usage
    if turn.cost is not None:
        session.cost += turn.cost
    elif turn.steps and turn.cost_note != "plan":
        session.cost_known = False


def _frozen(runtime: Runtime, options: TurnOptions, notebook: Path | None) -> dict[str, Any]:
    """The options of every item: who answers is resolved once, here, so that all items ask the same.

    Raises:
        ConfigError: no provider is ready, or an option cannot be used.
    """
    settings = runtime.settings()
    given = {spec.name: getattr(options, spec.name) for spec in dataclasses.fields(options)}
    choices = runtime.choices
    given["mode"] = runtime.mode(options, settings)[0]
    given["data_policy"] = options.data_policy or choices.data_policy
    if given["tools"] is None:
        given["tools"] = choices.tools
    replay = runtime.replay(notebook, Path.cwd())
    if replay.mode == "only":
        if options.provider is None and options.model is None:
            given |= {"provider": choices.provider, "model": choices.model}
        given["thinking"] = options.thinking or choices.thinking
    else:
        choice = runtime.choose(options, settings)
        if choice.oauth is None:
            given |= {"provider": choice.provider.id, "model": choice.model.id or None}
        else:
            given |= {"provider": options.provider or choices.provider, "model": choice.model.id}
        given["thinking"] = choice.thinking
    for name in ("item", "mentions", "append"):
        given.pop(name, None)
    return given


def _prompt(function: Callable[[Any], str], item: Any) -> str:
    from ante_nb.errors import ConfigError

    text = function(item)
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"the prompt of item {item!r:.60} is empty or no text", "Return a string.")
    return text


def _text(item: Any) -> str:
    """An item as the model reads it: text as it is, anything else as JSON, as far as it can be that."""
    if isinstance(item, str):
        return item
    if hasattr(item, "model_dump_json"):
        return str(item.model_dump_json())
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        item = dataclasses.asdict(item)
    elif hasattr(item, "to_dict") and callable(item.to_dict):
        item = item.to_dict()
    elif hasattr(item, "item") and callable(item.item) and not getattr(item, "shape", None):
        item = item.item()  # a scalar of numpy
    return json.dumps(item, ensure_ascii=False, default=str)
