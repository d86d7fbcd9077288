"""The open connections of a server, and which of them ends when there is no room for another one.

A connection costs a file descriptor and some memory, also while its client sends nothing. So their number is limited,
and when the limit is reached, the client with the most of them loses the one that has kept the server waiting longest.
A client is an address, as in :mod:`parbake.http.waiting_line`.
"""

from __future__ import annotations

import resource
from collections import OrderedDict, defaultdict
from typing import Protocol

_MOST = 10_000
"""The most connections of a process. Each takes some 20 KB."""
_DESCRIPTORS = 65_536
_OTHER_DESCRIPTORS = 256
"""Descriptors that are left to files, to databases and to other processes' pipes."""
_LOOKED_AT = 32
"""So many connections of a client are looked at for one that waits: the others are being answered."""


class OpenConnection(Protocol):
    """What is asked of a connection."""

    @property
    def keeps_waiting(self) -> bool:
        """Whether nothing is being answered on it, because its client has to send something first."""
        ...

    def end(self) -> None:
        """Close it at once."""


class OpenConnections:
    """The open connections of one server by client, the oldest of each first."""

    def __init__(self, most: int) -> None:
        """Begin with none; ``most`` may be open at once."""
        self._most = most
        self._by_client: defaultdict[str, OrderedDict[OpenConnection, None]] = defaultdict(OrderedDict)
        self._count = 0

    def add(self, connection: OpenConnection, client: str) -> None:
        """Count a connection of a client."""
        self._by_client[client][connection] = None
        self._count += 1

    def remove(self, connection: OpenConnection, client: str) -> None:
        """Count a connection no more; it may have been removed before."""
        own = self._by_client.get(client)
        if own is not None and connection in own:
            del own[connection]
            self._count -= 1
            if not own:
                del self._by_client[client]

    def have_room(self, coming: int) -> bool:
        """Whether one more may be opened, beside ``coming`` ones that are not counted yet."""
        return self._count + coming < self._most

    def end_one(self) -> bool:
        """End a connection that keeps the server waiting, of the client with the most; ``False`` if there is none."""
        if not self._by_client:
            return False
        client, own = max(self._by_client.items(), key=lambda one: len(one[1]))
        for _ in range(min(_LOOKED_AT, len(own))):
            oldest = next(iter(own))
            if oldest.keeps_waiting:
                self.remove(oldest, client)
                oldest.end()
                return True
            own.move_to_end(oldest)
        return False


def most_connections() -> int:
    """Let this process open more files if it may, and return how many connections it can have then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, max(soft - _OTHER_DESCRIPTORS, soft // 2))
