"""What the shop computes for a model, of numbers and dates that were stated: it is told what to compute, not what.

A calculation is numbers with ``+``, ``-``, ``*`` and ``/``, then what they count: ``2 * 32 points``. A day is counted
from another one: ``12 November + 14 days``. Two of either are compared, and what follows may be said before:
``no: 300 > 250 euros``, ``yes: today before 12 November + 30 days``. The comparison has to hold.
"""

from __future__ import annotations

import ast
import calendar
import datetime as dt
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

import numpy as np

from retail_assistant.answers.phrases import day, during, money
from retail_assistant.understand.plain_words import number
from retail_assistant.understand.times import MONTHS

LONGEST = 80
"""How many characters a calculation has at most."""
_STEP = re.compile(r" ?([+-]) ?(\d{1,3}) (working day|hour|day|week|month|year)s?")
_DAY = re.compile(
    rf"(?:(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({'|'.join(MONTHS)})(?:,? (20\d\d))?|today)"
    rf"((?:{re.sub(r'[(]', '(?:', _STEP.pattern)})*)\W*"
)
_CALCULATED = re.compile(r"([(\d€$£][\d.,+\-*/()\s€$£]*)([a-z]{3,12})?[\s.!?]*")
_VERDICT = re.compile(r"(yes|no)\b\W*")
_RELATIONS: Mapping[str, tuple[Callable[[Any, Any], bool], ...]] = {
    "<=": (operator.le,), ">=": (operator.ge,), "<": (operator.lt,), ">": (operator.gt,), "before": (operator.lt,),
    "after": (operator.gt,), "until": (operator.le,), "less than": (operator.lt,), "more than": (operator.gt,),
    "at least": (operator.ge,), "at most": (operator.le,), "or": (), "vs": (),
}  # fmt: skip
_COMPARED = re.compile(
    r"(.{1,40}?) ?(<=|>=|<|>|\b(?:is )?(?:before|after|until|less than|more than|at least|at most|or|vs)\b\.?) ?"
    r"(.{1,40})"
)
_NUMBER, _WORD = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?"), re.compile(r"[a-z]+")
_SIGN = re.compile(r"[€$£]")
_MONEY = re.compile(r"[€$£]|\b(?:euros?|pounds?|dollars?|cents?)\b")
_SHARE = re.compile(r"(.{1,40}?)(?: euros?)? ?([+-]) ?(\d{1,3}(?:\.\d{1,2})?) ?(?:%|per ?cent)\W{0,3}$")
"""Adds or takes off a share: "40 euros + 5 percent"."""
_NOT_OF_NUMBERS = re.compile(r"[€$£]|,(?=\d{3})")
_OF_HUNDRED = re.compile(r"/ ?100\b")
NEAR = dt.timedelta(90)
"""How far a day without a year may lie from today: one that is farther may be meant of either year."""
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
        The sentence with the result. It is empty if the text is not a calculation, or if it takes a number, a day or a
        unit that no text states.
    """
    text = asked.lower().strip()
    if len(text) > LONGEST:
        return ""
    reckoning = _Reckoning(" ".join(stated).lower(), dt.datetime.fromtimestamp(now, dt.UTC))
    verdict = _VERDICT.match(text)
    body = text[verdict.end() :] if verdict else text
    try:
        if found := _COMPARED.fullmatch(body):
            how = found[2].removeprefix("is ").rstrip(".")
            if "working" in body or (verdict and not _RELATIONS[how]):  # a holiday may lie between
                return ""
            held = reckoning.compared(found[1], how, found[3])
            return f"{verdict[1].capitalize()}: {held}" if verdict and held else held
        return "" if verdict else reckoning.alone(body)
    except (ArithmeticError, SyntaxError, ValueError):
        return ""


class _Reckoning:
    """Computes with what was ``told``, in lower case."""

    def __init__(self, told: str, today: dt.datetime) -> None:
        self._told = told
        self._today = today.replace(hour=0, minute=0, second=0, microsecond=0)
        named = (number(word) for word in _WORD.findall(told))
        figures = {Decimal(found.replace(",", "")) for found in _NUMBER.findall(told)}
        self._numbers = figures | {Decimal(one) for one in named if one is not None}

    def alone(self, text: str) -> str:
        """What a day that is counted, or an expression, comes to."""
        if found := _DAY.fullmatch(text):
            end = self._day(found)
            if_open = ", if no holiday lies between" if "working" in found[4] else ""
            start = self._named(found)
            return f"Counted from {self._shown(start)}, that is {self._shown(end)}{if_open}." if found[4] else ""
        value, unit, is_whole = self._value(text)
        return "" if is_whole else f"That makes {_amount(value, unit)}."

    def compared(self, one: str, how: str, other: str) -> str:
        """How two days or two amounts compare; empty if they do not compare as it is said."""
        if (first := _DAY.fullmatch(one)) and (second := _DAY.fullmatch(other)):
            days = self._day(first), self._day(second)
            words, told = ("before", "after", "the same day as"), tuple(map(self._shown, days))
            return _held(days, how, told, words)
        (value, unit, _), (limit, of, _) = self._value(one, other), self._value(other, one)
        if unit != of:
            return ""
        words = ("less than", "more than", "as much as")
        return _held((value, limit), how, (_amount(value, unit), _amount(limit, of)), words)

    def _named(self, found: re.Match[str]) -> dt.datetime:
        """A day that was stated; without a year the one that is nearest to today."""
        of_month, month, year = found[1], found[2], found[3]
        if month is None:
            return self._today
        stated = rf"\b{of_month}(?:st|nd|rd|th)?(?: of)? {month}\b|\b{month} {of_month}\b"
        if not re.search(stated, self._told) or (year and year not in self._told):
            raise ValueError(of_month)
        at, years = MONTHS.index(month) + 1, range(self._today.year - 1, self._today.year + 2)
        days = [
            dt.datetime(one, at, int(of_month), tzinfo=dt.UTC)
            for one in ([int(year)] if year else years)
            if int(of_month) <= calendar.monthrange(one, at)[1]
        ]
        nearest = min(days, key=lambda one: abs(one - self._today))
        if not year and abs(nearest - self._today) > NEAR:
            raise ValueError(of_month)
        return nearest

    def _day(self, found: re.Match[str]) -> dt.datetime:
        """The day to which stated steps lead from a stated day."""
        end = self._named(found)
        for sign, count, unit in _STEP.findall(found[4]):
            if Decimal(count) not in self._numbers:
                raise ValueError(count)
            end = _later(end, int(f"{sign}{count}"), unit)
        return end

    def _value(self, text: str, beside: str = "") -> tuple[Decimal, str, bool]:
        """The value of an expression, what it counts, as it says or what is ``beside`` it, and if it is one number.

        Raises:
            ValueError: The text is not an expression, or it has a number or a unit that no text states.
        """
        share = _SHARE.sub(r"(\1) * (100 \2 \3) / 100", text)
        found, other = _CALCULATED.fullmatch(share), _CALCULATED.fullmatch(beside)
        if found is None:
            raise ValueError(text)
        unit = self._unit(text, found[2] or "") or self._unit(beside, (other[2] if other else "") or "")
        tree = ast.parse(_NOT_OF_NUMBERS.sub("", found[1]).strip(), mode="eval").body
        known = self._numbers | (_ALWAYS if _OF_HUNDRED.search(share) else set())
        value = _reduced(tree, known)
        if not unit or value < 0 or (unit != "money" and value % 1):
            raise ValueError(text)
        return value, unit, not isinstance(tree, ast.BinOp)

    def _unit(self, text: str, word: str) -> str:
        """What a side counts; empty if it does not say. Two units on one side are none that can be computed with."""
        signs = set(_SIGN.findall(text))
        is_money = _MONEY.search(text) is not None
        if len(signs) > 1 or (signs and word) or (word.startswith("cent") and "." in text.rstrip(".")):
            raise ValueError(text)
        if word.startswith("cent"):
            return "cents"
        if word and not is_money and not re.search(rf"\b{word}\b", self._told):
            raise ValueError(word)
        return "money" if is_money else word

    def _shown(self, moment: dt.datetime) -> str:
        return f"{day(moment.timestamp())}{'' if moment.year == self._today.year else f' {moment.year}'}"


def _held(values: tuple[Any, Any], how: str, told: tuple[str, ...], words: tuple[str, str, str]) -> str:
    """The sentence that two values compare as they do; empty if it was said otherwise."""
    if not all(holds(*values) for holds in _RELATIONS[how]):
        return ""
    relation = words[0] if values[0] < values[1] else words[1] if values[0] > values[1] else words[2]
    return f"{told[0]} is {relation} {told[1]}."


def _reduced(node: ast.expr, known: AbstractSet[Decimal]) -> Decimal:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_reduced(node.left, known), _reduced(node.right, known))
    value = Decimal(ast.unparse(node))
    if value not in known:
        raise ValueError(value)
    return value


def _amount(value: Decimal, unit: str) -> str:
    if unit in ("money", "cents"):
        return money(round(value * (100 if unit == "money" else 1)))
    return during(f"{value:.0f} {unit}")


def _later(start: dt.datetime, count: int, unit: str) -> dt.datetime:
    if unit == "working day":
        moved = np.busday_offset(start.date(), count, roll="forward" if count < 0 else "backward")
        open_on = dt.date.fromisoformat(str(moved))
        return dt.datetime.combine(open_on, dt.time(), dt.UTC)
    if unit in _HOURS:
        if unit == "hour" and count % 24:  # only days are told
            raise ValueError(count)
        return start + dt.timedelta(hours=count * _HOURS[unit])
    years, before = divmod(start.month - 1 + count * (12 if unit == "year" else 1), 12)
    year, month = start.year + years, before + 1
    return start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1]))
