"""A cache as one process sees it: the entries in the store, its view of them, and what all processes have learnt."""

from __future__ import annotations

import threading
from functools import partial
from typing import Generic, TypeVar

from msgspec.structs import replace

from parbake.ports.named_values import NamedValue
from parbake.protocol.record import Record, Stamp
from parbake_semantic.cache.driving import Driver, finish
from parbake_semantic.cache.entries import Entries, Stored
from parbake_semantic.cache.entry import Entry, Found
from parbake_semantic.cache.view import View
from parbake_semantic.policies.adaptive import AdaptivePolicy
from parbake_semantic.policies.calibrate import Calibration
from parbake_semantic.policies.learnt import Learnt
from parbake_semantic.policies.policy import Match, Policy
from parbake_semantic.text.arrays import Vectors
from parbake_semantic.text.audience import Scope

T = TypeVar("T")
_FOLLOWED_S = 0.05
"""How often the log of a store on a server is read, at most. An embedded store is read with every question."""


class Shared(Generic[T]):
    """Follows what other processes do, and shares what this one does. Thread-safe."""

    def __init__(self, entries: Entries[T], view: View, policy: Policy) -> None:
        """Know nothing yet; the first question reads what is stored."""
        self.policy = policy
        self.dropped = 0
        """How many entries this process has dropped because the cache was full."""
        self.saved_s = 0.0
        """The seconds that the answers of this process's hits took to compute."""
        self._entries, self._view = entries, view
        self._lock = threading.Lock()
        self._place: Stamp | None = None
        self._is_joining = False
        self._followed_at = float("-inf")
        self._learnt: NamedValue[Learnt] = entries.learnt()
        if isinstance(policy, AdaptivePolicy):
            policy.is_shared = True

    def __len__(self) -> int:
        """Number of entries, as far as this process knows."""
        return len(self._view)

    @property
    def counts(self) -> dict[Scope, int]:
        """Number of entries per scope, as far as this process knows."""
        return self._view.counts

    @property
    def size(self) -> int:
        """Bytes of the entries, as far as this process knows."""
        return self._view.size

    async def read(self, key: bytes, driver: Driver) -> Found[T] | None:
        """Read an entry; ``None`` if there is none."""
        return await driver.read(self._entries.read(key))

    async def follow(self, driver: Driver) -> None:
        """Take note of what other processes have stored and learnt. The first call reads everything."""
        place = self._place
        if place is None:
            await self._join(driver)
            return
        if not self._entries.is_immediate:
            now = self._entries.now()
            if 0.0 <= now - self._followed_at < _FOLLOWED_S:
                return
            self._followed_at = now
        news = await driver.read(self._entries.news(place))
        if not news.is_whole:
            self._place = None
            await self._join(driver)
            return
        self._place = news.place
        if news.keys:
            for one in await driver.read(self._entries.several(news.keys)):
                self._add(one)
        if news.has_learnt:
            await self._take_learnt(driver)

    async def _join(self, driver: Driver) -> None:
        with self._lock:
            if self._is_joining:  # another thread reads, and this question is not kept waiting
                return
            self._is_joining = True
        try:
            place = await driver.write(self._entries.join())
            if self._entries.is_immediate:
                await driver.compute(lambda: finish(self._load()))
            else:
                await driver.read(self._load())
            await self._take_learnt(driver)
            self._place = place
        finally:
            self._is_joining = False

    async def _load(self) -> None:
        async for one in self._entries.all():
            self._add(one)

    def _add(self, one: Stored) -> None:
        with self._lock:
            self._view.add(one)

    def match(self, scope: Scope, vector: Vectors) -> Match | None:
        """The best match in a scope for a unit vector; ``None`` if the scope is empty."""
        with self._lock:
            return self._view.match(scope, vector, self.policy.ranking)

    def drop(self, key: bytes) -> None:
        """Forget an entry that is not in the store any more."""
        with self._lock:
            self._view.drop(key)

    def hit(self, found: Found[T]) -> None:
        """Count a hit."""
        with self._lock:
            self._view.hit(found.key)
            self.saved_s += found.bond.meta.cost_s

    async def store(self, key: bytes, entry: Entry, made: Record, cost_s: float, driver: Driver) -> bool:
        """Store an entry, and drop others if the cache is full.

        An answer has a limited number of questions that are found by their vectors. Further ones are stored without
        their vectors, and are hits to the letter.

        Args:
            key: Its key.
            entry: The question and the answer.
            made: What the answer was made from.
            cost_s: How long it took to compute, in seconds.
            driver: How to wait.

        Returns:
            ``False`` if its answer was withdrawn.
        """
        with self._lock:
            has_room = self._view.has_room(entry.scope, entry.group, key)
        if await self.is_withdrawn(entry.group, driver):
            return False
        entry = entry if has_room else replace(entry, vector=b"")
        stored = await driver.write(self._entries.write(key, entry, made, cost_s))
        if stored is None:  # one from newer facts is stored
            return True
        with self._lock:
            self._view.add(stored)
            dropped = self._view.shrink()
        if dropped:
            await driver.write(self._entries.forget(dropped))
        self.dropped += len(dropped)
        return True

    async def is_withdrawn(self, group: str, driver: Driver) -> bool:
        """Whether a complaint about the answers of a group holds: the facts have not changed since."""
        return await driver.read(self._entries.is_withdrawn(group))

    async def withdraw(self, entry: Entry, bond: Record, driver: Driver) -> None:
        """Withdraw the answers of an entry's group, everywhere and at once."""
        await driver.write(self._entries.withdraw(entry.group, bond))

    async def clear(self, driver: Driver) -> None:
        """Outdate all entries, everywhere and at once."""
        await driver.write(self._entries.clear())

    async def erase(self, driver: Driver) -> None:
        """Outdate all entries, everywhere and at once, and delete them from the store."""
        await driver.write(self._entries.erase())

    async def observe(self, match: Match, *, right: bool, driver: Driver) -> None:
        """Learn that a match was right or wrong; from time to time, together with the other processes."""
        self.policy.observe(match, right=right)
        policy = self.policy
        if not isinstance(policy, AdaptivePolicy) or not policy.is_due or not (seen := policy.drain()):
            return
        try:
            learnt = await driver.write(self._learnt.change(lambda known: known.plus(seen)))
        except BaseException:
            policy.restore(seen)
            raise
        if learnt.is_due:
            fitted = await driver.compute(partial(learnt.fitted, policy.bound))
            learnt = await driver.write(self._learnt.change(lambda known: known.with_model_of(fitted)))
        policy.take(learnt)
        await driver.write(self._entries.tell_learnt())

    async def begin_with(self, before: Calibration, driver: Driver) -> None:
        """Judge by what was learnt from known questions, in all processes, until enough was learnt from others."""
        learnt = await driver.write(self._learnt.change(lambda known: replace(known, before=before)))
        if isinstance(self.policy, AdaptivePolicy):
            self.policy.take(learnt)
        await driver.write(self._entries.tell_learnt())

    async def _take_learnt(self, driver: Driver) -> None:
        if isinstance(self.policy, AdaptivePolicy):
            self.policy.take(await driver.read(self._learnt.read()))
