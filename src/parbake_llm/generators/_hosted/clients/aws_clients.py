"""The clients of ``boto3`` for one account, and the settings of AWS in the environment."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from parbake.errors import MissingDependency
from parbake_llm.generators._hosted.clients import CONNECT_S
from parbake_llm.generators._hosted.clients.keys import required

ACCESS, SECRET, SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"


def region_of(environment: Mapping[str, str]) -> str:
    """Read ``AWS_REGION`` or ``AWS_DEFAULT_REGION``; raises :class:`ProviderError` if neither is set."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or required(environment, "AWS_REGION")


class AwsClients:
    """Makes each client once. Safe to share between threads."""

    def __init__(self, purpose: str, *, region: str, keys: Mapping[str, str]) -> None:
        """Load ``boto3``, without connecting yet.

        Args:
            purpose: What needs the clients, for the error.
            region: The region, such as ``eu-west-1``.
            keys: The access key, its secret and the session's token by their variables; without a value ``boto3``
                finds the credentials as usual.

        Raises:
            MissingDependency: The package is not installed.
        """
        try:
            import boto3
        except ModuleNotFoundError as error:
            raise MissingDependency.of(purpose, "bedrock", field="boto3") from error
        self._boto3: Any = boto3
        self._arguments = {"region_name": region} | {name.lower(): key for name, key in keys.items() if key}
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

    def close(self) -> None:
        """Close the connections."""
        made, self._made = self._made, {}
        for client in made.values():
            client.close()

    def _new(self, service: str, url: str | None, silence: float, options: Mapping[str, Any]) -> Any:
        from botocore.config import Config

        self._session = self._session or self._boto3.session.Session(**self._arguments)
        config = Config(connect_timeout=CONNECT_S, read_timeout=silence, retries={"total_max_attempts": 1}, **options)
        return self._session.client(service, endpoint_url=url, config=config)
