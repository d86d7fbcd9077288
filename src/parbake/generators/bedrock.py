"""Models at Amazon Bedrock, through ``boto3`` and the Converse protocol.

The keys come from ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY`` (or the files that the same names with ``_FILE``
name), and are never shown. With a profile, a role or a bearer token, ``boto3`` finds the credentials itself.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, closing
from typing import Any

from parbake.errors import FailureKind, MissingDependency
from parbake.generators._hosted.bedrock_converse import ConverseReply, converse_request
from parbake.generators._hosted.claude_rules import bedrock_rules
from parbake.generators._hosted.failures import (
    FailureCause,
    kind_of_code,
    kind_of_status,
    kind_of_transport,
    retry_after,
)
from parbake.generators._hosted.handover import handed_over
from parbake.generators._hosted.keys import check_key, optional_key, required, required_key
from parbake.generators._hosted.request import CONNECT_S, Attempt, Hosted
from parbake.ports.models import Delta
from parbake.ports.prompts import Prompt
from parbake.prompt.writing.placement import CacheRules

ACCESS, SECRET, SESSION, BEARER = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK",
)  # fmt: skip
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
                :func:`parbake.generators._hosted.claude_rules.bedrock_rules` says.
            options: Further fields of each request, such as ``additionalModelRequestFields``.

        Raises:
            ProviderError: A key cannot be sent.
            MissingDependency: The client is not installed.
        """
        for key, variable in ((access_key, ACCESS), (secret_key, SECRET), (session_token, SESSION)):
            check_key(key, variable, may_be_empty=True)
        bearer = os.environ.get(BEARER, "")
        secrets = (access_key, secret_key, session_token, bearer)
        super().__init__(provider="bedrock", model=model, rules=rules or bedrock_rules(model), secrets=secrets)
        self._region = region
        self._keys = {
            "aws_access_key_id": access_key or None,
            "aws_secret_access_key": secret_key or None,
            "aws_session_token": session_token or None,
        }
        self._endpoint_url = endpoint_url
        self._options = dict(options or {})
        self._session: Any = None
        self._clients: dict[int, Any] = {}
        self._lock = threading.Lock()
        _sdk()  # imported here and not in the first request

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
        region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or required(env, "AWS_REGION")
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
        clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

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
        with self._lock:
            if silence not in self._clients:
                self._clients[silence] = self._made(silence)
            return self._clients[silence]

    def _made(self, silence: int) -> Any:
        boto3, config = _sdk(), _config()
        self._session = self._session or boto3.session.Session(region_name=self._region, **self._keys)
        options = config(
            connect_timeout=CONNECT_S,
            read_timeout=silence,
            retries={"total_max_attempts": 1},
            max_pool_connections=CONNECTIONS,
        )
        return self._session.client("bedrock-runtime", endpoint_url=self._endpoint_url, config=options)

    def _cause(self, error: Exception, *, is_open: bool) -> FailureCause:
        response = getattr(error, "response", None)
        if not isinstance(response, Mapping):
            return FailureCause(_kind_of_client(error, is_open=is_open), str(error))
        found, metadata = response.get("Error") or {}, response.get("ResponseMetadata") or {}
        status = metadata.get("HTTPStatusCode")
        other = kind_of_status(status) if isinstance(status, int) else FailureKind.UNKNOWN
        said = f"{found.get('Code')}: {found.get('Message')}"
        return FailureCause(kind_of_code(found.get("Code")) or other, said, retry_after(metadata.get("HTTPHeaders")))

    def _key_names(self) -> str:
        return f"{ACCESS} and {SECRET}"


def _kind_of_client(error: Exception, *, is_open: bool) -> FailureKind:
    """Say why the client failed where the service did not report an error."""
    if type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError"}:
        return FailureKind.AUTH
    if type(error).__name__ == "ParamValidationError":
        return FailureKind.REJECTED
    unknown = FailureKind.MALFORMED if is_open else FailureKind.UNKNOWN
    return kind_of_transport(error, is_open=is_open) or unknown


def _sdk() -> Any:
    try:
        import boto3
    except ModuleNotFoundError as error:
        raise MissingDependency.of("a Bedrock generator", "bedrock", field="boto3") from error
    return boto3


def _config() -> Any:
    from botocore.config import Config

    return Config
