"""What a bank would answer under other bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parbake.errors import BadInput
from parbake.semantic.bank.compiled import compile_with_head
from parbake.semantic.bank.snapshot import BankSnapshot
from parbake.semantic.policies.calibrate import Bound, Calibration, learn, trials
from parbake.semantic.policies.risk import upper_limits
from parbake.semantic.text.arrays import Floats


@dataclass(frozen=True)
class Outlook:
    """Calibrations under several errors, and along all thresholds (n,) the share of questions answered and wrong.

    ``wrong`` is the share of served answers that were wrong, ``limit`` its upper limit with 95 % confidence.
    """

    prior: float
    calibrations: tuple[Calibration, ...]
    answered: Floats
    wrong: Floats
    limit: Floats


def outlook(snapshot: BankSnapshot, errors: Sequence[float], prior: float) -> Outlook:
    """Calibrate a bank anew under each of some errors; raises :class:`BadInput` for one that is empty."""
    bank = snapshot.bank
    if len(bank.answers) < 2:  # noqa: PLR2004 - one alone is told apart from nothing
        raise BadInput("the bank has fewer than two answers; there is nothing to calibrate", field="bank")
    vectors = np.frombuffer(bank.vectors, np.float32).reshape(len(bank.aliases), -1)
    aliases = [(bank.answers[o], a) for o, a in zip(bank.owner_of, bank.aliases, strict=True)]
    found = trials(compile_with_head(bank.model_hash, aliases, vectors)[1])
    unanswered = bank.places(snapshot.unanswered)
    made = tuple(
        learn(found, Bound(error, prior=prior), model_hash=bank.model_hash, unanswered=unanswered) for error in errors
    )
    kept, weights = found.weighted(prior)
    odds = kept.odds(weights, unanswered)
    order = np.argsort(-odds, kind="stable")[: int(np.isfinite(odds).sum())]
    wrong, ranked = kept.wrong[order], weights[order]
    total = np.cumsum(ranked)
    limits = upper_limits(wrong, ranked, kept.cluster[order])
    return Outlook(prior, made, total / weights.sum(), np.cumsum(ranked * wrong) / total, limits)
