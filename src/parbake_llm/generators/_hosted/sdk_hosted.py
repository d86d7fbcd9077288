"""What the generators behind the clients of OpenAI and Anthropic share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parbake_llm.generators._hosted.clients.failures import FailureCause
from parbake_llm.generators._hosted.clients.sdk_client import SdkClient
from parbake_llm.generators._hosted.request import Hosted, shown_address
from parbake_llm.writing.placement import CacheRules


class SdkHosted(Hosted):
    """A generator behind an official client; connects within 1 s and retries at most once inside a request."""

    def __init__(
        self,
        client: SdkClient,
        *,
        provider: str,
        model: str,
        rules: CacheRules,
        keys: Mapping[str, str],
        options: Mapping[str, Any] | None,
    ) -> None:
        """Keep the settings.

        Args:
            client: The client.
            provider: Who hosts the model.
            model: The model's name at the provider.
            rules: How the provider caches prefixes.
            keys: The key by the variable that usually holds it; it is masked in every error.
            options: Further fields of each request.
        """
        super().__init__(provider=provider, model=model, rules=rules, secrets=tuple(keys.values()))
        self._client = client
        self._variables = " and ".join(keys)
        self._options = dict(options or {})

    def __repr__(self) -> str:
        """Without the key."""
        where = shown_address(self._client.base_url)
        return f"{type(self).__name__}(model={self.model!r}, base_url={where!r})"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _cause(self, error: Exception, *, is_open: bool) -> FailureCause:
        return self._client.cause(error, is_open=is_open)

    def _address(self) -> tuple[str, str]:
        where = shown_address(self._client.base_url)
        return (where, "base_url") if where else super()._address()

    def _key_names(self) -> str:
        return self._variables
