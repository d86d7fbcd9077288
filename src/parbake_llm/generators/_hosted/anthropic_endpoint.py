"""Anthropic's official client, its settings, and the fields of its requests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

from parbake_llm.generators._hosted.anthropic_messages import message_request
from parbake_llm.generators._hosted.claude_rules import claude_rules
from parbake_llm.generators._hosted.clients.keys import required_key
from parbake_llm.generators._hosted.clients.sdk_client import SdkClient
from parbake_llm.generators._hosted.endpoint import Endpoint
from parbake_llm.ports.prompts import Prompt
from parbake_llm.writing.placement import CacheRules

KEY = "ANTHROPIC_API_KEY"
MODEL = "claude-haiku-5-5"


class AnthropicEndpoint(Endpoint[SdkClient]):
    """A model of Anthropic."""

    name = provider = "anthropic"

    def __init__(
        self,
        *,
        model: str = MODEL,
        api_key: str,
        base_url: str | None = None,
        rules: CacheRules | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the settings, without connecting yet.

        Args:
            model: The model's name.
            api_key: The key, in printable ASCII like every HTTP header.
            base_url: The endpoint's URL; Anthropic's own by default.
            rules: How the model caches prefixes; by default with the minimum that
                :data:`parbake_llm.generators._hosted.claude_rules.CLAUDE_MINIMUMS` lists, and lives of 5 minutes or an
                hour.
            options: Further fields of each request, such as ``thinking``.

        Raises:
            ProviderError: The key, the model or the address cannot be used.
            MissingDependency: The client is not installed.
        """
        client = SdkClient(_sdk, "AsyncAnthropic", extra="anthropic", key=KEY, api_key=api_key, base_url=base_url)
        super().__init__(client, model=model, rules=rules or claude_rules(model), options=options)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read ``ANTHROPIC_API_KEY`` (or ``ANTHROPIC_API_KEY_FILE``), ``ANTHROPIC_BASE_URL`` and ``ANTHROPIC_MODEL``.

        A generator also reads its limits (:meth:`parbake_llm.ports.limits.Limits.from_environment`). Raises
        :class:`ProviderError` that names the missing variable.
        """
        env = os.environ if environment is None else environment
        model, url = env.get("ANTHROPIC_MODEL") or MODEL, env.get("ANTHROPIC_BASE_URL") or None
        return cls(model=model, api_key=required_key(env, KEY), base_url=url).configured(env)

    def _body(self, prompt: Prompt, max_tokens: int) -> dict[str, Any]:
        return message_request(prompt, self.rules) | {"model": self.model, "max_tokens": max_tokens}


def _sdk() -> Any:
    import anthropic

    return anthropic
