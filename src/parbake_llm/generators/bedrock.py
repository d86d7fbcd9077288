"""Models at Amazon Bedrock, through ``boto3`` and the Converse protocol.

The keys come from ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY`` (or the files that the same names with ``_FILE``
name), and are never shown. With a profile, a role or a bearer token, ``boto3`` finds the credentials itself.
"""

from __future__ import annotations

import math
import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, closing
from typing import Any

from parbake_llm.generators._hosted.bedrock_converse import ConverseReply, converse_request
from parbake_llm.generators._hosted.bedrock_endpoint import BedrockEndpoint
from parbake_llm.generators._hosted.clients.aws_clients import AwsAccount, AwsClients
from parbake_llm.generators._hosted.clients.keys import required
from parbake_llm.generators._hosted.handover import handed_over
from parbake_llm.generators._hosted.request import Attempt, Hosted
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Prompt

__all__ = ["AwsAccount", "BedrockGenerator"]
CONNECTIONS = 64


class BedrockGenerator(BedrockEndpoint, Hosted[AwsClients]):
    """Generates through ``boto3`` in a thread, within :class:`parbake_llm.ports.limits.Limits`."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> BedrockGenerator:
        """Read ``BEDROCK_MODEL``, ``AWS_REGION`` (or ``AWS_DEFAULT_REGION``), the keys and ``BEDROCK_ENDPOINT_URL``.

        It also reads its limits (:meth:`parbake_llm.ports.limits.Limits.from_environment`). Raises
        :class:`ProviderError` that names the missing variable.
        """
        env = os.environ if environment is None else environment
        return cls(
            model=required(env, "BEDROCK_MODEL"),
            account=AwsAccount.from_environment(env, needs_keys=True),
            endpoint_url=env.get("BEDROCK_ENDPOINT_URL") or None,
        ).configured(env)

    async def _attempt(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        reply = ConverseReply(self.name)
        body = converse_request(prompt, self.rules)
        body |= {"modelId": self.model, "inferenceConfig": {"maxTokens": max_tokens}} | self._options
        async with aclosing(handed_over(lambda: self._events(body, attempt))) as events:
            async for event in events:
                attempt.begun()
                for delta in reply.deltas(event):
                    yield delta
        reply.check_whole()
        yield Delta(usage=reply.usage)

    def _events(self, body: Mapping[str, Any], attempt: Attempt) -> Iterator[Mapping[str, Any]]:
        """Ask, and yield the events; runs in a thread."""
        response = self._of_runtime(attempt.left()).converse_stream(**body)
        attempt.is_open = True
        with closing(response["stream"]) as events:
            yield from events

    def _of_runtime(self, seconds: float) -> Any:
        """A client whose connections stay silent no longer than a power of two that covers the seconds.

        The timeout belongs to the client, not to the request, and ends the thread of a request that was given up.
        """
        silence = 2 ** max(0, math.ceil(math.log2(max(seconds, 1.0))))
        return self._client.client("bedrock-runtime", self._client.url, silence, max_pool_connections=CONNECTIONS)
