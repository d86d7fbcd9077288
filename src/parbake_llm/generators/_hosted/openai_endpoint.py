"""OpenAI's official client, its settings, and the fields of its requests. Servers with the same protocol take it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

from parbake_llm.generators._hosted.clients.keys import required_key
from parbake_llm.generators._hosted.clients.sdk_client import SdkClient
from parbake_llm.generators._hosted.endpoint import Endpoint
from parbake_llm.generators._hosted.openai_chat import Caching, cache_rules, checked_caching
from parbake_llm.writing.placement import CacheRules

KEY = "OPENAI_API_KEY"


class OpenAIEndpoint(Endpoint[SdkClient]):
    """A model behind the OpenAI chat protocol."""

    name = "openai"

    def __init__(
        self,
        *,
        model: str,
        api_key: str,
        base_url: str | None = None,
        caching: Caching = "server",
        rules: CacheRules | None = None,
        provider: str = "openai",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the settings, without connecting yet.

        Args:
            model: The model's name at the provider.
            api_key: The key, in printable ASCII like every HTTP header.
            base_url: The endpoint's URL; OpenAI's own by default.
            caching: What requests say about caching: ``server`` nothing, since not every server knows the fields;
                ``key`` the field ``prompt_cache_key``; ``explicit`` also where the prefixes end.
            rules: How the provider caches, if not as OpenAI does.
            provider: Who hosts the model, such as ``vllm``.
            options: Further fields of each request, such as ``temperature``.

        Raises:
            ProviderError: The key, the model or the address cannot be used, or a setting is unknown.
            MissingDependency: The client is not installed.
        """
        self._caching: Caching = checked_caching(caching)
        client = SdkClient(_sdk, "AsyncOpenAI", extra="openai", key=KEY, api_key=api_key, base_url=base_url)
        super().__init__(client, model=model, rules=rules or cache_rules(caching), options=options)
        self.provider = provider

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read ``OPENAI_API_KEY`` (or ``OPENAI_API_KEY_FILE``), and the optional settings.

        These are ``OPENAI_BASE_URL``, ``OPENAI_MODEL``, ``OPENAI_CACHING``, and for a generator its limits
        (:meth:`parbake_llm.ports.limits.Limits.from_environment`). Raises :class:`ProviderError` that names
        the variable that is missing or wrong.
        """
        env = os.environ if environment is None else environment
        return cls(
            model=env.get("OPENAI_MODEL") or "gpt-4o-mini",
            api_key=required_key(env, KEY),
            base_url=env.get("OPENAI_BASE_URL") or None,
            caching=checked_caching(env.get("OPENAI_CACHING") or "server", "OPENAI_CACHING"),
        ).configured(env)


def _sdk() -> Any:
    import openai

    return openai
