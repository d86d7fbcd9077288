"""What generators and batch interfaces need of a provider's official client."""

from __future__ import annotations

from abc import ABC, abstractmethod

from parbake_llm.generators._hosted.clients.failures import FailureCause


class ProviderClient(ABC):
    """A client with its keys and its address.

    Attributes:
        keys: The variables that usually hold the keys, as a sentence names them.
        secrets: What is masked in every error.
        where: Where the provider is asked, without secrets; empty for the provider's own address.
        setting: The setting that says where.
    """

    keys: str
    secrets: tuple[str, ...]
    where: str
    setting: str

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections."""

    @abstractmethod
    def cause(self, error: Exception, *, is_open: bool = False) -> FailureCause:
        """Say why a request failed.

        Args:
            error: What the client raised.
            is_open: Whether the response had begun.
        """


def shown_address(url: str | None) -> str:
    """An address without what may be secret in it: everything before an ``@``, and the query."""
    return (url or "").partition("?")[0].rpartition("@")[2]
