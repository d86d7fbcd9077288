"""The shoppers' actions: they start series, read on volume by volume, and look around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retail_assistant.world import draws
from retail_assistant.world.catalog import Catalog
from retail_assistant.world.draws import DAY, Flags, Floats, Ints
from retail_assistant.world.shoppers import Group, Market, choose_lines

_READ_ON = 0.66
_MID_SERIES = 0.3


@dataclass(frozen=True)
class Frame:
    """The catalog as arrays, and the span of time that is generated (epoch seconds, ``end`` excluded)."""

    catalog: Catalog
    market: Market
    first: Ints
    length: Ints
    work: Ints
    start: float
    end: float

    @property
    def days(self) -> int:
        """Whole days in the span."""
        return int((self.end - self.start) // DAY)


@dataclass(frozen=True)
class Events:
    """Events of one kind: shopper (position in its group), item, time, and how well the item fits the shopper."""

    who: Ints
    item: Ints
    ts: Floats
    fit: Floats

    def take(self, keep: Flags | Ints) -> Events:
        """Return a selection."""
        return Events(self.who[keep], self.item[keep], self.ts[keep], self.fit[keep])


def joined(parts: Sequence[Events]) -> Events:
    """Return the events of all parts, one part after the other."""
    return Events(
        np.concatenate([p.who for p in parts]),
        np.concatenate([p.item for p in parts]),
        np.concatenate([p.ts for p in parts]),
        np.concatenate([p.fit for p in parts]),
    )


@dataclass(frozen=True)
class _Chains:
    """Started series: the shopper, the line, the time (epoch seconds), and the first volume (0 is volume 1)."""

    who: Ints
    line: Ints
    fit: Floats
    began: Floats
    from_volume: Ints


def make_frame(catalog: Catalog, market: Market, *, now: float, days: int) -> Frame:
    """Convert the catalog to arrays."""
    return Frame(
        catalog,
        market,
        catalog.line_array("first"),
        catalog.line_array("length"),
        catalog.item_array("work"),
        now - days * DAY,
        now,
    )


def make_purchases(rng: np.random.Generator, frame: Frame, group: Group) -> Events:
    """Return the group's purchases ordered by (shopper, time); nobody buys the same volume twice."""
    who = np.repeat(np.arange(len(group), dtype=np.int64), group.starts)
    began = draws.moments(rng, len(who), start=frame.start, days=frame.days)
    line, fit = choose_lines(rng, group, frame.market, who, _weeks(frame, began))
    chains = _Chains(who, line, fit, began, _first_volumes(rng, frame, line))
    chain, step = draws.repeat_index(_volumes_bought(rng, frame, group, chains))
    item = frame.first[line[chain]] + chains.from_volume[chain] + step
    ts = _reading_times(rng, frame, began[chain], step, item)
    return _once_per_work(frame, Events(who[chain], item, ts, fit[chain]))


