"""The simulated systems of record: entities with versions, an outbox, and snapshots to read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

OFFERS = "confidence"
"""The family of values that expire. It is named like the first word of a reason, which must not matter."""
VALID_S = 2.5
"""How long a version of an offer is valid, in virtual seconds."""


class Fact(msgspec.Struct, frozen=True):
    """One state of an entity; ``exists`` is false after the entity was deleted."""

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
    transaction: int


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """Which transactions are visible: those below ``upper`` that are not ``running``."""

    upper: int = 1
    running: tuple[int, ...] = ()

    def shows(self, transaction: int) -> bool:
        """Whether a transaction is visible."""
        return transaction < self.upper and transaction not in self.running


class SavedSystem(NamedTuple):
    """An older copy of a system of record."""

    facts: dict[str, Fact]
    sets: dict[str, int]
    outbox: list[OutboxRow]
    unreported: list[OutboxRow]
    begun: list[int]
    next_transaction: int


class SystemOfRecord:
    """One system of record. Versions count the commits of all systems, so that they can be compared."""

    def __init__(self, name: str, entities: Mapping[str, Sequence[str]], *, told: Collection[str]) -> None:
        """Create the system.

        ``entities`` maps families to entities; ``told`` are the families that the outbox reports. ``declared`` are
        those that a source says it reports.
        """
        self.name = name
        self.entities = entities
        self.told = self.declared = told
        self.facts = {f"{f}/{e}": Fact(0, exists=True, at=0.0) for f, es in entities.items() for e in es}
        self.sets = dict.fromkeys(entities, 0)
        self.earlier: list[tuple[float, dict[str, Fact], dict[str, int]]] = []
        self.outbox: list[OutboxRow] = []
        self.unreported: list[OutboxRow] = []
        self.is_feed_down = False
        self.triggers_state = "1"
        self.triggers_problem = ""
        self.restores = 0
        self._begun, self._next = [1, 2, 3], 4

    def commit(self, version: int, subject: str, kind: str, now: float) -> OutboxRow:
        """Change one entity, or with kind ``bulk`` a whole family, in one transaction with the outbox row.

        Args:
            version: The version of the change.
            subject: The tag.
            kind: The kind of change, as in an event's type.
            now: Time of the change, in epoch seconds.
        """
        family, _, entity = subject.partition("/")
        touched = (subject,) if entity else tuple(f"{family}/{e}" for e in self.entities[family])
        self.earlier.append((now, dict(self.facts), dict(self.sets)))
        for tag in touched:
            self.facts[tag] = Fact(version, exists=kind != "deleted", at=now)
        self.sets[family] = version
        row = OutboxRow(
            len(self.outbox) + 1, version, subject, kind, (*touched, f"{family}/*"), now, self._transaction(version)
        )
        if family in self.told and self.triggers_problem:
            self.unreported.append(row)
        elif family in self.told:
            self.outbox.append(row)
        return row

    def switch_triggers(self, *, are_on: bool) -> None:
        """Switch the triggers off or on. A database tells later that this was done, but not what changed meanwhile."""
        self.triggers_problem = "" if are_on else "the triggers are off"
        self.triggers_state = f"{int(self.triggers_state) + 1}"

    def saved(self) -> SavedSystem:
        """A copy of everything that is on the system's disk."""
        return SavedSystem(
            dict(self.facts), dict(self.sets), list(self.outbox), list(self.unreported), list(self._begun), self._next
        )

    def put_back(self, saved: SavedSystem) -> None:
        """Replace everything by an older copy. Ids of transactions are given again, versions are not."""
        self.facts = dict(saved.facts)
        self.sets = dict(saved.sets)
        self.outbox = list(saved.outbox)
        self.unreported = list(saved.unreported)
        self._begun = list(saved.begun)
        self._next = saved.next_transaction
        self.restores += 1

    def version_of(self, tag: str) -> int:
        """The present version of an entity, or of a family as a whole."""
        fact = self.facts.get(tag)
        return fact.version if fact else self.sets[tag.removesuffix("/*")]

    @property
    def length_of_log(self) -> int:
        """How much the system has written, in a unit that grows with each transaction."""
        return self._next

    def snapshot(self) -> Snapshot:
        """Which transactions are visible now."""
        return Snapshot(self._next, tuple(sorted(self._begun)))

    def _transaction(self, version: int) -> int:
        """The id of a transaction that commits now; every third one has begun long before."""
        self._begun.append(self._next)
        self._next += 1
        return self._begun.pop(0 if version % 3 == 0 else -1)

    @property
    def tags(self) -> list[str]:
        """The tags of everything that changes here: entities, and families as a whole."""
        return [*self.facts, *(f"{family}/*" for family in self.sets)]

    def at(self, when: float) -> tuple[dict[str, Fact], dict[str, int]]:
        """The state that a lagging replica shows: the one before the first commit after ``when``."""
        for at, facts, sets in self.earlier:
            if at > when:
                return facts, sets
        return self.facts, self.sets


class SourceSnapshot:
    """A read transaction on a system of record: its data does not change while it is open."""

    def __init__(self, facts: Mapping[str, Fact], sets: Mapping[str, int]) -> None:
        """Copy the current state."""
        self._facts = dict(facts)
        self._sets = dict(sets)

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Read an ``entity`` by its tag, or a ``set`` by the name of its family."""
        if statement == "set":
            return [(self._sets[parameters["name"]],)]
        fact = self._facts[parameters["tag"]]
        return [(fact.version, fact.exists, fact.at)]
