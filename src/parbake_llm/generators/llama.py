"""A local model in this process: llama.cpp through ``xllamacpp``, by default SmolLM2-135M.

A model this small invents facts, so its output is checked sentence by sentence like any other reply.

Each conversation has a slot of the engine, which keeps its computed tokens. By default the engine would choose the
slot by similarity, and since all prompts share a prefix, every conversation would push out the one before. The prefix
that everybody shares is computed once and written to a file; an empty slot or another process loads it in milliseconds.

The model takes one core, its memory does not grow with the number of conversations, and it calls no tools.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from parbake.errors import ParbakeError, ProviderError
from parbake.ports.usage import Usage
from parbake_llm.generators._engine import LlamaEngine, said
from parbake_llm.generators._hosted.chat import StreamReply, messages
from parbake_llm.generators._slot_files import SlotFiles
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import MissCause, Prediction, Prompt
from parbake_llm.prefix_caches.recent import common
from parbake_llm.prefix_caches.slot_cache import SlotCache
from parbake_llm.writing.placement import CacheRules
from parbake_llm.writing.render import question_text
from parbake_semantic.model_files import SMOLLM2, locate

CONTEXT, SLOTS = 4096, 4
_OTHER = ("a", "b")
"""Two questions that differ from their first letter on: what their prompts share is the prefix."""
_AHEAD = "computed ahead"
"""The session of prefixes that are computed before anybody asks."""


class _Sent(msgspec.Struct, frozen=True):
    """A request as the engine gets it: the slot, its tokens, those computed ahead for it, and what is expected."""

    slot: int
    tokens: tuple[int, ...]
    computed: int
    prediction: Prediction


class LlamaGenerator:
    """Generates in process; the model is loaded at the first request (about half a second)."""

    name = provider = "llama"
    rules = CacheRules(mechanism="slots")

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        threads: int = 1,
        context: int = CONTEXT,
        slots: int = SLOTS,
        prefixes: str | Path | None = None,
    ) -> None:
        """Create the generator; the model is loaded later.

        Args:
            path: A GGUF file; the packaged model by default.
            threads: How many cores the model may use. Threads wait for each other at every token, so on a machine with
                busy cores two are slower than one.
            context: The greatest number of tokens of a prompt and its reply together.
            slots: How many conversations the engine keeps at once (for the packaged model 23 kB a token).
            prefixes: The folder for computed prefixes; by default they last as long as this process.
        """
        self._path = None if path is None else Path(path)
        self._threads, self._context = threads, context
        self._cache = SlotCache(slots)
        self._slots = slots
        self._folder = None if prefixes is None else Path(prefixes)
        self._files: SlotFiles | None = None
        self._engine: LlamaEngine | None = None
        self._prefix: tuple[str, tuple[int, ...]] = ("", ())
        self._lock = threading.Lock()

    @property
    def model(self) -> str:
        """The model's name: that of its file."""
        return (self._path or Path(SMOLLM2.name)).stem

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream a reply. The last delta carries the usage as the engine reports it, and what was expected of it.

        Args:
            prompt: What the model is sent, without tools: it calls none.
            max_tokens: The greatest length of the reply.
            timeout_s: Time limit for the whole reply, in seconds.

        Raises:
            ProviderError: The model failed, was too slow, or sent malformed output.
            MissingDependency: The engine or the model's file is not installed.
        """
        queue: asyncio.Queue[Any] = asyncio.Queue()
        loop, stopped, limit = asyncio.get_running_loop(), threading.Event(), asyncio.timeout(timeout_s)

        def put(chunk: Any) -> bool:
            loop.call_soon_threadsafe(queue.put_nowait, chunk)
            return stopped.is_set()

        work = asyncio.create_task(asyncio.to_thread(self._generate, prompt, max_tokens, put, stopped))
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

    async def aclose(self) -> None:
        """Unload the model, after the reply that is being generated."""
        await asyncio.to_thread(self._unload)

    async def warm(self, prompt: Prompt) -> None:
        """Compute the blocks of a prompt ahead, and write them to their file, if there is none yet."""
        await asyncio.to_thread(self._warm, prompt)

    def load(self) -> None:
        """Load the model now instead of at the first request; blocking."""
        with self._lock:
            self._ready()

    def tokens(self, chat: Sequence[Mapping[str, str]]) -> list[int]:
        """The tokens of a chat as the model reads it; blocking."""
        with self._lock:
            return self._ready().tokens(chat)

    def _warm(self, prompt: Prompt) -> None:
        with self._lock:
            engine = self._ready()
            prefix = self._prefix_tokens(engine, prompt)
            if prefix and not self._open_files(engine).path(prefix).is_file():
                slot = self._cache.pin(_AHEAD)
                self._bring(engine, prefix, slot, _AHEAD, 0)

    def _unload(self) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.close()
            self._engine, self._files, self._cache = None, None, SlotCache(self._slots)

    def _generate(self, prompt: Prompt, max_tokens: int, put: Callable[[Any], bool], stopped: threading.Event) -> None:
        """Generate a reply in this thread; one at a time, because a second would only slow the first down."""
        with self._lock:
            if stopped.is_set():  # nobody waits any more
                return
            engine = self._ready()
            sent = self._prepare(engine, prompt)
            put(sent)
            written: list[str] = []
            body = {
                "messages": messages(prompt), "max_tokens": max_tokens, "temperature": 0.0, "cache_prompt": True,
                "stream": True, "stream_options": {"include_usage": True}, "id_slot": sent.slot,
            }  # fmt: skip

            def seen(chunk: Any) -> bool:
                written.extend(_texts(chunk))
                return put(chunk)

            engine.chat(body, seen)
            reply = engine.tokens_of_text("".join(written), begins=False) if written else []
            self._cache.sent(prompt.session, sent.tokens, reply=reply, steady=self._steady(engine, prompt, sent.tokens))

    def _prepare(self, engine: LlamaEngine, prompt: Prompt) -> _Sent:
        """Choose the session's slot, and put the shared prefix into it if it does not hold that."""
        tokens = tuple(engine.tokens(messages(prompt)))
        prefix = self._prefix_tokens(engine, prompt)
        slot = self._cache.pin(prompt.session)
        before = self._cache.predict(prompt.session, tokens, slot=slot)
        computed = 0
        if before.read < len(prefix) < len(tokens):
            computed = self._bring(engine, prefix, slot, prompt.session, before.read)
        expected = self._cache.predict(prompt.session, tokens, slot=slot).read
        is_found = before.miss is not None and before.miss.cause is MissCause.COLD and not computed
        prediction = Prediction(
            read=expected - computed,
            write=computed,
            uncached=len(tokens) - expected,
            miss=None if is_found else before.miss,  # a file holds what no slot has seen
        )
        return _Sent(slot, tokens, computed, prediction)

    def _bring(self, engine: LlamaEngine, prefix: Sequence[int], slot: int, session: str, held: int) -> int:
        """Load a prefix into a session's slot, or compute and save it; return how many tokens had to be computed."""
        files = self._open_files(engine)
        self._cache.restore(slot, prefix, session=session)
        if files.restore(prefix, lambda path: engine.restore(slot, path)):
            return 0
        engine.prefill(prefix, slot)
        files.save(prefix, lambda path: engine.save(slot, path))
        return len(prefix) - held

    def _open_files(self, engine: LlamaEngine) -> SlotFiles:
        folder = self._folder or engine.folder / "prefixes"
        self._files = self._files or SlotFiles(folder, self._file(), f"{engine.version} {self._context}")
        return self._files

    def _prefix_tokens(self, engine: LlamaEngine, prompt: Prompt) -> tuple[int, ...]:
        """The tokens that every prompt with these blocks begins with; kept for the blocks seen last."""
        if not prompt.blocks:
            return ()
        text = messages(Prompt(blocks=prompt.blocks))[0]["content"]
        if self._prefix[0] != text:
            one, other = (engine.tokens(messages(Prompt(blocks=prompt.blocks, question=each))) for each in _OTHER)
            self._prefix = (text, tuple(one[: common(one, other)]))
        return self._prefix[1]

    def _steady(self, engine: LlamaEngine, prompt: Prompt, tokens: Sequence[int]) -> int:
        """How many tokens of a prompt the session's next one repeats: all before what was looked up for this one."""
        other = _OTHER[question_text(prompt).startswith(_OTHER[0])]
        stable = Prompt(blocks=prompt.blocks, turns=prompt.turns, question=other)
        return common(tokens, tuple(engine.tokens(messages(stable))))

    def _file(self) -> Path:
        return self._path or locate(SMOLLM2)

    def _ready(self) -> LlamaEngine:
        """The engine with the model loaded; the caller holds the lock."""
        if self._engine is None:
            self._engine = LlamaEngine(self._file(), threads=self._threads, context=self._context, slots=self._slots)
        return self._engine


