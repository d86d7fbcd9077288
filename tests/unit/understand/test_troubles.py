"""What is asked further after a trouble with a book, and whether its section states it."""

import pytest

from retail_assistant.understand.said.troubles import is_trouble, states

DAMAGED = (
    "Tell us within 72 hours when a book arrives damaged, and attach a photo. We send a new one without the old one."
)
WRONG = "If you received something else than you ordered, we collect it for free and send the right book."


@pytest.mark.parametrize(
    ("question", "damaged", "wrong"),
    [
        ("do i have to return it?", True, True),
        ("do i have to send the book back", True, True),
        ("do i have to pay for that?", False, True),
        ("is it free?", False, True),
        ("and if i already threw the box away?", False, False),
        ("do i need a photo?", True, False),
        ("how long do i have?", True, False),
        ("can i have a refund instead?", False, False),
        ("how can i pay?", None, None),
        ("what does express delivery cost me?", None, None),
        ("do you have gift cards?", None, None),
    ],
)
def test_a_section_states_what_is_asked_or_does_not(question, damaged, wrong):
    """Each side of a trouble is stated or not; a question about something else is neither."""
    assert (states(question, DAMAGED), states(question, WRONG)) == (damaged, wrong)


@pytest.mark.parametrize(
    ("title", "is_one"), [("Damaged on arrival", True), ("Printing faults", True), ("Opened items", False)]
)
def test_a_trouble_is_told_by_the_title_of_its_section(title, is_one):
    """Only sections whose title names a trouble with a book are about one."""
    assert is_trouble(title) is is_one
