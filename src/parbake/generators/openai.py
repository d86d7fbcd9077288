"""Any OpenAI-compatible endpoint: OpenAI itself, vLLM, SGLang, llama.cpp or Ollama, by base URL.

The key comes from ``OPENAI_API_KEY`` or the file that ``OPENAI_API_KEY_FILE`` names, and is never shown.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from parbake.errors import MissingDependency, ProviderError
from parbake.generators._sse import messages, usage_of
from parbake.ports import Delta, Prompt

CONNECT_S = 1.0


class OpenAIGenerator:
    """Generates through the official client; connects within 1 s and never retries inside a request more than once."""

    name = "openai"

    def __init__(self, *, model: str, api_key: str, base_url: str | None = None) -> None:
        """Open no connection yet."""
        self._model = model
        self._key = api_key
        self._base_url = base_url
        self._client: Any = None

    def __repr__(self) -> str:
        """Without the key."""
        return f"OpenAIGenerator(model={self._model!r}, base_url={self._base_url!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> OpenAIGenerator:
        """Read ``OPENAI_API_KEY`` (or ``OPENAI_API_KEY_FILE``), ``OPENAI_BASE_URL`` and ``OPENAI_MODEL``.

        Raises :class:`ProviderError` naming the variable that is missing.
        """
        env = os.environ if environment is None else environment
        key = env.get("OPENAI_API_KEY", "")
        if not key and env.get("OPENAI_API_KEY_FILE"):
            key = Path(env["OPENAI_API_KEY_FILE"]).read_text().strip()
        if not key:
            raise ProviderError("OPENAI_API_KEY is not set; set it, or OPENAI_API_KEY_FILE", field="OPENAI_API_KEY")
        return cls(model=env.get("OPENAI_MODEL") or "gpt-4o-mini", api_key=key, base_url=env.get("OPENAI_BASE_URL"))

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream a reply; the last delta carries the usage as the provider reports it."""
        sdk = _sdk()
        client = self._open(sdk, timeout_s)
        try:
            chunks = await client.chat.completions.create(
                model=self._model,
                messages=messages(prompt),
                max_tokens=max_tokens,
                stream=True,
                stream_options={"include_usage": True},
                timeout=timeout_s,
            )
            async for chunk in chunks:
                for choice in chunk.choices:
                    if choice.delta.content:
                        yield Delta(choice.delta.content)
                if chunk.usage is not None:
                    yield Delta("", usage_of(chunk.usage.model_dump()))
        except sdk.AuthenticationError as error:
            raise ProviderError("the provider rejected OPENAI_API_KEY", field="OPENAI_API_KEY") from error
        except sdk.OpenAIError as error:
            raise ProviderError(f"the provider failed: {self._hide(str(error))}", field="openai") from error

    def _open(self, sdk: Any, timeout_s: float) -> Any:
        if self._client is None:
            self._client = sdk.AsyncOpenAI(
                api_key=self._key,
                base_url=self._base_url,
                max_retries=1,
                timeout=sdk.Timeout(timeout_s, connect=CONNECT_S),
            )
        return self._client

    def _hide(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _sdk() -> Any:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise MissingDependency("this generator needs: pip install 'parbake[openai]'", field="openai") from error
    return openai
