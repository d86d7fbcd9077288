"""A sentence that was worded freely is supported by evidence, or the fault says why not."""

from __future__ import annotations

import pytest

from parbake_semantic.guard import is_courtesy, unsupported

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
    ("Orders from sixty euros can be split.", "Orders from €60 can be split.", ""),
    ("You have two weeks to swap it.", "You can swap it within 14 days.", ""),
    ("Points last for a year and a half.", "Points expire after 18 months.", ""),
    ("Orders of at least three hundred euros can be split.", "Orders from €300 can be split.", ""),
    ("Banks may need 3 more days.", "Banks take up to 3 more days to show it.", ""),
    ("Express fees are refunded only if we were late.", "Express fees are not refunded unless we were late.", ""),
    ("Once it is packed, an order can't be cancelled.", "An order can be cancelled until it is packed.", ""),
    ("A book can come back within three quarters of an hour.", "You can send a book back within 45 minutes.", ""),
    ("The time does not begin until delivery.", "The time begins after delivery.", ""),
    ("A dent does not count as a fault.", "Small dents are no fault.", "Is a small dent a fault?"),
    ("We send a new copy and don't ask for the old one.", "We send a new copy without asking for the old one.", ""),
    ("Members get twice the points on their birthday.", "Members get double points on their birthday.", ""),
]
UNSUPPORTED = [
    ("You can return a book within 60 days of delivery.", RETURNS, "", "number"),
    ("Standard delivery costs €7.50.", DELIVERY, "", "subject"),
    ("Opened DVDs can be returned.", RETURNS, "", "polarity"),
    ("No, you can't.", "You can return a book.", "Can I return a book?", "polarity"),
    ("Our museum exhibits porcelain elephants daily.", DELIVERY, "", "nowhere"),
    ("Our desk closes at 17:30.", DELIVERY, "", "number"),
    ("I will return a book for you within 30 days.", RETURNS, "", "nowhere"),
    ("A return is a return of a book is a return of a book.", RETURNS, "", "nowhere"),
    ("It travels at 200 km.", "Express delivery travels fast.", "", "number"),
    ("It takes four parts.", "Orders can be split into 3 payments.", "", "number"),
    ("Banks take up to 2 more days.", "Banks take up to 3 more days to show it.", "", "number"),
    ("It arrives in fewer than 8 days.", "It takes 8 to 15 days.", "", "number"),
    ("Whoever earns 500 points becomes a VIP.", "500 points are a voucher. Whoever spends €300 becomes a VIP.", "",
     "subject"),
    ("You can cancel after it is packed.", "You can cancel until it is packed.", "", "polarity"),
    ("You pay when we collect a book.", "We collect a wrong book for free.", "", "polarity"),
    ("A lost code cannot be replaced.", "We block a lost code and issue a new one.", "", "polarity"),
    ("Gift cards earn 2 points.", "You earn 2 points for books, not for delivery or gift cards.", "", "polarity"),
    ("The label is not free.", "The label is free when the fault was ours.", "", "polarity"),
    ("Express fees are refunded.", "Express fees are not refunded unless we were late.", "", "polarity"),
]  # fmt: skip


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


@pytest.mark.parametrize(
    ("sentence", "states_nothing"),
    [
        ("I'm sorry for any confusion.", True),
        ("I\u2019m not sure what you mean, but I can try to help.", True),
        ("Thanks for your patience!", True),
        ("2.", True),
        ("I'm sorry, but gift cards cannot be returned.", False),
        ("I'm happy to confirm that express is free.", False),
        ("We are sorry to say that it costs €5.", False),
        ("Here is your refund of 30 days.", False),
    ],
)
def test_a_courtesy_states_nothing(sentence, states_nothing):
    """The guard takes an apology or thanks for a courtesy, unless a statement follows in the same sentence."""
    assert is_courtesy(sentence) is states_nothing


def test_an_article_is_not_a_percentage():
    """The article in "an extra percent" does not count as the number one."""
    assert unsupported("Members save an extra percent on books.", ["Members save on books."]) is None
