"""How many questions a bank would answer under other error bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parbake.errors import BadInput
from parbake_semantic.bank.compiled import compile_with_head
from parbake_semantic.bank.snapshot import BankSnapshot
from parbake_semantic.policies.calibrate import Bound, Calibration, learn, trials
from parbake_semantic.policies.risk import upper_limits
from parbake_semantic.text.arrays import Floats


@dataclass(frozen=True)
class Outlook:
    """Calibrations for several error bounds, and the shares of answered and of wrong questions along all thresholds.

    Attributes:
        prior: The share of questions that the bank has no answer to (0 to 1).
        calibrations: One calibration per error bound.
        answered: The share of questions that are answered (0 to 1), shape (n,).
        wrong: The share of served answers that are wrong (0 to 1), shape (n,).
        limit: The upper limit of ``wrong`` with 95 % confidence, shape (n,).
    """

    prior: float
    calibrations: tuple[Calibration, ...]
    answered: Floats
    wrong: Floats
    limit: Floats


def outlook(snapshot: BankSnapshot, errors: Sequence[float], prior: float) -> Outlook:
    """Calibrate a bank for each of several error bounds.

    Args:
        snapshot: The bank.
        errors: The allowed shares of wrong answers (0 to 1).
        prior: The share of questions that the bank has no answer to (0 to 1).

    Raises:
        BadInput: The bank has fewer than two answers.
    """
    bank = snapshot.bank
    if len(bank.answers) < 2:  # noqa: PLR2004 - a single answer cannot be confused with another
        raise BadInput("the bank must have at least two answers to be calibrated", field="bank")
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
