"""Anthropic's messages through the official client.

The key comes from ``ANTHROPIC_API_KEY`` or the file that ``ANTHROPIC_API_KEY_FILE`` names, and is never shown.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from parbake.process.outgoing import along
from parbake_llm.generators._hosted.anthropic_endpoint import MODEL, AnthropicEndpoint
from parbake_llm.generators._hosted.anthropic_messages import MessageReply
from parbake_llm.generators._hosted.clients.sdk_client import SdkClient
from parbake_llm.generators._hosted.clients.sdk_errors import document
from parbake_llm.generators._hosted.request import Attempt, Hosted
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Prompt
from parbake_llm.prefix_caches.recent import Recent
from parbake_llm.writing.placement import CacheRules

_SESSIONS = 10_000
"""The sessions whose last reply is remembered, if the provider is to compare requests."""


class AnthropicGenerator(AnthropicEndpoint, Hosted[SdkClient]):
    """Generates through the official client, within :class:`parbake_llm.ports.limits.Limits`."""

    def __init__(
        self,
        *,
        model: str = MODEL,
        api_key: str,
        base_url: str | None = None,
        rules: CacheRules | None = None,
        options: Mapping[str, Any] | None = None,
        diagnose: bool = False,
    ) -> None:
        """Create the generator, without connecting yet.

        Args:
            model: The model's name.
            api_key: The key, in printable ASCII like every HTTP header.
            base_url: The endpoint's URL; Anthropic's own by default.
            rules: How the model caches prefixes; by default with the minimum that
                :data:`parbake_llm.generators._hosted.claude_rules.CLAUDE_MINIMUMS` lists, and lives of 5 minutes or an
                hour.
            options: Further fields of each request, such as ``thinking``.
            diagnose: Whether to ask why a prompt was not read from the cache. Each request of a session then names the
                reply before it (``diagnostics.previous_message_id``), with which the provider compares it.

        Raises:
            ProviderError: The key, the model or the address cannot be used.
            MissingDependency: The client is not installed.
        """
        super().__init__(model=model, api_key=api_key, base_url=base_url, rules=rules, options=options)
        self._replies: Recent[str, str] | None = Recent(_SESSIONS) if diagnose else None

    async def _attempt(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        reply = MessageReply(self.name)
        body = self._body(prompt, max_tokens) | {"stream": True} | self._compared(prompt.session)
        async with await self._client.here().messages.create(
            **body,
            extra_headers=along(),
            extra_body=self._options or None,
            timeout=self._client.timeout(attempt.left()),
        ) as events:
            attempt.is_open = True
            async for event in events:
                attempt.begun()
                for delta in reply.deltas(document(event)):
                    yield delta
        reply.check_whole()
        if self._replies is not None and prompt.session and reply.id:
            self._replies[prompt.session] = reply.id
        yield Delta(usage=reply.usage, told=reply.told)

    def _compared(self, session: str) -> dict[str, Any]:
        """The field that names the session's last reply; nothing unless the provider is to compare requests."""
        if self._replies is None or not session:
            return {}
        return {"diagnostics": {"previous_message_id": self._replies.get(session)}}
