"""A local model in this process: llama.cpp through ``xllamacpp``, by default SmolLM2-135M.

A model this small invents facts freely; what it writes is checked sentence by sentence like any other reply. The
stable prefix of the last prompt stays in the engine's slot, so a second request in a row with the same evidence skips
most of the work.

The model is a guest in this process. It takes one core, its memory does not grow with the number of conversations, and
no other process can use it: the engine always listens somewhere, so it is given a socket whose name is deleted once the
model is loaded, and a random key.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import platform
import secrets
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from parbake.errors import MissingDependency, ParbakeError, ProviderError
from parbake.generators._sse import StreamReply, messages
from parbake.ports.model_files import SMOLLM2, locate
from parbake.ports.models import Delta, Prompt

CONTEXT = 4096
LOOPBACK = "127.0.0.1"
_LONGEST_SOCKET = 100
"""Bytes of a socket's path; systems take 104 or 108."""


class LlamaGenerator:
    """Generates in process; the model is loaded at the first request (about half a second)."""

    name = "llama"

    def __init__(self, path: str | Path | None = None, *, threads: int = 1, context: int = CONTEXT) -> None:
        """Load nothing yet.

        Args:
            path: A GGUF file; without one the packaged model is used.
            threads: How many cores the model may take. Threads wait for each other at every token, so on a machine
                whose cores are busy two are slower than one.
            context: The most tokens that a prompt and its reply may have together.
        """
        self._path = None if path is None else Path(path)
        self._threads = threads
        self._context = context
        self._server: Any = None
        self._lock = threading.Lock()

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream a reply; the last delta carries the usage with ``cached_tokens`` as the engine reports them.

        Args:
            prompt: What to answer, and from what.
            max_tokens: The longest reply.
            timeout_s: How long the whole reply may take.

        Raises:
            ProviderError: The model failed, was too slow, or sent what cannot be read.
            MissingDependency: The engine or the model's file is not installed.
        """
        body = {
            "messages": messages(prompt),
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "cache_prompt": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        queue: asyncio.Queue[Any] = asyncio.Queue()
        loop, stopped, limit = asyncio.get_running_loop(), threading.Event(), asyncio.timeout(timeout_s)

        def put(chunk: Any) -> bool:
            loop.call_soon_threadsafe(queue.put_nowait, chunk)
            return stopped.is_set()

        work = asyncio.create_task(asyncio.to_thread(self._generate, body, put))
        work.add_done_callback(lambda done: queue.put_nowait(_End(done)))
        try:
            async with limit:
                async for delta in _deltas(queue):
                    yield delta
        except ParbakeError:
            raise
        except Exception as error:
            late = f"did not finish within {timeout_s:.0f} s"
            reason = late if limit.expired() else f"failed: {str(error) or type(error).__name__}"
            raise ProviderError(f"the local model {reason}", field="llama") from error
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
            raise MissingDependency.of("the local model", "llama", field="xllamacpp") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(self._path or locate(SMOLLM2))
        params.n_ctx, params.n_parallel, params.verbosity = self._context, 1, -1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.warmup = False
        params.cache_ram_mib = 0  # copies of old prompts, 4.5 MB a conversation; the slot's own prefix stays
        params.api_keys = [secrets.token_urlsafe(32)]  # kept nowhere else: calls in this process need none
        with tempfile.TemporaryDirectory(prefix="parbake-") as folder:
            params.hostnames = [listening_at(folder)]
            return xllamacpp.Server(params)


def listening_at(folder: str, system: str = os.name) -> str:
    """Where the engine listens: at a socket in a folder, or at a free loopback port where that is impossible.

    Args:
        folder: Where the socket may lie.
        system: The kind of operating system, as :data:`os.name` has it.

    Returns:
        The path of a Unix socket; the loopback address where the system has none or the path is too long for one.
    """
    path = f"{folder}/engine.sock"
    return path if system == "posix" and len(os.fsencode(path)) <= _LONGEST_SOCKET else LOOPBACK


class _End:
    """The engine has returned or raised; nothing comes after it."""

    def __init__(self, done: asyncio.Task[None]) -> None:
        """Take the task's exception, so that one which nobody waits for any more is not reported as forgotten."""
        self.error = asyncio.CancelledError() if done.cancelled() else done.exception()


async def _deltas(queue: asyncio.Queue[Any]) -> AsyncIterator[Delta]:
    reply = StreamReply("the local model", field="llama")
    while not isinstance(chunk := await queue.get(), _End):
        for part in chunk if isinstance(chunk, list) else [chunk]:
            if isinstance(part, dict) and "error" in part:
                raise ProviderError(f"the local model refused: {_said(part['error'])}", field="llama")
            for text in reply.texts(part):
                yield Delta(text)
    if chunk.error is not None:
        raise chunk.error
    reply.check_whole()
    yield Delta("", reply.usage)


def _said(error: Any) -> Any:
    """What an error that the engine reports says: its message where it has one."""
    return (error.get("message") if isinstance(error, dict) else None) or error


def check_cpu() -> None:
    """Refuse by name a processor the prebuilt engine cannot run on (it needs AVX2 on x86_64)."""
    info = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and info.is_file() and " avx2" not in info.read_text():
        raise MissingDependency("this processor has no AVX2, which the local model engine needs", field="cpu")
