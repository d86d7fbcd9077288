"""What the shop adds to a model's words: what follows from a rule, what a sentence is about, and what is not stated."""

import pytest
from tests.unit.chat.scripted import QUESTION, Model, price_of

from retail_assistant.shop.finding import Conditions


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("= 30 - 5 days [returns#return-window.1]", "That makes 25 days."),
        ("= 5 * 30 days", "That makes 150 days."),
        ("= 32 + 5 euros\n= 37 * 5 euros", "That makes €185.00."),
        ("= 12 November + 30 days [returns#return-window.1]", "that is 12 December"),
        ("= 32 + 5 euros", "That makes €37.00."),
    ],
)
async def test_the_shop_computes_what_a_rule_comes_to(asking, unit, said):
    """Points, a last day and a total are computed from what the rules state and what the customer has said."""
    desk = await asking(f"+ returns#return-window.1\n{unit}")
    text, made = await desk.ask("I spent 32 euros on 12 November, and 5 on something. And now, tell me?")
    assert said in text
    assert made["refusals"] == []


async def test_what_nobody_stated_is_not_computed(asking):
    """A calculation with a number that neither an item nor the customer has is left out."""
    desk = await asking("+ returns#return-window.1\n= 4711 * 2 points")
    text, made = await desk.ask(QUESTION)
    assert "9422" not in text
    assert "model: sum: nothing to compute" in made["refusals"]


async def test_a_sentence_of_another_product_names_it(asking):
    """What a page says, after another product was spoken of, begins with the title of its own."""

    def look(_):
        desk.two = [offer.product for offer in desk.shop.find(Conditions()) if offer.product.volume == 1][:2]
        about = [("product_facts", {"product": {"asin": one.asin}, "fact": "plot"}) for one in desk.two]
        return [*price_of(desk.two[0].asin), about[1]]

    desk = await asking(look, "+ r1.1\n+ r2.2")
    text, _ = await desk.ask(QUESTION)
    told = desk.model.prompts[1].exchanges[0].results[1].splitlines()[1].removeprefix("[r2.2] ")
    assert desk.two[1].title not in told
    assert f"{desk.two[1].title}: {told}" in text


async def test_a_rule_after_another_rule_says_what_it_is_about(asking):
    """A sentence of a section that does not name its subject begins with the section's title."""
    desk = await asking("+ shipping#standard-delivery.1\n+ shipping#express-delivery.2")
    text, _ = await desk.ask(QUESTION)
    assert "Express delivery: Orders placed before" in text


async def test_what_a_page_does_not_speak_of_is_said_of_that_product(asking):
    """That a product's page lacks what the customer asks for is said of it, and not if the page has it."""
    desk = await asking(lambda _: price_of(desk.product().asin), "! unstated zeppelins [r1.1]\n! unstated stock [r1.1]")
    text, _ = await desk.ask("Zeppelins or its stock, would you?")
    assert f"The page of {desk.product().title} says nothing of \u201czeppelins\u201d." in text
    assert "says nothing of \u201cstock\u201d" not in text


async def test_what_was_just_stated_is_not_called_unstated(asking):
    """A section that the reply has just quoted answers what is then said to be unstated, which is left out."""
    desk = await asking("+ returns#return-window.1\n! unstated return window")
    text, made = await desk.ask("Would your return window be something that one could tell me more of, or not at all?")
    assert "30 days" in text
    assert "do not" not in text
    assert "model: unstated: said" in made["refusals"]


async def test_half_a_sentence_of_the_customer_is_not_told_again(asking):
    """What is not stated is named by a word or two, and not by a scrap of what the customer has typed."""
    desk = await asking("! unstated how much would a zeppelin be")
    text, _ = await desk.ask("And now, how much would a zeppelin be?")
    assert "how much would" not in text


@pytest.mark.parametrize(
    "talk",
    ["Lights off, then.", "What a kind gift!", "I'm sorry that your week was so rotten.", "Oh no, poor old umbrella!"],
)
async def test_talk_is_known_by_what_was_learnt(asking, talk):
    """A remark in words that stand on no list is shown, and one that states something is not."""
    desk = await asking(f"~ {talk}\n~ Everybody takes the dragon trilogies.\n+ returns#return-window.1")
    text, made = await desk.ask(QUESTION)
    assert text.startswith(talk)
    assert "trilogies" not in text
    assert made["worded"] is True


async def test_a_claim_rests_on_the_product_that_it_places(asking):
    """What another product's item states is not said of the one that a claim places."""

    def look(_):
        desk.two = [offer.product for offer in desk.shop.find(Conditions())][:2]
        return [*price_of(desk.two[0].asin), *price_of(desk.two[1].asin)]

    desk = await asking(look, lambda _: f"> {{r1.1}} costs {desk.shop.price(desk.two[1].asin)}. [r2.1]")
    _, made = await desk.ask(QUESTION)
    assert made["worded"] is False


async def test_who_helps_is_told_with_where_they_are_reached(opened):
    """The sentence that sends a customer to people is shown with the shop's own address, which is nobody's secret."""
    desk = await opened(Model("+ shop#support.1"), llm="openai")
    text, made = await desk.ask(QUESTION)
    assert desk.shop.trade.contact
    assert desk.shop.trade.contact in text
    assert made["refusals"] == []


async def test_what_leads_a_list_in_does_not_stand_between_its_products(asking):
    """A product of a list that is told after something else is told without the words that begin the list."""
    call = [("find_products", {"count": 2})]
    desk = await asking(call, "+ returns#return-window.1\n+ r1.1")
    text, _ = await desk.ask(QUESTION)
    first = desk.model.prompts[1].exchanges[0].results[0].splitlines()[0]
    assert ": " in first
    assert text.startswith("You can return")
    assert not any(lead in text for lead in ("Readers like", "You might like", "I found"))


async def test_a_lead_is_shown_with_what_it_leads_in(asking):
    """Talk that ends in a colon is shown before what follows it, and not alone where that is left out."""
    desk = await asking("~ Here is what I can tell you:\n+ returns#return-window.1")
    text, _ = await desk.ask(QUESTION)
    assert text.startswith("Here is what I can tell you: You can return")
    desk = await asking("+ returns#return-window.1\n~ Here is what I can tell you:\n= 4711 * 2 points")
    text, made = await desk.ask(QUESTION)
    assert "Here is" not in text
    assert made["worded"] is False


async def test_talk_does_not_deny_what_was_found(asking):
    """Talk may not say that something lacks what stands in a product that was looked up."""
    call = [("find_products", {"count": 3})]

    def deny(_):
        word = desk.model.prompts[1].exchanges[0].results[0].partition("(")[2].partition(")")[0].split()[0].strip(",")
        return f"~ Here they are, and without any {word}.\n+ returns#return-window.1"

    desk = await asking(call, deny)
    text, _ = await desk.ask(QUESTION)
    assert "without" not in text
    assert "30 days" in text


async def test_talk_is_all_that_is_to_be_said_where_nothing_is_asked(asking):
    """A farewell in the model's words is followed by no rule."""
    desk = await asking("~ Thank you for your patience. Goodbye!")
    text, _ = await desk.ask("I may have been rude to that goat of my neighbour.")
    assert text == "Thank you for your patience. Goodbye!"
