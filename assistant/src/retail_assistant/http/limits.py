"""Limits per client and per shopper: a token bucket each, so that a burst passes and a flood does not."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from retail_assistant.shop.errors import TooOften
from retail_assistant.vouching import Rates

BURST_S = 10.0
"""A bucket holds what its rate gives in so many seconds."""
MOST_NAMES = 20_000
"""Buckets that are kept; the one that was used longest ago gives way."""
TRIES, TRIES_S = 5, 300.0
"""So many sign-ins one client may try with one name in so many seconds. Clients are counted apart, because a limit for
all of them would let strangers lock a shopper out."""
SIGN_INS_A_SECOND, SIGN_INS_AT_ONCE = 1.0, 20
"""Sign-ins of one client with whatever names: each costs some CPU."""


class _Bucket(msgspec.Struct):
    left: float
    at: float


class Buckets:
    """Token buckets by name.

    Args:
        rate: Tokens that a bucket gains a second; 0 limits nothing.
        size: Tokens that a full bucket holds.
        now: Seconds that never go back.
    """

    def __init__(self, rate: float, size: float, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with full buckets."""
        self._rate, self._size, self._now = rate, size, now
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, name: str, what: str) -> None:
        """Take a token; raises :class:`TooOften` that says ``what`` came too often if the bucket is empty."""
        if not self._rate:
            return
        now = self._now()
        bucket = self._buckets.setdefault(name, _Bucket(self._size, now))
        self._buckets.move_to_end(name)
        if len(self._buckets) > MOST_NAMES:
            self._buckets.popitem(last=False)
        bucket.left, bucket.at = min(self._size, bucket.left + (now - bucket.at) * self._rate), now
        if bucket.left < 1:
            raise TooOften(what, retry_s=math.ceil((1 - bucket.left) / self._rate))
        bucket.left -= 1


class Limits:
    """The buckets of clients and shoppers."""

    def __init__(self, rates: Rates) -> None:
        """``rates`` are those of chats and writes."""
        self._clients = Buckets(rates.client, rates.client * BURST_S)
        self._shoppers = Buckets(rates.shopper, rates.shopper * BURST_S)
        self._tries = Buckets(TRIES / TRIES_S, TRIES)
        self._sign_ins = Buckets(SIGN_INS_A_SECOND, SIGN_INS_AT_ONCE)

    def act(self, client: str, shopper: str) -> None:
        """Count a chat or a write of a client, for a shopper unless ``shopper`` is empty; raises :class:`TooOften`."""
        self._clients.spend(client, "requests from this address")
        if shopper:
            self._shoppers.spend(shopper, "requests of this shopper")

    def try_name(self, client: str, shopper: str) -> None:
        """Count a sign-in, for the client and for the name that it tries; raises :class:`TooOften`."""
        self._sign_ins.spend(client, "sign-ins from this address")
        self._tries.spend(f"{client} {shopper}", "sign-ins")
