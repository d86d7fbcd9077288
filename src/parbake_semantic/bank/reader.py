"""Decides from a compiled bank what may be served for a question."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Any

from parbake.errors import BadInput
from parbake.values.checks import check_number
from parbake_semantic.bank.compiled import Matcher
from parbake_semantic.bank.snapshot import BankReply, BankSnapshot, Explanation, Near
from parbake_semantic.embedder import Embedder
from parbake_semantic.policies.adaptive import AUDITS
from parbake_semantic.policies.features import FEATURES
from parbake_semantic.policies.policy import CalibratedPolicy, Match
from parbake_semantic.text.audience import Scope
from parbake_semantic.text.given import check_embedder
from parbake_semantic.text.veto import VETOES, Screened, Veto, checked, screen, veto

_log = logging.getLogger(__name__)


class BankReader:
    """Asks a bank. Nothing in it changes, so threads may share it.

    Args:
        snapshot: The bank.
        embedder: Makes the questions' vectors. With another model than the bank's, every question is refused.
        vetoes: Hard refusals, see :mod:`parbake_semantic.text.veto`.
        audits: The share of answers (0 to 1) that is withheld, so that the application answers itself and compares.
        seed: Chooses which are withheld.

    Raises:
        BadInput: The bank's arrays do not fit each other or the embedder, or an argument is invalid.
    """

    def __init__(
        self,
        snapshot: BankSnapshot,
        embedder: Embedder,
        *,
        vetoes: Sequence[Veto] = VETOES,
        audits: float = AUDITS,
        seed: int = 0,
    ) -> None:
        check_embedder(embedder)
        share = "a number from 0 to 1"
        check_number(audits, field="audits", error=BadInput, expected=share, fits=lambda given: 0.0 <= given <= 1.0)
        self.snapshot = snapshot
        self._embedder, self._vetoes, self._audits = embedder, checked(vetoes), audits
        self._random = random.Random(seed)  # noqa: S311  # chooses audits; not security-relevant
        self._matcher, self._policy = Matcher(snapshot.bank), CalibratedPolicy(snapshot.calibration)
        self._unanswered = frozenset(snapshot.unanswered)
        made_here = snapshot.bank.model_hash == embedder.model_hash
        if snapshot.bank.aliases and made_here and self._matcher.dimensions != embedder.dimensions:
            raise BadInput(
                f"the bank's vectors have {self._matcher.dimensions} dimensions, the embedder's {embedder.dimensions}",
                field="snapshot",
            )
        model = snapshot.calibration.model
        if model is not None and len(model.coefficients) != len(FEATURES):
            raise BadInput(
                f"the calibration has {len(model.coefficients)} coefficients, not {len(FEATURES)}", field="snapshot"
            )

    def ask(self, question: str | Screened, *, scope: Scope | None = None, vector: Any = None) -> BankReply:
        """Decide what may be served for a question.

        It never raises: if a veto or the policy raises, the reason is ``bank_failed``.

        Args:
            question: The question; one that was screened already (:func:`parbake_semantic.screen`) is not screened
                again, unless that was by other vetoes than the reader's.
            scope: Who asks.
            vector: The question's embedding, if the caller has it already, shape (dimensions,).
        """
        try:
            return self._asked(self._screened(question), scope, vector)
        except Exception:  # noqa: BLE001 - a rule failed; the question can be answered elsewhere
            _log.exception("the question bank failed; the question is not answered from it")
            return BankReply(None, "bank_failed")

    def recall(self, question: str | Screened, *, scope: Scope | None = None) -> BankReply | None:
        """Like :meth:`ask`, for a known wording and without an embedding; ``None`` for every other question."""
        asked = self._screened(question)
        match = None if self._refused(asked, scope) else self._matcher.exact(asked.text)
        return None if match is None else self._verdict(asked, match)

    def explain(self, question: str, *, scope: Scope | None = None, count: int = 5) -> Explanation:
        """Explain why a question is answered or not: the verdict, its basis, and the nearest wordings.

        Args:
            question: The question.
            scope: Who asks.
            count: How many of the nearest wordings to list.
        """
        verdict, calibration = self.ask(question, scope=scope), self.snapshot.calibration
        if verdict.match is None or verdict.match.is_exact:
            return Explanation(question, verdict, calibration)
        nearest = self._matcher.wordings_near(self._embedder.embed([question])[0], count)
        return Explanation(question, verdict, calibration, tuple(Near(*near) for near in nearest))

    def _screened(self, question: str | Screened) -> Screened:
        if isinstance(question, Screened) and question.vetoes == self._vetoes:
            return question
        return screen(question if isinstance(question, str) else question.text, self._vetoes)

    def _asked(self, question: Screened, scope: Scope | None, vector: Any) -> BankReply:
        if refusal := self._refused(question, scope):
            return BankReply(None, refusal)
        match = self._matcher.exact(question.text)
        if match is None:
            try:
                found = self._embedder.embed([question.text])[0] if vector is None else vector
                match = self._matcher.match(question.text, found, self._policy.ranking)
            except BadInput:
                return BankReply(None, "bad_embedding")
            except Exception:  # noqa: BLE001 - any error: the question can still be answered elsewhere
                _log.exception("the embedder failed; the question bank answers only known wordings")
                return BankReply(None, "embedder_failed")
        return BankReply(None, "empty_bank") if match is None else self._verdict(question, match)

    def _refused(self, question: Screened, scope: Scope | None) -> str:
        """Why a question is refused whatever it matches; empty if it is not."""
        if (scope or Scope()) != self.snapshot.scope:
            return "scope_differs"
        if question.refusal:
            return question.refusal
        return "" if self.snapshot.bank.model_hash == self._embedder.model_hash else "model_changed"

    def _verdict(self, question: Screened, match: Match) -> BankReply:
        reason = self._refusal(question, match)
        return BankReply(None if reason else match.answer, reason or "", match, self._policy.chance(match))

    def _refusal(self, question: Screened, match: Match) -> str | None:
        if match.answer in self._unanswered:
            return "unanswered"
        reason = veto(question, match.alias, self._vetoes) or self._policy.refusal(match)
        if reason is None and not match.is_exact and self._random.random() < self._audits:
            return "audit"
        return reason
