"""A question bank: aliases of answers as unit vectors, scored by a kernel-ridge head on frozen embeddings.

Score of an answer for a query q: ``f = exp(g (E q - 1)) alpha + p`` with ``alpha = (K + l I)^-1 (Y - p)``,
``K = exp(g (E E' - 1))``, Y the one-hot answers of the aliases and p each answer's share of them (kernel ridge
regression with a Gaussian kernel on the unit sphere; see Rasmussen & Williams, Gaussian Processes for Machine Learning,
ch. 6.2). Evidence from all aliases of an answer adds up, where a nearest neighbour sees one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

GAIN, RIDGE = 2.5, 0.15
MAX_ALIASES = 60


class Match(msgspec.Struct, frozen=True):
    """The best answer for a query.

    ``score`` is the head's, near 1 for a sure match; ``margin`` is to the second answer; ``cosine`` to the winner's
    nearest alias, which is ``alias``.
    """

    answer: str
    score: float
    margin: float
    cosine: float
    alias: str


class Bank(msgspec.Struct, frozen=True):
    """A compiled bank. Arrays are float32 bytes: ``vectors`` (aliases, dimensions), ``weights`` (aliases, answers)."""

    model_hash: str
    answers: tuple[str, ...]
    aliases: tuple[str, ...]
    owner_of: tuple[int, ...]
    vectors: bytes
    weights: bytes
    shares: tuple[float, ...]

    @property
    def texts(self) -> dict[str, str]:
        """Alias texts in lower case, each with its answer: the exact-text fast path."""
        return {text.strip().lower(): self.answers[i] for text, i in zip(self.aliases, self.owner_of, strict=True)}


def compile_bank(model_hash: str, aliases: Sequence[tuple[str, str]], vectors: Any) -> Bank:
    """Fit the head on (answer, alias) pairs with their unit vectors, at most 60 aliases per answer."""
    kept = _at_most(aliases)
    answers = tuple(dict.fromkeys(aliases[i][0] for i in kept))
    place = {name: i for i, name in enumerate(answers)}
    owner_of = tuple(place[aliases[i][0]] for i in kept)
    unit = np.asarray(vectors, np.float32)[kept]
    targets = np.zeros((len(kept), len(answers)))
    targets[np.arange(len(kept)), owner_of] = 1.0
    shares = targets.mean(axis=0) if len(kept) else np.zeros(0)
    kernel = np.exp(GAIN * (unit.astype(np.float64) @ unit.T - 1.0))
    weights = np.linalg.solve(kernel + RIDGE * np.eye(len(kept)), targets - shares)
    return Bank(
        model_hash,
        answers,
        tuple(aliases[i][1] for i in kept),
        owner_of,
        unit.tobytes(),
        weights.astype(np.float32).tobytes(),
        tuple(float(s) for s in shares),
    )


class Matcher:
    """A bank ready to be asked."""

    def __init__(self, bank: Bank) -> None:
        """View the bank's arrays."""
        self.bank = bank
        count = len(bank.aliases)
        self._vectors = np.frombuffer(bank.vectors, np.float32).reshape(count, -1 if count else 0)
        self._weights = np.frombuffer(bank.weights, np.float32).reshape(count, len(bank.answers))
        self._shares = np.array(bank.shares, np.float32)
        self._owner_of = np.array(bank.owner_of)
        self._texts = bank.texts

    def match(self, text: str, vector: Any) -> Match | None:
        """The best answer for a question and its unit vector; ``None`` from an empty bank."""
        if not self.bank.aliases:
            return None
        cosines = self._vectors @ np.asarray(vector, np.float32)
        exact = self._texts.get(text.strip().lower())
        scores = np.exp(GAIN * (cosines - 1.0)) @ self._weights + self._shares
        best = self.bank.answers.index(exact) if exact is not None else int(scores.argmax())
        others = np.delete(scores, best)
        mine = np.flatnonzero(self._owner_of == best)
        nearest = int(mine[cosines[mine].argmax()])
        margin = float(scores[best] - others.max()) if len(others) else 1.0
        # One answer alone has nothing to be told apart from: then only nearness counts.
        score = 1.0 if exact is not None else float(scores[best] if len(others) else cosines[nearest])
        return Match(self.bank.answers[best], score, margin, float(cosines[nearest]), self.bank.aliases[nearest])


class FixedPolicy(msgspec.Struct, frozen=True):
    """Serve a match at or above fixed thresholds: the head's score, its margin, and the nearest alias's cosine."""

    score: float
    margin: float = 0.0
    cosine: float = 0.0

    def refusal(self, match: Match) -> str | None:
        """A reason code, or ``None`` when the match may be served."""
        if match.score < self.score:
            return "score_below_threshold"
        if match.margin < self.margin:
            return "margin_below_threshold"
        return "cosine_below_threshold" if match.cosine < self.cosine else None


def _at_most(aliases: Sequence[tuple[str, str]]) -> list[int]:
    counts: dict[str, int] = {}
    kept = []
    for i, (answer, _) in enumerate(aliases):
        counts[answer] = counts.get(answer, 0) + 1
        if counts[answer] <= MAX_ALIASES:
            kept.append(i)
    return kept
