"""Shared by engines with the OpenAI chat protocol: prompts out, deltas in."""

from __future__ import annotations

from parbake.generators._hosted.chat import StreamReply, messages, usage_of

__all__ = ["StreamReply", "messages", "usage_of"]
