"""The bank's replies and explanations, and the bank as bytes."""

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
    calibration: Calibration | None
    nearest: tuple[Near, ...] = ()


class BankSnapshot(msgspec.Struct, frozen=True):
    """The complete state of a bank: the result of a model task, and the content of the stored bytes (msgpack).

    ``demoted`` answers have had complaints. ``unanswered`` are questions that the bank recognises but has no answer to.
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
