"""What leads to what: one page leads to the next, and a message to what is looked at and bought afterwards."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retail_assistant.world import draws
from retail_assistant.world.activity import Events, Frame, joined
from retail_assistant.world.catalog import Catalog
from retail_assistant.world.draws import Floats, Ints

_ONWARD = 0.12
"""The share of views after which the shopper looks at a related product."""
_LED_TO = 0.35
"""The share of newly begun series that the shopper found from the page of a related one."""
_LEADS = (("author", 0.3), ("theme", 0.45), ("genre", 0.25))
"""How often a related product has the same author, a theme in the same genre, or only the same genre."""
_LOOKED_AT = 2
"""The most other fitting products that are looked at between a message and the purchase that it led to."""


@dataclass(frozen=True)
class Groups:
    """Lines that share something. A line can be in several groups; both directions are kept as offsets and members."""

    of_line: Ints
    line_at: Ints
    members: Ints
    group_at: Ints

    def other(self, rng: np.random.Generator, line: Ints) -> Ints:
        """Return for each line one that shares a group with it, itself if it is alone."""
        group = _one_of(rng, self.of_line, self.line_at, line)
        return _one_of(rng, self.members, self.group_at, group)


def _one_of(rng: np.random.Generator, values: Ints, at: Ints, rows: Ints) -> Ints:
    size = at[rows + 1] - at[rows]
    return np.asarray(values[at[rows] + np.floor(rng.random(len(rows)) * size).astype(np.int64)], dtype=np.int64)


def make_groups(catalog: Catalog) -> dict[str, Groups]:
    """Group the lines by author, by theme within a genre, and by genre."""
    series = [catalog.series[line.series] for line in catalog.lines]
    return {
        "author": _grouped([[one.author] for one in series]),
        "theme": _grouped([[(one.genre, theme) for theme in one.themes] for one in series]),
        "genre": _grouped([[one.genre] for one in series]),
    }


def _grouped(keys: Sequence[Sequence[Hashable]]) -> Groups:
    """Build the groups from the keys of each line."""
    number: dict[Hashable, int] = {}
    pairs = np.array(
        [(line, number.setdefault(key, len(number))) for line, some in enumerate(keys) for key in some], dtype=np.int64
    )
    by_group = pairs[np.argsort(pairs[:, 1], kind="stable")]
    return Groups(
        pairs[:, 1].copy(),
        np.searchsorted(pairs[:, 0], np.arange(len(keys) + 1)),
        by_group[:, 0].copy(),
        np.searchsorted(by_group[:, 1], np.arange(len(number) + 1)),
    )


def make_wandering(
    rng: np.random.Generator, frame: Frame, groups: dict[str, Groups], seen: Events, bought: Events
) -> Events:
    """Return further views, ordered by shopper and time: what a page led to, and pages that led to a purchase."""
    onward = seen.take(draws.chances(rng, len(seen.who), _ONWARD))
    begun = frame.catalog.item_array("volume")[bought.item] <= 1
    found = bought.take(begun & draws.chances(rng, len(bought.who), _LED_TO))
    page_at = found.ts - 60.0 - rng.uniform(60, 900, size=len(found.ts))
    parts = [
        _related(rng, frame, groups, onward, onward.ts + rng.uniform(30, 90, size=len(onward.ts))),
        _related(rng, frame, groups, found, page_at),
        Events(found.who, found.item, page_at + rng.uniform(20, 60, size=len(page_at)), found.fit),
    ]
    return _in_order(frame, parts)


def _related(rng: np.random.Generator, frame: Frame, groups: dict[str, Groups], events: Events, ts: Floats) -> Events:
    """Views of products that are related to those of some events, at given times."""
    line = frame.catalog.item_array("line")[events.item]
    how = rng.choice(len(_LEADS), size=len(line), p=[share for _, share in _LEADS])
    other = line.copy()
    for n, (name, _) in enumerate(_LEADS):
        rows = np.flatnonzero(how == n)
        other[rows] = groups[name].other(rng, line[rows])
    return Events(events.who, _early_volume(rng, frame, other), ts, events.fit)


def _early_volume(rng: np.random.Generator, frame: Frame, line: Ints) -> Ints:
    """A volume of each line, mostly the first."""
    step = np.floor(rng.random(len(line)) ** 4 * frame.length[line]).astype(np.int64)
    return np.asarray(frame.first[line] + step, dtype=np.int64)


def make_looks(rng: np.random.Generator, frame: Frame, groups: dict[str, Groups], led: Mapping[str, Events]) -> Events:
    """Return the views between messages and the purchases that they led to.

    Args:
        rng: The random stream.
        frame: The catalog and the span of time.
        groups: The groups of :func:`make_groups`.
        led: For each kind of wish (a key of ``groups``, or "series") the purchases at the times of their messages.

    Returns:
        Views of products that fit the wish, and of the product that was bought then; ordered by shopper and time.
    """
    parts: list[Events] = []
    for kind, asked in led.items():
        row, step = draws.repeat_index(rng.integers(0, _LOOKED_AT + 1, size=len(asked.who)).astype(np.int64))
        looked = asked.take(row)
        line = frame.catalog.item_array("line")[looked.item]
        fitting = groups[kind].other(rng, line) if kind in groups else line
        ts = looked.ts + 20.0 + 15.0 * step + rng.uniform(0, 10, size=len(row))
        parts.append(Events(looked.who, _early_volume(rng, frame, fitting), ts, looked.fit))
        parts.append(Events(asked.who, asked.item, asked.ts + 70.0, asked.fit))
    return _in_order(frame, parts)


def _in_order(frame: Frame, parts: Sequence[Events]) -> Events:
    """Join views, leave out what is not on sale at that time, and order them by shopper and time."""
    if not parts:
        nobody, never = np.empty(0, dtype=np.int64), np.empty(0)
        return Events(nobody, nobody, never, never)
    found = joined(parts)
    found = Events(found.who, found.item, np.floor(found.ts), found.fit)
    on_sale = frame.catalog.listed[found.item] & (found.ts >= frame.catalog.created_at[found.item])
    found = found.take(on_sale & (found.ts >= frame.start) & (found.ts < frame.end - 1))
    return found.take(np.lexsort((found.item, found.ts, found.who)))
