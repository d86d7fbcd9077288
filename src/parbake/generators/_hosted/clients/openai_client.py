"""OpenAI's official client, and its settings in the environment. Every server with the same protocol takes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, get_args

from parbake.errors import FailureKind, MissingDependency, ProviderError
from parbake.generators._hosted.clients.keys import check_address, check_key, required_key
from parbake.generators._hosted.clients.sdk_client import SdkClient

KEY = "OPENAI_API_KEY"
Caching = Literal["server", "key", "explicit"]
"""What is said about caching: nothing, a ``prompt_cache_key``, or that and where the prefixes end."""
CACHINGS: tuple[Caching, ...] = get_args(Caching)


class OpenAISettings(TypedDict):
    """The settings that generator and batch interface read from the environment."""

    model: str
    api_key: str
    base_url: str | None
    caching: Caching


def openai_settings(environment: Mapping[str, str] | None) -> OpenAISettings:
    """Read the settings from an environment, by default that of the process.

    Raises :class:`ProviderError` that names the variable that is missing or wrong.
    """
    env = os.environ if environment is None else environment
    return OpenAISettings(
        model=env.get("OPENAI_MODEL") or "gpt-4o-mini",
        api_key=required_key(env, KEY),
        base_url=env.get("OPENAI_BASE_URL") or None,
        caching=checked_caching(env.get("OPENAI_CACHING") or "server", "OPENAI_CACHING"),
    )


def openai_client(purpose: str, *, api_key: str, base_url: str | None, **settings: Any) -> SdkClient:
    """Load the client, without connecting yet: a request would have to wait a second for that.

    Args:
        purpose: What needs the client, for the error.
        api_key: The key.
        base_url: The endpoint's URL; OpenAI's own by default.
        settings: Further arguments of the client.

    Raises:
        ProviderError: The key or the address cannot be used.
        MissingDependency: The client is not installed.
    """
    check_key(api_key, KEY)
    check_address(base_url, "base_url")
    try:
        import openai
    except ModuleNotFoundError as error:
        raise MissingDependency.of(purpose, "openai", field="openai") from error
    return SdkClient(openai, "AsyncOpenAI", api_key=api_key, base_url=base_url, **settings)


def checked_caching(caching: Any, setting: str = "caching") -> Caching:
    """Return what requests say about caching; raises :class:`ProviderError` for an unknown value.

    Args:
        caching: The value.
        setting: The setting or variable that it comes from, for the error.
    """
    if caching not in CACHINGS:
        message = f"{setting} must be one of {', '.join(CACHINGS)}, not {caching!r}"
        raise ProviderError(message, field=setting, kind=FailureKind.REJECTED)
    found: Caching = caching
    return found
