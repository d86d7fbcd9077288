"""What a semantic cache has stored for one scope: answers, the questions they were given to, and what was withdrawn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from parbake.fence.record import Record
from parbake.semantic.cache.local_ridge import Neighbours
from parbake.semantic.policies.policy import Policy
from parbake.semantic.policies.ridge import MAX_ALIASES
from parbake.semantic.text.arrays import Vectors
from parbake.semantic.text.normalize import normalize

T = TypeVar("T")


class CachedAnswer(Generic[T]):
    """An answer as it was given. ``is_demoted`` turns true once somebody complained; it is served no more then.

    ``bond`` is what ends it: its age, and the changes of what it was made of.
    """

    def __init__(self, value: T, bond: Record) -> None:
        """Take the value; it is handed out as it is."""
        self.value = value
        self.bond = bond
        self.is_demoted = False
        self.place: int | None = None

    def is_bound_like(self, other: CachedAnswer[T]) -> bool:
        """Whether the same changes end both."""
        return self.bond.meta.tags == other.bond.meta.tags

    @property
    def said(self) -> Hashable:
        """What makes two answers one: their value with its type, and what they are bound by."""
        return (type(self.value), self.value, self.bond.meta.tags)


class ScopedStore(Generic[T]):
    """The answers of one scope with their questions; not safe to share between threads."""

    def __init__(self, policy: Policy, dimensions: int, capacity: int) -> None:
        """Begin empty, with the policy that judges this scope's matches."""
        self.policy, self._capacity = policy, capacity
        self.questions = Neighbours(dimensions, MAX_ALIASES if policy.adds_aliases else None)
        self._answers: list[CachedAnswer[T] | None] = []
        self._places: dict[Hashable, int] = {}  # of values that can be hashed
        self._rows: dict[str, int] = {}  # of exact texts

    def at(self, place: int) -> CachedAnswer[T]:
        """The answer at a place that some question has."""
        found = self._answers[place]
        assert found is not None  # noqa: S101  # it goes with its last question
        return found

    def exact(self, question: str) -> int | None:
        """The place of the answer that this very text got; ``None`` for a new text, or after a complaint."""
        row = self._rows.get(normalize(question))
        if row is None:
            return None
        place = self.questions.answer_of(row)
        return None if self.at(place).is_demoted else place

    def place_of(self, answer: CachedAnswer[T], holds: Callable[[CachedAnswer[T]], bool]) -> int:
        """Where an answer lies; one that is equal, bound by the same and still ``holds`` (or was withdrawn) is it."""
        if answer.place is not None:
            return answer.place
        known = self._equal(answer)
        if known is not None and known.place is not None and (known.is_demoted or holds(known)):
            return known.place
        answer.place = len(self._answers)
        self._answers.append(answer)
        with contextlib.suppress(TypeError):  # not hashable: equal to no other
            self._places[answer.said] = answer.place
        return answer.place

    def store(self, question: str, vector: Vectors | None, place: int) -> CachedAnswer[T] | None:
        """Keep a question with the answer at a place; ``None`` when the shelf is full.

        A text that is known already, since its answer was withdrawn or has changed, gets the new answer in place of the
        old one. Only a new text needs a vector.
        """
        text = normalize(question)
        row = self._rows.get(text)
        if row is not None:
            self._give(row, place)
        elif vector is not None and len(self.questions) < self._capacity:
            row = self.questions.add(vector, place, question)
            if row is not None:
                self._rows[text] = row
        else:
            return None
        return self.at(place)

    def _give(self, row: int, place: int) -> None:
        """Give a question another answer; one that no question has any more is let go."""
        before = self.questions.answer_of(row)
        self.questions.give(row, place)
        if before == place or self.questions.count(before):
            return
        gone, self._answers[before] = self.at(before), None
        with contextlib.suppress(TypeError):  # not hashable, so never noted
            if self._places.get(gone.said) == before:
                del self._places[gone.said]

    def _equal(self, answer: CachedAnswer[T]) -> CachedAnswer[T] | None:
        try:
            place = self._places.get(answer.said)
        except TypeError:
            return None
        return None if place is None else self._answers[place]
