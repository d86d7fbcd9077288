"""Which sources were not heard since this process last computed a value of them without the store.

Such a value may be newer than what the store has heard of. If the store returns while a source is away, its last
heartbeat is still young, and a reader would see the older value again. So the store is not trusted for a source until a
poll of it has ended that began afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping

_SKEW_S = 5.0
"""Seconds by which the clocks of two processes may differ: so much later another one's poll must have begun."""


class SinceOutage:
    """Numbers the values that this process has computed without the store, and notes what each source was heard after.

    Each source has the number of the last one that it concerns.
    """

    def __init__(self) -> None:
        """Nothing was computed without the store yet."""
        self._numbers = itertools.count(1)  # several event loops count
        self._computed: dict[str, int] = {}
        self._computed_at: dict[str, float] = {}
        self._heard: dict[str, int] = {}

    @property
    def was_away(self) -> bool:
        """Whether the store was ever away while something was asked for."""
        return bool(self._computed)

    def computed(self, sources: Collection[str], now: float) -> None:
        """Note that a value was computed without the store, before anybody gets it.

        Args:
            sources: The names of the sources whose changes concern it.
            now: Epoch seconds, which are compared with the heartbeats of other processes.
        """
        number = next(self._numbers)
        self._computed_at.update(dict.fromkeys(sources, now))
        self._computed.update(dict.fromkeys(sources, number))

    def polls(self, source: str) -> int:
        """What a poll of a source remembers when it begins, for :meth:`heard`."""
        return self._computed.get(source, 0)

    def heard(self, source: str, began: int) -> None:
        """Note that this process has polled a source to its end.

        Args:
            source: Its name.
            began: What :meth:`polls` has returned when the poll began.
        """
        self._heard[source] = max(began, self._heard.get(source, 0))

    def is_behind(self, source: str) -> bool:
        """Whether this process should poll a source soon, because none of its polls began since."""
        return self._heard.get(source, 0) < self._computed.get(source, 0)

    def is_unheard(self, source: str, heartbeats: Mapping[str, float]) -> bool:
        """Whether no poll of a source, of this process or of another one, is known to have begun since.

        Args:
            source: Its name.
            heartbeats: When the last poll of each source began, in epoch seconds by the clock of whoever polled it.
        """
        if not self.is_behind(source):
            return False
        return heartbeats.get(source, 0.0) <= self._computed_at[source] + _SKEW_S
