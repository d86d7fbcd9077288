"""The connection of a simulated process to a store whose data names its copy; the rules are the product's own."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from parbake.adapters._postgresql.copies import CopyName, FoundData, SeenPosition
from parbake.errors import StoreUnreachable
from parbake.stores.steps.item_names import SEQUENCE
from parbake.stores.steps.item_steps import Commit
from simulator.processes.sim_stores import SimItems
from simulator.world.copied_disk import COPY, CopiedDisk
from simulator.world.process_state import ProcessState

TRIES = 5


class SimCopies(SimItems):
    """Like the driver of PostgreSQL: it greets the server anew after each restart, and then judges its copy."""

    def __init__(self, disk: CopiedDisk, process: ProcessState) -> None:
        """Create the connection of a process that has just started and has seen nothing."""
        super().__init__(disk, process, is_snapshot=True)
        self._copied = disk
        self._session = 0
        self._seen = disk.knowing[process.name] = SeenPosition()

    async def open(self) -> None:
        """Connect."""
        await self._connected()

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Read all items at one moment, with the name of the copy, the counter and the position of the log."""
        for _ in range(TRIES):
            await self._connected()
            await self._process.reach_store()
            session, position, counter = self._copied.session, self._copied.position, self._counter()
            found = [self._disk.get(name) for name in [COPY, *names]]
            await self._process.hear_store()
            if session == self._session and found[0] == self.host.encode():
                self._seen.advance(position, counter)
                return found[1:]
            self._session = 0
        raise StoreUnreachable("the server is restarted again and again", field="store")

    async def commit(self, commit: Commit) -> bool:
        """Commit in one atomic step on the server, if it is the same one and its data is still the same copy."""
        await self._connected()
        await self._process.reach_store()
        if self._session != self._copied.session:
            self._session = 0
            raise StoreUnreachable("the connection was broken", field="store")
        if commit.host and (commit.host != self.host or self._disk.get(COPY) != commit.host.encode()):
            self._session = 0
            return False
        done = self._commit(Commit(commit.expected, commit.writes))
        position, counter = self._copied.position, self._counter()
        await self._process.hear_store()
        self._seen.advance(position, counter)
        return done

    async def _connected(self) -> None:
        """Greet the server, unless this connection is to it; the server may be restarted meanwhile."""
        while self._session != self._copied.session:
            await self._greet(copy(self._seen))

    async def _greet(self, before: SeenPosition) -> None:
        disk = self._copied
        await self._process.reach_store()
        session, state = disk.session, disk.state()
        await self._process.hear_store()
        for _ in range(TRIES):
            await self._process.reach_store()
            if session != disk.session:
                return
            raw, counter = disk.get(COPY), self._counter()
            await self._process.hear_store()
            name = CopyName.parse(raw) if raw else None
            data = FoundData(name, name.writer if name else "", counter)
            lost = before.what_is_lost(data, state, is_durable=True)
            lost = lost or self._must_wait(before)
            if name is not None and not lost:
                self._seen.arrive(name, state)
                self._session, self.host = session, (raw or b"").decode()
                return
            await self._process.reach_store()
            if session == disk.session and disk.get(COPY) == raw:
                self._name(before.name_after(name, state, self._process.number(0)))
            await self._process.hear_store()
        raise StoreUnreachable("several processes disagree about the copy", field="store")

    def _must_wait(self, before: SeenPosition) -> str:
        """Let a process that has seen nothing wait for those that have; what nobody has seen, an operator says."""
        if before.number or not self._copied.is_unnoticed:
            return ""
        if any(seen.number for seen in self._copied.knowing.values()):
            raise StoreUnreachable("an older copy was put in place, and nobody has noticed yet", field="store")
        return "the operator says so"

    def _counter(self) -> int:
        return int.from_bytes(self._disk.get(SEQUENCE) or b"", "big")

    def _name(self, name: CopyName) -> None:
        self._disk.put(COPY, name.encode())
        self._disk.end_commit()
        self._copied.is_unnoticed = False
