"""Short words for what is said rather than asked, and for what is not for this shop."""

from __future__ import annotations

from retail_assistant.answers.draft import Draft
from retail_assistant.understand.ask import Kind, Reading

GREETING = "Hello! Ask me about our books, prices, promotions, your orders, or our policies."
OFF_TOPIC = "Sorry, I can only help with this shop: books, prices, orders and our policies."
HOSTILE = "Sorry, I cannot do that. I can only help with this shop: books, prices, orders and our policies."
_SOCIAL = {
    "greeting": GREETING,
    "thanks": "You are welcome! Ask me whenever you need something.",
    "human": "I cannot connect you to a person from here. Please write to our support team; I help until then.",
    "bot": "I am this shop's assistant, a program. I help with books, prices, promotions, orders and our policies.",
    "insult": "I am sorry that I was not of help. Tell me what you need, or ask our support team for a person.",
    "complaint": "I am sorry to hear that. Tell me what went wrong, with the order number if there is one, or write to "
    "our support team; a person there will look into it.",
}
_MEANS: dict[Kind, str] = {
    "policy": "one of our policies, such as returns or delivery",
    "offer": "the price or the stock of a book",
    "facts": "what a book is about, or who wrote it",
    "list": "books that I should suggest",
    "compare": "a comparison of books",
    "promotion": "a promotion",
    "reviews": "what readers say of a book",
    "trending": "what is popular",
    "cart": "your cart",
    "orders": "one of your orders",
    "points": "your points",
    "action": "something that I should do in your cart or with an order",
}


def remark(slot: str) -> Draft:
    """The reply to small talk."""
    return Draft(_SOCIAL.get(slot, GREETING))


def ask_back(first: Reading | None, second: Reading | None) -> Draft:
    """Ask which of the two likeliest readings is meant."""
    if first is None and second is None:
        return Draft("I am not sure what you mean. Is it about a book (which one?), an order, or one of our policies?")
    if first is None and second is None:
        return Draft("I am not sure what you mean. Is it about a book (which one?), an order, or one of our policies?")
    means = [_MEANS[r.kind] for r in (first, second) if r is not None and r.kind in _MEANS]
    if len(means) < 2:  # noqa: PLR2004  # two readings
        means = [_MEANS["list"], _MEANS["policy"]]
    return Draft(f"I am not sure what you mean. Is it {means[0]}, or {means[1]}?")
