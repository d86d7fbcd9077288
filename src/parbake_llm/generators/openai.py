"""Any OpenAI-compatible endpoint: OpenAI itself, vLLM, SGLang, llama.cpp or Ollama, by base URL.

The key comes from ``OPENAI_API_KEY`` or the file that ``OPENAI_API_KEY_FILE`` names, and is never shown.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from parbake_llm.generators._hosted.chat import StreamReply
from parbake_llm.generators._hosted.clients.keys import check_model
from parbake_llm.generators._hosted.clients.openai_client import (
    KEY,
    Caching,
    checked_caching,
    openai_client,
    openai_settings,
)
from parbake_llm.generators._hosted.clients.sdk_errors import document
from parbake_llm.generators._hosted.openai_chat import cache_rules, chat_request
from parbake_llm.generators._hosted.request import Attempt
from parbake_llm.generators._hosted.sdk_hosted import SdkHosted
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Prompt
from parbake_llm.writing.placement import CacheRules


class OpenAIGenerator(SdkHosted):
    """Generates through the official client; connects within 1 s and retries at most once inside a request."""

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
        """Create the generator, without connecting yet.

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
        check_model(model)
        super().__init__(
            openai_client("an OpenAI generator", api_key=api_key, base_url=base_url),
            provider=provider, model=model, rules=rules or cache_rules(caching), keys={KEY: api_key}, options=options,
        )  # fmt: skip

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> OpenAIGenerator:
        """Read ``OPENAI_API_KEY`` (or ``OPENAI_API_KEY_FILE``), and the optional settings.

        These are ``OPENAI_BASE_URL``, ``OPENAI_MODEL`` and ``OPENAI_CACHING``. Raises :class:`ProviderError` that names
        the variable that is missing or wrong.
        """
        return cls(**openai_settings(environment))

    async def _attempt(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        reply = StreamReply("the provider", field=self.name)
        body, extra = chat_request(prompt, self.rules, self._caching)
        body |= {"model": self.model, self._length_field(): max_tokens, "extra_body": self._options | extra or None}
        async with await self._client.here().chat.completions.create(
            **body, stream=True, stream_options={"include_usage": True}, timeout=self._client.timeout(attempt.left())
        ) as chunks:
            attempt.is_open = True
            async for chunk in chunks:
                for text in reply.texts(document(chunk)):
                    yield Delta(text)
        reply.check_whole()
        for call in reply.calls():
            yield Delta(call=call)
        yield Delta(usage=reply.usage)

    def _length_field(self) -> str:
        """OpenAI's newer models know only the new name of the limit, and other servers only the old one."""
        is_openai = self._client.base_url is None or self._caching == "explicit"
        return "max_completion_tokens" if is_openai else "max_tokens"
