"""A model's text is read as sentences with references, and its numbers become the shop's slots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assistant.chat.references import Said, Statement, read, with_slots

PRICE = Statement("A Lantern costs {{price:B1}}.", ("product/B1",))
WINDOW = Statement("You can return it within {{policy:returns.window_days}}.", ("policy/returns",), "returns#window")
KNOWN = {"r1": PRICE, "returns#window": WINDOW}


def fill(kind, name):
    """Return what a slot stands for."""
    return {("price", "B1"): "€4.50", ("policy", "returns.window_days"): "30 days", ("cents", "450"): "€4.50"}.get(
        (kind, name)
    )


def said(text):
    """Return the sentences of a text."""
    return list(read(text, KNOWN))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It costs €4.50 [r1].", [Said("It costs €4.50.", (PRICE,))]),
        ("It costs €4.50. [r1]", [Said("It costs €4.50.", (PRICE,))]),
        ("[r1]", [Said("", (PRICE,))]),
        ("[ r1 ] [returns#window]", [Said("", (PRICE, WINDOW))]),
        ("Both hold [r1][r1][returns#window].", [Said("Both hold.", (PRICE, WINDOW))]),
        ("It is free.", [Said("It is free.")]),
        ("It is free [r9].", [Said("")]),
        ("It is free [r9] [r1].", [Said("", (PRICE,))]),
        ("Thanks for asking! [r1]", [Said("Thanks for asking!", is_courtesy=True), Said("", (PRICE,))]),
        ("", []),
    ],
)
def test_sentences_have_their_references(text, found):
    """References inside or behind a sentence are its own; one that is unknown makes the sentence unusable."""
    assert said(text) == found


@given(st.text(alphabet="ab1 .[]#r{}:!€", max_size=60))
def test_any_text_can_be_read(text):
    """No text fails, and no sentence keeps a reference."""
    for one in said(text):
        assert "[r1]" not in one.text
        assert one.told == tuple(dict.fromkeys(one.told))


def test_numbers_become_the_shops_slots():
    """The value of a slot in what is referred to is replaced by the slot; other numbers stay."""
    assert with_slots("It costs €4.50, not €5.", [PRICE], fill) == "It costs {{price:B1}}, not €5."
    assert with_slots("Within 30 days.", [WINDOW], fill) == "Within {{policy:returns.window_days}}."
    assert with_slots("Within 130 days or €4.505.", [PRICE, WINDOW], fill) == "Within 130 days or €4.505."
    assert with_slots("It costs €4.50.", [], fill) == "It costs €4.50."


def test_a_value_of_two_slots_is_left_to_the_guard():
    """If two slots have the same value, nobody knows which one is meant."""
    both = [PRICE, Statement("Delivery is {{cents:450}}.")]
    assert with_slots("It costs €4.50.", both, fill) == "It costs €4.50."


def test_a_slot_without_a_value_is_ignored():
    """A slot that the shop cannot fill replaces nothing."""
    assert with_slots("It costs nothing.", [Statement("{{price:NOPE}}")], fill) == "It costs nothing."
