"""Caches for LangChain: for its models, ``set_llm_cache(LangChainCache(cache))``, and for its retrievers."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from parbake.errors import MissingDependency
from parbake_semantic.adapters.calls import EXACT, Calls, Request, digest
from parbake_semantic.cache.semantic_cache import SemanticCache
from parbake_semantic.text.audience import Scope

try:
    from langchain_core.caches import BaseCache  # pyright: ignore[reportMissingImports]  # an extra brings it
    from langchain_core.documents import Document  # pyright: ignore[reportMissingImports]  # (the same)
    from langchain_core.load import dumps, loads  # pyright: ignore[reportMissingImports]  # (the same)
    from langchain_core.messages import AIMessage  # pyright: ignore[reportMissingImports]  # (the same)
    from langchain_core.outputs import ChatGeneration, Generation  # pyright: ignore[reportMissingImports]  # (the same)
    from langchain_core.retrievers import BaseRetriever  # pyright: ignore[reportMissingImports]  # (the same)
except ModuleNotFoundError as error:
    raise MissingDependency.of("the cache for LangChain", "langchain", field=str(error.name)) from error

# LangChain's own caches read with this function, too; its warning would tell a user nothing.
warnings.filterwarnings("ignore", "The function `loads` is in beta", module=re.escape(__name__))
_log = logging.getLogger(__name__)
_EVERYONE = Scope()
_NOT_SENT = {"id", "response_metadata", "usage_metadata"}
"""What a message says of its own making; a model does not read it."""
_CUT = {"content_filter", "length", "max_tokens", "refusal", "safety"}
"""Why a provider ends an answer that is not whole."""


class LangChainCache(BaseCache):
    """Answers calls of LangChain's models from a semantic cache, sync and async.

    The question is the last message, if it is the user's and plain text. The messages before it and the settings of
    the model are its scope. A prompt for a model that is not a chat model is answered if it is repeated exactly.
    Answers that call tools, or that were cut short, are not stored.

    Args:
        cache: Where answers are kept. Give it ``same=``:func:`parbake_semantic.adapters.calls.by_text` ``(judge)``.
        scope: Who asks. Make an adapter for each tenant; they may share the cache.
        tags: What all answers depend on. :func:`parbake_semantic.adapters.calls.tagged` names what some depend on.

    Raises:
        BadInput: A tag is one that the app never raises.
    """

    def __init__(self, cache: SemanticCache[Any], *, scope: Scope = _EVERYONE, tags: Sequence[str] = ()) -> None:
        """Take the cache."""
        self._cache, self._calls, self._scope, self._tags = cache, Calls(cache), scope, tuple(tags)
        cache.check(tags)

    def lookup(self, prompt: str, llm_string: str) -> list[Any] | None:
        """Return the stored generations, or ``None``."""
        return _revived(self._calls.look_up(self._request(prompt, llm_string), prompt, llm_string))

    async def alookup(self, prompt: str, llm_string: str) -> list[Any] | None:
        """Like :meth:`lookup`, on an event loop."""
        return _revived(await self._calls.look_up_async(self._request(prompt, llm_string), prompt, llm_string))

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Any]) -> None:
        """Store fresh generations."""
        self._calls.store(_answer(return_val), prompt, llm_string)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Any]) -> None:
        """Like :meth:`update`, on an event loop."""
        await self._calls.store_async(_answer(return_val), prompt, llm_string)

    def clear(self, **_settings: Any) -> None:
        """Stop serving all answers of the cache, in all processes."""
        self._cache.clear()

    async def aclear(self, **_settings: Any) -> None:
        """Like :meth:`clear`, on an event loop."""
        await self._cache.clear_async()

    def _request(self, prompt: str, llm_string: str) -> Request | None:
        """Read a call; ``None`` for one that is not to be answered from the cache."""
        messages = _messages(prompt)
        kind, last = messages[-1] if messages else ("HumanMessage", {"content": EXACT})
        question = last.pop("content", None)
        if kind != "HumanMessage" or not isinstance(question, str):
            return None
        scope = replace(self._scope, extra=digest("langchain", self._scope.extra, messages or prompt, llm_string))
        return Request(question, scope, self._calls.tags(self._tags))


class CachedRetriever(BaseRetriever):
    """Retrieves documents from a semantic cache, or with another retriever, whose documents are then stored.

    What the other retriever reads through the app binds the documents. Errors of it are raised.

    Attributes:
        retriever: The other retriever.
        answers: Where documents are kept: a :class:`parbake_semantic.SemanticCache` of its own.
        depends_on: What the documents depend on: tags, or a function of the documents that returns tags.
        scope: Who asks.
    """

    retriever: BaseRetriever
    answers: Any
    depends_on: Sequence[str] | Callable[[list[Document]], Sequence[str]] = ()
    scope: Any = _EVERYONE

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        asked = self.answers.begin_sync(query, scope=self.scope)
        if asked.reply is not None:
            return list(loads(asked.reply.value, allowed_objects=[Document]))
        with asked.listening():
            found = self.retriever.invoke(query, {"callbacks": run_manager.get_child()})
        asked.finish_sync(dumps(found), tags=self._tags(found))
        return list(found)

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        asked = await self.answers.begin(query, scope=self.scope)
        if asked.reply is not None:
            return list(loads(asked.reply.value, allowed_objects=[Document]))
        with asked.listening():
            found = await self.retriever.ainvoke(query, {"callbacks": run_manager.get_child()})
        await asked.finish(dumps(found), tags=self._tags(found))
        return list(found)

    def _tags(self, found: list[Document]) -> tuple[str, ...]:
        return Calls(self.answers).tags(self.depends_on(found) if callable(self.depends_on) else self.depends_on)


def _messages(prompt: str) -> list[tuple[str, dict[str, Any]]] | None:
    """The messages of a chat by class and content; ``None`` for another prompt."""
    try:
        return [
            (message["id"][-1], {name: value for name, value in message["kwargs"].items() if name not in _NOT_SENT})
            for message in json.loads(prompt)
        ] or None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_whole(generation: Any) -> bool:
    message = getattr(generation, "message", None)
    said = {**(generation.generation_info or {}), **(getattr(message, "response_metadata", None) or {})}
    ends = {str(said.get(name, "")).lower() for name in ("finish_reason", "stop_reason")}
    calls = getattr(message, "tool_calls", None) or getattr(message, "invalid_tool_calls", None)
    return not calls and not ends & _CUT


def _answer(generations: Sequence[Any]) -> dict[str, Any] | None:
    """What is stored of generations; ``None`` if one calls tools, was cut short, or would not come back."""
    if not all(map(_is_whole, generations)):
        return None
    answer = {"text": "\n".join(each.text for each in generations), "whole": [dumps(each) for each in generations]}
    try:
        _revived(answer)
    except Exception:  # noqa: BLE001 - whatever a message of another class raises, the answer is returned
        _log.warning("generations could not be stored", exc_info=True)
        return None
    return answer


def _revived(answer: Any) -> list[Any] | None:
    if answer is None:
        return None
    return [loads(each, allowed_objects=[AIMessage, ChatGeneration, Generation]) for each in answer["whole"]]
