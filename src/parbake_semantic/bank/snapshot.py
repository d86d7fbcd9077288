"""A bank of known questions as a task returns it, and its replies and explanations."""

from __future__ import annotations

import msgspec

from parbake_semantic.bank.compiled import Bank
from parbake_semantic.policies.calibrate import Calibration
from parbake_semantic.policies.policy import Match
from parbake_semantic.text.audience import Scope


class BankReply(msgspec.Struct, frozen=True):
    """The bank's reply: an ``answer`` that may be served, or the reason code why none may be.

    ``match`` is the nearest answer in either case, if there is one. ``chance`` is the probability that it is right, if
    known.
    """

    answer: str | None
    reason: str
    match: Match | None = None
    chance: float | None = None


class Near(msgspec.Struct, frozen=True):
    """A wording near a question, with its answer and their cosine."""

    answer: str
    alias: str
    cosine: float


class Explanation(msgspec.Struct, frozen=True):
    """A verdict and its basis; ``nearest`` is empty if no embedding was needed."""

    question: str
    verdict: BankReply
    calibration: Calibration
    nearest: tuple[Near, ...] = ()


class BankSnapshot(msgspec.Struct, frozen=True):
    """A compiled bank, which a model task returns.

    Attributes:
        scope: For whom the answers hold; questions from another scope are refused.
        bank: The answers with their wordings.
        calibration: How certain a match must be.
        unanswered: The questions that the bank recognizes but has no answer to.
    """

    scope: Scope
    bank: Bank
    calibration: Calibration
    unanswered: tuple[str, ...] = ()

    @property
    def answered(self) -> list[str]:
        """The answers that may be served, in the bank's order."""
        return [answer for answer in self.bank.answers if answer not in self.unanswered]
