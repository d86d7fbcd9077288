"""What customers ask further after a trouble with a book was answered, and how a section states it."""

from __future__ import annotations

import re
from typing import NamedTuple

from retail_assistant.understand.said.concepts import TROUBLES, concepts, names_any


class _Aspect(NamedTuple):
    """A side of a trouble: how it is asked for, and how a section states it."""

    asked: re.Pattern[str]
    stated: re.Pattern[str]


_ASPECTS = (
    _Aspect(
        re.compile(
            r"\b(?:send|give|ship|bring|mail|post)\b.{0,100}\bback\b|\breturn (?:it|them|this|that|the)\b|\bkeep it\b"
        ),
        re.compile(r"\bold (?:one|copy|book)\b|\bcollect\w*|\bsen[dt]\b.{0,100}\bback\b|\breturn\w*|\bkeep\b"),
    ),
    _Aspect(
        re.compile(
            r"\b(?:pay|charged?) (?:me )?(?:for (?:it|that|this|them)|anything|something|extra)\b|\bcosts? (?:me|us)\b"
            r"|\b(?:is|does|will) (?:it|that|this) (?:be )?(?:for free|free|cost)\b|\bwho pays\b"
        ),
        re.compile(r"\b(?:free|costs?|charged?|pays?|paid)\b|\u20ac"),
    ),
    _Aspect(
        re.compile(r"\b(?:box|packaging|carton|envelope|wrapping)\b"),
        re.compile(r"\b(?:box|packaging|carton|envelope|wrapping)\b"),
    ),
    _Aspect(re.compile(r"\b(?:photos?|pictures?|proof)\b"), re.compile(r"\b(?:photos?|pictures?|proof)\b")),
    _Aspect(
        re.compile(
            r"\bhow (?:long|soon|quickly|many (?:days|weeks)) (?:do|must|should) i\b"
            r"|\buntil when\b|\bby when\b|\bdeadline\b"
        ),
        re.compile(r"\b(?:hours?|days?|weeks?|months?|years?)\b"),
    ),
    _Aspect(
        re.compile(
            r"\bhow (?:quick|fast|soon|long)\w*\b.{0,100}\b(?:replac\w+|new (?:one|copy)|right (?:book|one|copy))"
        ),
        re.compile(r"\b(?:express|days?|hours?|at once|same day)\b"),
    ),
    _Aspect(
        re.compile(r"^(?:and |so )?how (?:long|fast|quick|soon)\b.{0,20}\b(?:takes?|that|it)\b"),
        re.compile(r"\bexpress\b|\bat once\b|\bworking days?\b"),
    ),
    _Aspect(
        re.compile(r"\brefund\w*\b.{0,100}\b(?:instead|rather)\b|\b(?:instead|rather)\b.{0,100}\brefund"),
        re.compile(r"\brefund\w*|\bmoney back\b"),
    ),
)
_NAMES_MORE = TROUBLES | {
    "delivery",
    "express",
    "gift_card",
    "digital",
    "opened",
    "abroad",
    "label",
    "preorder",
    "points",
}
"""Concepts with which a question says by itself what it is about."""


def is_trouble(title: str) -> bool:
    """Whether a policy section is about a trouble with a book, by its title."""
    return names_any(title.lower(), TROUBLES)


def states(question: str, section: str) -> bool | None:
    """Whether a section states what is asked further about its trouble; ``None`` if something else is asked."""
    if concepts(question) & _NAMES_MORE:
        return None
    asked = [aspect for aspect in _ASPECTS if aspect.asked.search(question)]
    return all(aspect.stated.search(section.lower()) for aspect in asked) if asked else None
