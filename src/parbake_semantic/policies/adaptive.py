"""The calibrated policy of a cache that fills with use: it learns from matches that it did not serve, and from audits.

A fresh answer shows whether the match would have been right. A served match shows nothing. A few matches are therefore
explored instead of served; less certain ones are explored more often. Because the choice depends only on the features,
a model of being right given the features stays unbiased (data missing at random). The threshold is the lowest one at
which the last requests would have held the bound of :mod:`parbake_semantic.policies.risk`. Served matches count with
their probability of being wrong.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Sequence

import numpy as np

from parbake.errors import BadInput
from parbake.values.logistic import Logistic, sigmoid
from parbake_semantic.policies.calibrate import Bound
from parbake_semantic.policies.learnt import WINDOW, Learnt, Seen
from parbake_semantic.policies.policy import Match, Ranking
from parbake_semantic.policies.quadratic import Quadratic

AUDITS = 0.02
_TOGETHER = 50
"""How many explored matches are learnt from together; the greatest number that the end of a process loses."""
_DOUBT = 2.0  # how much more likely an audit becomes per probability of being wrong
_MOST_AUDITS = 0.5


class AdaptivePolicy:
    """Keeps the share of wrong answers within a bound; see the module. Thread-safe."""

    ranking: Ranking = "head"
    adds_aliases = True

    def __init__(self, bound: Bound | None = None, *, audits: float = AUDITS, seed: int = 0) -> None:
        """Create a policy without observations.

        Args:
            bound: The allowed share of wrong answers; 1 % of all requests by default.
            audits: The approximate share of would-be hits that is explored, in (0, 1].
            seed: Seed of the random choice of explored matches.

        Raises:
            BadInput: ``audits`` is outside its range.
        """
        if not 0.0 < audits <= 1.0:
            raise BadInput(f"audits must be above 0 and at most 1; got {audits}", field="audits")
        self.bound = bound or Bound(0.01, per="request")
        self.audits = audits
        self.is_shared = False
        """Whether a cache learns from what was noted, together with other processes."""
        self._random = random.Random(seed)  # noqa: S311  # chooses what is explored; not security-relevant
        self._learnt = Learnt()
        self._seen: deque[Seen] = deque(maxlen=WINDOW)
        self._explored = 0
        self._lock = threading.Lock()

    def refusal(self, match: Match) -> str | None:
        """Return ``learning``, ``bank_too_small``, ``unsure`` or ``audit``, or ``None`` if the match may be served."""
        model: Quadratic | Logistic | None = self._learnt.model
        least, before = self._learnt.least, self._learnt.before
        if model is None and before is not None:
            model, least = before.model, before.least
        if model is None:
            return "learning"
        if least is None:
            return "bank_too_small"
        odds = float(model.log_odds(np.array([match.features]))[0])
        if not odds >= least:
            return "unsure"
        doubt = 1.0 - float(sigmoid(odds))
        with self._lock:
            if self._random.random() < min(_MOST_AUDITS, self.audits / 2.0 + _DOUBT * doubt):
                return "audit"
            self._seen.append((match.features, None, match.answer))
        return None

    def observe(self, match: Match, *, right: bool) -> None:
        """Note how a match that was not served compares with the fresh answer.

        Every 250th call fits the model again, unless a cache does that for all processes.

        Args:
            match: The match.
            right: Whether its answer says the same as the fresh one.
        """
        with self._lock:
            self._seen.append((match.features, float(not right), match.answer))
            self._explored += 1
        if self.is_due and not self.is_shared:
            learnt = self._learnt.plus(self.drain())
            self.take(learnt.fitted(self.bound) if learnt.is_due else learnt)

    @property
    def is_due(self) -> bool:
        """Whether there is enough that was not learnt from yet."""
        return self._explored >= _TOGETHER

    def drain(self) -> list[Seen]:
        """Return and forget the matches that were not learnt from yet, to be added to what was learnt."""
        with self._lock:
            seen, self._explored = list(self._seen), 0
            self._seen.clear()
        return seen

    def restore(self, seen: Sequence[Seen]) -> None:
        """Note matches again that :meth:`drain` returned, because they could not be added."""
        with self._lock:
            self._seen.extendleft(reversed(seen))
            self._explored += sum(one[1] is not None for one in seen)

    def take(self, learnt: Learnt) -> None:
        """Decide by what was learnt, by all processes together, from now on."""
        self._learnt = learnt
