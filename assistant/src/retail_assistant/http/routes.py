"""All routes of the assistant."""

from __future__ import annotations

from typing import Any

import parbake as pb
from parbake.http import HttpRequest, Route
from retail_assistant.chat.flow import Assistant
from retail_assistant.chat.understanding import Understanding
from retail_assistant.http.chat_routes import ChatRoutes
from retail_assistant.http.chat_routes import error_members as chat_members
from retail_assistant.http.checkout import CheckoutRoutes, changed_total
from retail_assistant.http.complaint_routes import ComplaintRoutes
from retail_assistant.http.identity import Identity
from retail_assistant.http.listing import ListingRoutes
from retail_assistant.http.notice_routes import NoticeRoutes
from retail_assistant.http.page import page_routes
from retail_assistant.http.shop_routes import shop_routes
from retail_assistant.http.sign_in import SignInRoutes
from retail_assistant.http.storefront import StorefrontRoutes
from retail_assistant.http.suggestions import SuggestionRoutes
from retail_assistant.live import LiveShop
from retail_assistant.shop.complaints import Rules
from retail_assistant.shop.connections import PerThread

__all__ = ["all_routes", "error_members"]


def all_routes(
    app: pb.App, assistant: Assistant, understanding: Understanding, rules: Rules, identity: Identity
) -> list[Route]:
    """All routes; ``rules`` are those of complaints, and ``understanding`` spells what is searched for.

    Only operators may change the shop. A shopper whom ``identity`` knows may change the own cart, order what is in it,
    and complain; nobody else may.
    """
    live: LiveShop = app.settings.resources[LiveShop]
    writers: PerThread = app.settings.resources[PerThread]
    rooms = (
        SignInRoutes(app, writers, identity),
        ChatRoutes(app, assistant, live, identity),
        ListingRoutes(app, live, writers, identity, understanding),
        StorefrontRoutes(app, live, writers, identity),
        CheckoutRoutes(app, writers, identity),
        SuggestionRoutes(app, live, writers, identity),
        ComplaintRoutes(app, writers, rules, identity),
        NoticeRoutes(app, live, writers, identity),
    )
    routes = [*page_routes(live.trade), *shop_routes(app, writers, identity)]
    return routes + [route for room in rooms for route in room.routes()]


def error_members(request: HttpRequest, error: pb.ParbakeError) -> dict[str, Any]:
    """What a problem document says beside the problem: OpenAI's ``error`` for the chat, and both totals of a cart."""
    return chat_members(request, error) | changed_total(error)
