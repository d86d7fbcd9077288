"""Several books for the cart at once, and a no that names what is wanted instead."""

import pytest

from retail_assistant.shop.finding import Conditions

ME, GATE = "somebody-new", "Escape of Silver Gate"


@pytest.fixture
def volumes(desk):
    """Return the asins of a series by volume, in paperback."""
    found = desk.shop.find(Conditions(titles=[GATE], formats=["paperback"]))
    return {offer.product.volume: offer.asin for offer in found}


@pytest.mark.parametrize(
    "message",
    [
        f"add the first 3 volumes of {GATE} to my cart",
        f"put volumes 1, 2 and 3 of {GATE} into my basket, in paperback",
        f"add {GATE} 1, 2 and 3 paperback",
    ],
)
@pytest.mark.parametrize("session", [{}, {"metadata": {"session": "s"}}])
async def test_several_volumes_are_added_with_one_yes(desk, volumes, message, session):
    """Several volumes are proposed together, each with its price, and one yes puts one copy of each into the cart."""
    replies = await desk.talk(message, "yes please", user=ME, **session)
    assert replies[0][0].startswith("Shall I add 1 copy each of ")
    assert replies[1][0].startswith("Done: ")
    assert desk.shop.shoppers.cart(ME) == dict.fromkeys((volumes[1], volumes[2], volumes[3]), 1)


async def test_a_no_leaves_all_of_them(desk):
    """A plain no to several books adds none of them."""
    replies = await desk.talk(f"add the first 2 volumes of {GATE}", "no thanks", user=ME)
    assert replies[1][0] == "All right, I leave it as it is."
    assert desk.shop.shoppers.cart(ME) == {}


@pytest.mark.parametrize("session", [{}, {"metadata": {"session": "s"}}])
async def test_a_no_that_names_other_volumes_proposes_those(desk, volumes, session):
    """After copies of one volume were proposed, "no, one each of 1, 2 and 3" proposes these."""
    messages = (f"add 3 copies of {GATE} vol 1 paperback", "no, one each of vol 1, 2 and 3", "yes")
    await desk.talk(*messages, user=ME, **session)
    assert desk.shop.shoppers.cart(ME) == dict.fromkeys((volumes[1], volumes[2], volumes[3]), 1)


@pytest.fixture
def editions(desk):
    """Return two editions of one volume, the cheaper one first."""
    by_volume = {}
    for offer in desk.shop.find(Conditions()):
        by_volume.setdefault((offer.product.line, offer.product.volume), []).append(offer)
    found = next(some for some in by_volume.values() if len({o.product.format for o in some}) > 1)
    return sorted(found, key=lambda o: o.cents)


FORMS = {"digital": "ebook"}


async def test_a_no_that_names_another_edition_proposes_it(desk, editions):
    """The message "no, the hardcover" after another edition was proposed asks for that one, and a yes adds it."""
    first, second = editions
    wanted = FORMS.get(second.product.format, second.product.format)
    given = FORMS.get(first.product.format, first.product.format)
    page = {"metadata": {"page": first.asin}}
    replies = await desk.talk(f"add the {given} to my cart", f"no, the {wanted}!", "yes", user=ME, **page)
    assert replies[1][0].startswith("Shall I add 1 copy of ")
    assert desk.shop.shoppers.cart(ME) == {second.asin: 1}


@pytest.mark.parametrize("session", [{}, {"metadata": {"session": "s"}}])
async def test_a_choice_between_editions_is_heard(desk, editions, session):
    """The edition that is named after "Which one do you mean?" is proposed."""
    first, second = editions
    wanted = FORMS.get(second.product.format, second.product.format)
    title = f"{first.product.line} vol {first.product.volume}"
    replies = await desk.talk(f"put {title} in my cart", f"the {wanted}", "yes", user=ME, **session)
    assert replies[0][0].startswith("Which one do you mean: ")
    assert desk.shop.shoppers.cart(ME) == {second.asin: 1}


async def test_the_cheaper_edition_is_taken_at_its_word(desk, editions):
    """Who wants the cheaper edition is not asked which one is meant."""
    cheaper, _ = editions
    title = f"{cheaper.product.line} vol {cheaper.product.volume}"
    await desk.talk(f"add {title} to my cart, the cheaper edition", "yes", user=ME)
    assert desk.shop.shoppers.cart(ME) == {cheaper.asin: 1}


async def test_what_is_left_out_is_not_proposed(desk, volumes):
    """A volume that is excepted is left out."""
    await desk.talk(f"add volumes 1 to 3 of {GATE} in paperback except volume 2", "yes", user=ME)
    assert desk.shop.shoppers.cart(ME) == dict.fromkeys((volumes[1], volumes[3]), 1)


@pytest.mark.parametrize("message", [f"don't add the first 3 volumes of {GATE}", "do not cancel my order"])
async def test_a_denied_wish_proposes_nothing(desk, message):
    """Who does not want something done is not asked whether to do it."""
    replies = await desk.talk(message, "yes", user=ME)
    assert replies[0][0] == "All right, I leave it as it is."
    assert desk.shop.shoppers.cart(ME) == {}


async def test_different_numbers_of_copies_are_not_mixed_up(desk, volumes):
    """Of two books in different numbers the first is proposed in its own number."""
    text, _ = await desk.ask(f"add 2 copies of {GATE} vol 2 paperback and 3 copies of {GATE} vol 3 paperback", user=ME)
    assert f"Shall I add 2 copies of {GATE}, Vol. 2 (paperback)" in text
