"""The reads of a computation, collected while it runs and then converted to the tags of its record.

Views record the entities and sets that they read; derived inputs pass on what is in their records. Strengths are the
*consumer's*: a family that it fences is fenced through the whole chain, and a family that it ignores is recorded only
for its readers.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from parbake.errors import DeclarationError
from parbake.protocol.cause import Cause, Reason, graver_doubt
from parbake.protocol.record import Built, Record, Stamp, Tags
from parbake.protocol.tags import family, named, read_entity, read_set
from parbake.protocol.trace import Trace

MAX_TAGS = 8
_away = itertools.count(1)


class Tracker(Protocol):
    """Receives what a view reads."""

    def entity(self, tag: str) -> None:
        """Record that an entity was read, or looked up and not found."""
        ...

    def whole_set(self, name: str) -> None:
        """Record that the result depends on every member of a family."""
        ...

    def query(self, view: type[Any], statement: str, parameters: Mapping[str, Any], rows: Sequence[Any]) -> None:
        """Record a query through a view.

        Args:
            view: The view.
            statement: The statement.
            parameters: Its parameters, by name.
            rows: The rows that it returned.
        """
        ...

    def unnamed(self, view: type[Any], method: str) -> None:
        """Record that a view's method returned rows without naming their entity or set."""
        ...


class Item(Protocol):
    """One item of ``invalidated_by``, as a recording uses it."""

    @property
    def template(self) -> str:
        """The tag, or a tag template with names of the key's parts."""
        ...

    @property
    def family(self) -> str:
        """The part of the template before the first slash."""
        ...

    @property
    def is_template(self) -> bool:
        """Whether the tag depends on the key."""
        ...


class Terms(Protocol):
    """What a contract says about tag families."""

    @property
    def binding(self) -> Sequence[Item]:
        """The fences and refreshes."""
        ...

    def strength(self, family: str, /) -> str | None:
        """How strongly a family binds: ``"fence"``, ``"refresh"``, or ``None`` if it does not bind."""
        ...

    def accounts_for(self, family: str, /) -> bool:
        """Whether reads of a family need no tag of their own."""
        ...


@dataclass(frozen=True, slots=True)
class Reach:
    """What else is known about a task when its record is sealed, besides its contract.

    Attributes:
        watched: The families that some reader of this task fences. Reads of them are recorded even if the task itself
            ignores them.
        viewed: The families that the task's views record. Nothing is recorded of other families.
        siblings: In a batched task, the tags that templates name for the keys of one call. Such a tag binds only the
            keys whose own template names it.
    """

    watched: Collection[str] = frozenset()
    viewed: Collection[str] = frozenset()
    siblings: Collection[str] = frozenset()


