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
from parbake_llm.generators._hosted.claude_rules import bedrock_rules
from parbake_llm.generators._hosted.clients.aws_clients import ACCESS, SECRET, SESSION, AwsClients, region_of
from parbake_llm.generators._hosted.clients.aws_errors import cause_of_aws
from parbake_llm.generators._hosted.clients.failures import FailureCause
from parbake_llm.generators._hosted.clients.keys import (
    check_address,
    check_key,
    check_model,
    optional_key,
    required,
    required_key,
)
from parbake_llm.generators._hosted.handover import handed_over
from parbake_llm.generators._hosted.request import Attempt, Hosted, shown_address
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Prompt
from parbake_llm.writing.placement import CacheRules

BEARER = "AWS_BEARER_TOKEN_BEDROCK"
FOUND_BY_BOTO3 = (
    BEARER, "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)  # fmt: skip
"""If one of these is set, ``boto3`` is left to find the credentials."""
CONNECTIONS = 64


class BedrockGenerator(Hosted):
    """Generates through ``boto3`` in a thread; connects within 1 s and retries at most once inside a request."""

    name = "bedrock"

    def __init__(
        self,
        *,
        model: str,
        region: str,
        access_key: str = "",
        secret_key: str = "",
        session_token: str = "",
        endpoint_url: str | None = None,
        rules: CacheRules | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Create the generator, without connecting yet.

        Args:
            model: The id of the model or of its inference profile.
            region: The region, such as ``eu-west-1``.
            access_key: The id of the access key; without one, ``boto3`` finds the credentials as usual.
            secret_key: The secret of the access key.
            session_token: The token of a temporary access key.
            endpoint_url: The endpoint's URL; Amazon's own by default.
            rules: How the model caches prefixes; by default as
                :func:`parbake_llm.generators._hosted.claude_rules.bedrock_rules` says.
            options: Further fields of each request, such as ``additionalModelRequestFields``.

        Raises:
            ProviderError: A key, the model or the address cannot be used.
            MissingDependency: The client is not installed.
        """
        check_model(model)
        keys = {ACCESS: access_key, SECRET: secret_key, SESSION: session_token}
        for variable, key in keys.items():
            check_key(key, variable, may_be_empty=True)
        check_address(endpoint_url, "endpoint_url")
        secrets = (*keys.values(), os.environ.get(BEARER, ""))
        super().__init__(provider="bedrock", model=model, rules=rules or bedrock_rules(model), secrets=secrets)
        self._region = region
        self._endpoint_url = endpoint_url
        self._options = dict(options or {})
        self._aws = AwsClients("a Bedrock generator", region=region, keys=keys)

    def __repr__(self) -> str:
        """Without the keys."""
        return f"BedrockGenerator(model={self.model!r}, region={self._region!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> BedrockGenerator:
        """Read ``BEDROCK_MODEL``, ``AWS_REGION`` (or ``AWS_DEFAULT_REGION``), the keys and ``BEDROCK_ENDPOINT_URL``.

        Raises :class:`ProviderError` that names the missing variable.
        """
        env = os.environ if environment is None else environment
        model = required(env, "BEDROCK_MODEL")
        region = region_of(env)
        access = optional_key(env, ACCESS)
        is_found = not access and any(env.get(name) for name in FOUND_BY_BOTO3)
        return cls(
            model=model,
            region=region,
            access_key="" if is_found else required_key(env, ACCESS),
            secret_key="" if is_found else required_key(env, SECRET),
            session_token="" if is_found else optional_key(env, SESSION),
            endpoint_url=env.get("BEDROCK_ENDPOINT_URL") or None,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        self._aws.close()

    async def _attempt(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        reply = ConverseReply(self.name)
        body = converse_request(prompt, self.rules)
        body |= {"modelId": self.model, "inferenceConfig": {"maxTokens": max_tokens}} | self._options
        async with aclosing(handed_over(lambda: self._events(body, attempt))) as events:
            async for event in events:
                for delta in reply.deltas(event):
                    yield delta
        reply.check_whole()
        yield Delta(usage=reply.usage)

    def _events(self, body: Mapping[str, Any], attempt: Attempt) -> Iterator[Mapping[str, Any]]:
        """Ask, and yield the events; runs in a thread."""
        response = self._client(attempt.left()).converse_stream(**body)
        attempt.is_open = True
        with closing(response["stream"]) as events:
            yield from events

    def _client(self, seconds: float) -> Any:
        """A client whose connections stay silent no longer than a power of two that covers the seconds.

        The timeout belongs to the client, not to the request, and ends the thread of a request that was given up.
        """
        silence = 2 ** max(0, math.ceil(math.log2(max(seconds, 1.0))))
        return self._aws.client("bedrock-runtime", self._endpoint_url, silence, max_pool_connections=CONNECTIONS)

    def _cause(self, error: Exception, *, is_open: bool) -> FailureCause:
        return cause_of_aws(error, is_open=is_open)

    def _address(self) -> tuple[str, str]:
        where = shown_address(self._endpoint_url)
        return (where, "endpoint_url") if where else (f"Amazon's address for {self._region}", "region")

    def _key_names(self) -> str:
        return f"{ACCESS} and {SECRET}"
