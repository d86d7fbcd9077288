"""One of the official clients whose errors have the same names: those of OpenAI and of Anthropic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from parbake.errors import MissingDependency
from parbake_llm.generators._hosted.clients import CALL_S, CONNECT_S
from parbake_llm.generators._hosted.clients.failures import FailureCause
from parbake_llm.generators._hosted.clients.keys import check_address, check_key
from parbake_llm.generators._hosted.clients.provider_client import ProviderClient, shown_address
from parbake_llm.generators._hosted.clients.sdk_errors import cause_of_sdk


class SdkClient(ProviderClient):
    """A client that is opened once in each event loop, to which its connections belong. It never retries by itself.

    Attributes:
        base_url: The endpoint's URL; ``None`` for the provider's own.
    """

    setting = "base_url"

    def __init__(
        self, sdk: Callable[[], Any], kind: str, *, extra: str, key: str, api_key: str, base_url: str | None
    ) -> None:
        """Load the client, without connecting yet: a first request would have to wait a second for the import.

        Args:
            sdk: Imports the client's package.
            kind: The name of the client's class in the package.
            extra: The name of the package, and of the extra that brings it.
            key: The variable that usually holds the key, for errors.
            api_key: The key.
            base_url: The endpoint's URL; ``None`` for the provider's own.

        Raises:
            ProviderError: The key or the address cannot be used.
            MissingDependency: The client is not installed.
        """
        check_key(api_key, key)
        check_address(base_url, "base_url")
        try:
            self._sdk = sdk()
        except ModuleNotFoundError as error:
            raise MissingDependency.of(f"a model behind {kind}", extra, field=extra) from error
        self.keys, self.secrets, self.where, self.base_url = key, (api_key,), shown_address(base_url), base_url
        self._kind = kind
        self._opened: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def here(self) -> Any:
        """The client of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            made = getattr(self._sdk, self._kind)
            self._loop = loop
            self._opened = made(api_key=self.secrets[0], base_url=self.base_url, max_retries=0, timeout=CALL_S)
        return self._opened

    def timeout(self, seconds: float) -> Any:
        """The timeout of a request with so many seconds left, as the client takes it."""
        return self._sdk.Timeout(seconds, connect=min(CONNECT_S, seconds))

    async def aclose(self) -> None:
        opened, self._opened, self._loop = self._opened, None, None
        if opened is not None:
            await opened.close()

    def cause(self, error: Exception, *, is_open: bool = False) -> FailureCause:
        return cause_of_sdk(self._sdk, error, is_open=is_open)
