"""The span of time that a message names."""

import datetime as dt

import pytest

from retail_assistant.understand.times import span

NOW = dt.datetime(2026, 11, 27, 15, 30, tzinfo=dt.UTC).timestamp()
"""A Friday."""


def day(text):
    """Return the first moment of a day in epoch seconds."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "when", "first", "after"),
    [
        ("what did i order in october?", "in October", "2026-10-01", "2026-11-01"),
        ("orders from november", "in November", "2026-11-01", "2026-12-01"),
        ("what did i buy in december", "in December", "2025-12-01", "2026-01-01"),
        ("my orders in may 2025", "in May 2025", "2025-05-01", "2025-06-01"),
        ("orders since october", "since October", "2026-10-01", "2026-11-28"),
        ("orders from last week", "last week", "2026-11-16", "2026-11-23"),
        ("my orders of this week", "this week", "2026-11-23", "2026-11-30"),
        ("orders last month", "last month", "2026-10-01", "2026-11-01"),
        ("how much have i spent this year", "this year", "2026-01-01", "2027-01-01"),
        ("orders of last year", "last year", "2025-01-01", "2026-01-01"),
        ("orders in 2024", "in 2024", "2024-01-01", "2025-01-01"),
        ("what did i order yesterday", "yesterday", "2026-11-26", "2026-11-27"),
        ("what did i order today", "today", "2026-11-27", "2026-11-28"),
        ("orders of the last 30 days", "in the last 30 days", "2026-10-29", "2026-11-28"),
        ("what did i buy in the past two weeks", "in the last 2 weeks", "2026-11-14", "2026-11-28"),
        ("my orders of the last three months", "in the last 3 months", "2026-08-30", "2026-11-28"),
    ],
)
def test_a_span_of_time_is_read(text, when, first, after):
    """A month, a week, a year, a day or the last several of them is a span; a month without a year is the latest."""
    found = span(text, NOW)
    assert (found.when, found.start, found.end) == (when, day(first), day(after))


@pytest.mark.parametrize(
    "text", ["may i return it?", "my last order", "the last 3 orders", "march on", "an order of 2000 books", "last one"]
)
def test_other_words_are_no_span(text):
    """A verb, a place in a list and a number of books name no time."""
    assert span(text, NOW) is None
