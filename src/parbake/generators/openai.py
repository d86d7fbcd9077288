"""Any OpenAI-compatible endpoint: OpenAI itself, vLLM, SGLang, llama.cpp or Ollama, by base URL.

The key comes from ``OPENAI_API_KEY`` or the file that ``OPENAI_API_KEY_FILE`` names, and is never shown.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from parbake.errors import FailureKind, MissingDependency, ProviderError
from parbake.generators._hosted.chat import StreamReply
from parbake.generators._hosted.failures import FailureCause
from parbake.generators._hosted.keys import check_key, required_key
from parbake.generators._hosted.openai_chat import AUTOMATIC, CACHINGS, EXPLICIT, Caching, chat_request
from parbake.generators._hosted.request import CONNECT_S, Attempt, Hosted
from parbake.generators._hosted.sdk_errors import cause_of_sdk, document
from parbake.ports.models import Delta
from parbake.ports.prompts import Prompt
from parbake.prompt.writing.placement import CacheRules
from parbake.values.redaction import without_credentials

KEY = "OPENAI_API_KEY"


class OpenAIGenerator(Hosted):
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
            ProviderError: The key cannot be sent, or a setting is unknown.
            MissingDependency: The client is not installed.
        """
        check_key(api_key, KEY)
        if caching not in CACHINGS:
            message = f"caching must be one of {', '.join(CACHINGS)}, not {caching!r}"
            raise ProviderError(message, field="caching", kind=FailureKind.REJECTED)
        rules = rules or (EXPLICIT if caching == "explicit" else AUTOMATIC)
        super().__init__(provider=provider, model=model, rules=rules, secrets=(api_key,))
        self._key = api_key
        self._base_url = base_url
        self._caching: Caching = caching
        self._options = dict(options or {})
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        _sdk()  # imported here and not in the first request, of which it would take a second

    def __repr__(self) -> str:
        """Without the key."""
        return f"OpenAIGenerator(model={self.model!r}, base_url={without_credentials(self._base_url or '')!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> OpenAIGenerator:
        """Read ``OPENAI_API_KEY`` (or ``OPENAI_API_KEY_FILE``), and the optional settings.

        These are ``OPENAI_BASE_URL``, ``OPENAI_MODEL`` and ``OPENAI_CACHING``. Raises :class:`ProviderError` that names
        the variable that is missing or wrong.
        """
        env = os.environ if environment is None else environment
        caching: Any = env.get("OPENAI_CACHING") or "server"
        if caching not in CACHINGS:
            message = f"OPENAI_CACHING must be one of {', '.join(CACHINGS)}"
            raise ProviderError(message, field="OPENAI_CACHING", kind=FailureKind.REJECTED)
        return cls(
            model=env.get("OPENAI_MODEL") or "gpt-4o-mini",
            api_key=required_key(env, KEY),
            base_url=env.get("OPENAI_BASE_URL") or None,
            caching=caching,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client, self._loop = self._client, None, None
        if client is not None:
            await client.close()

    async def _attempt(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        sdk, reply = _sdk(), StreamReply("the provider", field=self.name)
        body, extra = chat_request(prompt, self.rules, self._caching)
        body |= {"model": self.model, self._length_field(): max_tokens, "extra_body": self._options | extra or None}
        seconds = attempt.left()
        options = {
            "stream": True,
            "stream_options": {"include_usage": True},
            "timeout": sdk.Timeout(seconds, connect=min(CONNECT_S, seconds)),
        }
        async with await self._open(sdk).chat.completions.create(**body, **options) as chunks:
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
        is_openai = self._base_url is None or self._caching == "explicit"
        return "max_completion_tokens" if is_openai else "max_tokens"

    def _open(self, sdk: Any) -> Any:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop not in {None, loop}:  # connections belong to the loop that opened them
            self._client = sdk.AsyncOpenAI(api_key=self._key, base_url=self._base_url, max_retries=0)
            self._loop = loop
        return self._client

    def _cause(self, error: Exception, *, is_open: bool) -> FailureCause:
        return cause_of_sdk(_sdk(), error, is_open=is_open)

    def _key_names(self) -> str:
        return KEY


def _sdk() -> Any:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise MissingDependency.of("an OpenAI generator", "openai", field="openai") from error
    return openai
