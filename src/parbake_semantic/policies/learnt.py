"""What an adaptive policy has learnt, in a form that several processes merge: the last matches, and the model of them.

The bound holds for all of them together, because the threshold is the lowest at which their last matches would have
held it, whichever process has seen them.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec
import numpy as np
from msgspec.structs import replace

from parbake.values.logistic import sigmoid
from parbake_semantic.policies.calibrate import Bound, Calibration
from parbake_semantic.policies.features import FEATURES
from parbake_semantic.policies.quadratic import Quadratic
from parbake_semantic.policies.risk import lowest_threshold
from parbake_semantic.text.arrays import Flags, Floats

WINDOW = 4_000
_FIRST, _EVERY = 200, 250
_WIDTH = 4 * len(FEATURES)
_NAME = 8

Seen = tuple[tuple[float, ...], float | None, str]
"""Features of a match, whether it was wrong (``None`` if it was served, so that nobody knows), and the answer."""


class Rows(msgspec.Struct, frozen=True, array_like=True):
    """The last matches: features as float32, outcomes as float32 (NaN if unknown), and hashes of the answers."""

    features: bytes = b""
    outcomes: bytes = b""
    answers: bytes = b""

    def plus(self, seen: Sequence[Seen]) -> Rows:
        """These and newer matches, as far as the window reaches."""
        features = np.array([one[0] for one in seen], np.float32).tobytes()
        outcomes = np.array([np.nan if one[1] is None else one[1] for one in seen], np.float32).tobytes()
        answers = b"".join(blake2b(one[2].encode(), digest_size=_NAME).digest() for one in seen)
        return Rows(
            (self.features + features)[-WINDOW * _WIDTH :],
            (self.outcomes + outcomes)[-WINDOW * 4 :],
            (self.answers + answers)[-WINDOW * _NAME :],
        )

    def columns(self) -> tuple[Floats, Floats, Floats]:
        """Features, shape (n, 6); outcomes, shape (n,); and the answers by number, shape (n,)."""
        return (
            np.frombuffer(self.features, np.float32).reshape(-1, len(FEATURES)).astype(np.float64),
            np.frombuffer(self.outcomes, np.float32).astype(np.float64),
            np.frombuffer(self.answers, np.uint64).astype(np.float64),
        )


class Learnt(msgspec.Struct, frozen=True, array_like=True):
    """What was learnt from matches.

    Attributes:
        explored: The last matches of which it is known whether they were right.
        last: The last matches, served ones included.
        until_fit: After how many explored matches the model is to be fitted again.
        model: The probability of being right, if there was enough to learn from.
        least: The lowest log odds at which a match is served; ``None`` if no threshold holds the bound.
        before: What was learnt from known questions, by which matches are judged until there is a model.
    """

    explored: Rows = Rows()
    last: Rows = Rows()
    until_fit: int = _FIRST
    model: Quadratic | None = None
    least: float | None = None
    before: Calibration | None = None

    @property
    def is_due(self) -> bool:
        """Whether the model should be fitted again."""
        return self.until_fit <= 0

    def plus(self, seen: Sequence[Seen]) -> Learnt:
        """The same with newer matches."""
        explored = [one for one in seen if one[1] is not None]
        return replace(
            self,
            explored=self.explored.plus(explored),
            last=self.last.plus(seen),
            until_fit=self.until_fit - len(explored),
        )

    def with_model_of(self, other: Learnt) -> Learnt:
        """The same with a model that was fitted to another state of it."""
        return replace(self, until_fit=_EVERY, model=other.model, least=other.least) if self.is_due else self

    def fitted(self, bound: Bound) -> Learnt:
        """The same with a model of these matches. It stays as it was if none of them were right."""
        features, outcomes, _ = self.explored.columns()
        wrong: Flags = outcomes == 1.0
        if wrong.all():
            return replace(self, until_fit=_EVERY)
        if not wrong.any():  # nothing can be fitted without an error: the least near match stands for one
            wrong[features[:, FEATURES.index("cosine")].argmin()] = True
        model = Quadratic.fit(features, ~wrong)
        features, outcomes, answers = self.last.columns()
        odds = model.log_odds(features)
        errors = np.where(np.isnan(outcomes), 1.0 - sigmoid(odds), outcomes)
        least = lowest_threshold(
            odds,
            errors,
            np.ones(len(odds)),
            np.unique(answers, return_inverse=True)[1],
            error=bound.error,
            per=bound.per,
            fixed=False,  # new answers keep coming
        )
        # What is more likely wrong than right is never served.
        return replace(self, until_fit=_EVERY, model=model, least=None if least is None else max(0.0, least))
