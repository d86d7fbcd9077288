"""All routes of the assistant."""

from __future__ import annotations

import parbake as pb
from parbake.http import Route
from retail_assistant.chat.flow import Assistant
from retail_assistant.http.chat import ChatRoutes, error_members
from retail_assistant.http.complaints import ComplaintRoutes
from retail_assistant.http.page import ROUTES as PAGE
from retail_assistant.http.shop import ShopRoutes
from retail_assistant.http.storefront import StorefrontRoutes
from retail_assistant.live import LiveShop
from retail_assistant.shop.complaints import Rules
from retail_assistant.shop.connections import PerThread

__all__ = ["all_routes", "error_members"]


def all_routes(app: pb.App, assistant: Assistant, rules: Rules) -> list[Route]:
    """The routes of chat, shop, storefront, complaints (under ``rules``) and page.

    Only operators may change the shop; shoppers may change their carts.
    """
    live: LiveShop = app.settings.resources[LiveShop]
    writers: PerThread = app.settings.resources[PerThread]
    chat = ChatRoutes(app, assistant, live)
    shop, complaints = ShopRoutes(app, writers), ComplaintRoutes(app, writers, rules)
    storefront = StorefrontRoutes(app, live, writers)
    return [*PAGE, *chat.routes(), *shop.routes(), *storefront.routes(), *complaints.routes()]
