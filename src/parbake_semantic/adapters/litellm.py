"""A cache for LiteLLM's cache slot: ``litellm.cache = LiteLLMCache(cache)``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from parbake.errors import BadInput, MissingDependency
from parbake_semantic.adapters.calls import Calls, Request, digest
from parbake_semantic.cache.asked import Handling
from parbake_semantic.cache.semantic_cache import SemanticCache
from parbake_semantic.text.audience import Scope

try:
    from litellm.caching.caching import Cache  # pyright: ignore[reportMissingImports]  # an extra brings it
    from litellm.types.utils import all_litellm_params  # pyright: ignore[reportMissingImports]  # (the same)
except ModuleNotFoundError as error:
    raise MissingDependency.of("the cache for LiteLLM", "litellm", field=str(error.name)) from error

_DEPLOYMENT = {"api_base", "api_key", "api_version", "base_url", "custom_llm_provider", "model", "region_name"}
"""Parameters of the deployment that LiteLLM's router chooses. With a router, the model's group stands for them."""
_SHAPING = _DEPLOYMENT | {
    "custom_prompt_dict", "guardrails", "headers", "litellm_system_prompt", "prompt_id", "prompt_label",
    "prompt_variables", "prompt_version", "roles", "tenant_id",
}  # fmt: skip
"""LiteLLM's own parameters that shape an answer. Its others say how it is fetched, logged and paid."""
_NEUTRAL = {"dynamic_cache_object", "messages", "parent_otel_span", "stream", "stream_options", "timeout"}
"""Further parameters that do not shape an answer. The messages are looked at by themselves."""
_WHO = ("user_api_key", "user_api_key_team_id", "user_api_key_org_id", "user_api_key_end_user_id")
"""Who asks, as LiteLLM's proxy writes it into the metadata."""
_CALL = "litellm_call_id"
"""The parameter that LiteLLM makes for each call."""


class LiteLLMCache(Cache):
    """Answers chat completions of LiteLLM from a semantic cache: plain ones and streams, sync and async.

    The question is the last message, if it is the user's and plain text. Everything else that shapes the answer is its
    scope. ``metadata={"parbake_tags": ["policy/returns"]}`` names what a fresh answer depends on. Answers that call
    tools, or that were cut short, are not stored.

    Args:
        cache: Where answers are kept. Give it ``same=``:func:`parbake_semantic.adapters.calls.by_text` ``(judge)``.
        **options: LiteLLM's own settings, such as ``mode``, ``ttl``, ``namespace`` or ``max_messages``.
    """

    def __init__(self, cache: SemanticCache[Any], **options: Any) -> None:
        """Take the cache; LiteLLM's callbacks are registered as by its own caches."""
        super().__init__(type="local", supported_call_types=["completion", "acompletion"], **options)
        self._calls = Calls(cache)

    def get_cache(self, **kwargs: Any) -> Any:
        """Return the stored completion, or ``None``. Raises :class:`BadInput` for a wrong control or tag."""
        return _whole(self._calls.look_up(self._request(kwargs), kwargs.get(_CALL)))

    async def async_get_cache(self, **kwargs: Any) -> Any:
        """Like :meth:`get_cache`, on an event loop."""
        return _whole(await self._calls.look_up_async(self._request(kwargs), kwargs.get(_CALL)))

    def add_cache(self, result: Any, **kwargs: Any) -> None:
        """Store a fresh completion."""
        self._calls.store(_answer(result), kwargs.get(_CALL))

    async def async_add_cache(self, result: Any, **kwargs: Any) -> None:
        """Like :meth:`add_cache`, on an event loop."""
        await self._calls.store_async(_answer(result), kwargs.get(_CALL))

    def _request(self, kwargs: Mapping[str, Any]) -> Request | None:
        """Read a request; ``None`` for one that is not to be answered from the cache."""
        messages = [m if isinstance(m, Mapping) else m.model_dump() for m in kwargs.get("messages") or ()]
        last = dict(messages[-1]) if messages else {}
        question = last.pop("content", None)
        if not (kwargs.get(_CALL) and last.get("role") == "user" and isinstance(question, str)):
            return None
        if self.should_use_cache(**kwargs) is not True:
            return None
        controls = kwargs.get("cache") or {}
        metadata = {**(kwargs.get("litellm_metadata") or {}), **(kwargs.get("metadata") or {})}
        tags = self._calls.tags(metadata.get("parbake_tags") or ())
        namespace = controls.get("namespace") or metadata.get("redis_namespace") or self.namespace
        who = [metadata.get(name) for name in _WHO]
        scope = Scope(extra=digest("litellm", messages[:-1], last, _shaping(kwargs, metadata), namespace, who))
        age_s = _seconds(controls.get("s-maxage", controls.get("s-max-age")), "s-maxage")
        ttl_s = _seconds(controls.get("ttl", self.ttl), "ttl")
        handling = Handling(stores=controls.get("no-store") is not True, max_age_s=age_s, ttl_s=ttl_s)
        return Request(question, scope, tags, handling)


def _shaping(kwargs: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that shape an answer, besides the messages."""
    group = metadata.get("model_group")
    left_out = (set(all_litellm_params) - _SHAPING) | _NEUTRAL | (_DEPLOYMENT if group else set())
    return {name: value for name, value in kwargs.items() if name not in left_out} | {"model_group": group}


def _seconds(value: Any, name: str) -> float:
    """A control in seconds; infinity if it is not given."""
    if value is None:
        return math.inf
    if not isinstance(value, int | float) or not value >= 0:
        raise BadInput(f"cache={{{name!r}: {value!r}}} must be a number of seconds", field=name)
    return float(value)


def _answer(result: Any) -> dict[str, str] | None:
    """What is stored of a completion; ``None`` if it calls tools, was cut short, or is not text."""
    whole = result if isinstance(result, str) else result.model_dump_json(exclude_unset=True)
    texts = []
    for choice in json.loads(whole).get("choices") or ():
        message = choice.get("message") or {}
        text, calls = message.get("content"), message.get("tool_calls") or message.get("function_call")
        if choice.get("finish_reason") != "stop" or calls or not isinstance(text, str):
            return None
        texts.append(text)
    return {"text": "\n".join(texts), "whole": whole} if texts else None


def _whole(answer: Any) -> Any:
    return None if answer is None else json.loads(answer["whole"])
