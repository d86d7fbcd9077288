"""The check on every sentence that leaves, precompiled ones too, against live data."""

from __future__ import annotations

import asyncio
import re

import msgspec

import parbake as pb
import parbake_semantic.guard
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.shop.opening import opening
from retail_assistant.shop.shop_words import VOCABULARY

tasks = pb.Registry()
UNGROUNDED = "ungrounded"
"""How the violation of a claim begins that no current source makes."""
UNSUPPORTED = "unsupported"
"""How the violation of a sentence begins that says something else than the evidence from which it was worded."""
MOST_SAID, MOST_WORDED, MOST_TOLD = 20_000, 2_000, 20_000
"""The most characters of a sentence, of one that a generator worded, and of what it was told; a policy has no more."""
_PERSONAL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.\w+|\+?\d[\d ()/-]{8,}\d")


class Checked(msgspec.Struct, frozen=True):
    """What may be shown (empty: nothing), and the violation that was found, if any."""

    text: str
    violation: str = ""


@tasks.live(why="Must validate the actual response")
async def guardrails(
    sentence: pb.Live[str],
    sources: pb.Live[tuple[str, ...]],
    told: pb.Live[tuple[str, ...]] = (),
    question: pb.Live[str] = "",
    *,
    shop: pb.Resource[LiveShop] = pb.GIVEN,
) -> Checked:
    """Fill the slots from live data, and refuse what no current source states.

    What a generator worded was ``told`` its evidence, and is also held against that: each number with its subject, and
    whether the sentence affirms or denies.
    """
    if len(sentence) > (MOST_WORDED if told else MOST_SAID) or sum(map(len, told)) > MOST_TOLD:
        return Checked("", "too long to check")
    try:
        text = fill_slots(sentence, shop)
    except parbake_semantic.guard.UnfilledSlot as error:
        return Checked("", f"unfilled slot: {error.field}")
    own = parbake_semantic.guard.fill(sentence, lambda *_: "").replace(shop.trade.contact or "\0", "")
    personal = _PERSONAL.findall(own)
    # What a slot holds is the shop's or the shopper's own, and a policy may state how the shop is reached.
    rules = grounds(tuple(one for one in sources if one.startswith("policy/")), shop) if personal else []
    if not all(any(one in rule for rule in rules) for one in personal):
        return Checked("", "personal data")
    if wrong := _ungrounded(text, sentence, sources, shop):
        first = min(wrong, key=lambda c: (c.kind, c.value))
        return Checked("", f"{UNGROUNDED} {first.kind}: {first.value}")
    if told:
        evidence = [fill_slots(one, shop) for one in told]
        fault = await asyncio.to_thread(
            parbake_semantic.guard.unsupported, text, evidence, opening(question), vocabulary=VOCABULARY
        )  # long evidence is read in a thread, so that nobody else waits for it
        if fault:
            return Checked("", f"{UNSUPPORTED} {fault.fault}: {fault.what}".rstrip(": "))
    return Checked(text)


def _ungrounded(
    text: str, sentence: str, sources: tuple[str, ...], shop: LiveShop
) -> frozenset[parbake_semantic.guard.Claim]:
    """The claims of a sentence with filled slots that neither its slots nor its sources state now.

    The slots are read first, because they often hold every claim, and to read the sources takes longer.
    """
    if not parbake_semantic.guard.claims(text):
        return frozenset()
    live = [shop.fill(slot.kind, slot.name) or "" for slot in parbake_semantic.guard.slots(sentence)]
    if not parbake_semantic.guard.ungrounded(text, live):
        return frozenset()
    return parbake_semantic.guard.ungrounded(text, [*live, *grounds(sources, shop)])


def grounds(sources: tuple[str, ...], shop: LiveShop) -> list[str]:
    """What is true now about some entities: policy texts, prices and descriptions."""
    stated: list[str] = []
    for source in sources:
        family, _, name = source.partition("/")
        if family == "policy":
            stated.append(shop.rules.policy_text(name))
        elif family == "product":
            product = shop.product(name)
            if product is not None:
                stated.append(f"{product.title}. {product.description} {shop.price(name)}")
    return stated
