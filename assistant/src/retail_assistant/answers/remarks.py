"""Short words for what is said rather than asked, and for what is not for this shop."""

from __future__ import annotations

import re
from collections.abc import Sequence

from retail_assistant.answers.actions import LEFT
from retail_assistant.answers.draft import Draft
from retail_assistant.answers.phrases import AN_ITEM, ITEMS, SUPPORT

GREETING = f"Hello! Ask me about our {ITEMS}, prices, promotions, your orders, or our policies."
OFF_TOPIC = f"Sorry, I can only help with this shop: {ITEMS}, prices, orders and our policies."
HOSTILE = f"Sorry, I cannot do that. I can only help with this shop: {ITEMS}, prices, orders and our policies."
NOTHING_ASKED = "There is nothing to confirm. Tell me what I should do or look up."
WHICH_ONE = "Please tell me which one you mean."
DONE = f"That is done already. Please use the order page, or ask {SUPPORT}."
PRIVATE = "I can only tell signed-in shoppers of their own orders, points, cart and address, and of nobody else's."
_ASKED = re.compile(r"\?\W*$|\?\s+Please answer yes or no\.$|\b[Tt]ell me (?:if|its)\b")
_SOCIAL = {
    "private": PRIVATE,
    "keep": LEFT,
    "greeting": GREETING,
    "thanks": "You are welcome! Ask me whenever you need something.",
    "checkout": "Please open your cart and choose Checkout; I cannot order for you.",
    "nothing": "All right. Ask me whenever you need something.",
    "human": f"I cannot connect you to a person from here. Please write to {SUPPORT}; I help until then.",
    "bot": f"I am this shop's assistant, a program. I help with {ITEMS}, prices, promotions, orders and our policies.",
    "misheard": "I am sorry that my answer missed your question. Please ask it in other words, and say whether it is "
    f"about {AN_ITEM}, your cart, an order, or one of our policies.",
    "insult": f"I am sorry that I was not of help. Tell me what you need, or ask {SUPPORT} for a person.",
    "complaint": "I am sorry to hear that. Tell me what went wrong, with the order number if there is one, or write to "
    f"{SUPPORT}; a person there will look into it.",
}
_UNCLEAR = {
    "alone": f"I am not sure what you mean. Is it about {AN_ITEM} (which one?), an order, or one of our policies?",
    "hinted": f"I am not sure what you mean. Is it {ITEMS} that I should suggest, or one of our policies, "
    "such as returns or delivery?",
}


def remark(slot: str, history: Sequence[tuple[str, str]] = ()) -> Draft:
    """The reply to small talk; a yes is held against what was said last."""
    last = history[-1][1] if history else ""
    if slot == "yes":
        return Draft(WHICH_ONE if _ASKED.search(last) else NOTHING_ASKED)
    if slot == "keep" and last.startswith("Done:"):
        return Draft(DONE)
    return Draft(_SOCIAL.get(slot, GREETING))


def ask_back(slot: str) -> Draft:
    """Ask what is meant; if the words hint at something (``hinted``), ask whether books or a policy are wanted."""
    return Draft(_UNCLEAR.get(slot, _UNCLEAR["alone"]))
