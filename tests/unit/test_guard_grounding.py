"""A sentence that was worded freely is supported by evidence, or the fault says why not."""

from __future__ import annotations

import pytest

from parbake.guard import unsupported

RETURNS = "You can return a book within 30 days of delivery. Opened DVDs cannot be returned."
DELIVERY = "Express delivery costs €7.50. Standard delivery costs €3.90. Our desk opens at 9 am and closes at 5 pm."
SUPPORTED = [
    ("You can return a book within 30 days.", RETURNS, "How long can I return a book?"),
    ("A book can be returned within one month of delivery.", RETURNS, ""),
    ("Standard delivery costs €3.90.", DELIVERY, ""),
    ("Yes, you can.", RETURNS, "Can I return a book?"),
    ("No, you can't.", "Opened DVDs cannot be returned.", "Can I return an opened DVD?"),
    ("Our desk closes at 17:00.", DELIVERY, ""),
    ("Hello!", RETURNS, ""),
]
UNSUPPORTED = [
    ("You can return a book within 60 days of delivery.", RETURNS, "", "number"),
    ("Standard delivery costs €7.50.", DELIVERY, "", "subject"),
    ("Opened DVDs can be returned.", RETURNS, "", "polarity"),
    ("No, you can't.", "You can return a book.", "Can I return a book?", "polarity"),
    ("Our museum exhibits porcelain elephants daily.", DELIVERY, "", "nowhere"),
    ("Our desk closes at 17:30.", DELIVERY, "", "number"),
]


@pytest.mark.parametrize(("sentence", "evidence", "question"), SUPPORTED)
def test_what_the_evidence_says_is_supported(sentence, evidence, question):
    """The same number, subject and polarity in other words is supported."""
    assert unsupported(sentence, [evidence], question) is None


@pytest.mark.parametrize(("sentence", "evidence", "question", "fault"), UNSUPPORTED)
def test_what_the_evidence_does_not_say_has_a_fault(sentence, evidence, question, fault):
    """Another number, another subject, the opposite, and what comes from nowhere each have their fault."""
    found = unsupported(sentence, [evidence], question)
    assert found is not None
    assert found.fault == fault


@pytest.mark.parametrize(
    ("sentence", "fault"),
    [("Yes.", "nowhere"), ("Books can be returned.", "nowhere"), ("It costs €5.", "number"), ("Hello!", None)],
)
def test_nothing_is_supported_without_evidence(sentence, fault):
    """Without evidence every statement is unsupported, even a mere yes; a greeting states nothing."""
    found = unsupported(sentence, [])
    assert (found.fault if found else None) == fault


@pytest.mark.parametrize(
    ("said", "stated"),
    [("12 am", "0:00"), ("12 pm", "12:00"), ("12:30 am", "0:30"), ("1 pm", "13:00"), ("11 am", "11:00")],
)
def test_a_time_of_the_day_is_the_same_on_both_clocks(said, stated):
    """The hours of half a day, with am or pm, equal the hours of a whole day: 12 am is midnight."""
    assert unsupported(f"Our desk closes at {said}.", [f"Our desk closes at {stated}."]) is None
    other = unsupported(f"Our desk closes at {said}.", ["Our desk closes at 6:45."])
    assert other is not None
    assert other.fault == "number"


def test_an_article_is_not_a_percentage():
    """The article in "an extra percent" does not count as the number one."""
    assert unsupported("Members save an extra percent on books.", ["Members save on books."]) is None
