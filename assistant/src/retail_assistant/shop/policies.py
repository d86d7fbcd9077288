"""Policy text: titled sections whose numbers come from the policy's facts.

A body is markdown: ``## Section title`` lines, each followed by prose in which ``{window_days}`` stands for the
fact of that name. Facts are scalars; a name's ending carries its unit (``_days``, ``_eur``, ``_percent``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property

import msgspec

from retail_assistant.shop.errors import BadValue

Fact = str | int | float | bool

LONGEST_FACT = 200

MOST = 1_000_000
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_FACT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HEADING = re.compile(r"^##[ \t]+(.+?)[ \t]*$", re.MULTILINE)
_TOP = re.compile(r"^# .*$", re.MULTILINE)
"""The heading of a whole page, which repeats its title."""


class Policy(msgspec.Struct, frozen=True, dict=True):
    """One policy as stored; ``updated_at`` in epoch seconds, ``body`` with its placeholders."""

    id: str
    title: str
    body: str
    facts: Mapping[str, Fact]
    updated_at: float

    @cached_property
    def sections(self) -> list[Section]:
        """The sections with facts filled in."""
        return render_policy(self)

    @cached_property
    def text(self) -> str:
        """All sections with their titles, facts filled in."""
        return " ".join(f"{s.title}. {s.text}" for s in self.sections)

    def fact(self, name: str) -> str | None:
        """A fact as prose shows it; ``None`` if the policy does not have it."""
        return format_fact(name, self.facts[name]) if name in self.facts else None

    def number(self, fact: str) -> float | None:
        """The value of a fact; ``None`` unless the policy states it as a number."""
        value = self.facts.get(fact)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


class Section(msgspec.Struct, frozen=True):
    """One titled section of a policy; ``id`` is the title in lower case with dashes, unique within the policy."""

    id: str
    title: str
    text: str


def render_policy(policy: Policy, *, slots: bool = False) -> list[Section]:
    """Return the policy's sections with facts filled in, or, with ``slots``, as ``{{policy:<id>.<fact>}}``."""

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"{{{{policy:{policy.id}.{name}}}}}" if slots else format_fact(name, policy.facts[name])

    return [
        Section(s.id, _PLACEHOLDER.sub(fill, s.title), _PLACEHOLDER.sub(fill, s.text))
        for s in split_sections(policy.title, policy.body)
    ]


def split_sections(title: str, body: str) -> list[Section]:
    """Split a body at its headings without filling placeholders; text before the first heading goes under ``title``."""
    parts = _HEADING.split(body)
    pairs = [(title, _TOP.sub("", parts[0])), *zip(parts[1::2], parts[2::2], strict=True)]
    return [Section(slug(t), t, " ".join(p.split())) for t, p in pairs if p.strip()]


def slug(title: str) -> str:
    """Return a title in lower case, with a dash for every run of other characters."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"


def format_fact(name: str, value: Fact) -> str:
    """Format a fact for prose: ``*_eur`` with two decimals unless whole, booleans as yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value))
        return f"{value:.2f}" if name.endswith("_eur") else f"{value:g}"
    return str(value)


def check_facts(facts: Mapping[str, object]) -> dict[str, Fact]:
    """Return the facts; raises :class:`BadValue` that names the first one that cannot be stored."""
    checked: dict[str, Fact] = {}
    for name, value in facts.items():
        field = f"facts.{name}"
        if not isinstance(name, str) or not _FACT_NAME.fullmatch(name):
            raise BadValue(f"{field}: name facts in lower case letters, digits and underscores", field=field)
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            raise BadValue(f"{field}: send text, a finite number or a boolean", field=field)
        if not isinstance(value, str) and not 0 <= value <= MOST:
            raise BadValue(f"{field}: send a number from 0 to {MOST:,}", field=field)
        if name.endswith("_eur") and isinstance(value, float) and round(value, 2) != value:
            raise BadValue(f"{field}: send euros with at most two decimals", field=field)
        if isinstance(value, str) and (len(value) > LONGEST_FACT or "{" in value or "}" in value):
            raise BadValue(f"{field}: send at most {LONGEST_FACT} characters, without braces", field=field)
        checked[name] = value
    return checked


def placeholders(body: str) -> set[str]:
    """The names of the facts that a body states."""
    return set(_PLACEHOLDER.findall(body))


def check_body(title: str, body: str, facts: Mapping[str, Fact]) -> None:
    """Raise :class:`BadValue` for a placeholder without a fact, a stray brace, no section, or repeated sections."""
    for name in _PLACEHOLDER.findall(body):
        if name not in facts:
            known = ", ".join(sorted(facts)) or "none"
            raise BadValue(f"body: {{{name}}} is not a fact of this policy; known facts: {known}", field="body")
    rest = _PLACEHOLDER.sub("", body)
    if "{" in rest or "}" in rest:
        raise BadValue("body: a brace is not part of a placeholder such as {window_days}; remove it", field="body")
    ids = [section.id for section in split_sections(title, body)]
    if not ids:
        raise BadValue("body: write at least one section with text", field="body")
    for repeated in {i for i in ids if ids.count(i) > 1}:
        raise BadValue(f"body: two sections are called {repeated!r}; rename one", field="body")
