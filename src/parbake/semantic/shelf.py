"""What a semantic cache has stored for one scope: answers, the questions they were given to, and what was withdrawn."""

from __future__ import annotations

from typing import Generic, TypeVar

from parbake.semantic.arrays import Vectors
from parbake.semantic.head import MAX_ALIASES
from parbake.semantic.neighbours import Neighbours
from parbake.semantic.policy import Policy
from parbake.semantic.text import normalize

T = TypeVar("T")


class Answer(Generic[T]):
    """An answer as it was given. ``is_demoted`` turns true once somebody complained; it is served no more then."""

    def __init__(self, value: T) -> None:
        """Take the value; it is handed out as it is."""
        self.value = value
        self.is_demoted = False


class Shelf(Generic[T]):
    """The answers of one scope with their questions; not safe to share between threads."""

    def __init__(self, policy: Policy, dimensions: int, capacity: int) -> None:
        """Begin empty, with the policy that judges this scope's matches."""
        self.policy, self._capacity = policy, capacity
        self.questions = Neighbours(dimensions, MAX_ALIASES if policy.adds_aliases else None)
        self.answers: list[Answer[T]] = []
        self._places: dict[tuple[type, T], int] = {}  # of values that can be hashed: equal answers are one
        self._rows: dict[str, int] = {}  # of exact texts

    def exact(self, question: str) -> int | None:
        """The place of the answer that this very text got; ``None`` for a new text, or after a complaint."""
        row = self._rows.get(normalize(question))
        if row is None:
            return None
        place = self.questions.answer_of(row)
        return None if self.answers[place].is_demoted else place

    def store(self, question: str, vector: Vectors, value: T, place: int | None = None) -> Answer[T] | None:
        """Keep a question with its answer, the one at ``place`` if it is known; ``None`` when the shelf is full.

        A text that is known already, since its answer was withdrawn, gets the new answer in place of the old one.
        """
        text = normalize(question)
        row = self._rows.get(text)
        if row is None and len(self.questions) >= self._capacity:
            return None
        place = self._place(value) if place is None else place
        if row is not None:
            self.questions.give(row, place)
        else:
            row = self.questions.add(vector, place, question)
            if row is not None:
                self._rows[text] = row
        return self.answers[place]

    def _place(self, value: T) -> int:
        """The place of an answer, a new one unless an equal value of the same type is known."""
        new = len(self.answers)
        try:
            place = self._places.setdefault((type(value), value), new)
        except TypeError:  # not hashable
            place = new
        if place == new:
            self.answers.append(Answer(value))
        return place