class _End:
    """The engine has returned or raised; no more output follows."""

    def __init__(self, done: asyncio.Task[None]) -> None:
        """Retrieve the task's exception, so that it is not reported as never retrieved."""
        self.error = asyncio.CancelledError() if done.cancelled() else done.exception()


async def _deltas(queue: asyncio.Queue[Any]) -> AsyncIterator[Delta]:
    reply, sent = StreamReply("llama", "the local model"), None
    while not isinstance(chunk := await queue.get(), _End):
        if isinstance(chunk, _Sent):
            sent = chunk
            continue
        for part in chunk if isinstance(chunk, list) else [chunk]:
            if isinstance(part, dict) and "error" in part:
                raise ProviderError(f"the local model returned an error: {said(part['error'])}", field="llama")
            for text in reply.texts(part):
                yield Delta(text)
    if chunk.error is not None:
        raise chunk.error
    reply.check_whole()
    usage = reply.usage if sent is None else _without(reply.usage, sent.computed)
    yield Delta(usage=usage, prediction=None if sent is None else sent.prediction)


def _without(usage: Usage, computed: int) -> Usage:
    """The usage in which tokens computed ahead for this very request count as written, not as read."""
    if not computed or usage.cache_read is None:
        return usage
    return msgspec.structs.replace(usage, cache_read=max(0, usage.cache_read - computed), cache_write=computed)


def _texts(chunk: Any) -> list[str]:
    """The text of a chunk, as far as it has the right shape; :class:`StreamReply` rejects any other."""
    found = []
    for part in chunk if isinstance(chunk, list) else [chunk]:
        for choice in (part.get("choices") or []) if isinstance(part, dict) else []:
            text = choice.get("delta", {}).get("content") if isinstance(choice, dict) else None
            found += [text] if isinstance(text, str) else []
    return found
