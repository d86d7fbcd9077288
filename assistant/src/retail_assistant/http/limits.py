"""Limits per client and per shopper: a token bucket each, so that a burst passes and a flood does not.

A client is an IPv4 address or the network of an IPv6 address, of which one machine may use any.
"""

from __future__ import annotations

import math

from parbake.http import Buckets, client_of
from retail_assistant.shop.errors import TooOften
from retail_assistant.vouching import Rates

BURST_S = 10.0
"""A bucket holds what its rate gives in so many seconds."""
TRIES, TRIES_S = 5, 300.0
"""So many sign-ins one client may try with one name in so many seconds. Clients are counted apart, because a limit for
all of them would let strangers lock a shopper out."""
SIGN_INS_A_SECOND, SIGN_INS_AT_ONCE = 1.0, 20
"""Sign-ins of one client with whatever names: each costs some CPU."""


class Limits:
    """The buckets of clients and shoppers."""

    def __init__(self, rates: Rates) -> None:
        """``rates`` are those of chats and writes."""
        self.tell_clients_apart = bool(rates.client)
        self._clients = Buckets(rates.client, rates.client * BURST_S)
        self._shoppers = Buckets(rates.shopper, rates.shopper * BURST_S)
        self._tries = Buckets(TRIES / TRIES_S, TRIES)
        # Where clients are not told apart, as behind a proxy, one of them must not stop the others' sign-ins.
        self._sign_ins = Buckets(SIGN_INS_A_SECOND if self.tell_clients_apart else 0.0, SIGN_INS_AT_ONCE)

    def act(self, client: str, shopper: str) -> None:
        """Count a chat or a write of a client, for a shopper unless ``shopper`` is empty; raises :class:`TooOften`."""
        _spend(self._clients, client_of(client), "requests from this address")
        if shopper:
            _spend(self._shoppers, shopper, "requests of this shopper")

    def try_name(self, client: str, shopper: str) -> None:
        """Count a sign-in, for the client and for the name that it tries; raises :class:`TooOften`."""
        _spend(self._sign_ins, client_of(client), "sign-ins from this address")
        _spend(self._tries, f"{client_of(client)} {shopper}", "sign-ins")


def _spend(buckets: Buckets, name: str, what: str) -> None:
    """Take a token of a name; raises :class:`TooOften` that says ``what`` came too often if there is none."""
    if wait_s := buckets.wait_s(name):
        raise TooOften(what, retry_s=math.ceil(wait_s))
