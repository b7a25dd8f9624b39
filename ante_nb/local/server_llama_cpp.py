"""llama-cpp-python's server with the endpoints of llama-server that it lacks.

``/props`` says what the model's template can do, ``/apply-template`` renders it (here, in the server's
process, never in a kernel: it is code out of the model file), ``/completion`` continues a prompt under
a JSON schema, ``/slots`` says whether a request runs.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from ante_nb.local.engine import Launch


def serve(launch: Launch, key: str) -> tuple[str, Callable[[], bool]]:
    """Loads the model and serves it; returns the address and a test whether it still serves."""
    uvicorn: Any = import_module("uvicorn")
    module: Any = import_module("llama_cpp.server.app")
    settings: Any = import_module("llama_cpp.server.settings")
    app = module.create_app(
        server_settings=settings.ServerSettings(
            host="127.0.0.1",
            port=0,
            api_key=key,
            interrupt_requests=False,  # else a second kernel's request ends the first one's
        ),
        model_settings=[
            settings.ModelSettings(
                model=launch.model,
                model_alias=launch.alias,
                n_ctx=launch.context,
                n_threads=launch.threads,
                n_threads_batch=launch.threads,
                n_gpu_layers=launch.gpu_layers,
                # The default keeps n_ctx x vocabulary floats: gigabytes (measured).
                logits_all=False,
                verbose=False,
            )
        ],
    )
    Extension(app, module, launch.context)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + launch.start_timeout
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    if not server.started:
        raise RuntimeError("error: the server did not start")
    return f"http://127.0.0.1:{listener.getsockname()[1]}", thread.is_alive


class Extension:
    """The further endpoints. One request at a time, under the lock of the server's own endpoints."""

    def __init__(self, app: Any, module: Any, context: int) -> None:
        self._module, self._context, self._running = module, context, 0
        self._responses: Any = import_module("fastapi.responses")
        self._threads: Any = import_module("starlette.concurrency")
        model = module._llama_proxy()
        self._template = model.metadata.get("tokenizer.chat_template") or ""
        self._bos, self._eos = _word(model, model.token_bos()), _word(model, model.token_eos())
        self._system = self._takes_system()
        guard = [import_module("fastapi").Depends(module.authenticate)]  # type: ignore[attr-defined,unused-ignore]
        for path, handler, method in (
            ("/props", self.props, "GET"),
            ("/slots", self.slots, "GET"),
            ("/apply-template", self.apply_template, "POST"),
            ("/completion", self.completion, "POST"),
        ):
            app.add_api_route(path, handler, methods=[method], dependencies=guard, response_model=None)

    async def props(self) -> Any:
        return {
            "default_generation_settings": {"n_ctx": self._context},
            "chat_template": self._template,
            # Whatever the template can do, this server parses no calls out of an answer.
            "chat_template_caps": {
                "supports_tools": False,
                "supports_tool_calls": False,
                "supports_system_role": self._system,
            },
            "modalities": {"vision": False},
        }

    async def slots(self) -> Any:
        return [{"id": 0, "is_processing": self._running > 0}]

    async def apply_template(self, body: dict[str, Any]) -> Any:
        try:
            return {"prompt": await self._threads.run_in_threadpool(self._render, body["messages"])}
        except Exception as error:
            return self._refusal(f"template: {error}")

    async def completion(self, body: dict[str, Any]) -> Any:
        try:
            grammar = _grammar(body["json_schema"]) if body.get("json_schema") else None
        except Exception as error:
            return self._refusal(f"the schema cannot be made a grammar: {error}")
        model = self._module._llama_proxy()
        prompt = str(body["prompt"])
        bos = not prompt.startswith(self._bos) if self._bos else False
        adds = str(model.metadata.get("tokenizer.ggml.add_bos_token", "true")).lower() != "false"
        tokens = model.tokenize(prompt.encode(), add_bos=bos and adds, special=True)
        if len(tokens) >= self._context:
            return self._refusal(
                f"request ({len(tokens)} tokens) exceeds the available context size ({self._context} tokens)",
                "exceed_context_size_error",
            )
        lines = self._lines(body, tokens, grammar)
        return self._responses.StreamingResponse(lines, media_type="text/event-stream")

    async def _lines(self, body: dict[str, Any], tokens: list[int], grammar: Any) -> AsyncIterator[str]:
        self._running += 1
        try:
            async with contextlib.asynccontextmanager(self._module.get_llama_proxy)() as proxy:
                model = proxy()
                cached = _shared_prefix(model, tokens)
                chunks = model.create_completion(
                    prompt=tokens,
                    max_tokens=body.get("n_predict", -1),
                    grammar=grammar,
                    stream=True,
                    **{
                        name: body[name]
                        for name in ("temperature", "top_p", "top_k", "seed")
                        if body.get(name) is not None
                    },
                )
                end: dict[str, Any] = {"content": "", "stop": True, "stop_type": "eos", "stopping_word": ""}
                texts = chain(_read(model, tokens, cached), _until(chunks, body.get("stop") or [], end))
                async for text in self._threads.iterate_in_threadpool(texts):
                    if not text:
                        continue
                    yield _line({"content": text, "stop": False})
                end["timings"] = {
                    "cache_n": cached,
                    "prompt_n": len(tokens) - cached,
                    "predicted_n": end.pop("said"),
                }
                yield _line(end)
        except Exception as error:
            yield _line({"error": {"message": str(error), "code": 500}})
        finally:
            self._running -= 1

    def _refusal(self, message: str, kind: str = "invalid_request_error") -> Any:
        body = {"error": {"message": message, "type": kind, "code": 400}}
        return self._responses.JSONResponse(body, status_code=400)

    def _render(self, messages: list[dict[str, Any]]) -> str:
        if not self._template:
            raise ValueError("the model has none")
        formats: Any = import_module("llama_cpp.llama_chat_format")  # renders in Jinja's sandbox
        formatter = formats.Jinja2ChatFormatter(self._template, self._eos, self._bos)
        return str(formatter(messages=messages).prompt)

    def _takes_system(self) -> bool:
        try:
            return "\u2042" in self._render(
                [{"role": "system", "content": "\u2042"}, {"role": "user", "content": "a"}]
            )
        except Exception:
            return False


