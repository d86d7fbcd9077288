"""Whether a section's words prove that it answers a question."""

import pytest

from retail_assistant.faq.compile import sections_of
from retail_assistant.faq.faq_words import content_words, is_stated
from retail_assistant.shop.policies import Policy
from retail_assistant.world.texts.texts_read import policies

SECTIONS = {s.id: s for s in sections_of(Policy(p.id, p.title, p.body, p.facts, 0.0) for p in policies())}


def is_proven(question, answer):
    """Return whether a section's own words prove that it answers a question."""
    section = SECTIONS[answer]
    return is_stated(question, [section.title, section.text])


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("how do I transfer points to a friend", "loyalty#spending-points"),
        ("can I cancel a return", "cancellations#cancelling-an-order"),
        ("do you gift wrap", "exchanges#gifts"),
        ("does VIP status expire", "loyalty#expiry"),
        ("can I exchange a preorder", "cancellations#cancelling-a-preorder"),
        ("can't a preorder be cancelled", "cancellations#cancelling-a-preorder"),
        ("how is that", "returns#return-window"),
    ],
)
def test_a_question_with_a_word_that_the_section_does_not_say_is_not_proven(question, answer):
    """A question with a content word that the section lacks, or without content words, is not proven."""
    assert not is_proven(question, answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("do points expire", "loyalty#expiry"),
        ("can I cancel orders that were placed", "cancellations#cancelling-an-order"),
        ("could I exchange gifts with a receipt", "exchanges#gifts"),
        ("cancelling preorders", "cancellations#cancelling-a-preorder"),
    ],
)
def test_a_question_in_the_sections_words_is_proven(question, answer):
    """A question with only words of the section is proven, whatever their endings."""
    assert is_proven(question, answer)


def test_forms_of_a_word_are_one():
    """Forms of a word are one; function words are dropped, and a contraction's "not" is kept."""
    assert content_words("Cancelling, cancelled, cancels: cancel!") == {"cancel"}
    assert content_words("policies of a policy, exchanges exchanged, boxes and a box") == {"polici", "exchang", "box"}
    assert content_words("Don't you have the shop's address or addresses?") == {"not", "shop", "addres"}
