"""The claims that a text makes, and claims without evidence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake_semantic.guard import Claim, claims, content_words, expected_kind, shares_topic, states, ungrounded

UNITS = ("day", "days", "business days", "weeks", "hours", "months", "years", "minutes")
NUMBERS = st.integers(0, 9999)
PHRASES = st.one_of(
    st.builds("{} {}".format, NUMBERS, st.sampled_from(UNITS)),
    st.builds("{} to {} {}".format, NUMBERS, NUMBERS, st.sampled_from(UNITS)),
    st.builds("€{}.{:02}".format, NUMBERS, st.integers(0, 99)),
    st.builds("{} {}".format, NUMBERS, st.sampled_from(["€", "euros", "EUR", "dollars", "cents"])),
    st.builds("{} %".format, NUMBERS),
    st.builds("{} {}".format, st.integers(1, 31), st.sampled_from(["March", "December"])),
    st.sampled_from(["we deliver books", "for free", "a day", "Vol. 3", "thirty days", "twenty-one days"]),
)
TEXTS = st.lists(PHRASES, max_size=6).map(" and ".join)

CLAIMS = [
    ("within 30 days", {("duration", "30")}),
    ("a 30-day window", {("duration", "30")}),
    ("2 to 4 business days", {("duration", "2"), ("duration", "4")}),
    ("2-4 weeks", {("duration", "14"), ("duration", "28")}),
    ("two to four days", {("duration", "2"), ("duration", "4")}),
    ("Twenty-one days", {("duration", "21")}),
    ("48 hours", {("duration", "2")}),
    ("a day later", set()),
    ("€4.99", {("money", "4.99")}),
    ("4,99 €", {("money", "4.99")}),
    ("EUR 5", {("money", "5")}),
    ("5 euros", {("money", "5")}),
    ("50 cents", {("money", "0.5")}),
    ("€1,299.50", {("money", "1299.5")}),
    ("€1,299", {("money", "1299")}),
    ("1.299,50 €", {("money", "1299.5")}),
    ("15 %", {("percent", "15")}),
    ("15 percent", {("percent", "15")}),
    ("until the 25th of December", {("date", "25 december")}),
    ("by March 3", {("date", "3 march")}),
    ("no numbers at all", set()),
]


@pytest.mark.parametrize(("text", "found"), CLAIMS)
def test_a_claim_is_read_in_every_usual_form(text, found):
    """Amounts, durations, percentages and dates are read with their values, and ranges with both ends."""
    assert claims(text) == {Claim(*c) for c in found}


ONES = "one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
IN_WORDS = [*ONES, *TEENS, *(word for ten in TENS for word in (ten, *(f"{ten}-{one}" for one in ONES)))]


@pytest.mark.parametrize(("number", "words"), list(enumerate(IN_WORDS, start=1)))
def test_a_number_in_words_claims_what_its_digits_claim(number, words):
    """Every number below a hundred in words makes the same claim as in digits."""
    told = {Claim("duration", str(number))}
    assert claims(f"{number} days") == told
    assert claims(f"within {words} days") == told
    assert claims(f"{words.replace('-', ' ').capitalize()} days") == told


@pytest.mark.parametrize(
    ("unit", "days"),
    [("minute", "0.0006944"), ("hour", "0.04167"), ("day", "1"), ("week", "7"), ("month", "30"), ("year", "365")],
)
def test_each_unit_has_its_length_in_days(unit, days):
    """A unit is converted to days. "a" before it makes no claim, except at the start of a range."""
    assert claims(f"one {unit}") == claims(f"1 {unit}") == {Claim("duration", days)}
    assert claims(f"twice a {unit}") == claims(f"an {unit}") == set()
    assert Claim("duration", days) in claims(f"a to two {unit}s")


@given(TEXTS)
def test_a_text_is_grounded_by_itself(text):
    """A text is evidence for all of its own claims."""
    assert ungrounded(text, [text]) == set()


@given(TEXTS, TEXTS)
def test_without_evidence_every_claim_is_ungrounded_and_more_evidence_never_adds_one(text, other):
    """Without evidence every claim is ungrounded, and more evidence never adds an ungrounded claim."""
    assert ungrounded(text, []) == claims(text)
    assert ungrounded(text, [other]) <= claims(text)
    assert ungrounded(text, [other, text]) == set()


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("within 60 days", "within 30 days"),
        ("it costs €5", "it costs 5 cents"),
        ("€1,299.50", "€1,299.00"),
        ("5 %", "5 days"),
        ("until 3 May", "until 4 May"),
    ],
)
def test_another_value_or_another_kind_grounds_nothing(text, evidence):
    """A claim is grounded only by the same value of the same kind."""
    assert ungrounded(text, [evidence]) == claims(text) != set()


@pytest.mark.parametrize(
    ("text", "evidence"),
    [("7 days", "one week"), ("48 hours", "2 days"), ("€5", "5.00 EUR"), ("0.50 €", "50 cents")],
)
def test_the_same_value_in_other_words_grounds(text, evidence):
    """Units are converted before values are compared."""
    assert ungrounded(text, [evidence]) == set()


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How long can I return it?", "duration"),
        ("until when can I send it back", "duration"),
        ("what is the return window", "duration"),
        ("How much is shipping?", "money"),
        ("what does it cost", "money"),
        ("Do you ship to Norway?", None),
    ],
)
def test_a_question_says_what_kind_of_claim_answers_it(question, kind):
    """A question with "how long" expects a duration, one with "how much" an amount, and others no claim."""
    assert expected_kind(question) == kind


@pytest.mark.parametrize(
    ("kind", "text", "does"),
    [
        ("money", "Delivery is free.", True),
        ("money", "There is no extra charge.", True),
        ("money", "It costs €3.", True),
        ("money", "It takes 3 days.", False),
        ("duration", "It takes 3 days.", True),
        ("duration", "Until 3 May.", True),
        ("duration", "Soon, and for free.", False),
    ],
)
def test_a_statement_makes_the_kind_that_was_asked_for_or_not(kind, text, does):
    """The word "free" counts as an amount, a date counts as a duration, and another kind does not count."""
    assert states(kind, text) is does


def test_a_topic_is_shared_by_stems_of_words_that_carry_meaning():
    """Inflected forms of a content word match; common words do not."""
    assert shares_topic("How do I return it?", "Returns are easy.")
    assert shares_topic("Is returning possible?", "Returned books are checked.")
    assert not shares_topic("What is it?", "This is what it is.")
    assert content_words("How long do the refunds take?") == ["refund", "take"]
