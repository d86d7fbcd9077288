"""How many new tags the events of a request may bring."""

from __future__ import annotations

import math

from parbake.errors import BadInput
from parbake.http.access.denials import TooManyNewTags
from parbake.ports.clock import Clock
from parbake.process.buckets import Buckets

_MINUTE_S = 60
NEW_TAGS = 2_000
"""The new tags of a minute, unless an application says otherwise."""


class TagQuota:
    """How many tags that were never raised the events of operators may bring in a minute.

    Each new tag takes room in the store for good. A bulk of real ones passes after a while, and a stream of invented
    ones does not fill the disk.
    """

    def __init__(self, a_minute: int, clock: Clock) -> None:
        """Start with the whole quota; raises :class:`BadInput` for a limit that is not a whole number above 0."""
        if not isinstance(a_minute, int) or isinstance(a_minute, bool) or a_minute < 1:
            raise BadInput(f"new_tags={a_minute!r}: expected a whole number of at least 1", field="new_tags")
        self._limit = a_minute
        self._bucket = Buckets(a_minute / _MINUTE_S, a_minute, clock.now)

    def take(self, count: int) -> None:
        """Use some of the quota; raises :class:`TooManyNewTags` if too little is left."""
        if wait_s := self._bucket.wait_s(count=count):
            raise TooManyNewTags(self._limit, math.ceil(wait_s))
