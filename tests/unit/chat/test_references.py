"""A model's text is read as references and courtesies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assistant.chat.references import Said, Statement, read

PRICE = Statement("A Lantern costs {{price:B1}}.", ("product/B1",))
WINDOW = Statement("You can return it within {{policy:returns.window_days}}.", ("policy/returns",), "returns#window")
KNOWN = {"r1": PRICE, "returns#window": WINDOW}


def said(text):
    """Return the sentences of a text."""
    return list(read(text, KNOWN))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[r1]", [Said(told=(PRICE,))]),
        ("[ r1 ] [returns#window]", [Said(told=(PRICE, WINDOW))]),
        ("[r1] [r1].", [Said(told=(PRICE,))]),
        ("It costs €4.50 [r1].", [Said(told=(PRICE,), has_own_words=True)]),
        ("It costs €4.50. [r1]", [Said(has_own_words=True), Said(told=(PRICE,))]),
        ("It is free.", [Said(has_own_words=True)]),
        ("It is free [r9].", [Said(has_own_words=True)]),
        ("[r9]", [Said()]),
        ("Thanks for asking! [r1]", [Said("Thanks for asking!"), Said(told=(PRICE,))]),
        ("Thanks for asking [r1]!", [Said("Thanks for asking !", (PRICE,))]),
        ("", []),
    ],
)
def test_a_text_is_read_as_references_and_courtesies(text, found):
    """References are kept, courtesies may be shown, and everything else in the model's own words is left out."""
    assert said(text) == found


@given(st.text(alphabet="ab1 .[]#r{}:!€", max_size=60))
def test_any_text_can_be_read(text):
    """No text fails, and nothing is a courtesy and a statement at once."""
    for one in said(text):
        assert one.told == tuple(dict.fromkeys(one.told))
        assert not (one.courtesy and one.has_own_words)
