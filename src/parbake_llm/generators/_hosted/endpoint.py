"""What a provider's generator and its batch interface share: the client, the model, and how prefixes are cached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

from parbake_llm.generators._hosted.clients.keys import check_model
from parbake_llm.generators._hosted.clients.provider_client import ProviderClient
from parbake_llm.writing.placement import CacheRules

C = TypeVar("C", bound=ProviderClient)


class Endpoint(Generic[C]):
    """A model at a provider.

    Attributes:
        name: The name of the kind of generator, by which tokens are priced.
        provider: Who hosts the model.
        model: The model's name at the provider.
        rules: How the provider caches prefixes.
    """

    name: str
    provider: str

    def __init__(self, client: C, *, model: str, rules: CacheRules, options: Mapping[str, Any] | None) -> None:
        """Keep the settings.

        Args:
            client: The client.
            model: The model's name at the provider.
            rules: How the provider caches prefixes.
            options: Further fields of each request.

        Raises:
            ProviderError: The model has no name.
        """
        check_model(model)
        self.model, self.rules = model, rules
        self._client, self._options = client, dict(options or {})

    def __repr__(self) -> str:
        """Without keys."""
        return f"{type(self).__name__}(model={self.model!r}, {self._client.setting}={self._client.where!r})"

    def configured(self, environment: Mapping[str, str]) -> Self:
        """Take further settings from the environment; a batch interface has none."""
        del environment
        return self

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
