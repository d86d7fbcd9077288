"""Any OpenAI-compatible endpoint: OpenAI itself, vLLM, SGLang, llama.cpp or Ollama, by base URL.

The key comes from ``OPENAI_API_KEY`` or the file that ``OPENAI_API_KEY_FILE`` names, and is never shown.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from parbake.errors import MissingDependency, ParbakeError, ProviderError
from parbake.generators._sse import StreamReply, messages
from parbake.ports.models import Delta, Prompt

CONNECT_S = 1.0


class OpenAIGenerator:
    """Generates through the official client; connects within 1 s and retries at most once inside a request."""

    name = "openai"

    def __init__(self, *, model: str, api_key: str, base_url: str | None = None) -> None:
        """Create the generator, without connecting yet.

        Args:
            model: The model's name at the provider.
            api_key: The key, in printable ASCII like every HTTP header.
            base_url: The endpoint's URL; OpenAI's own by default.

        Raises:
            ProviderError: The key cannot be sent.
        """
        if not (api_key.isascii() and api_key.isprintable()):
            raise ProviderError(
                "OPENAI_API_KEY must not have a line break or a character outside ASCII; set it to the key alone",
                field="OPENAI_API_KEY",
            )
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

        Raises :class:`ProviderError` that names the missing variable.
        """
        env = os.environ if environment is None else environment
        key = env.get("OPENAI_API_KEY", "").strip()
        if not key and env.get("OPENAI_API_KEY_FILE"):
            key = Path(env["OPENAI_API_KEY_FILE"]).read_text().strip()
        if not key:
            raise ProviderError("OPENAI_API_KEY is not set; set it, or OPENAI_API_KEY_FILE", field="OPENAI_API_KEY")
        return cls(model=env.get("OPENAI_MODEL") or "gpt-4o-mini", api_key=key, base_url=env.get("OPENAI_BASE_URL"))

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream a reply. The last delta carries the usage as the provider reports it.

        Args:
            prompt: The question and the evidence.
            max_tokens: The greatest length of the reply.
            timeout_s: How long the provider may be silent, in seconds.

        Raises:
            ProviderError: The provider rejected the request, failed, ended early, or sent malformed output.
            MissingDependency: The client is not installed.
        """
        sdk, reply = _sdk(), StreamReply("the provider", field="openai")
        body = {"model": self._model, "messages": messages(prompt), "max_tokens": max_tokens}
        options = {"stream": True, "stream_options": {"include_usage": True}, "timeout": timeout_s}
        try:
            create = self._open(sdk, timeout_s).chat.completions.create
            async with await create(**body, **options) as chunks:
                async for chunk in chunks:
                    for text in reply.texts(_document(chunk)):
                        yield Delta(text)
            reply.check_whole()
        except ParbakeError:
            raise
        except Exception as error:  # noqa: BLE001  # raised below, without the original error, which may contain the key
            failed = self._failure(sdk, error)
        else:
            yield Delta("", reply.usage)
            return
        raise failed

    def _failure(self, sdk: Any, error: Exception) -> ProviderError:
        """Describe what went wrong, with the key masked."""
        if isinstance(error, sdk.AuthenticationError):
            return ProviderError("the provider rejected OPENAI_API_KEY", field="OPENAI_API_KEY")
        said = self._hide(str(error)) or type(error).__name__
        what = "failed" if isinstance(error, sdk.OpenAIError) else "sent a reply that cannot be read"
        return ProviderError(f"the provider {what}: {said}", field="openai")

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


def _document(chunk: Any) -> Any:
    """Return the chunk as plain data; a malformed one is returned unchanged, like the client does."""
    return chunk.model_dump(warnings=False) if hasattr(chunk, "model_dump") else chunk


def _sdk() -> Any:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise MissingDependency.of("an OpenAI generator", "openai", field="openai") from error
    return openai
