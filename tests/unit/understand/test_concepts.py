"""Concepts are found in a customer's own words and in the words of a page."""

import re
from pathlib import Path

import pytest

from retail_assistant.shop.data_file import read
from retail_assistant.understand.said import concepts as concepts_module
from retail_assistant.understand.said.concepts import SELDOM_STATED, concepts

SAID = Path(concepts_module.__file__).parent
ORDERS, SERVICE, SPOKEN = (
    read(SAID / f"{name}.toml", dict[str, tuple[str, ...]])
    for name in ("said_of_orders", "said_of_service", "seldom_stated")
)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("i peeled the film off the box set", "opened"),
        ("i only had a flick through it", "opened"),
        ("is there a cooling off period", "deadline"),
        ("from which day do you start counting", "deadline"),
        ("what's exempt from sending back", "excluded"),
        ("will i be out of pocket", "label"),
        ("my order's gone out, can you stop it", "sent"),
        ("i ordered it a minute ago", "unsent"),
        ("one of my books couldn't be supplied", "shop_cancels"),
        ("it turned up in tatters", "damaged"),
        ("page 40 is followed by page 73", "misprint"),
        ("i ordered volume 2 and got volume 3", "wrong_item"),
        ("there's a bump in the outer box", "dent"),
        ("can i upgrade to the hardback", "other_format"),
        ("will you hang on to it for me", "reserve"),
        ("you only gave me half of what i paid", "part_refund"),
        ("i haven't seen a penny", "arrives_money"),
        ("the next volume isn't out yet", "preorder"),
    ],
)
def test_orders_are_spoken_of_in_many_ways(said, name):
    """What happened to a book or an order names the concept of the page, without the page's words."""
    assert name in concepts(said)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("can i fetch it from a shop nearby", "pickup"),
        ("you've still got my old street", "address"),
        ("it seems to have gone astray", "lost"),
        ("the exam is on thursday, i need it right now", "express"),
        ("my card got turned down", "failed"),
        ("can i pay in three goes", "instalments"),
        ("can i look at it before i pay", "invoice_pay"),
        ("i need something for the tax man", "receipt"),
        ("my gift card went through the washing machine", "lost_code"),
        ("is my gift card empty", "balance"),
        ("do big spenders get anything", "vip"),
        ("do my points go off", "points_expire"),
        ("i turn 40 on sunday", "birthday"),
        ("can i be forgotten", "delete_account"),
        ("who reads what i type here", "chats"),
        ("will i get junk mail because of you", "sharing"),
        ("my wife only reads french", "languages"),
    ],
)
def test_services_are_spoken_of_in_many_ways(said, name):
    """What customers say of delivery, payment, gift cards, points and their data names the page's concept."""
    assert name in concepts(said)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("open the order page", "opened"),
        ("the payment method that was used", "opened"),
        ("a parcel at the pick-up points", "points"),
        ("we collect it for free", "earn"),
        ("am i stuck with it", "lost"),
        ("remove volume 4 from my order", "delete_account"),
        ("can you cancel my order", "shop_cancels"),
        ("i sent it back last week", "validity"),
        ("i bought the wrong volume", "wrong_item"),
        ("cancel my membership", "cancel"),
        ("my son's birthday is tomorrow", "birthday"),
        ("i'm going on holiday", "holiday"),
        ("will it be here by christmas", "holiday"),
        ("a gift card for 20 euros", "gift"),
    ],
)
def test_words_that_look_alike_do_not_name_a_concept(said, name):
    """A word that means something else beside its neighbours is not a sign of the concept."""
    assert name not in concepts(said)


def test_a_return_that_names_a_place_is_one_from_abroad():
    """Whoever names a place and a return probably sends it from there."""
    assert {"abroad", "in_europe", "return_abroad"} <= concepts("i'm in spain and want to return it")
    assert "return_abroad" not in concepts("i want to return it")


def test_a_shop_that_is_written_to_is_no_country():
    """In "write to us" the shop speaks of itself, elsewhere "to us" may be the country."""
    assert "abroad" not in concepts("write to us: we send a new copy")
    assert "beyond_europe" in concepts("do you ship to us")


def test_every_concept_is_described_once_and_can_be_read():
    """The tables share no name, and each of their expressions is a regular expression."""
    names = [*ORDERS, *SERVICE, *SPOKEN]
    assert len(names) == len(set(names))
    assert set(SPOKEN) <= SELDOM_STATED
    for spoken in (ORDERS | SERVICE | SPOKEN).values():
        assert all(re.compile(one) for one in spoken)


@pytest.mark.parametrize(
    "question",
    [
        "what's the time limit on returns?",
        "by when must i return an item?",
        "for how many days are returns possible?",
        "do i still have time to return a book?",
        "how long after delivery are returns accepted?",
    ],
)
def test_a_time_to_return_is_a_deadline(question):
    """However the time for returns is asked for, it is the deadline of returns."""
    assert "deadline" in concepts(question)
