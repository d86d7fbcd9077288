"""Anthropic's messages through the official client.

The key comes from ``ANTHROPIC_API_KEY`` or the file that ``ANTHROPIC_API_KEY_FILE`` names, and is never shown.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from parbake.errors import MissingDependency
from parbake.generators._hosted.anthropic_messages import MessageReply, message_request
from parbake.generators._hosted.claude_rules import claude_rules
from parbake.generators._hosted.failures import FailureCause
from parbake.generators._hosted.keys import check_key, required_key
from parbake.generators._hosted.request import CONNECT_S, Attempt, Hosted
from parbake.generators._hosted.sdk_errors import cause_of_sdk, document
from parbake.ports.models import Delta
from parbake.ports.prompts import Prompt
from parbake.prompt.writing.placement import CacheRules
from parbake.values.redaction import without_credentials

KEY = "ANTHROPIC_API_KEY"
MODEL = "claude-haiku-5-5"


class AnthropicGenerator(Hosted):
    """Generates through the official client; connects within 1 s and retries at most once inside a request."""

    name = "anthropic"

    def __init__(
        self,
        *,
        model: str = MODEL,
        api_key: str,
        base_url: str | None = None,
        rules: CacheRules | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Create the generator, without connecting yet.

        Args:
            model: The model's name.
            api_key: The key, in printable ASCII like every HTTP header.
            base_url: The endpoint's URL; Anthropic's own by default.
            rules: How the model caches prefixes; by default with the minimum that
                :data:`parbake.generators._hosted.claude_rules.CLAUDE_MINIMUMS` lists, and lives of 5 minutes or 1 hour.
            options: Further fields of each request, such as ``thinking``.

        Raises:
            ProviderError: The key cannot be sent.
            MissingDependency: The client is not installed.
        """
        check_key(api_key, KEY)
        super().__init__(provider="anthropic", model=model, rules=rules or claude_rules(model), secrets=(api_key,))
        self._key = api_key
        self._base_url = base_url
        self._options = dict(options or {})
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        _sdk()  # imported here and not in the first request, of which it would take a second

    def __repr__(self) -> str:
        """Without the key."""
        return f"AnthropicGenerator(model={self.model!r}, base_url={without_credentials(self._base_url or '')!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> AnthropicGenerator:
        """Read ``ANTHROPIC_API_KEY`` (or ``ANTHROPIC_API_KEY_FILE``), ``ANTHROPIC_BASE_URL`` and ``ANTHROPIC_MODEL``.

        Raises :class:`ProviderError` that names the missing variable.
        """
        env = os.environ if environment is None else environment
        return cls(
            model=env.get("ANTHROPIC_MODEL") or MODEL,
            api_key=required_key(env, KEY),
            base_url=env.get("ANTHROPIC_BASE_URL") or None,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client, self._loop = self._client, None, None
        if client is not None:
            await client.close()

    async def _attempt(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        sdk, reply, seconds = _sdk(), MessageReply(self.name), attempt.left()
        body = message_request(prompt, self.rules) | {"model": self.model, "max_tokens": max_tokens, "stream": True}
        timeout = sdk.Timeout(seconds, connect=min(CONNECT_S, seconds))
        async with await self._open(sdk).messages.create(
            **body, extra_body=self._options or None, timeout=timeout
        ) as events:
            attempt.is_open = True
            async for event in events:
                for delta in reply.deltas(document(event)):
                    yield delta
        reply.check_whole()
        yield Delta(usage=reply.usage)

    def _open(self, sdk: Any) -> Any:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop not in {None, loop}:  # connections belong to the loop that opened them
            self._client = sdk.AsyncAnthropic(api_key=self._key, base_url=self._base_url, max_retries=0)
            self._loop = loop
        return self._client

    def _cause(self, error: Exception, *, is_open: bool) -> FailureCause:
        return cause_of_sdk(_sdk(), error, is_open=is_open)

    def _key_names(self) -> str:
        return KEY


def _sdk() -> Any:
    try:
        import anthropic
    except ModuleNotFoundError as error:
        raise MissingDependency.of("an Anthropic generator", "anthropic", field="anthropic") from error
    return anthropic