def _word(model: Any, token: int) -> str:
    return model.detokenize([token], special=True).decode("utf-8", "replace") if token >= 0 else ""


def _line(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _grammar(schema: dict[str, Any]) -> Any:
    module: Any = import_module("llama_cpp.llama_grammar")
    return module.LlamaGrammar.from_string(module.json_schema_to_gbnf(json.dumps(schema)), verbose=False)


def _shared_prefix(model: Any, tokens: list[int]) -> int:
    """How many of ``tokens`` the model's cache holds; the last one is always evaluated."""
    held = list(model._input_ids[: len(tokens) - 1])
    return next((at for at, (a, b) in enumerate(zip(held, tokens, strict=False)) if a != b), len(held))


def _read(model: Any, tokens: list[int], cached: int) -> Iterator[str]:
    """Evaluates all of a prompt but its last batch, and gives an empty text after each.

    The library reads a prompt in one go; between two batches a request that nobody waits for can end.
    """
    size = model.n_batch
    if len(tokens) - cached <= size:
        return
    if cached and model._ctx.kv_cache_seq_rm(-1, cached, -1):
        model.n_tokens = cached
    else:
        model.reset()
    while len(tokens) - model.n_tokens > size:
        model.eval(tokens[model.n_tokens : model.n_tokens + size])
        yield ""


def _until(chunks: Iterable[Any], stops: list[str], end: dict[str, Any]) -> Iterator[str]:
    """The texts up to a stop word, whose possible beginning is held back; fills ``end``.

    The library's own ``stop`` does not say which word it was.
    """
    held = ""
    end["said"] = 0
    for chunk in chunks:
        choice = chunk["choices"][0]
        end["said"] += 1
        held += choice["text"]
        if choice.get("finish_reason") == "length":
            end["stop_type"] = "limit"
        found = min(((at, stop) for stop in stops if (at := held.find(stop)) >= 0), default=None)
        if found:
            end["stop_type"], end["stopping_word"] = "word", found[1]
            if found[0]:
                yield held[: found[0]]
            return
        keep = max(
            (
                size
                for stop in stops
                for size in range(1, min(len(stop), len(held) + 1))
                if held.endswith(stop[:size])
            ),
            default=0,
        )
        if len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    if held:
        yield held
