"""Compiles known questions into a bank: their wordings are embedded, fitted and calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parbake.errors import BadInput
from parbake_semantic.bank.compiled import compile_with_head
from parbake_semantic.bank.snapshot import BankSnapshot
from parbake_semantic.embedder import Embedder
from parbake_semantic.policies.calibrate import Bound, calibrate
from parbake_semantic.text.arrays import unit_rows
from parbake_semantic.text.audience import Scope
from parbake_semantic.text.normalize import unusable

Wordings = Mapping[str, Sequence[str]]


def compile_questions(
    embedder: Embedder,
    answers: Wordings,
    *,
    unanswered: Wordings | None = None,
    bound: Bound | None = None,
    scope: Scope | None = None,
    vectors: Mapping[str, Any] | None = None,
) -> BankSnapshot:
    """Compile a bank and learn, from its wordings alone, how certain a match must be.

    Each wording is asked of the bank without that wording, and of the bank without its answer.

    Args:
        embedder: Makes the vectors. A reader with another model refuses every question.
        answers: The wordings of each answer, by the answer's name. Start with twenty per answer.
        unanswered: The wordings of questions without an answer, by the question's name. They are recognized and
            refused, and so is every question that is closer to them than to an answer.
        bound: The share of wrong answers that the owner allows.
        scope: For whom the answers hold.
        vectors: Embeddings that the caller has already, by wording, each of shape (dimensions,).

    Raises:
        BadInput: A name cannot be an answer, a wording cannot be a question, or an embedding cannot be used.
    """
    refused, bound = unanswered or {}, bound or Bound()
    if both := answers.keys() & refused.keys():
        raise BadInput(f"unanswered: {min(both)!r} is among answers, too; remove it from one", field="unanswered")
    for field, named in (("answers", answers), ("unanswered", refused)):
        for name, wordings in named.items():
            _check(field, name, wordings)
    aliases = [(name, text) for named in (answers, refused) for name, wordings in named.items() for text in wordings]
    bank, head = compile_with_head(embedder.model_hash, aliases, _embedded(embedder, aliases, vectors or {}))
    learnt = calibrate(head, bound, model_hash=embedder.model_hash, unanswered=bank.places(refused))
    return BankSnapshot(scope or Scope(), bank, learnt, tuple(sorted(refused.keys() & set(bank.answers))))


def _check(field: str, name: str, wordings: Sequence[str]) -> None:
    if not isinstance(name, str) or not name or not name.isprintable():
        raise BadInput(f"{field}: {name!r} must be a name of printable characters", field=field)
    if isinstance(wordings, str):
        raise BadInput(f"{field}: {name!r} must have a list of texts; got the text {wordings[:60]!r}", field=field)
    for text in wordings:
        if reason := unusable(text):
            raise BadInput(f"{field}: {text[:60]!r} cannot be a question: {reason}", field=field)


def _embedded(embedder: Embedder, aliases: Sequence[tuple[str, str]], known: Mapping[str, Any]) -> Any:
    """The vectors of the aliases, shape (aliases, dimensions); only texts without a vector are embedded."""
    new = list(dict.fromkeys(text for _, text in aliases if text not in known))
    made = dict(zip(new, embedder.embed(new), strict=True)) if new else {}
    rows = [known[text] if text in known else made[text] for _, text in aliases]
    return unit_rows(rows, dimensions=embedder.dimensions) if rows else []
