"""Anthropic's official client, and its settings in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypedDict

from parbake_llm.generators._hosted.clients.keys import required_key
from parbake_llm.generators._hosted.clients.sdk_client import SdkClient, loaded

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


def anthropic_client(purpose: str, **settings: Any) -> SdkClient:
    """Load Anthropic's client; :func:`parbake_llm.generators._hosted.clients.sdk_client.loaded` says how."""
    return loaded(_sdk, "AsyncAnthropic", extra="anthropic", purpose=purpose, key=KEY, **settings)


def _sdk() -> Any:
    import anthropic

    return anthropic
