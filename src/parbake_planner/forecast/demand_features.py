"""Features per key: when it was last active, how often, and at which times of the day and week."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from parbake_planner.forecast.request_log import DAY, Codes
from parbake_planner.forecast.windows import Windows

Column = NDArray[np.float32]
_HALF_LIVES = (4.0, 16.0, 64.0)
"""Half-lives in windows: one, four and sixteen days if a window is six hours."""
PRIOR = 0.5
"""Weight, in windows, of the overall rate towards which a key's own rate is shrunk."""
_SLOT_PRIOR = 4.0
FEW = 3
MOST_SLOTS = 24
FIRST_COLUMNS = 1
MONDAY = 4 * DAY
"""The epoch began on a Thursday."""


class Habits:
    """State per key that updates only the active keys; 5 million keys take about 300 MB."""

    def __init__(self, windows: Windows) -> None:
        keys = len(windows.known)
        self._windows, self.next_window = windows, 0
        width = windows.width / DAY
        self._decay = np.asarray([0.5 ** (1 / half) for half in _HALF_LIVES], dtype=np.float32)
        self._slots = min(MOST_SLOTS, round(1 / width)) if width < 1 else 1
        self._weekdays = 7 if width <= 1 else 1
        self._recent = np.zeros((len(_HALF_LIVES), keys), dtype=np.float32)
        self._last = np.full(keys, -1, dtype=np.int32)
        self._total = np.zeros(keys, dtype=np.int32)
        self._of_slot = np.zeros((self._slots, keys), dtype=np.uint16)
        self._of_day = np.zeros((self._weekdays, keys), dtype=np.uint16)
        self._share = np.zeros((self._slots, self._weekdays, 2))
        self._seen = np.zeros(2)

    def observe(self, window: int, active: Codes) -> None:
        """Update the state with the keys that were active in a past window."""
        slot, day = self._place(window)
        since = np.minimum(window - self._last[active], 10_000).astype(np.float32)
        for row, decay in zip(self._recent, self._decay, strict=True):
            row[active] = row[active] * decay**since + 1
        self._last[active] = window
        self._total[active] += 1
        for table, place in ((self._of_slot, slot), (self._of_day, day)):
            table[place, active] = np.minimum(table[place, active], 65_000) + 1
        known = int(np.count_nonzero(self._windows.known <= window))
        self._share[slot, day] += (min(len(active), known), known)
        self._seen += (min(len(active), known), known)
        self.next_window = window + 1

    def strangers(self, keys: Codes) -> NDArray[np.bool_]:
        """Mark the keys that were known from the beginning and have never been active.

        All of them have the same features.
        """
        found: NDArray[np.bool_] = (self._total[keys] == 0) & (self._windows.known[keys] == 0)
        return found

    def columns(self, keys: Codes, window: int) -> Column:
        """Compute the features of keys for a window, shape (keys, columns).

        Most of them are logarithms of rates, so that the model's odds are products of powers of rates.
        """
        slot, day = self._place(window)
        base = max(float(self._seen[0]), 0.5) / max(float(self._seen[1]), 1.0)
        first = np.maximum(self._windows.known[keys] - 1, 0)
        age = np.maximum(window - first, 1).astype(np.float32)
        since = np.where(self._last[keys] >= 0, window - self._last[keys], age).astype(np.float32)
        total = self._total[keys].astype(np.float32)
        rate: Column = ((total + PRIOR) / (age + PRIOR / base)).astype(np.float32)
        found = [np.log(rate), np.log(since), np.log1p(age), np.log1p(since * rate), (since <= 1).astype(np.float32)]
        found += [(total == few).astype(np.float32) for few in range(FEW)]
        for row, decay in zip(self._recent, self._decay, strict=True):
            weight = (1 - decay**age) / (1 - decay)
            found.append(np.log((row[keys] * decay ** (since - 1) + PRIOR) / (weight + PRIOR / base)))
        found.append(np.full(len(keys), np.log(self._usual(slot, day) / base), dtype=np.float32))
        if self._weekdays > 1:
            found += self._this_week(window, rate, since)
        for table, place in ((self._of_slot, slot), (self._of_day, day)):
            if len(table) > 1:
                of_place = table[place, keys].astype(np.float32)
                expected = (total + _SLOT_PRIOR) / len(table)
                found.append(np.log((of_place + _SLOT_PRIOR / len(table)) / expected))
        return np.stack(found, axis=1).astype(np.float32)

    def _this_week(self, window: int, rate: Column, since: Column) -> list[Column]:
        """Whether a key was active since Monday; if not, how telling its silence is, given its usual rate.

        Some keys come only in some weeks.
        """
        passed = (self._windows.begin(window) - MONDAY) % (7 * DAY) / self._windows.width
        came = (since <= passed).astype(np.float32)
        silent = (1 - came) * np.log1p(rate * passed)
        return [came, silent, silent**2, came * np.log(rate)]

    def _usual(self, slot: int, day: int) -> float:
        """The share of known keys that are active at this time of the week."""
        base = max(float(self._seen[0]), 0.5) / max(float(self._seen[1]), 1.0)
        of_slot = self._share[slot].sum(axis=0)
        weight = float(self._seen[1]) / max(1.0, self.next_window) * 2
        hour = (of_slot[0] + weight * base) / (of_slot[1] + weight) if weight else base
        here = self._share[slot, day]
        return float((here[0] + weight * hour) / (here[1] + weight)) if weight else base

    def _place(self, window: int) -> tuple[int, int]:
        middle = self._windows.begin(window) + self._windows.width / 2
        slot = int(middle % DAY / DAY * self._slots)
        return slot, int(middle // DAY) % self._weekdays