@dataclass(slots=True)
class Recording:
    """One computation's reads. ``stamp`` was read before the first of them, in the store ``origin``.

    ``complete`` is false if an input refused to answer. No tag stands for the refused value, so the result may be
    returned to the caller but is not stored. ``doubt`` names a silent source whose values were used nevertheless, or
    says that the store was away. ``lookups`` is what each view has read without naming tags; views fill it in.
    """

    stamp: Stamp
    direct: dict[str, None] = field(default_factory=dict)
    inherited: dict[str, None] = field(default_factory=dict)
    inherited_refreshes: dict[str, bytes] = field(default_factory=dict)
    inherited_tolerated: dict[str, bytes] = field(default_factory=dict)
    built_from: dict[tuple[str, int], Built] = field(default_factory=dict)
    valid_until: float = float("inf")
    inputs_age_s: float = 0.0
    unnamed_reads: dict[type[Any], str] = field(default_factory=dict)
    complete: bool = True
    doubt: Reason | None = None
    lookups: dict[type[Any], Any] = field(default_factory=dict)
    origin: object = None
    trace: Trace | None = None

    @classmethod
    def without_store(cls, trace: Trace | None = None) -> Recording:
        """A recording that begins while the store is away: without a stamp, nothing can be bound by it, now or later.

        It has no ``origin``, so that no other recording takes over what it contains.

        Args:
            trace: Records its queries.
        """
        # The stamps differ, so that no program takes a value for another one that was computed without the store.
        return cls(Stamp(0, next(_away)), complete=False, doubt=Reason(Cause.WITHOUT_STORE), trace=trace)

    def entity(self, tag: str) -> None:
        """Record that an entity was read, or looked up and not found."""
        self.direct.update(dict.fromkeys(read_entity(tag)))

    def whole_set(self, name: str) -> None:
        """Record that the result depends on every member of a family."""
        self.direct.update(dict.fromkeys(read_set(name)))

    def query(self, view: type[Any], statement: str, parameters: Mapping[str, Any], rows: Sequence[Any]) -> None:
        """Record a query in the trace, if the value may later be kept because the same query returns the same rows.

        Args:
            view: The view.
            statement: The statement.
            parameters: Its parameters, by name.
            rows: The rows that it returned.
        """
        if self.trace is not None:
            self.trace.query(view, statement, parameters, rows)

    def model(self, task: str, generation: int) -> None:
        """Record the generation of a model that was used."""
        if self.trace is not None:
            self.trace.models.append((task, generation))
        self.built_from[task, generation] = Built(task, generation, is_model=True)

    def artifact(self, task: str, record: Record, *, now: float) -> None:
        """Inherit the tags and generations that bind a derived input, which passed the fence after the stamp was read.

        Args:
            task: The input's task.
            record: The input's record.
            now: The current time, in epoch seconds.
        """
        meta = record.meta
        self.inherited.update(dict.fromkeys(meta.tags.fences))
        for tag, seen in meta.tags.refreshes:
            self.inherited_refreshes[tag] = min(seen, self.inherited_refreshes.get(tag, seen))
        for tag, seen in meta.tags.tolerated:
            self.inherited_tolerated[tag] = min(seen, self.inherited_tolerated.get(tag, seen))
        for built in meta.tags.built_from:
            self.built_from[built.task, built.generation] = built
        if meta.generation:
            self.built_from.setdefault((task, meta.generation), Built(task, meta.generation, is_model=False))
        self.valid_until = min(self.valid_until, record.valid_until)
        if not meta.tags.fences:
            self.inputs_age_s = max(self.inputs_age_s, now - record.computed_at + meta.inputs_age_s)

    def join(self, other: Recording) -> None:
        """Add what another recording contains; the older stamp counts for both.

        Reads from another store are not bound by this store's tags.
        """
        self.doubt = graver_doubt(self.doubt, other.doubt)
        if other.origin is not self.origin:
            self.complete = False
            return
        self.stamp = min(self.stamp, other.stamp)
        self.direct.update(other.direct)
        self.inherited.update(other.inherited)
        for mine, theirs in (
            (self.inherited_refreshes, other.inherited_refreshes),
            (self.inherited_tolerated, other.inherited_tolerated),
        ):
            for tag, seen in theirs.items():
                mine[tag] = min(seen, mine.get(tag, seen))
        self.built_from.update(other.built_from)
        self.unnamed_reads.update(other.unnamed_reads)
        self.valid_until = min(self.valid_until, other.valid_until)
        self.inputs_age_s = max(self.inputs_age_s, other.inputs_age_s)
        self.complete = self.complete and other.complete

    def unnamed(self, view: type[Any], method: str) -> None:
        """Record that a view returned rows without naming their entity or set."""
        self.unnamed_reads.setdefault(view, method)

    def seal(
        self, contract: Terms, names: Mapping[str, str], extra: Iterable[str] = (), reach: Reach | None = None
    ) -> Tags:
        """Compute the tags of one key's record; see :class:`Sealing`.

        Args:
            contract: The task's contract.
            names: Values for the contract's tag templates.
            extra: Tags that the task returned itself.
            reach: What else is known about the task.

        Raises:
            DeclarationError: Something was read or returned that the contract does not account for.
        """
        return Sealing(self, contract, reach or Reach()).tags(names, extra)

    def bound(self, contract: Terms) -> list[str]:
        """The recorded tags that the contract fences or refreshes on."""
        return [t for t in self.direct if contract.strength(family(t)) is not None]


