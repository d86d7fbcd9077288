"""Requests that wait for their turn: one line for each client, and the clients take turns.

A client is an address. Behind a reverse proxy that makes one address of all clients they share a line, in the order in
which they came, as they would without lines.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

_LATELY = 0.95
"""What is left, after another measurement, of the most that a client had in progress."""
_NETWORK = 64
"""The bits of an IPv6 address that name a site; one machine may use any address of its site (RFC 4291, 2.5.4)."""


class Arrival:
    """A request that has arrived.

    Attributes:
        at: When it arrived, a time of ``perf_counter``.
        client: Who has sent it.
        has_left: Whether the client has closed the connection.
        place: How often the loop had rested when the request was let in; ``None`` while it is not.
    """

    __slots__ = ("at", "client", "has_left", "place")

    def __init__(self, at: float, client: str = "", has_left: Callable[[], bool] = bool) -> None:
        """Note a request; see the class for the arguments."""
        self.at, self.client, self.has_left = at, client, has_left
        self.place: int | None = None


class WaitingRequest(NamedTuple):
    """A request that waits for its turn."""

    turn: asyncio.Future[None]
    arrival: Arrival


class WaitingLine:
    """The requests that wait. Each client has a line of its own, and the next request is the next client's."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._lines: OrderedDict[str, deque[WaitingRequest]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        """How many requests wait."""
        return self._length

    def add(self, waiting: WaitingRequest) -> None:
        """Let a request wait behind those of its client."""
        self._lines.setdefault(waiting.arrival.client, deque()).append(waiting)
        self._length += 1

    def take(self, *, newest: bool) -> WaitingRequest:
        """Remove the next client's oldest or newest request; raises :class:`KeyError` if none waits."""
        client, line = self._lines.popitem(last=False)
        self._length -= 1
        taken = line.pop() if newest else line.popleft()
        if line:
            self._lines[client] = line  # behind all others
        return taken

    def expire(self, limit: Callable[[str], float]) -> Iterator[WaitingRequest]:
        """Remove and yield the requests that have waited for too long, and those that wait no more.

        Args:
            limit: Says of a client before which time a request must have arrived to have waited for too long.
        """
        for client, line in list(self._lines.items()):
            expires = limit(client)
            while line and (line[0].turn.done() or line[0].arrival.at < expires):
                self._length -= 1
                yield line.popleft()
            if not line:
                del self._lines[client]


class ClientShares:
    """How many requests each client has in progress, and who asks for much less than the one who asks for most."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._in_progress: Counter[str] = Counter()
        self._most = 0.0

    def begin(self, client: str) -> None:
        """Count a request that has come."""
        self._in_progress[client] += 1

    def end(self, client: str) -> None:
        """Count a request that is over."""
        self._in_progress[client] -= 1
        if not self._in_progress[client]:
            del self._in_progress[client]

    def measure(self) -> None:
        """Take how many requests the client has that asks for most, lately. It looks at all clients: not each time."""
        self._most = max(_LATELY * self._most, max(self._in_progress.values(), default=0))

    def is_modest(self, client: str, *, coming: int = 0) -> bool:
        """Whether a client has at most half as many requests as another one, ``coming`` ones included."""
        return 2 * (self._in_progress[client] + coming) <= self._most


@lru_cache(4096)
def client_of(address: str) -> str:
    """The client that an address belongs to: an IPv4 address, or the network of an IPv6 address."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or int(found) >> (found.max_prefixlen - _NETWORK))
    return address
