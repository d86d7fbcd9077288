"""When a match may be served: three policies behind one port."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec
import numpy as np

from parbake.errors import BadInput
from parbake.values.checks import check_number
from parbake.values.logistic import sigmoid
from parbake_semantic.policies.calibrate import Calibration

Ranking = Literal["head", "cosine"]


class Match(msgspec.Struct, frozen=True):
    """The best answer for a query.

    ``score`` is the head's, near 1 for a certain match. ``margin`` is the distance to the second answer's score.
    ``cosine`` is to the winner's nearest alias, ``alias``. ``cosine_margin`` is the distance to the nearest alias of
    any other answer, ``share`` the winner's part of ``softmax(20 cosine)``, and ``log_aliases`` the logarithm of its
    number of aliases.
    """

    answer: str
    score: float
    margin: float
    cosine: float
    alias: str
    cosine_margin: float = 1.0
    share: float = 1.0
    log_aliases: float = 0.0
    is_exact: bool = False

    @property
    def features(self) -> tuple[float, ...]:
        """The features in the order of :data:`parbake_semantic.policies.features.FEATURES`."""
        return (self.score, self.margin, self.cosine, self.cosine_margin, self.share, self.log_aliases)


class Policy(Protocol):
    """Decides whether a match may be served.

    ``ranking`` says which answer it judges: the head's best, or the one with the nearest alias. ``adds_aliases`` says
    whether a question whose match was right is stored as one more wording of the answer.
    """

    @property
    def ranking(self) -> Ranking:
        """How it ranks answers."""
        ...

    @property
    def adds_aliases(self) -> bool:
        """Whether confirmed questions should be stored."""
        ...

    def refusal(self, match: Match) -> str | None:
        """Return a reason code, or ``None`` if the match may be served."""
        ...

    def observe(self, match: Match, *, right: bool) -> None:
        """Learn that a match was right or wrong."""
        ...


class FixedPolicy(msgspec.Struct, frozen=True):
    """Serve a match at or above fixed thresholds for the head's score, its margin, and the nearest alias's cosine."""

    score: float
    margin: float = 0.0
    cosine: float = 0.0
    ranking: Ranking = "head"
    adds_aliases: bool = True

    def refusal(self, match: Match) -> str | None:
        """Return a reason code, or ``None`` if the match may be served."""
        if not match.score >= self.score:
            return "score_below_threshold"
        if not match.margin >= self.margin:
            return "margin_below_threshold"
        return None if match.cosine >= self.cosine else "cosine_below_threshold"

    def observe(self, match: Match, *, right: bool) -> None:
        """Do nothing."""


def fixed(cosine: float) -> FixedPolicy:
    """The usual rule: serve the answer of the nearest stored question if its cosine is high enough."""
    expected = "a number from -1 to 1"
    check_number(cosine, field="cosine", error=BadInput, expected=expected, fits=lambda given: -1.0 <= given <= 1.0)
    return FixedPolicy(score=float("-inf"), margin=float("-inf"), cosine=cosine, ranking="cosine")


class CalibratedPolicy:
    """Serve a match if its probability of being right reaches the calibrated threshold."""

    ranking: Ranking = "head"
    adds_aliases = True

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration

    def chance(self, match: Match) -> float:
        """The probability of being right; 1 for a known wording, 0 if nothing was learned."""
        return 1.0 if match.is_exact else float(sigmoid(self._log_odds(match)))

    def refusal(self, match: Match) -> str | None:
        """Return ``bank_too_small`` if no threshold holds the bound, ``unsure`` below it, else ``None``."""
        if match.is_exact:
            return None
        if self.calibration.least is None:
            return "bank_too_small"
        return None if self._log_odds(match) >= self.calibration.least else "unsure"

    def observe(self, match: Match, *, right: bool) -> None:
        """Do nothing; the policy learns by calibration."""

    def _log_odds(self, match: Match) -> float:
        model = self.calibration.model
        return float("-inf") if model is None else float(model.log_odds(np.array([match.features]))[0])
