"""A store in memory that can be away, and come back."""

import asyncio

from parbake.errors import StoreUnreachable
from parbake.stores.memory import MemoryStore

OWN = ("read", "stamp", "write", "get", "swap", "apply", "applied", "beat", "look_again", "scan", "entries", "append")


class AwayStore(MemoryStore):
    """A store whose calls fail while ``is_away`` is set; ``error`` makes what they raise, ``calls`` counts them."""

    def __init__(self):
        """Answer at first."""
        super().__init__()
        self.is_away, self.calls = False, 0
        self.error = lambda: StoreUnreachable("the store is away", field="store")

    def reach(self):
        """Fail while the store is away."""
        self.calls += 1
        if self.is_away:
            raise self.error()

    def glimpse(self, task, key):
        """Read at once, as an embedded store does."""
        self.reach()
        return super().glimpse(task, key)

    def review(self, record):
        """Read at once what a record is judged by."""
        self.reach()
        return super().review(record)


def _reaching(name):
    original = getattr(MemoryStore, name)

    async def reaching(self, *given, **named):
        await asyncio.sleep(0)
        self.reach()
        return await original(self, *given, **named)

    return reaching


for _name in set(OWN) - {"scan"}:
    setattr(AwayStore, _name, _reaching(_name))
