"""The views through which the simulated tasks read the systems of record."""

from __future__ import annotations

from parbake.ports.views import View
from simulator.world.system_of_record import OFFERS, Fact


class SimFacts(View):
    """The methods that the views of all families share."""

    def fact(self, tag: str) -> Fact:
        """Read one entity."""
        self.entity(tag)
        ((version, exists, at),) = self.rows("entity", tag=tag)
        return Fact(version, exists, at)

    def version_of_set(self, family: str) -> int:
        """Read the version of a family's latest change."""
        self.whole_set(family)
        return int(self.rows("set", name=family)[0][0])


class Policies(SimFacts):
    """The only family of the first system of record; the other views read the second."""

    families = ("policy",)


class Products(SimFacts):
    """Products, which tasks fence, refresh on or ignore."""

    families = ("product",)


class Tastes(SimFacts):
    """The data that the model is trained on."""

    families = ("taste",)


class Memos(SimFacts):
    """A family that no outbox reports, in histories where the store cannot be replayed."""

    families = ("memo",)


class Offers(SimFacts):
    """A family whose values expire."""

    families = (OFFERS,)
