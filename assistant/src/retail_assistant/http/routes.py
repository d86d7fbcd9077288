"""All routes of the assistant."""

from __future__ import annotations

from typing import Any

import parbake as pb
from retail_assistant.chat.flow import Assistant
from retail_assistant.http.chat import PATH, ChatRoutes, error_members
from retail_assistant.http.page import page
from retail_assistant.http.shop import ShopRoutes
from retail_assistant.live import LiveShop
from retail_assistant.shop.connections import PerThread

__all__ = ["all_routes", "error_members"]


def all_routes(app: pb.App, assistant: Assistant) -> list[tuple[str, str, Any]]:
    """(method, path, handler) of chat, shop and page."""
    live: LiveShop = app.resources[LiveShop]
    chat = ChatRoutes(app, assistant, live)
    return [("GET", "/", page), ("POST", PATH, chat.complete), *ShopRoutes(app, app.resources[PerThread]).table()]
