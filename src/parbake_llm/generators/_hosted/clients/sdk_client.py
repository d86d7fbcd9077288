"""One of the official clients whose errors have the same names: those of OpenAI and of Anthropic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from parbake.errors import MissingDependency
from parbake_llm.generators._hosted.clients import CONNECT_S
from parbake_llm.generators._hosted.clients.failures import FailureCause
from parbake_llm.generators._hosted.clients.keys import check_address, check_key
from parbake_llm.generators._hosted.clients.sdk_errors import cause_of_sdk


class SdkClient:
    """A client that is opened once in each event loop, to which its connections belong. It never retries by itself.

    Attributes:
        sdk: The client's package.
        base_url: The endpoint's URL; ``None`` for the provider's own.
    """

    def __init__(self, sdk: Any, kind: str, *, api_key: str, base_url: str | None, **settings: Any) -> None:
        """Keep the settings, without connecting yet.

        Args:
            sdk: The client's package.
            kind: The name of the client's class in the package.
            api_key: The key.
            base_url: The endpoint's URL; ``None`` for the provider's own.
            settings: Further arguments of the class.
        """
        self.sdk, self.base_url = sdk, base_url
        self._kind = kind
        self._settings = {"api_key": api_key, "base_url": base_url, "max_retries": 0, **settings}
        self._opened: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def here(self) -> Any:
        """The client of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._opened, self._loop = getattr(self.sdk, self._kind)(**self._settings), loop
        return self._opened

    def timeout(self, seconds: float) -> Any:
        """The timeout of a request with so many seconds left, as the client takes it."""
        return self.sdk.Timeout(seconds, connect=min(CONNECT_S, seconds))

    async def aclose(self) -> None:
        """Close the connections."""
        opened, self._opened, self._loop = self._opened, None, None
        if opened is not None:
            await opened.close()

    def cause(self, error: Exception, *, is_open: bool = False) -> FailureCause:
        """Say why a request failed.

        Args:
            error: What the client raised.
            is_open: Whether the response had begun.
        """
        return cause_of_sdk(self.sdk, error, is_open=is_open)


def loaded(
    sdk: Callable[[], Any],
    kind: str,
    *,
    extra: str,
    purpose: str,
    key: str,
    api_key: str,
    base_url: str | None,
    **settings: Any,
) -> SdkClient:
    """Load a client, without connecting yet: a first request would have to wait a second for the import.

    Args:
        sdk: Imports the client's package.
        kind: The name of the client's class in the package.
        extra: The name of the package, and of the extra that brings it.
        purpose: What needs the client, for the error.
        key: The variable that usually holds the key, for the error.
        api_key: The key.
        base_url: The endpoint's URL; ``None`` for the provider's own.
        settings: Further arguments of the class.

    Raises:
        ProviderError: The key or the address cannot be used.
        MissingDependency: The client is not installed.
    """
    check_key(api_key, key)
    check_address(base_url, "base_url")
    try:
        package = sdk()
    except ModuleNotFoundError as error:
        raise MissingDependency.of(purpose, extra, field=extra) from error
    return SdkClient(package, kind, api_key=api_key, base_url=base_url, **settings)
