"""A store that can be set back, and a shop on it whose changes are told by an outbox, or only by ``touch``."""

from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.stores.memory import MemoryStore


class LossyStore(MemoryStore):
    """A store in memory that can lose its last writes."""

    def saved(self):
        """Return a copy of what the store holds."""
        return dict(self._map.values)

    async def lose(self, saved):
        """Go back to a copy, as a server does that is started again; the store is not trusted then."""
        self.become(saved)
        await self.distrust_store((await self.stamp()).stamp.incarnation)

    def become(self, saved):
        """Hold what a copy holds, and nothing else."""
        for name in list(self._map.values):
            self._map.delete(name)
        for name, value in saved.items():
            self._map.put(name, value)

    async def mark(self):
        """Return the mark of the store's journal."""
        return (await self.stamp()).control.journal


class Shop:
    """An app with one task, which counts its computations."""

    def __init__(self, world, store, journal, *, replayable=None, families=("fact",), **options):
        """Open the app on a store, with a journal; the task is fenced by these families."""
        self.world, self.store, self.computed = world, store, 0
        tasks = pb.Registry()

        def names() -> list[str]:
            return ["a", "b"]

        @tasks.artifact(**contract(refresh=pb.every("30m"), keys=names, invalidated_by=[*map(pb.fence, families)]))
        def value(name: str, *, facts: pb.Source[Facts]) -> str:
            self.computed += 1
            return facts.get(name) or ""

        self.value = value
        durability = pb.Durability(journal=journal, replayable=replayable)
        self.app = world.app(tasks, store=store, durability=durability, **options)

    async def read(self, name="a"):
        """Return the value of a fact."""
        return (await self.app.serve(self.value, name)).value

    async def touch(self, name, value):
        """Change a fact without a row in the outbox, and tell the app."""
        self.world.put(name, value, tell=False)
        await self.app.touch(f"fact/{name}")

    async def kept(self):
        """Have the store trusted again; return whether a stored value has outlived that."""
        await self.app.drain()
        before = self.computed
        await self.read("b")
        return self.computed == before
