"""A local model in this process: llama.cpp through ``xllamacpp``, by default SmolLM2-135M.

A model this small invents facts, so its output is checked sentence by sentence like any other reply. The stable prefix
of the last prompt stays in the engine's slot, so that a second request in a row with the same evidence skips most of
the work.

The model takes one core, its memory does not grow with the number of conversations, and no other process can use it.
The engine always listens on a socket or port; it therefore gets a socket whose name is deleted once the model is
loaded, and a random key.
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
"""Limit of a socket's path in bytes; systems allow 104 or 108."""


class LlamaGenerator:
    """Generates in process; the model is loaded at the first request (about half a second)."""

    name = "llama"

    def __init__(self, path: str | Path | None = None, *, threads: int = 1, context: int = CONTEXT) -> None:
        """Create the generator; the model is loaded later.

        Args:
            path: A GGUF file; the packaged model by default.
            threads: How many cores the model may use. Threads wait for each other at every token, so on a machine with
                busy cores two are slower than one.
            context: The greatest number of tokens of a prompt and its reply together.
        """
        self._path = None if path is None else Path(path)
        self._threads = threads
        self._context = context
        self._server: Any = None
        self._lock = threading.Lock()

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream a reply. The last delta carries the usage with ``cached_tokens`` as the engine reports them.

        Args:
            prompt: The question and the evidence.
            max_tokens: The greatest length of the reply.
            timeout_s: Time limit for the whole reply, in seconds.

        Raises:
            ProviderError: The model failed, was too slow, or sent malformed output.
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
        params.cache_ram_mib = 0  # no copies of old prompts (4.5 MB a conversation); the slot's own prefix stays
        params.api_keys = [secrets.token_urlsafe(32)]  # not stored: calls in this process need no key
        with tempfile.TemporaryDirectory(prefix="parbake-") as folder:
            params.hostnames = [listening_at(folder)]
            return xllamacpp.Server(params)


def listening_at(folder: str, system: str = os.name) -> str:
    """Choose where the engine listens: a socket in a folder, or a free loopback port if that is impossible.

    Args:
        folder: The folder for the socket.
        system: The kind of operating system, as in :data:`os.name`.

    Returns:
        The path of a Unix socket, or the loopback address if the system has none or the path is too long.
    """
    path = f"{folder}/engine.sock"
    return path if system == "posix" and len(os.fsencode(path)) <= _LONGEST_SOCKET else LOOPBACK


class _End:
    """The engine has returned or raised; no more output follows."""

    def __init__(self, done: asyncio.Task[None]) -> None:
        """Retrieve the task's exception, so that it is not reported as never retrieved."""
        self.error = asyncio.CancelledError() if done.cancelled() else done.exception()


async def _deltas(queue: asyncio.Queue[Any]) -> AsyncIterator[Delta]:
    reply = StreamReply("the local model", field="llama")
    while not isinstance(chunk := await queue.get(), _End):
        for part in chunk if isinstance(chunk, list) else [chunk]:
            if isinstance(part, dict) and "error" in part:
                raise ProviderError(f"the local model returned an error: {_said(part['error'])}", field="llama")
            for text in reply.texts(part):
                yield Delta(text)
    if chunk.error is not None:
        raise chunk.error
    reply.check_whole()
    yield Delta("", reply.usage)


def _said(error: Any) -> Any:
    """The message of an error that the engine reports."""
    return (error.get("message") if isinstance(error, dict) else None) or error


def check_cpu() -> None:
    """Raise :class:`MissingDependency` on a processor without AVX2, which the prebuilt engine needs on x86_64."""
    info = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and info.is_file() and " avx2" not in info.read_text():
        raise MissingDependency("this processor has no AVX2, which the local model engine needs", field="cpu")
