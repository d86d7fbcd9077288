"""OpenAI's official client, and its settings in the environment. Every server with the same protocol takes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, get_args

from parbake.errors import FailureKind, ProviderError
from parbake_llm.generators._hosted.clients.keys import required_key
from parbake_llm.generators._hosted.clients.sdk_client import SdkClient, loaded

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


def openai_client(purpose: str, **settings: Any) -> SdkClient:
    """Load OpenAI's client; see :func:`parbake_llm.generators._hosted.clients.sdk_client.loaded` for the settings."""
    return loaded(_sdk, "AsyncOpenAI", extra="openai", purpose=purpose, key=KEY, **settings)


def _sdk() -> Any:
    import openai

    return openai


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
