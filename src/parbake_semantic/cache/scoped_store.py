"""What a semantic cache stores for one scope: answers, their questions, and withdrawn answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from parbake.protocol.record import Record
from parbake_semantic.cache.local_ridge import Neighbours
from parbake_semantic.policies.policy import Policy
from parbake_semantic.policies.ridge import MAX_ALIASES
from parbake_semantic.text.arrays import Vectors
from parbake_semantic.text.normalize import normalize

T = TypeVar("T")


class CachedAnswer(Generic[T]):
    """A stored answer. ``is_demoted`` becomes true after a complaint, and the answer is then no longer served.

    ``bond`` says what invalidates it: its age, and changes of the data it was computed from.
    """

    def __init__(self, value: T, bond: Record) -> None:
        """Store the value; it is returned without copying."""
        self.value = value
        self.bond = bond
        self.is_demoted = False
        self.place: int | None = None

    def is_bound_like(self, other: CachedAnswer[T]) -> bool:
        """Whether the same changes invalidate both answers."""
        return self.bond.meta.tags == other.bond.meta.tags

    @property
    def said(self) -> Hashable:
        """The identity of an answer: its value with its type, and its bond."""
        return (type(self.value), self.value, self.bond.meta.tags)


class ScopedStore(Generic[T]):
    """The answers of one scope with their questions. Not thread-safe."""

    def __init__(self, policy: Policy, dimensions: int, capacity: int) -> None:
        """Create an empty store, with the policy that judges matches in this scope."""
        self.policy, self._capacity = policy, capacity
        self.questions = Neighbours(dimensions, MAX_ALIASES if policy.adds_aliases else None)
        self._answers: list[CachedAnswer[T] | None] = []
        self._places: dict[Hashable, int] = {}  # for hashable values
        self._rows: dict[str, int] = {}  # for exact texts

    def at(self, place: int) -> CachedAnswer[T]:
        """The answer at a position that at least one question refers to."""
        found = self._answers[place]
        assert found is not None  # noqa: S101  # it is removed with its last question
        return found

    def exact(self, question: str) -> int | None:
        """The position of the answer to exactly this text; ``None`` for a new text, or after a complaint."""
        row = self._rows.get(normalize(question))
        if row is None:
            return None
        place = self.questions.answer_of(row)
        return None if self.at(place).is_demoted else place

    def place_of(self, answer: CachedAnswer[T], holds: Callable[[CachedAnswer[T]], bool]) -> int:
        """The position of an answer.

        It is shared with an equal answer with the same bond that still ``holds`` (or is withdrawn).
        """
        if answer.place is not None:
            return answer.place
        known = self._equal(answer)
        if known is not None and known.place is not None and (known.is_demoted or holds(known)):
            return known.place
        answer.place = len(self._answers)
        self._answers.append(answer)
        with contextlib.suppress(TypeError):  # not hashable: treated as unequal to all others
            self._places[answer.said] = answer.place
        return answer.place

    def store(self, question: str, vector: Vectors | None, place: int) -> CachedAnswer[T] | None:
        """Store a question with the answer at a position.

        A known text whose answer was withdrawn or has changed gets the new answer instead.

        Args:
            question: The question.
            vector: Its unit vector, shape (dimensions,); needed only for a new text.
            place: The position of the answer.

        Returns:
            The stored answer; ``None`` if the store is full.
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
        """Assign a question to another answer, and remove an answer without questions."""
        before = self.questions.answer_of(row)
        self.questions.give(row, place)
        if before == place or self.questions.count(before):
            return
        gone, self._answers[before] = self.at(before), None
        with contextlib.suppress(TypeError):  # not hashable, so it was never indexed
            if self._places.get(gone.said) == before:
                del self._places[gone.said]

    def _equal(self, answer: CachedAnswer[T]) -> CachedAnswer[T] | None:
        try:
            place = self._places.get(answer.said)
        except TypeError:
            return None
        return None if place is None else self._answers[place]
