"""Tickets are signed with a key in the store, so that each process accepts the tickets of every other.

Nobody else can write one. A forged ticket with stamps from the future would force every read of its tags to compute.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from msgspec.structs import replace

from parbake.errors import BadInput, StoreError
from parbake.ports.event_log import Ack
from parbake.ports.store import Store
from parbake.process.flight import Flights
from parbake.protocol.acks import MAX_TICKET, NO_ACKS, Acks, Seal, merged, read_tickets, read_unchecked
from parbake.serving import request as scope
from parbake.serving.request import Deadline, Request

NAME = "ticket/key"
"""The name of the key among a store's named values."""
KEY_BYTES = 32
LOOK_AGAIN_S = 0.2
"""Seconds between two reads of the key, however many tickets do not match it."""
SURE_S = 10.0
"""Seconds for which a process signs before it checks that the store still has this key."""
TRIES = 5
_TRANSACTION = re.compile(r"(?P<source>[\w./-]{1,128}):(?P<number>\d{1,18})")
_MOST_TRANSACTIONS = 16
"""The greatest number of transactions that one request waits for."""


class Tickets:
    """Signs and verifies the tickets of one store."""

    def __init__(self, store: Store) -> None:
        """Read nothing from the store until the first ticket or acknowledgement."""
        self._store = store
        self._seal: Seal | None = None
        self._incarnation = 0
        self._sure_until = self._look_from = float("-inf")
        self._looks: Flights[None] = Flights(scope.detached)
        self.caught_up: Callable[[str, int], Awaitable[Acks]] | None = None
        """Waits until a transaction, or a position, of a source is applied; set once the sources are open.

        While the store is away it returns what the transaction has told, as acknowledgements.
        """

    async def sealed(self, ack: Ack) -> Ack:
        """Add the store's seal to an acknowledgement.

        The first acknowledgement of a store creates the key. A store in another incarnation may have lost it, and so
        may a store that lost its last writes unnoticed. The key is therefore checked in a new incarnation, and every
        ten seconds.
        """
        if not ack.raised:
            return ack
        if ack.stamp.incarnation != self._incarnation or _now() >= self._sure_until:
            try:
                await self._settle()
            except StoreError:
                if self._seal is None:
                    raise
            else:
                self._incarnation, self._sure_until = ack.stamp.incarnation, _now() + SURE_S
        return replace(ack, seal=self._seal)

    async def read(self, text: str, *, field: str = "after") -> Acks:
        """Verify tickets, separated by commas, and return their acknowledgements.

        A ticket such as ``shop:1234`` names a transaction of a source, for writers who know nothing of this store. It
        is not signed: what it names is waited for, and adds no acknowledgement.

        Args:
            text: The tickets.
            field: The name to use in messages.

        Raises:
            BadInput: A ticket was not signed with the store's key.
            NotAcknowledged: A transaction is unknown, or has not ended.
        """
        named = NO_ACKS
        if text and ":" in text and self.caught_up is not None:
            text, named = await self._waited(text, self.caught_up, field)
        if not text:
            return named
        seal = self._seal
        found = read_tickets(text, seal, field=field)
        if found is None:
            try:
                await self._look()
            except StoreError:  # what it tells counts for the reads of this request, should the store come back
                return merged((named, read_unchecked(text)))
            if self._seal is not seal:
                found = read_tickets(text, self._seal, field=field)
        if found is None:
            raise BadInput(
                f"{field} holds a ticket that this store did not issue, or that was changed in transit; drop it, or "
                "send the event again and use the ticket in its answer",
                field=field,
            )
        return merged((named, found)) if named else found

    async def _waited(
        self, text: str, caught_up: Callable[[str, int], Awaitable[Acks]], field: str
    ) -> tuple[str, Acks]:
        """Wait for the transactions among some tickets; return the other tickets, and what must be seen without a wait.

        Args:
            text: The tickets.
            caught_up: Waits for one.
            field: The name to use in messages.
        """
        parts = dict.fromkeys(part.strip() for part in text[: MAX_TICKET + 1].split(","))
        named = [found for part in parts if (found := _TRANSACTION.fullmatch(part))]
        if len(named) > _MOST_TRANSACTIONS:
            raise BadInput(
                f"{field} names {len(named)} transactions, and at most {_MOST_TRANSACTIONS} are waited for; send the "
                "last ones",
                field=field,
            )
        told = [await caught_up(found["source"], int(found["number"])) for found in named]
        return ",".join(part for part in parts if not _TRANSACTION.fullmatch(part)), merged(told)

    async def carry(self, request: Request, texts: Sequence[str], *, field: str = "after") -> None:
        """Verify tickets and add their acknowledgements to a request, within its deadline.

        Args:
            request: The request.
            texts: The tickets.
            field: The name to use in messages.
        """
        async with Deadline(field):
            request.acks = merged([request.acks, *[await self.read(text, field=field) for text in texts]])

    @contextlib.asynccontextmanager
    async def carried_in(
        self, opened: AbstractAsyncContextManager[Request], texts: Sequence[str]
    ) -> AsyncIterator[Request]:
        """Open a request's scope and carry the acknowledgements of tickets into it."""
        async with opened as request:
            await self.carry(request, texts)
            yield request

    async def _look(self) -> None:
        """Read the key from the store; concurrent and closely following calls share one read. Nothing is written."""
        if _now() >= self._look_from:
            await self._looks.join(NAME, self._found)

    async def _found(self) -> None:
        self._keep(await self._store.get(NAME))
        self._look_from = _now() + LOOK_AGAIN_S

    async def _settle(self) -> None:
        """Use the key in the store. If it has none, write this process's key to it, or else a new one."""
        for _ in range(TRIES):
            raw = await self._store.get(NAME)
            if self._keep(raw):
                return
            mine = self._seal.key if self._seal else secrets.token_bytes(KEY_BYTES)
            if await self._store.swap(NAME, raw, mine):
                self._keep(mine)
                return
        raise StoreError(f"{NAME} in the store changes faster than it can be read; try again", field="store")

    def _keep(self, raw: bytes | None) -> bool:
        """Keep the store's key and return ``True``; ``False`` if the store has none."""
        if raw is None or len(raw) != KEY_BYTES:
            return False
        if self._seal is None or self._seal.key != raw:
            self._seal = Seal.of(raw)
        return True


def _now() -> float:
    """Seconds by the running loop's monotonic clock."""
    return asyncio.get_running_loop().time()
