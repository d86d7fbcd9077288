"""Any OpenAI-compatible endpoint: OpenAI itself, vLLM, SGLang, llama.cpp or Ollama, by base URL.

The key comes from ``OPENAI_API_KEY`` or the file that ``OPENAI_API_KEY_FILE`` names, and is never shown.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from parbake.process.outgoing import along
from parbake_llm.generators._hosted.chat import StreamReply
from parbake_llm.generators._hosted.clients.sdk_client import SdkClient
from parbake_llm.generators._hosted.clients.sdk_errors import document
from parbake_llm.generators._hosted.openai_chat import chat_request
from parbake_llm.generators._hosted.openai_endpoint import OpenAIEndpoint
from parbake_llm.generators._hosted.request import Attempt, Hosted
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Prompt


class OpenAIGenerator(OpenAIEndpoint, Hosted[SdkClient]):
    """Generates through the official client, within :class:`parbake_llm.ports.limits.Limits`."""

    async def _attempt(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        reply = StreamReply(self.name)
        body, extra = chat_request(prompt, self.rules, self._caching)
        body |= {"model": self.model, self._length_field(): max_tokens, "extra_body": self._options | extra or None}
        async with await self._client.here().chat.completions.create(
            **body,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=along(),
            timeout=self._client.timeout(attempt.left()),
        ) as chunks:
            attempt.is_open = True
            async for chunk in chunks:
                attempt.begun()
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
