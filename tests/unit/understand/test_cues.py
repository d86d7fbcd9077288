"""The kind of question that single messages are read as, and which of its parts they ask for."""

import pytest

from retail_assistant.understand.readings import CONTEXT, read_cues

LANTERN, NILS, GATE = "The Captain's Lantern", "An Apron for Nils", "Escape of Silver Gate"

PRODUCTS = [
    (f"How much does {NILS} cost?", "offer", "price"),
    (f"How much is {LANTERN} vol 2 as an ebook?", "offer", "price"),
    (f"What is the price of {GATE}?", "offer", "price"),
    ("Is Foxglove 2 in stock?", "offer", "stock"),
    (f"How many copies of {NILS} 2 are left?", "offer", "stock"),
    (f"Do you sell {LANTERN}?", "offer", "stock"),
    ("Who wrote The Captains Lantern?", "facts", "author"),
    (f"What is {GATE} about?", "facts", "plot"),
    (f"Tell me more about {NILS}", "facts", "plot"),
    (f"How many volumes does {GATE} have?", "facts", "length"),
    (f"Is {GATE} complete?", "facts", "length"),
    (f"What comes after {LANTERN} volume 1?", "facts", "next"),
    (f"Which is the last volume of {GATE}?", "facts", "last"),
    (f"Which formats does {NILS} come in?", "facts", "formats"),
    (f"Is there a hardcover of {NILS}?", "facts", "format"),
    ("What genre is The Double of Paper Mill?", "facts", "genre"),
    (f"In what order should I read {NILS}?", "facts", "order"),
    (f"How many pages does {LANTERN} have?", "facts", "unknown"),
    (LANTERN, "facts", "title"),
    (f"Which is cheaper, {NILS} or An Apron for Viktor?", "compare", ""),
    (f"Compare {LANTERN} and {GATE}", "compare", ""),
    (f"Is {LANTERN} better rated than {GATE}?", "compare", ""),
    (f"Is {LANTERN} any good?", "reviews", ""),
    (f"What is the rating of {GATE}?", "reviews", ""),
    (f"Is there a discount on {NILS}?", "promotion", ""),
    (f"Something like {LANTERN}", "list", "like"),
    (f"Add {LANTERN} vol 1 to my cart", "action", "add"),
    # cues of two kinds, of which the second is asked for
    (f"What do readers say about {LANTERN}?", "reviews", ""),
    (f"What do the reviews say about {LANTERN}?", "reviews", ""),
    (f"More books by the author of {NILS}", "list", "by"),
    ("Who wrote Foxglove?", "facts", "author"),
]
LISTS = [
    ("Recommend me a fantasy book under 10 euros", "list", ""),
    ("I am looking for a thriller", "list", ""),
    ("Show me horror books", "list", ""),
    ("Books about dragons", "list", ""),
    ("Two paperbacks by Mika Varga", "list", ""),
    ("A gift for my sister", "list", ""),
    ("Hardcover books", "list", ""),
    ("The best rated books", "list", ""),
    ("What is the cheapest cooking book?", "list", ""),
    ("What is popular right now?", "trending", ""),
    ("Show me the bestsellers", "trending", ""),
    ("Any promotions right now?", "promotion", ""),
    ("Is there a discount on cooking books?", "promotion", ""),
    ("Do you have a coupon code?", "promotion", "code"),
    ("When does the sale end?", "promotion", "end"),
    ("Can I combine two offers?", "promotion", "combine"),
]
OWN = [
    ("What's in my cart?", "cart", ""),
    ("What is my total?", "cart", "total"),
    ("How much more until free delivery?", "cart", "free"),
    ("Where is my order?", "orders", "where"),
    ("Has my order shipped yet?", "orders", "where"),
    ("Where is order A10034?", "orders", "where"),
    ("When will my order arrive?", "orders", "arrive"),
    ("Which address does my order go to?", "orders", "address"),
    ("What address will order A10034 be sent to?", "orders", "address"),
    ("Where is my parcel being delivered to?", "orders", "address"),
    ("Change the address of order A10034", "orders", "redirect"),
    ("Change the address of order A10034 to 5 Long Lane", "orders", "redirect"),
    ("Order 10034 must go to another address", "orders", "redirect"),
    ("How long until my order arrives?", "orders", "arrive"),
    ("How much did I pay?", "orders", "paid"),
    ("What did I order last?", "orders", "what"),
    ("When did I place my order?", "orders", "when"),
    ("How many points do I have?", "points", ""),
    ("Remove it from my cart", "action", "remove"),
    ("Empty my cart", "action", "remove"),
    ("Make it three copies", "action", "quantity"),
    ("Cancel my order", "action", "cancel"),
    ("Please cancel order A10034", "action", "cancel"),
    ("I want to return my order", "action", "return"),
    ("Make it 12", "action", "quantity"),
    ("Change it to 5, please", "action", "quantity"),
    ("Change my delivery address please", "action", "unable"),
    ("Change my delivery address to 5 Long Lane", "action", "unable"),
    # cues of two kinds, of which the second is asked for
    ("Can I still cancel my order?", "orders", "can_cancel"),
    ("Can I still cancel order A10034?", "orders", "can_cancel"),
]
OTHERS = [
    ("What is your return window?", "policy", ""),
    ("Do you ship to Norway?", "policy", ""),
    ("How long does a refund take?", "policy", ""),
    ("Hello", "social", "greeting"),
    ("Thank you!", "social", "thanks"),
    ("Can I talk to a human?", "social", "human"),
    ("Are you a bot?", "social", "bot"),
    ("You are stupid", "social", "insult"),
    ("This is unacceptable", "social", "complaint"),
    ("What's the weather like?", "unclear", ""),
    ("How do I cancel an order?", "unclear", ""),
]
CASES = [(*case, {"message"}) for case in PRODUCTS] + [(*case, set()) for case in (*LISTS, *OWN, *OTHERS)]
"""A message, its kind, which part is asked for, and where the products are found that it is about."""


