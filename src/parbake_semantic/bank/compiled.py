"""A compiled question bank: aliases as unit vectors with the weights of their head, and the lookup."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import numpy as np

from parbake.errors import BadInput
from parbake_semantic.policies.features import SCORED, SHARPNESS
from parbake_semantic.policies.policy import Match, Ranking
from parbake_semantic.policies.ridge import GAIN, MAX_ALIASES, Head, fit
from parbake_semantic.text.arrays import Places, Vectors, unit_rows
from parbake_semantic.text.normalize import MOST_LETTERS, normalize

_SQUARED_NORM = 0.05  # tolerance for the square of a unit vector's length


class Bank(msgspec.Struct, frozen=True):
    """A compiled bank. Arrays are float32 bytes: ``vectors`` (aliases, dimensions), ``weights`` (aliases, answers).

    An answer has at most 60 aliases, which questions are compared with. ``further`` are its other wordings, which are
    known to the letter, each with the position of its answer.
    """

    model_hash: str
    answers: tuple[str, ...]
    aliases: tuple[str, ...]
    owner_of: tuple[int, ...]
    vectors: bytes
    weights: bytes
    shares: tuple[float, ...]
    further: tuple[tuple[int, str], ...] = ()

    def places(self, answers: Collection[str]) -> list[int]:
        """The positions of those of the given answers that the bank has."""
        return [place for place, answer in enumerate(self.answers) if answer in answers]

    @property
    def wordings(self) -> list[tuple[int, str]]:
        """All wordings, each with the position of its answer."""
        return [*zip(self.owner_of, self.aliases, strict=True), *self.further]

    @property
    def texts(self) -> dict[str, tuple[int, str]]:
        """The answer's position and the wording by its normalized text, for the exact-text fast path.

        A text that belongs to two answers is left out, because it is ambiguous.
        """
        found: dict[str, tuple[int, str]] = {}
        ambiguous = {""}
        for owner, wording in self.wordings:
            text = normalize(wording)
            if found.setdefault(text, (owner, wording))[0] != owner:
                ambiguous.add(text)
        return {text: known for text, known in found.items() if text not in ambiguous}


def compile_bank(model_hash: str, aliases: Sequence[tuple[str, str]], vectors: Any) -> Bank:
    """Fit the head on (answer, alias) pairs, at most 60 per answer; further ones are known to the letter.

    Args:
        model_hash: Identifies the embedding model.
        aliases: Pairs of answer and alias.
        vectors: The aliases' unit vectors, shape (aliases, dimensions).

    Raises:
        BadInput: The vectors cannot be used (:func:`parbake_semantic.text.arrays.unit_rows`), or are not one per alias.
    """
    return compile_with_head(model_hash, aliases, vectors)[0]


def compile_with_head(model_hash: str, aliases: Sequence[tuple[str, str]], vectors: Any) -> tuple[Bank, Head]:
    """Like :func:`compile_bank`, and also return the head for :func:`parbake_semantic.policies.calibrate.calibrate`.

    Args:
        model_hash: Identifies the embedding model.
        aliases: Pairs of answer and alias.
        vectors: The aliases' unit vectors, shape (aliases, dimensions).
    """
    unit = unit_rows(vectors) if len(aliases) else np.zeros((0, 0), np.float32)
    if len(unit) != len(aliases):
        raise BadInput(
            f"there must be one vector per alias; got {len(unit)} for {len(aliases)} aliases", field="vectors"
        )
    kept, further = _split(aliases)
    answers = tuple(dict.fromkeys(aliases[i][0] for i in kept))
    place = {name: i for i, name in enumerate(answers)}
    kept.sort(key=lambda i: place[aliases[i][0]])
    owner = np.array([place[aliases[i][0]] for i in kept], np.intp)
    head = fit(unit[kept], owner, len(answers))
    bank = Bank(
        model_hash,
        answers,
        tuple(aliases[i][1] for i in kept),
        tuple(int(o) for o in owner),
        head.vectors.tobytes(),
        head.alpha.astype(np.float32).tobytes(),
        tuple(float(s) for s in head.shares),
        tuple((place[answer], wording) for answer, wording in further),
    )
    return bank, head


class Matcher:
    """A bank prepared for lookups. It is immutable, so threads may share it."""

    def __init__(self, bank: Bank) -> None:
        """Prepare the bank's arrays for lookups: aliases and weights grouped by answer.

        Raises:
            BadInput: The arrays do not fit each other, or contain invalid values.
        """
        self.bank = bank
        vectors, weights = _arrays(bank)
        order = np.argsort(np.array(bank.owner_of, np.intp), kind="stable")
        self._aliases = [bank.aliases[i] for i in order]
        self._columns = np.ascontiguousarray(vectors[order].T)  # columns make the product faster than rows
        self._weights = np.ascontiguousarray(weights[order].T)
        self._shares = np.array(bank.shares, np.float32)
        sizes = np.bincount(bank.owner_of, minlength=len(bank.answers)) if bank.aliases else np.zeros(0, np.intp)
        self._starts: Places = np.cumsum(sizes) - sizes
        self._sizes = [int(s) for s in sizes]
        self._texts = bank.texts

    @property
    def dimensions(self) -> int:
        """Dimensions of the vectors; 0 for an empty bank."""
        return int(self._columns.shape[0])

    def exact(self, text: str) -> Match | None:
        """The answer to a known wording, found without a vector."""
        known = None if len(text) > MOST_LETTERS else self._texts.get(normalize(text))
        if known is None:
            return None
        owner, wording = known
        return Match(self.bank.answers[owner], 1.0, 1.0, 1.0, wording, is_exact=True)

    def match(self, text: str, vector: Any, ranking: Ranking = "head") -> Match | None:
        """Find the best answer to a question.

        Args:
            text: The question.
            vector: Its unit vector, shape (dimensions,).
            ranking: Ranks answers by the head or by the nearest alias.

        Returns:
            The best answer; ``None`` if the bank is empty.

        Raises:
            BadInput: The vector has another length, or is not a unit vector of finite numbers.
        """
        if not self._aliases:
            return None
        return self.exact(text) or self.nearest(vector, ranking)

    def nearest(self, vector: Any, ranking: Ranking = "head") -> Match:
        """The best answer of a non-empty bank for a unit vector; raises like :meth:`match`."""
        cosines = self._checked(vector) @ self._columns
        by_answer = np.maximum.reduceat(cosines, self._starts)
        shifted = cosines - 1.0
        kernel = np.exp(shifted * np.float32(GAIN))
        mass = np.exp(shifted * np.float32(SHARPNESS))
        scored = by_answer.argpartition(-SCORED)[-SCORED:] if len(by_answer) > SCORED else np.arange(len(by_answer))
        scores: list[float] = (self._weights[scored] @ kernel + self._shares[scored]).tolist()
        ranks = scores if ranking == "head" else by_answer[scored].tolist()
        at = max(range(len(ranks)), key=ranks.__getitem__)
        best, score = int(scored[at]), scores.pop(at)
        cosine = float(by_answer[best])
        by_answer[best] = -np.inf
        first, size = int(self._starts[best]), self._sizes[best]
        alias = self._aliases[first + int(cosines[first : first + size].argmax())]
        return Match(
            self.bank.answers[best],
            # With a single answer there is nothing to distinguish it from, so only the cosine counts.
            score if scores else cosine,
            score - max(scores) if scores else 1.0,
            cosine,
            alias,
            cosine - float(by_answer.max()) if scores else 1.0,
            float(mass[first : first + size].sum() / mass.sum()),
            math.log(size),
        )

    def wordings_near(self, vector: Any, count: int) -> list[tuple[str, str, float]]:
        """The nearest aliases of a unit vector as (answer, alias, cosine), nearest first; raises like :meth:`match`."""
        cosines = self._checked(vector) @ self._columns
        owners = np.repeat(np.arange(len(self._sizes)), self._sizes)
        nearest = np.argsort(-cosines, kind="stable")[:count]
        return [(self.bank.answers[owners[i]], self._aliases[i], float(cosines[i])) for i in nearest]

    def _checked(self, vector: Any) -> Vectors:
        try:
            found: Vectors = np.asarray(vector, np.float32)
        except (TypeError, ValueError) as error:
            raise BadInput(f"the embedding is not a vector of numbers: {error}", field="vector") from error
        if found.shape != self._columns.shape[:1]:
            raise BadInput(
                f"the embedding has the shape {found.shape}, the bank's have {self._columns.shape[:1]}",
                field="vector",
            )
        if not abs(float(found @ found) - 1.0) <= _SQUARED_NORM:  # false for NaN, too
            raise BadInput("the embedding must be a unit vector of finite numbers", field="vector")
        return found


def _arrays(bank: Bank) -> tuple[Vectors, Vectors]:
    """Decode and check the vectors and weights of a bank; its bytes may have been truncated or changed."""
    count, answers = len(bank.aliases), len(bank.answers)
    owners = set(bank.owner_of)
    fits = len(bank.owner_of) == count and len(bank.shares) == answers and owners.issuperset(o for o, _ in bank.further)
    if not fits or owners != set(range(answers)):
        raise BadInput("the bank's aliases, answers and shares do not fit each other", field="bank")
    try:
        vectors = np.frombuffer(bank.vectors, np.float32).reshape(count, -1 if count else 0)
        weights = np.frombuffer(bank.weights, np.float32).reshape(count, answers)
    except ValueError as error:
        raise BadInput(f"the bank's arrays do not have the right size: {error}", field="bank") from error
    if not (np.isfinite(weights).all() and np.isfinite(bank.shares).all()):
        raise BadInput("the bank's weights must be finite numbers", field="bank")
    return (unit_rows(vectors, field="bank") if count else vectors), weights


def _split(aliases: Sequence[tuple[str, str]]) -> tuple[list[int], list[tuple[str, str]]]:
    """The positions of the first aliases of each answer, and the aliases beyond its limit."""
    counts: dict[str, int] = {}
    kept, further = [], []
    for i, (answer, alias) in enumerate(aliases):
        counts[answer] = counts.get(answer, 0) + 1
        if counts[answer] <= MAX_ALIASES:
            kept.append(i)
        else:
            further.append((answer, alias))
    return kept, further