def _weeks(frame: Frame, ts: Floats) -> Ints:
    return np.clip((ts - frame.start) // (7 * DAY), 0, len(frame.market.appeal) - 1).astype(np.int64)


def _first_volumes(rng: np.random.Generator, frame: Frame, line: Ints) -> Ints:
    """The first volume for each start: mostly volume 1 (0 here); some go on with a series that they began earlier."""
    later = np.floor(rng.random(len(line)) * frame.length[line]).astype(np.int64)
    return np.where(draws.chances(rng, len(line), _MID_SERIES), later, 0)


def _volumes_bought(rng: np.random.Generator, frame: Frame, group: Group, chains: _Chains) -> Ints:
    keenness = group.keenness[chains.who] + frame.market.keenness[chains.line]
    go_on = _READ_ON + keenness + 0.05 * np.clip(chains.fit, -2, 3)
    wanted = rng.geometric(1.0 - np.clip(go_on, 0.1, 0.93)).astype(np.int64)
    return np.asarray(np.minimum(wanted, frame.length[chains.line] - chains.from_volume), dtype=np.int64)


def _reading_times(rng: np.random.Generator, frame: Frame, began: Floats, step: Ints, item: Ints) -> Floats:
    """Each further volume follows within days (mean 4), never before its release, never before the one before it."""
    size = len(step)
    gap = np.where(draws.chances(rng, size, 0.15), 0.0, rng.exponential(4.0, size=size))
    gap[step == 0] = 0.0
    total = np.cumsum(gap)
    starts = np.flatnonzero(step == 0)
    chain = np.cumsum(step == 0) - 1
    day = np.floor(began / DAY + total - total[starts][chain])
    ts = day * DAY + np.where(step == 0, began % DAY, draws.clock_times(rng, size))
    ts = np.maximum(ts, frame.catalog.created_at[item] + rng.exponential(2.0, size=size) * DAY)
    apart = chain * (4000 * DAY)
    since = np.maximum.accumulate(ts - frame.start + apart) - apart
    return np.asarray(since + frame.start + 90.0 * step, dtype=np.float64)


def _once_per_work(frame: Frame, events: Events) -> Events:
    events = events.take((events.ts < frame.end - 1) & frame.catalog.listed[events.item])
    events = events.take(np.lexsort((events.item, events.ts, events.who)))
    key = events.who * (int(frame.work.max()) + 1) + frame.work[events.item]
    _, first = np.unique(key, return_index=True)
    return _whole_seconds(events.take(np.sort(first)))


def _whole_seconds(events: Events) -> Events:
    return Events(events.who, events.item, np.floor(events.ts), events.fit)


def make_views(rng: np.random.Generator, frame: Frame, group: Group, purchases: Events) -> Events:
    """Return the group's views ordered by (shopper, time): before purchases, after them, and without any."""
    parts = [
        _views_before(rng, purchases),
        _views_of_next(rng, frame, purchases),
        _browsing(rng, frame, group),
    ]
    merged = joined(parts)
    ts = np.maximum(merged.ts, frame.catalog.created_at[merged.item])
    merged = Events(merged.who, merged.item, ts, merged.fit)
    within = (merged.ts >= frame.start) & (merged.ts < frame.end - 1)
    merged = merged.take(within & frame.catalog.listed[merged.item])
    return _whole_seconds(merged.take(np.lexsort((merged.item, merged.ts, merged.who))))


def _views_before(rng: np.random.Generator, purchases: Events) -> Events:
    row, _ = draws.repeat_index(rng.geometric(0.6, size=len(purchases.who)).astype(np.int64))
    ahead = rng.exponential(np.where(draws.chances(rng, len(row), 0.3), 36.0, 0.4)) * 3600.0
    views = purchases.take(row)
    return Events(views.who, views.item, views.ts - 20.0 - ahead, views.fit)


def _views_of_next(rng: np.random.Generator, frame: Frame, purchases: Events) -> Events:
    last = np.append(np.diff(frame.catalog.item_array("line")) != 0, [True])
    chosen = purchases.take(~last[purchases.item] & draws.chances(rng, len(purchases.who), 0.35))
    later = chosen.ts + rng.exponential(20.0, size=len(chosen.ts)) * 3600.0
    return Events(chosen.who, chosen.item + 1, later, chosen.fit)


def _browsing(rng: np.random.Generator, frame: Frame, group: Group) -> Events:
    who = np.repeat(np.arange(len(group), dtype=np.int64), group.sessions)
    began = draws.moments(rng, len(who), start=frame.start, days=frame.days)
    line, fit = choose_lines(rng, group, frame.market, who, _weeks(frame, began))
    counts = rng.geometric(0.3, size=len(who)).astype(np.int64)
    row, step = draws.repeat_index(counts)
    reach = np.minimum(frame.length[line[row]], 1 + step)
    volume = np.floor(rng.random(len(row)) ** 2 * reach).astype(np.int64)
    ts = began[row] + step * 45.0 + rng.random(len(row)) * 30.0
    return Events(who[row], frame.first[line[row]] + volume, ts, fit[row])


def paid_cents(catalog: Catalog, item: Ints, ts: Floats) -> Ints:
    """Return the price of items at given times, in cents."""
    return np.where(ts >= catalog.changed_at[item], catalog.cents[item], catalog.old_cents[item])