class Sealing:
    """Computes the tags of the records of one computation. What binds all its keys alike is computed once."""

    def __init__(self, recording: Recording, contract: Terms, reach: Reach) -> None:
        """Seal a recording that is complete.

        Args:
            recording: The reads of the computation.
            contract: The task's contract.
            reach: What else is known about the task.

        Raises:
            DeclarationError: Something was read that the contract does not account for.
        """
        _check_named(recording.unnamed_reads, contract)
        self._recording, self._contract, self._reach = recording, contract, reach
        self._own = recording.stamp.pack()
        self._shared = _collapse([tag for tag in recording.bound(contract) if tag not in reach.siblings])
        noted = (t for t in recording.direct if family(t) in reach.watched and contract.strength(family(t)) is None)
        self._noted = _collapse(list(noted))
        self._known = {family(t) for t in (*recording.inherited, *recording.inherited_refreshes)}.union(reach.viewed)

    def tags(self, names: Mapping[str, str], extra: Iterable[str] = ()) -> Tags:
        """Compute the tags of one key's record.

        Args:
            names: Values for the contract's tag templates.
            extra: Tags that the task returned itself.

        Raises:
            DeclarationError: Something was returned that the contract does not account for.
        """
        recording, contract = self._recording, self._contract
        read = [*from_templates(contract, names), *self._shared, *_returned(contract, extra)]
        direct = _collapse([*read, *self._unrecorded(read)])
        fences = {t: None for t in direct if contract.strength(family(t)) == "fence"}
        refreshes = {t: self._own for t in direct if contract.strength(family(t)) == "refresh"}
        fences.update(recording.inherited)
        for tag, seen in recording.inherited_refreshes.items():
            if contract.strength(family(tag)) == "fence":
                fences[tag] = None
            else:
                refreshes[tag] = min(seen, refreshes.get(tag, seen))
        tolerated = self._tolerated(fences)
        kept = tuple((t, s) for t, s in refreshes.items() if t not in fences)
        return Tags(tuple(fences), kept, tuple(recording.built_from.values()), tolerated)

    def _tolerated(self, fences: dict[str, None]) -> tuple[tuple[str, bytes], ...]:
        tolerated = dict.fromkeys(self._noted, self._own)
        for tag, seen in self._recording.inherited_tolerated.items():
            if self._contract.strength(family(tag)) == "fence":
                fences[tag] = None
            elif family(tag) in self._reach.watched:
                tolerated[tag] = min(seen, tolerated.get(tag, seen))
        return tuple((t, s) for t, s in tolerated.items() if t not in fences)

    def _unrecorded(self, read: Iterable[str]) -> list[str]:
        """Bind the whole of each declared family that no view records, because the function reads it without views."""
        known = self._known.union(map(family, read))
        return [t for item in self._contract.binding if item.family not in known for t in read_set(item.family)]


def _check_named(unnamed_reads: Mapping[type[Any], str], contract: Terms) -> None:
    for view, method in unnamed_reads.items():
        for name in view.families:
            if not contract.accounts_for(name):
                raise DeclarationError(
                    f"{view.__qualname__}.{method} returns rows without naming their tags: call "
                    f"self.entity('{name}/...') or self.whole_set({name!r}) in it, or account for {name!r} in "
                    f"invalidated_by by a template or pb.ignore({name!r}, reason)",
                    field="invalidated_by",
                )


def _returned(contract: Terms, tags: Iterable[str]) -> list[str]:
    """The tags that a task returned itself, expanded to the tags that bind its value."""
    bound = [tag for returned in tags for tag in named(returned)]
    for tag in bound:
        if contract.strength(family(tag)) is None:
            raise DeclarationError(
                f"the task returned the tag {tag!r}: name its family in invalidated_by, as pb.fence({family(tag)!r}) "
                f"or pb.refresh({family(tag)!r})",
                field="invalidated_by",
            )
    return bound


def from_templates(contract: Terms, names: Mapping[str, str]) -> list[str]:
    """The tags that the contract's templates name for one key."""
    tags: list[str] = []
    for item in contract.binding:
        if item.is_template:
            tag = item.template.format_map(names)
            tags += read_set(item.family) if tag.endswith("/*") else read_entity(tag)
    return tags


def _collapse(tags: list[str]) -> list[str]:
    """At most eight directly read tags; beyond that, the largest families are replaced by ``family/*``."""
    kept = list(dict.fromkeys(tags))
    while len(kept) > MAX_TAGS:
        counts: dict[str, int] = {}
        for tag in kept:
            counts[family(tag)] = counts.get(family(tag), 0) + 1
        largest = max(counts, key=lambda name: counts[name])
        if counts[largest] == 1:
            break
        kept = [t for t in kept if family(t) != largest] + [f"{largest}/*"]
    return kept
