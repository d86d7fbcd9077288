"""What a turn asks for: the head's intent, corrected by what only the conversation and the catalog can tell."""

from __future__ import annotations

import re

from retail_assistant.chat.products import named_product
from retail_assistant.chat.turn import Turn
from retail_assistant.chat.wording import named_format
from retail_assistant.live import LiveShop

RECOMMENDED = ("You might like these:", "Readers like these right now:")
_PRICE = re.compile(r"\b(?:cheap|price|cost|expensive|how much|stock|available|availability)", re.IGNORECASE)
_LIMIT = re.compile(
    r"\b(?:under|below|less than|cheaper than|at most|up to|no more than|max(?:imum)?|between|around)\s*[€$£]?\s*\d"
    r"|\bcheapest\b",
    re.IGNORECASE,
)
_WANTED = re.compile(
    r"\b(?:recommend|suggest|something|anything|any|show me|books?|manga|thrillers?|stories|read)\b", re.IGNORECASE
)
_STAYS = {"order_status", "reviews", "price_stock"}
_SHORT_WORDS = 8


def follows(turn: Turn) -> bool:
    """Whether a message means something only after what was said before."""
    return bool(turn.history) and turn.screened.refusal == "context_dependent"


def after_recommendation(turn: Turn) -> bool:
    """Whether the assistant has just recommended, and the shopper answers in a few words."""
    spoken = [text for role, text in turn.history if role == "assistant"]
    return bool(spoken) and spoken[-1].startswith(RECOMMENDED) and len(turn.message.split()) <= _SHORT_WORDS


def corrected(turn: Turn, intent: str, shop: LiveShop) -> str:
    """The intent to act on."""
    if _PRICE.search(turn.message) and not _LIMIT.search(turn.message):
        about_this = follows(turn) and not after_recommendation(turn)
        if about_this or (intent != "price_stock" and named_product(turn.message, shop) is not None):
            return "price_stock"
    if follows(turn) and named_format(turn.message):
        return "price_stock"
    if intent in _STAYS:
        return intent
    if _LIMIT.search(turn.message) and _WANTED.search(turn.message):
        return "recommendation"
    if after_recommendation(turn) and intent not in ("trending", "product_search"):
        return "recommendation"
    return intent
