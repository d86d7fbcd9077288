"""The span of time that a message names: a month, a week, a year, a day, or the last several of them; in UTC."""

from __future__ import annotations

import datetime as dt
import re

import msgspec

from retail_assistant.understand.plain_words import number

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_BEFORE = r"\b(?:in|from|since|during|of|for|last|this)"
_MONTH = re.compile(rf"{_BEFORE} ({'|'.join(MONTHS)})\b(?: (20\d\d)\b)?")
_YEAR = re.compile(rf"{_BEFORE} (20\d\d)\b(?! \w)")
_NEAR = re.compile(r"\b(last|past|previous|this) (week|month|year)\b")
_SEVERAL = re.compile(r"\b(?:last|past|previous) (\d{1,3}|[a-z]+) (day|week|month|year)s\b")
_DAY = re.compile(r"\b(today|yesterday)\b")
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
"""How long the last several of something are, in days."""
SPOKEN = "|".join(f"(?:{one.pattern})" for one in (_MONTH, _YEAR, _NEAR, _SEVERAL, _DAY))
"""A pattern of all words for a span of time."""


class Span(msgspec.Struct, frozen=True):
    """A time from ``start`` to before ``end`` in epoch seconds, and the words that say when: "in October"."""

    when: str
    start: float
    end: float

    def has(self, moment: float) -> bool:
        """Whether a moment lies in it."""
        return self.start <= moment < self.end


def span(text: str, now: float) -> Span | None:
    """The span of time that a text in lower case names, seen from ``now``; ``None`` if it names none."""
    today = dt.datetime.fromtimestamp(now, dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = today + dt.timedelta(1)
    if found := _SEVERAL.search(text):
        count = number(found[1])
        if count is None:
            return None
        unit = found[2] if count == 1 else f"{found[2]}s"
        return _span(f"in the last {count} {unit}", tomorrow - dt.timedelta(count * _DAYS[found[2]]), tomorrow)
    if found := _DAY.search(text):
        return _span(found[1], *((today, tomorrow) if found[1] == "today" else (today - dt.timedelta(1), today)))
    if found := _NEAR.search(text):
        is_this = found[1] == "this"
        return _span(f"{'this' if is_this else 'last'} {found[2]}", *_near(found[2], today, is_this=is_this))
    if found := _MONTH.search(text):
        start, end = _month(found, today)
        return _from(found, start.strftime("%B %Y" if found[2] else "%B"), start, end, tomorrow)
    if found := _YEAR.search(text):
        start = today.replace(year=int(found[1]), month=1, day=1)
        return _from(found, found[1], start, _later(start, 12), tomorrow)
    return None


def _from(found: re.Match[str], name: str, start: dt.datetime, end: dt.datetime, tomorrow: dt.datetime) -> Span:
    """A month or a year; with "since" all from its beginning."""
    is_since = found[0].startswith("since")
    return _span(f"{'since' if is_since else 'in'} {name}", start, tomorrow if is_since else end)


def _near(unit: str, today: dt.datetime, *, is_this: bool) -> tuple[dt.datetime, dt.datetime]:
    """This or the last week, month or year."""
    if unit == "week":
        monday = today - dt.timedelta(today.weekday() + (0 if is_this else 7))
        return monday, monday + dt.timedelta(7)
    months = 1 if unit == "month" else 12
    first = today.replace(day=1) if unit == "month" else today.replace(month=1, day=1)
    start = first if is_this else _later(first, -months)
    return start, _later(start, months)


def _month(found: re.Match[str], today: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """A month by name; without a year the latest one that has begun."""
    start = today.replace(month=MONTHS.index(found[1]) + 1, day=1)
    if found[2]:
        start = start.replace(year=int(found[2]))
    elif start > today:
        start = _later(start, -12)
    return start, _later(start, 1)


def _later(first: dt.datetime, months: int) -> dt.datetime:
    """The first day of a month so many months later."""
    years, month = divmod(first.month - 1 + months, 12)
    return first.replace(year=first.year + years, month=month + 1)


def _span(when: str, start: dt.datetime, end: dt.datetime) -> Span:
    return Span(when, start.timestamp(), end.timestamp())
