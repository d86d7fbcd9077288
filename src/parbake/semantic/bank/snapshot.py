"""What a question bank says of a question, why, and what a bank is as bytes."""

from __future__ import annotations

import msgspec

from parbake.semantic.bank.compiled import Bank
from parbake.semantic.policies.calibrate import Calibration
from parbake.semantic.policies.policy import Match
from parbake.semantic.text.audience import Scope


class BankReply(msgspec.Struct, frozen=True):
    """What the bank says of a question: an ``answer`` that may be served, or the reason code why none may.

    ``match`` is the nearest answer either way, where there was one; ``chance`` that it is right, where that is known.
    """

    answer: str | None
    reason: str
    match: Match | None = None
    chance: float | None = None


class Near(msgspec.Struct, frozen=True):
    """A wording near a question, with its answer and the cosine between them."""

    answer: str
    alias: str
    cosine: float


class Explanation(msgspec.Struct, frozen=True):
    """A verdict with what it was reached by; ``nearest`` is empty where no embedding was needed."""

    question: str
    verdict: BankReply
    calibration: Calibration | None
    nearest: tuple[Near, ...] = ()


class BankSnapshot(msgspec.Struct, frozen=True):
    """A bank with all that is known of it: what a model task returns, and what bytes keep (msgpack).

    ``demoted`` answers were complained of; ``unanswered`` are questions that the bank knows and has no answer to.
    """

    scope: Scope
    bank: Bank
    calibration: Calibration | None = None
    demoted: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()

    @property
    def answered(self) -> list[str]:
        """The answers that may be served, in the bank's order."""
        withheld = {*self.demoted, *self.unanswered}
        return [answer for answer in self.bank.answers if answer not in withheld]
