"""What the shop computes for a model, of numbers and dates that were stated: it is told what to compute, not what.

A calculation is numbers with ``+``, ``-``, ``*`` and ``/``, then what they count: ``2 * 32 points``. A day is counted
from another one, ``12 November + 14 days``, or held against it, ``31 January before 12 February``.
"""

from __future__ import annotations

import ast
import calendar
import datetime as dt
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import numpy as np

from retail_assistant.answers.phrases import day, during, money
from retail_assistant.understand.plain_words import number
from retail_assistant.understand.times import MONTHS

LONGEST = 80
"""How many characters a calculation has at most."""
_DATE = rf"(?:(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({'|'.join(MONTHS)})(?:,? (20\d\d))?|(today))"
_STEP = re.compile(r" ?([+-]) ?(\d{1,3}) (working day|hour|day|week|month|year)s?")
_COUNTED = re.compile(rf"{_DATE}((?:{re.sub(r'[(]', '(?:', _STEP.pattern)})+)\W*$")
_HELD = re.compile(rf"{_DATE} (?:before|after|or|vs\.?|[<>]) {_DATE}\W*$")
_CALCULATED = re.compile(r"([(\d€$£][\d.,+\-*/()%\s€$£]*)([a-z]{3,12})?\W*$")
_NUMBER, _WORD = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?"), re.compile(r"[a-z]+")
_MONEY = re.compile(r"[€$£]|\b(?:euros?|pounds?|dollars?|cents?)\b")
_NOT_OF_NUMBERS = re.compile(r"[€$£%,]")
_HOURS = {"hour": 1, "day": 24, "week": 7 * 24}
_ALWAYS = {Decimal(100)}
"""What may be computed with although nobody has stated it: a share in per cent is of a hundred."""
_OPERATIONS: Mapping[type, Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


def computed(asked: str, stated: Iterable[str], now: float) -> str:
    """What a calculation comes to, as a sentence with slots.

    Args:
        asked: The calculation.
        stated: The texts of which it may take numbers, dates and what they count.
        now: Epoch seconds.

    Returns:
        The sentence; empty if it is no calculation, or is of what nobody has stated.
    """
    text, told = asked.lower().strip(), " ".join(stated).lower()
    if len(text) > LONGEST:
        return ""
    today = dt.datetime.fromtimestamp(now, dt.UTC)
    try:
        if found := _HELD.match(text):
            first, second = (_day(found.groups()[at : at + 4], told, today) for at in (0, 4))
            held = "before" if first < second else "after" if first > second else "the same day as"
            return f"{_told(first, today)} is {held} {_told(second, today)}."
        if found := _COUNTED.match(text):
            return _counted(_day(found.groups()[:4], told, today), _STEP.findall(found[5]), told, today)
        found = _CALCULATED.match(text)
        return _total(found[1], found[2] or "", told) if found else ""
    except (ArithmeticError, SyntaxError, ValueError):
        return ""


def _counted(start: dt.datetime, steps: Iterable[tuple[str, str, str]], told: str, today: dt.datetime) -> str:
    """The day to which stated steps lead, such as ``("+", "30", "day")``; empty if one was not stated."""
    end = start
    for sign, count, unit in steps:
        if Decimal(count) not in _numbers(told):
            return ""
        end = _later(end, int(f"{sign}{count}"), unit)
    if_open = ", if no holiday lies between" if any(unit.startswith("working") for _, _, unit in steps) else ""
    return f"Counted from {_told(start, today)}, that is {_told(end, today)}{if_open}."


def _total(expression: str, unit: str, told: str) -> str:
    """The value of an expression of stated numbers; empty if it counts what nobody has spoken of."""
    tree = ast.parse(_NOT_OF_NUMBERS.sub("", expression).strip(), mode="eval").body
    value = _value(tree, _numbers(told) | _ALWAYS)
    if not isinstance(tree, ast.BinOp):
        return ""
    if _MONEY.search(f"{expression} {unit}"):
        return f"That makes {money(round(value * 100))}."
    figure = f"{value:.2f}".rstrip("0").rstrip(".")
    return f"That makes {during(f'{figure} {unit}')}." if unit and unit in told else ""


def _value(node: ast.expr, known: set[Decimal]) -> Decimal:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left, known), _value(node.right, known))
    value = Decimal(ast.unparse(node))
    if value not in known:
        raise ValueError(value)
    return value


def _numbers(told: str) -> set[Decimal]:
    named = (number(word) for word in _WORD.findall(told))
    figures = {Decimal(found.replace(",", "")) for found in _NUMBER.findall(told)}
    return figures | {Decimal(one) for one in named if one is not None}


def _day(named: tuple[str | None, ...], told: str, today: dt.datetime) -> dt.datetime:
    """A day that was stated; without a year the one that is nearest to today."""
    of_month, month, year, _ = named
    if of_month is None or month is None:
        return today.replace(hour=0, minute=0, second=0, microsecond=0)
    if month not in told or Decimal(of_month) not in _numbers(told) or (year and year not in told):
        raise ValueError(of_month)
    years = [int(year)] if year else [today.year - 1, today.year, today.year + 1]
    days = [dt.datetime(one, MONTHS.index(month) + 1, int(of_month), tzinfo=dt.UTC) for one in years]
    return min(days, key=lambda one: abs(one - today))


def _later(start: dt.datetime, count: int, unit: str) -> dt.datetime:
    if unit == "working day":
        open_on = dt.date.fromisoformat(str(np.busday_offset(start.date(), count, roll="backward")))
        return dt.datetime.combine(open_on, dt.time(), dt.UTC)
    if unit in _HOURS:
        return start + dt.timedelta(hours=count * _HOURS[unit])
    years, before = divmod(start.month - 1 + count * (12 if unit == "year" else 1), 12)
    year, month = start.year + years, before + 1
    return start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1]))


def _told(moment: dt.datetime, today: dt.datetime) -> str:
    return f"{day(moment.timestamp())}{'' if moment.year == today.year else f' {moment.year}'}"