@pytest.mark.parametrize(("message", "kind", "slot", "sources"), CASES)
def test_a_message_is_read_as_its_kind_and_about_its_titles(read, message, kind, slot, sources):
    """The words of a first message tell its kind and what it asks for, and it is about the titles that it names."""
    ask = read(message)
    assert (ask.best.kind, ask.best.slot) == (kind, slot)
    assert {subject.source for subject in ask.subjects} == sources


def test_a_cue_weighs_more_when_a_product_is_spoken_of():
    """The same words ask more surely for a price when a product is meant."""
    (alone,) = read_cues("how much does it cost", "", has_subject=False)[:1]
    (about,) = read_cues("how much does it cost", "", has_subject=True)[:1]
    assert (alone.kind, about.kind) == ("offer", "offer")
    assert alone.weight < about.weight


def test_what_stands_beside_a_question_counts_less():
    """A cue in the words beside a question weighs only a part of one in the question."""
    inside = {(r.kind, r.slot): r.weight for r in read_cues("where is my order", "", has_subject=False)}
    beside = {(r.kind, r.slot): r.weight for r in read_cues("hello", "where is my order", has_subject=False)}
    assert beside["orders", "where"] == pytest.approx(CONTEXT * inside["orders", "where"])


def test_a_remark_beside_a_long_question_does_not_outweigh_it():
    """A short remark is surely one; in a long message the same words weigh less."""
    short = read_cues("this is unacceptable", "", has_subject=False)[0]
    long = "my parcel is late again and i am really disappointed about that"
    (told,) = [r for r in read_cues(long, "", has_subject=False) if r.kind == "social"]
    assert (short.slot, told.slot) == ("complaint", "complaint")
    assert told.weight < short.weight


@pytest.mark.parametrize(
    "message",
    [
        "cancel my account", "cancel my newsletter", "I want to cancel my preorder", "cancel my last return",
        "add 500 points to my account", "add 20 euros to my gift card", "add a gift message",
    ],
)  # fmt: skip
def test_what_is_no_order_and_no_book_is_not_acted_on(read, message):
    """An account, a newsletter, points or money are neither cancelled nor added to a cart."""
    assert read(message).best.kind != "action"


@pytest.mark.parametrize(
    ("message", "kind", "slot"),
    [
        ("how much must I spend for free shipping to Spain?", "cart", "free"),
        (f"add {LANTERN} vol 1 to my wishlist", "cart", ""),
        (f"add vol 1 of {LANTERN} to my wish list", "action", "add"),
        ("how do I cancel an order placed today", "orders", "some"),
        ("can my friend pay with points of mine", "social", "private"),
        ("suggest a book based on a true story of my country", "social", "private"),
    ],
)
def test_words_for_ones_own_things_are_not_found_elsewhere(read, message, kind, slot):
    """Delivery to a place, a wish list, how something is done and other people in a story ask something else."""
    best = read(message).best
    assert (best.kind, best.slot) != (kind, slot) or best.weight < 2.6
