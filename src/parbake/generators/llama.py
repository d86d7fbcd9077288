"""A local model in this process: llama.cpp through ``xllamacpp``, by default SmolLM2-135M (85 tokens/s on 2 cores).

A model this small invents facts freely; what it writes is checked sentence by sentence like any other reply. The
prompt's stable prefix stays in the engine's cache, so a second request with the same evidence skips most of the work.
"""

from __future__ import annotations

import asyncio
import importlib
import platform
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from parbake.errors import MissingDependency, ProviderError
from parbake.generators._sse import messages, usage_of
from parbake.model_files import SMOLLM2, locate
from parbake.ports import Delta, Prompt, Usage

CONTEXT = 4096


class LlamaGenerator:
    """Generates in process; the model is loaded at the first request (about half a second)."""

    name = "llama"

    def __init__(self, path: str | Path | None = None, *, threads: int = 2, context: int = CONTEXT) -> None:
        """``path`` is a GGUF file; without one the packaged model is used."""
        self._path = None if path is None else Path(path)
        self._threads = threads
        self._context = context
        self._server: Any = None
        self._lock = threading.Lock()

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream a reply; the last delta carries the usage with ``cached_tokens`` as the engine reports them."""
        body = {
            "messages": messages(prompt),
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "cache_prompt": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        queue: asyncio.Queue[Any] = asyncio.Queue()
        loop, stopped = asyncio.get_running_loop(), threading.Event()

        def put(chunk: Any) -> bool:
            loop.call_soon_threadsafe(queue.put_nowait, chunk)
            return stopped.is_set()

        work = asyncio.create_task(asyncio.to_thread(self._generate, body, put))
        work.add_done_callback(lambda done: queue.put_nowait(done.exception()))
        try:
            async with asyncio.timeout(timeout_s):
                async for delta in _deltas(queue):
                    yield delta
        except TimeoutError as error:
            raise ProviderError(f"the local model did not finish within {timeout_s:.0f} s", field="llama") from error
        finally:
            stopped.set()

    def _generate(self, body: dict[str, Any], put: Callable[[Any], bool]) -> None:
        with self._lock:
            if self._server is None:
                self._server = self._load()
            self._server.handle_chat_completions(body, put)

    def _load(self) -> Any:
        check_cpu()
        try:
            xllamacpp: Any = importlib.import_module("xllamacpp")
        except ModuleNotFoundError as error:
            raise MissingDependency("the local model needs: pip install 'parbake[llama]'", field="xllamacpp") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(self._path or locate(SMOLLM2))
        params.n_ctx, params.n_parallel, params.verbosity = self._context, 1, -1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.warmup = False
        return xllamacpp.Server(params)


async def _deltas(queue: asyncio.Queue[Any]) -> AsyncIterator[Delta]:
    usage = Usage()
    while True:
        chunk = await queue.get()
        if chunk is None:
            yield Delta("", usage)
            return
        if isinstance(chunk, BaseException):
            if isinstance(chunk, MissingDependency | ProviderError):
                raise chunk
            raise ProviderError(f"the local model failed: {chunk}", field="llama") from chunk
        for part in chunk if isinstance(chunk, list) else [chunk]:
            if "error" in part:
                raise ProviderError(
                    f"the local model refused: {part['error'].get('message', part['error'])}", field="llama"
                )
            if part.get("usage"):
                usage = usage_of(part["usage"])
            for choice in part.get("choices") or ():
                text = choice.get("delta", {}).get("content")
                if text:
                    yield Delta(text)


def check_cpu() -> None:
    """Refuse by name a processor the prebuilt engine cannot run on (it needs AVX2 on x86_64)."""
    info = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and info.is_file() and " avx2" not in info.read_text():
        raise MissingDependency("this processor has no AVX2, which the local model engine needs", field="cpu")
