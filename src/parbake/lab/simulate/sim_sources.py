"""The simulated systems of record: entities with versions, an outbox, and views that are snapshots of them."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from parbake.declare.views import View
from parbake.errors import SourceError
from parbake.fence.recording import Tracker
from parbake.ports.sources import Extent, SourceEvent

if TYPE_CHECKING:
    from parbake.lab.simulate.sim_process import Process

OFFERS = "confidence"
"""The family of what runs out, called like the first word of a reason, which must not matter."""
VALID_S = 2.5
"""How long a version of an offer holds, in virtual seconds."""


class Fact(msgspec.Struct, frozen=True):
    """One state of an entity; ``exists`` is false once it was deleted."""

    version: int
    exists: bool
    at: float


class OutboxRow(msgspec.Struct, frozen=True):
    """A committed change with its outbox row."""

    position: int
    version: int
    subject: str
    kind: str
    tags: tuple[str, ...]
    at: float


class SystemOfRecord:
    """One system of record. Versions count the commits of all systems, so that they can be compared."""

    def __init__(self, name: str, entities: Mapping[str, Sequence[str]], *, told: Collection[str]) -> None:
        """``entities`` maps families to entities; ``told`` are the families whose changes the outbox tells."""
        self.name = name
        self.entities = entities
        self.told = told
        self.facts = {f"{f}/{e}": Fact(0, exists=True, at=0.0) for f, es in entities.items() for e in es}
        self.sets = dict.fromkeys(entities, 0)
        self.earlier: list[tuple[float, dict[str, Fact], dict[str, int]]] = []
        self.outbox: list[OutboxRow] = []
        self.is_feed_down = False

    def commit(self, version: int, subject: str, kind: str, now: float) -> OutboxRow:
        """Change one entity, or with kind ``bulk`` a whole family, in one transaction with the outbox row."""
        family, _, entity = subject.partition("/")
        touched = (subject,) if entity else tuple(f"{family}/{e}" for e in self.entities[family])
        self.earlier.append((now, dict(self.facts), dict(self.sets)))
        for tag in touched:
            self.facts[tag] = Fact(version, exists=kind != "deleted", at=now)
        self.sets[family] = version
        row = OutboxRow(len(self.outbox) + 1, version, subject, kind, (*touched, f"{family}/*"), now)
        if family in self.told:
            self.outbox.append(row)
        return row

    @property
    def tags(self) -> list[str]:
        """All that ever changes here: entities, and families as a whole."""
        return [*self.facts, *(f"{family}/*" for family in self.sets)]

    def at(self, when: float) -> tuple[dict[str, Fact], dict[str, int]]:
        """What a replica that lags behind shows: the state before the first commit after ``when``."""
        for at, facts, sets in self.earlier:
            if at > when:
                return facts, sets
        return self.facts, self.sets


class Snapshot:
    """A read transaction: what it reads does not change while it is open."""

    def __init__(self, facts: Mapping[str, Fact], sets: Mapping[str, int]) -> None:
        """Take the state as it is now."""
        self._facts = dict(facts)
        self._sets = dict(sets)

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """``entity`` by tag, or ``set`` by family."""
        if statement == "set":
            return [(self._sets[parameters["name"]],)]
        fact = self._facts[parameters["tag"]]
        return [(fact.version, fact.exists, fact.at)]


class SimFacts(View):
    """What simulated tasks read through, whatever the family."""

    def fact(self, tag: str) -> Fact:
        """One entity."""
        self.entity(tag)
        ((version, exists, at),) = self.rows("entity", tag=tag)
        return Fact(version, exists, at)

    def version_of_set(self, family: str) -> int:
        """The version of a family's latest change."""
        self.whole_set(family)
        return int(self.rows("set", name=family)[0][0])


class Policies(SimFacts):
    """Over the first system of record."""

    families = ("policy",)


class Products(SimFacts):
    """Over the second one, as are those below."""

    families = ("product",)


class Tastes(SimFacts):
    """What a model is trained on."""

    families = ("taste",)


class Memos(SimFacts):
    """What no outbox tells of, where the store could not hear it again."""

    families = ("memo",)


class Offers(SimFacts):
    """What runs out."""

    families = (OFFERS,)


class SimSource:
    """One process's connection to a system of record."""

    is_gapless = True

    def __init__(self, truth: SystemOfRecord, views: Collection[type[View]], process: Process) -> None:
        """A partition of the process from it makes every use fail."""
        self.name = truth.name
        self.families: Collection[str] = tuple(truth.told)
        self._truth = truth
        self._views = views
        self._process = process

    def provides(self, view: type[Any]) -> bool:
        """The views of this system."""
        return view in self._views

    @contextlib.contextmanager
    def open(self, view: type[Any], tracker: Tracker) -> Iterator[Any]:
        """A transaction on the primary, begun now."""
        self._check()
        yield view(self.snapshot(), tracker)

    def snapshot(self) -> Snapshot:
        """The primary's state now."""
        return Snapshot(self._truth.facts, self._truth.sets)

    def extent(self) -> Extent:
        """The outbox is never pruned."""
        self._check_feed()
        return Extent(0, len(self._truth.outbox))

    def poll(self, after: int, limit: int) -> list[SourceEvent]:
        """Outbox rows after a position."""
        self._check_feed()
        rows = self._truth.outbox[after : after + limit]
        return [SourceEvent(r.position, f"{self.name}-{r.position}", r.subject, f"sim.{r.kind}") for r in rows]

    def close(self) -> None:
        """Nothing to release."""

    def _check_feed(self) -> None:
        self._check()
        if self._truth.is_feed_down:
            raise SourceError(f"the outbox of {self.name} cannot be polled", field=self.name)

    def _check(self) -> None:
        if self._process.is_cut_from_sources or not self._process.is_alive:
            raise SourceError(f"{self.name} cannot be reached", field=self.name)
