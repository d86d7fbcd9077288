"""A bank of questions with known answers: it is compiled, calibrated, asked, audited and corrected by complaints."""

from __future__ import annotations

import hashlib
import logging
import random
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from parbake.errors import BadInput
from parbake_semantic.bank.compiled import Matcher, compile_with_head
from parbake_semantic.bank.explorations import Explorations
from parbake_semantic.bank.snapshot import BankReply, BankSnapshot, Explanation, Near
from parbake_semantic.embedder import Embedder
from parbake_semantic.policies.adaptive import AUDITS
from parbake_semantic.policies.calibrate import Bound, Calibration, calibrate
from parbake_semantic.policies.features import FEATURES
from parbake_semantic.policies.policy import CalibratedPolicy, Match, Policy
from parbake_semantic.text.arrays import unit_rows
from parbake_semantic.text.audience import Scope, Verifier, verified
from parbake_semantic.text.normalize import normalize, unusable
from parbake_semantic.text.veto import VETOES, Screened, Veto, checked, screen, veto

_log = logging.getLogger(__name__)
DIGEST = 16


class QuestionBank:
    """The questions of one scope. Asking is thread-safe; changes must come from one thread at a time.

    Args:
        embedder: Makes the vectors. A bank made with another model refuses every question until it is recalibrated.
        bound: The share of wrong answers that the owner allows.
        scope: For whom the answers hold; questions from another scope are refused.
        policy: Replaces the calibrated policy, for example ``fixed(0.92)``.
        vetoes: Hard refusals, see :mod:`parbake_semantic.text.veto`.
        verifier: A second check before an answer is served. If it fails, the answer is not served.
        audits: The share of answers (0 to 1) that is withheld, so that the application answers itself and compares.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        bound: Bound | None = None,
        scope: Scope | None = None,
        policy: Policy | None = None,
        vetoes: Sequence[Veto] = VETOES,
        verifier: Verifier | None = None,
        audits: float = AUDITS,
        seed: int = 0,
    ) -> None:
        self.bound, self.scope = bound or Bound(), scope or Scope()
        self._embedder, self._fixed, self._vetoes, self._verifier = embedder, policy, checked(vetoes), verifier
        self.explorations = Explorations(vetoes=self._vetoes)
        self._audits, self._random = audits, random.Random(seed)  # noqa: S311  # chooses audits; not security-relevant
        self._aliases: list[tuple[str, str]] = []
        self._vectors: list[Any] = []
        self._demoted: set[str] = set()
        self._unanswered: set[str] = set()
        self._lock = threading.Lock()
        self._model = embedder.model_hash  # the model that made the vectors
        self._current = self._compiled()

    @property
    def calibration(self) -> Calibration | None:
        """The current calibration; ``None`` before the first one."""
        return self._current[1]

    @property
    def aliases(self) -> list[tuple[str, str]]:
        """Pairs of (answer, wording), including those added since the last calibration."""
        return list(self._aliases)

    def add(self, answer: str, wordings: Iterable[str], *, vectors: Any = None) -> None:
        """Add wordings of an answer. They count from the next :meth:`calibrate` on.

        Args:
            answer: The answer's name.
            wordings: The wordings.
            vectors: Their embeddings, if the caller has them already, shape (wordings, dimensions).

        Raises:
            BadInput: A text cannot be a question, or an embedding cannot be used. Then no wording is added.
        """
        if answer in self._unanswered:
            raise BadInput(
                f"{answer!r} was added by refuse() as a question without an answer; remove its wordings first",
                field="answer",
            )
        self._add(answer, wordings, vectors)

    def _add(self, answer: str, wordings: Iterable[str], vectors: Any) -> None:
        _check_name(answer)
        if isinstance(wordings, str):
            raise BadInput(f"wordings must be a list of texts; got the text {wordings[:60]!r}", field="wordings")
        texts = list(wordings)
        for text in texts:
            if reason := unusable(text):
                raise BadInput(f"wordings: {text[:60]!r} cannot be a question: {reason}", field="wordings")
        made = self._embed(texts) if vectors is None else unit_rows(vectors, dimensions=self._embedder.dimensions)
        if len(made) != len(texts):
            raise BadInput(
                f"there must be one vector per wording; got {len(made)} for {len(texts)} wordings", field="vectors"
            )
        self._refresh()
        with self._lock:
            self._aliases += [(answer, text) for text in texts]
            self._vectors += list(made)

    def refuse(self, question: str, wordings: Iterable[str], *, vectors: Any = None) -> None:
        """Add wordings of a question that the bank should recognise but has no answer to.

        The question is refused as ``unanswered``, and so is every question that is closer to it than to an answer.
        Removing its last wording removes the question.

        Args:
            question: The question's name.
            wordings: The wordings.
            vectors: Their embeddings, if the caller has them already, shape (wordings, dimensions).

        Raises:
            BadInput: See :meth:`add`.
        """
        if any(answer == question for answer, _ in self._aliases) and question not in self._unanswered:
            raise BadInput(
                f"question={question!r} already has wordings as an answer; remove them first", field="question"
            )
        self._add(question, wordings, vectors)
        self._unanswered |= {question} & {answer for answer, _ in self._aliases}

    def remove(self, wording: str) -> int:
        """Remove a wording from all answers, at once, and return how many were removed."""
        text = normalize(wording)
        with self._lock:
            kept = [i for i, (_, alias) in enumerate(self._aliases) if normalize(alias) != text]
            removed = len(self._aliases) - len(kept)
            self._aliases = [self._aliases[i] for i in kept]
            self._vectors = [self._vectors[i] for i in kept]
            self._unanswered &= {answer for answer, _ in self._aliases}
        if removed:
            self._current = self._compiled(self._current[1])
        return removed

    def calibrate(self) -> Calibration:
        """Compile the bank and learn its threshold. Needed also after the embedding model has changed."""
        self._refresh()
        self._current = self._compiled(learn=True)
        calibration = self._current[1]
        assert calibration is not None  # noqa: S101  # it was set in the line above
        return calibration

    def ask(self, question: str | Screened, *, scope: Scope | None = None, vector: Any = None) -> BankReply:
        """Decide what may be served for a question.

        It never raises: if a veto or a policy raises, the reason is ``bank_failed``.

        Args:
            question: The question; one that was screened already (:func:`parbake_semantic.screen`) is not screened
                again, unless that was by other vetoes than the bank's.
            scope: Who asks.
            vector: The question's embedding, if the caller has it already, shape (dimensions,).
        """
        try:
            return self._asked(self._screened(question), scope, vector)
        except Exception:  # noqa: BLE001 - a rule failed; the question can be answered elsewhere
            _log.exception("the question bank failed; the question is not answered from it")
            return BankReply(None, "bank_failed")

    def _screened(self, question: str | Screened) -> Screened:
        if isinstance(question, Screened) and question.vetoes == self._vetoes:
            return question
        return screen(question if isinstance(question, str) else question.text, self._vetoes)

    def _asked(self, question: Screened, scope: Scope | None, vector: Any) -> BankReply:
        ready = self._ready(question, scope)
        if isinstance(ready, BankReply):
            return ready
        matcher, policy = ready
        match = matcher.exact(question.text)
        if match is None:
            try:
                found = self._embedder.embed([question.text])[0] if vector is None else vector
                match = matcher.match(question.text, found, policy.ranking)
            except BadInput:
                return BankReply(None, "bad_embedding")
            except Exception:  # noqa: BLE001 - any error: the question can still be answered elsewhere
                _log.exception("the embedder failed; the question bank answers only known wordings")
                return BankReply(None, "embedder_failed")
        return BankReply(None, "empty_bank") if match is None else self._verdict(question, match, policy)

    def recall(self, question: str | Screened, *, scope: Scope | None = None) -> BankReply | None:
        """Like :meth:`ask`, for a known wording and without an embedding; ``None`` for every other question."""
        asked = self._screened(question)
        ready = self._ready(asked, scope)
        if isinstance(ready, BankReply):
            return None
        matcher, policy = ready
        match = matcher.exact(asked.text)
        return None if match is None else self._verdict(asked, match, policy)

    def explain(self, question: str, *, scope: Scope | None = None, count: int = 5) -> Explanation:
        """Explain why a question is answered or not: the verdict, its basis, and the nearest wordings.

        Args:
            question: The question.
            scope: Who asks.
            count: How many of the nearest wordings to list.
        """
        matcher, calibration = self._current
        verdict = self.ask(question, scope=scope)
        if verdict.match is None or verdict.match.is_exact:
            return Explanation(question, verdict, calibration)
        nearest = matcher.wordings_near(self._embedder.embed([question])[0], count)
        return Explanation(question, verdict, calibration, tuple(Near(*near) for near in nearest))

    def complain(self, answer: str) -> None:
        """Stop serving an answer, at once, until :meth:`restore`."""
        _check_name(answer)
        self._demoted.add(answer)

    def restore(self, answer: str) -> None:
        """Serve an answer again after :meth:`complain`."""
        self._demoted.discard(answer)

    def explored(self, question: str, verdict: BankReply, *, right: bool, user: str) -> bool:
        """Record how a fresh answer compares with the answer that was not served.

        The question becomes an alias once enough users have asked it (see
        :class:`parbake_semantic.bank.explorations.Explorations`), and counts from the next :meth:`calibrate` on.

        Args:
            question: The question.
            verdict: The bank's reply.
            right: Whether the answer that was not served would have been right.
            user: The name of the user who asked.

        Returns:
            Whether the question has become an alias.
        """
        match = verdict.match
        if match is None:
            return False
        if self._fixed is not None:
            self._fixed.observe(match, right=right)
        if not right or verdict.reason not in ("unsure", "audit", "bank_too_small"):
            return False
        if not self.explorations.note(question, match.answer, user):
            return False
        try:
            self.add(match.answer, [question])
        except Exception:  # noqa: BLE001 - it becomes a wording if it is asked again
            _log.exception("a question could not be added to the question bank as a wording")
            return False
        return True

    def snapshot(self) -> BankSnapshot:
        """The bank as it was last compiled, without the users' explorations."""
        matcher, calibration = self._current
        unanswered = self._unanswered & set(matcher.bank.answers)
        return BankSnapshot(
            self.scope, matcher.bank, calibration, tuple(sorted(self._demoted)), tuple(sorted(unanswered))
        )

    def to_bytes(self) -> bytes:
        """The snapshot in msgpack, after a digest by which :meth:`load` detects damage."""
        packed = msgspec.msgpack.encode(self.snapshot())
        return _digest(packed) + packed

    def load(self, data: bytes) -> None:
        """Replace the bank, its scope and its bound by the content that :meth:`to_bytes` wrote.

        Raises:
            BadInput: The bytes are not a question bank. The bank stays as it was.
        """
        if not isinstance(data, bytes | bytearray) or data[:DIGEST] != _digest(data[DIGEST:]):
            raise BadInput("data is not a question bank, or it was truncated or changed", field="data")
        try:
            self.take(msgspec.msgpack.decode(data[DIGEST:], type=BankSnapshot))
        except (msgspec.DecodeError, ValueError) as error:
            raise BadInput(f"data is not a question bank: {error}", field="data") from error

    def take(self, found: BankSnapshot) -> None:
        """Replace the bank, its scope and its bound by a snapshot.

        Raises:
            BadInput: The arrays do not fit each other or the embedder. The bank stays as it was.
        """
        bank, matcher = found.bank, Matcher(found.bank)
        made_here = bank.model_hash == self._embedder.model_hash
        if bank.aliases and made_here and matcher.dimensions != self._embedder.dimensions:
            raise BadInput(
                f"the bank's vectors have {matcher.dimensions} dimensions, the embedder's {self._embedder.dimensions}",
                field="data",
            )
        model = found.calibration.model if found.calibration else None
        if model is not None and len(model.coefficients) != len(FEATURES):
            raise BadInput(
                f"the calibration has {len(model.coefficients)} coefficients, not {len(FEATURES)}", field="data"
            )
        vectors = np.frombuffer(bank.vectors, np.float32).reshape(len(bank.aliases), matcher.dimensions)
        with self._lock:
            self._aliases = [(bank.answers[o], a) for o, a in zip(bank.owner_of, bank.aliases, strict=True)]
            self._vectors, self._model = list(vectors), bank.model_hash
        self.scope, self._demoted, self._unanswered = found.scope, set(found.demoted), set(found.unanswered)
        self.bound = found.calibration.bound if found.calibration else self.bound
        self._current = (matcher, found.calibration)

    def _ready(self, question: Screened, scope: Scope | None) -> BankReply | tuple[Matcher, Policy]:
        """The matcher and policy for a question, or a refusal that needs no match."""
        matcher, calibration = self._current
        if (scope or Scope()) != self.scope:
            return BankReply(None, "scope_differs")
        if question.refusal:
            return BankReply(None, question.refusal)
        if matcher.bank.model_hash != self._embedder.model_hash:
            return BankReply(None, "model_changed")
        fits = calibration is not None and calibration.model_hash == matcher.bank.model_hash
        policy = self._fixed or (CalibratedPolicy(calibration) if calibration and fits else None)
        return BankReply(None, "not_calibrated") if policy is None else (matcher, policy)

    def _verdict(self, question: Screened, match: Match, policy: Policy) -> BankReply:
        chance = policy.chance(match) if isinstance(policy, CalibratedPolicy) else None
        reason = self._refusal(question, match, policy)
        return BankReply(None if reason else match.answer, reason or "", match, chance)

    def _refusal(self, question: Screened, match: Match, policy: Policy) -> str | None:
        if match.answer in self._unanswered:
            return "unanswered"
        if match.answer in self._demoted:
            return "demoted"
        reason = veto(question, match.alias, self._vetoes) or policy.refusal(match)
        if reason is None and not match.is_exact and self._random.random() < self._audits:
            return "audit"
        return reason or verified(self._verifier, question.text, match.alias)

    def _refresh(self) -> None:
        """Compute all embeddings again if the model has changed."""
        if self._model != self._embedder.model_hash:
            vectors = self._embed([text for _, text in self._aliases])
            with self._lock:
                self._vectors, self._model = list(vectors), self._embedder.model_hash

    def _embed(self, texts: list[str]) -> Any:
        if not texts:
            return np.zeros((0, self._embedder.dimensions), np.float32)
        return unit_rows(self._embedder.embed(texts), dimensions=self._embedder.dimensions)

    def _compiled(
        self, calibration: Calibration | None = None, *, learn: bool = False
    ) -> tuple[Matcher, Calibration | None]:
        with self._lock:
            aliases, vectors = list(self._aliases), list(self._vectors)
        bank, head = compile_with_head(self._model, aliases, np.stack(vectors) if vectors else [])
        if learn:
            unanswered = bank.places(self._unanswered)
            calibration = calibrate(head, self.bound, model_hash=self._model, unanswered=unanswered)
        return Matcher(bank), calibration


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=DIGEST).digest()


def _check_name(answer: str) -> None:
    if not isinstance(answer, str) or not answer or not answer.isprintable():
        raise BadInput(f"answer={answer!r} must be a name of printable characters", field="answer")
