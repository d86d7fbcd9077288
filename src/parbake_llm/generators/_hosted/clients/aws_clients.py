"""The clients of ``boto3`` for one account, and the settings of AWS in the environment."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parbake.errors import MissingDependency
from parbake.process.outgoing import along
from parbake_llm.generators._hosted.clients import CONNECT_S
from parbake_llm.generators._hosted.clients.aws_errors import cause_of_aws
from parbake_llm.generators._hosted.clients.failures import FailureCause
from parbake_llm.generators._hosted.clients.keys import check_address, check_key, optional_key, required, required_key
from parbake_llm.generators._hosted.clients.provider_client import ProviderClient, shown_address

_ACCESS, SECRET, SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_BEARER = "AWS_BEARER_TOKEN_BEDROCK"
_FOUND_BY_BOTO3 = (
    _BEARER, "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)  # fmt: skip
"""If one of these is set, ``boto3`` is left to find the credentials."""


@dataclass(frozen=True)
class AwsAccount:
    """A region and the keys of an account. Raises :class:`parbake.errors.ProviderError` for a key that cannot be sent.

    Attributes:
        region: The region, such as ``eu-west-1``.
        access_key: The id of the access key; without one, ``boto3`` finds the credentials as usual.
        secret_key: The secret of the access key.
        session_token: The token of a temporary access key.
    """

    region: str
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Check the keys."""
        for variable, key in self.keys.items():
            check_key(key, variable, may_be_empty=True)

    @property
    def keys(self) -> dict[str, str]:
        """The keys by their variables."""
        return {_ACCESS: self.access_key, SECRET: self.secret_key, SESSION: self.session_token}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, needs_keys: bool) -> AwsAccount:
        """Read ``AWS_REGION`` (or ``AWS_DEFAULT_REGION``) and the keys.

        Args:
            environment: The environment.
            needs_keys: Whether the keys have to be there, unless a profile, a role or a bearer token is.

        Raises:
            ProviderError: A variable is missing.
        """
        env = environment
        region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or required(env, "AWS_REGION")
        access = optional_key(env, _ACCESS)
        if not access and any(env.get(name) for name in _FOUND_BY_BOTO3):
            return cls(region)
        read = required_key if needs_keys else optional_key
        return cls(region, read(env, _ACCESS), read(env, SECRET), optional_key(env, SESSION))


class AwsClients(ProviderClient):
    """Makes the client of each service once. Safe to share between threads."""

    keys = f"{_ACCESS} and {SECRET}"

    def __init__(self, purpose: str, account: AwsAccount, url: str | None) -> None:
        """Load ``boto3``, without connecting yet.

        Args:
            purpose: What needs the clients, for the error.
            account: The account.
            url: Bedrock's URL; Amazon's own by default.

        Raises:
            ProviderError: The address cannot be used.
            MissingDependency: The package is not installed.
        """
        check_address(url, "endpoint_url")
        try:
            import boto3
        except ModuleNotFoundError as error:
            raise MissingDependency.of(purpose, "bedrock", field="boto3") from error
        self._boto3: Any = boto3
        self.secrets = (*account.keys.values(), os.environ.get(_BEARER, ""))
        self.where = shown_address(url) or account.region
        self.setting, self.url = "endpoint_url" if url else "region", url
        self._arguments = {name.lower(): key for name, key in account.keys.items() if key}
        self._arguments["region_name"] = account.region
        self._session: Any = None
        self._made: dict[tuple[str, float], Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str, url: str | None, silence: float, **options: Any) -> Any:
        """The client of a service, whose connections stay silent for at most some seconds.

        Args:
            service: The name of the service.
            url: The endpoint's URL; Amazon's own by default.
            silence: The seconds.
            options: Further options, always the same for one service.
        """
        with self._lock:
            if (service, silence) not in self._made:
                self._made[service, silence] = self._new(service, url, silence, options)
            return self._made[service, silence]

    async def aclose(self) -> None:
        made, self._made = self._made, {}
        for client in made.values():
            client.close()

    def cause(self, error: Exception, *, is_open: bool = False) -> FailureCause:
        return cause_of_aws(error, is_open=is_open)

    def _new(self, service: str, url: str | None, silence: float, options: Mapping[str, Any]) -> Any:
        from botocore.config import Config

        self._session = self._session or self._boto3.session.Session(**self._arguments)
        config = Config(connect_timeout=CONNECT_S, read_timeout=silence, retries={"total_max_attempts": 1}, **options)
        client = self._session.client(service, endpoint_url=url, config=config)
        client.meta.events.register("before-call", _go_along)
        return client


def _go_along(params: Any, **_: Any) -> None:
    """Add the headers that go along with a call, before it is signed."""
    params["headers"].update(along())
