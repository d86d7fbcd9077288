"""Anthropic's official client, and its settings in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypedDict

from parbake.errors import MissingDependency
from parbake.generators._hosted.clients.keys import check_address, check_key, required_key
from parbake.generators._hosted.clients.sdk_client import SdkClient

KEY = "ANTHROPIC_API_KEY"
MODEL = "claude-haiku-5-5"


class AnthropicSettings(TypedDict):
    """The settings that generator and batch interface read from the environment."""

    model: str
    api_key: str
    base_url: str | None


def anthropic_settings(environment: Mapping[str, str] | None) -> AnthropicSettings:
    """Read the settings from an environment, by default that of the process.

    Raises :class:`ProviderError` that names the missing variable.
    """
    env = os.environ if environment is None else environment
    return AnthropicSettings(
        model=env.get("ANTHROPIC_MODEL") or MODEL,
        api_key=required_key(env, KEY),
        base_url=env.get("ANTHROPIC_BASE_URL") or None,
    )


def anthropic_client(purpose: str, *, api_key: str, base_url: str | None, **settings: Any) -> SdkClient:
    """Load the client, without connecting yet: a request would have to wait a second for that.

    Args:
        purpose: What needs the client, for the error.
        api_key: The key.
        base_url: The endpoint's URL; Anthropic's own by default.
        settings: Further arguments of the client.

    Raises:
        ProviderError: The key or the address cannot be used.
        MissingDependency: The client is not installed.
    """
    check_key(api_key, KEY)
    check_address(base_url, "base_url")
    try:
        import anthropic
    except ModuleNotFoundError as error:
        raise MissingDependency.of(purpose, "anthropic", field="anthropic") from error
    return SdkClient(anthropic, "AsyncAnthropic", api_key=api_key, base_url=base_url, **settings)
