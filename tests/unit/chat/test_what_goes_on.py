"""What goes on from one message to the next: what is looked for, what was told, which rule may be meant as well."""

import re

import pytest

from retail_assistant.answers.nearest import MANY, as_worded
from retail_assistant.answers.policy.gate import policy_sections
from retail_assistant.answers.policy.sections import going_on
from retail_assistant.knowledge.product_search import Near
from retail_assistant.understand.leftover import content


def shown(desk, made):
    """Return the products of a reply."""
    return desk.shop.offers([card["asin"] for card in made["cards"]])


@pytest.fixture
def theme(desk):
    """Return a word of the descriptions of paperbacks."""
    for word in ("pirates", "ghosts", "witches", "cats", "robots", "revenge", "dragons", "friends"):
        asins = desk.shop.with_words([word])
        if any(o.product.format == "paperback" and o.quantity for o in desk.shop.offers(asins)):
            return word
    raise AssertionError("no paperback has any of the words")


@pytest.mark.parametrize("change", ["as paperbacks please", "only paperbacks, they are lighter to carry"])
async def test_a_format_narrows_what_was_looked_for(desk, theme, change):
    """A format that is named after a search leaves what was searched for as it is, whatever else the message says."""
    *_, (text, made) = await desk.talk(f"have you got anything with {theme} in it?", change)
    having = desk.shop.with_words([theme])
    assert shown(desk, made), text
    assert all(o.product.format == "paperback" and o.asin in having for o in shown(desk, made)), text


async def test_somebody_else_is_another_author(desk):
    """After the books of one author, "by somebody else" shows none of that author."""
    author = desk.product().author
    (_, first), (text, made) = await desk.talk(f"books by {author}", "show me some by somebody else")
    assert {o.product.author for o in shown(desk, first)} == {author}
    assert shown(desk, made), text
    assert author not in {o.product.author for o in shown(desk, made)}


async def test_the_cheapest_of_a_format_is_none_of_another(desk):
    """Which of the shown ones is the cheapest on paper compares those alone that are sold on paper."""
    asked = "which of these is the cheapest as paperback?"
    (_, first), (text, made) = await desk.talk("recommend me something", asked)
    assert {o.product.format for o in shown(desk, first)} > {"paperback"}
    assert {o.product.format for o in shown(desk, made)} == {"paperback"}, text


async def test_until_when_is_asked_of_the_promotions_that_were_told(desk):
    """After promotions "until when" is answered with their end, also if it names a genre."""
    genre = re.search(r"% off (\w+)", (await desk.ask("any promotions right now?"))[0])
    assert genre
    *_, (text, made) = await desk.talk("any promotions right now?", f"until when does the {genre[1]} one go on")
    assert made["intent"] == "promotion", text
    assert "until" in text


async def test_each_of_several_things_is_answered(desk):
    """Of things that are announced and listed each gets its rule."""
    text, _ = await desk.ask("hey 2 things: do points run out, and is paypal ok?")
    assert "18 months" in text
    assert "PayPal" in text


async def test_a_rule_that_may_be_meant_as_well_is_quoted_beside(desk):
    """Where two sections answer what goes on nearly as likely, both are quoted, the second one with its title."""
    *_, (text, _) = await desk.talk("can I get store credit instead of money?", "and when does it arrive?")
    assert text.startswith("We pay a refund within")
    assert "\u201cStore credit instead\u201d (Refunds) says:" in text


@pytest.mark.parametrize("question", ["do you have gift cards?", "how long does a refund take"])
async def test_another_policy_that_is_named_is_asked_for_alone(desk, question):
    """A question that names another policy gets what it gets alone, and nothing of the rule before it."""
    alone, _ = await desk.ask(question)
    _, (text, _) = await desk.talk("how much is delivery to spain", question)
    assert text == alone


async def test_what_was_told_counts_more_than_the_question(desk):
    """After something that the shopper has told, a rule for that is found, and not the rule for everybody."""
    _, _, (text, _) = await desk.talk("How much is express delivery?", "I have opened the box set", "can it go back?")
    assert "14 days" in text


async def test_a_section_of_the_same_policy_is_likelier(desk):
    """The chance and the order of the sections lean to the policy that was quoted."""
    async with desk.http.app.request("30s"):
        alone = (await desk.http.app.serve(policy_sections, text="and how long")).unwrap()
        joined = (await desk.http.app.serve(policy_sections, text="and how long, can i pay by invoice")).unwrap()
    told = going_on("and how long", alone, joined, "payment#pay-by-invoice")
    other = going_on("and how long", alone, joined, "")
    assert told.ranked[0].name == "payment#pay-by-invoice"
    assert told.chance > next(one.chance for one in other.ranked if one.name == told.ranked[0].name)


def test_words_without_their_apostrophe_say_nothing():
    """Contractions say nothing of a product, with an apostrophe or without."""
    assert content("thats what ive got, dont you, its lovely and whats that") == ()


@pytest.mark.parametrize(("having", "shown"), [(MANY, MANY), (MANY - 1, MANY + 1)])
def test_what_many_have_a_word_for_is_shown_without_the_others(having, shown):
    """Where many of the nearest have the words of the best one, only these are shown, and all of them otherwise."""
    near = [Near(f"P{n}", 0.5, 0.5, 0.4 if n < having else 0.1) for n in range(having)]
    others = [Near(f"Q{n}", 0.5, 0.5, 0.1) for n in range(2)]
    assert len(as_worded([*near, *others])) == shown
