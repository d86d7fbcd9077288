"""Compiles known questions into a bank: their wordings are embedded, fitted and calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parbake.errors import BadInput
from parbake_semantic.bank.compiled import compile_with_head
from parbake_semantic.bank.snapshot import BankSnapshot
from parbake_semantic.embedder import Embedder
from parbake_semantic.policies.calibrate import Bound, calibrate
from parbake_semantic.text.arrays import unit_rows
from parbake_semantic.text.audience import Scope
from parbake_semantic.text.given import check_embedder, check_wordings, embedded, must_be

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
        answers: The wordings of each answer, by the answer's name. Start with twenty per answer; few answers
            need more. Questions are compared with the first 60, and further ones are known to the letter. A wording of
            two answers is a known wording of neither.
        unanswered: The wordings of questions without an answer, by the question's name. They are recognized and
            refused, and so is every question that is closer to them than to an answer.
        bound: The share of wrong answers that the owner allows.
        scope: For whom the answers hold.
        vectors: Embeddings that the caller has already, by wording, each of shape (dimensions,).

    Raises:
        BadInput: A name cannot be an answer, an answer has no wordings, a wording cannot be a question, an embedding
            cannot be used, or an argument is of another type.
    """
    refused, known = {} if unanswered is None else unanswered, {} if vectors is None else vectors
    bound, scope = Bound() if bound is None else bound, Scope() if scope is None else scope
    check_embedder(embedder)
    must_be(bound, Bound, field="bound", expected="a Bound, such as Bound(error=0.05)")
    must_be(scope, Scope, field="scope", expected="a Scope, such as Scope(locale='de')")
    must_be(known, Mapping, field="vectors", expected="a mapping of wordings to their vectors")
    for field, named in (("answers", answers), ("unanswered", refused)):
        must_be(named, Mapping, field=field, expected="a mapping of names to lists of wordings")
        for name, wordings in named.items():
            _check(field, name, wordings)
    if both := answers.keys() & refused.keys():
        raise BadInput(f"unanswered: {min(both)!r} is among answers, too; remove it from one", field="unanswered")
    aliases = [(name, text) for named in (answers, refused) for name, wordings in named.items() for text in wordings]
    bank, head = compile_with_head(embedder.model_hash, aliases, _embedded(embedder, aliases, known))
    learnt = calibrate(head, bound, model_hash=embedder.model_hash, unanswered=bank.places(refused))
    return BankSnapshot(scope, bank, learnt, tuple(sorted(refused.keys() & set(bank.answers))))


def _check(field: str, name: str, wordings: Sequence[str]) -> None:
    if not isinstance(name, str) or not name or not name.isprintable():
        raise BadInput(f"{field}: {name!r} must be a name of printable characters", field=field)
    check_wordings(wordings, field=field, of=repr(name))


def _embedded(embedder: Embedder, aliases: Sequence[tuple[str, str]], known: Mapping[str, Any]) -> Any:
    """The vectors of the aliases, shape (aliases, dimensions); only texts without a vector are embedded."""
    new = list(dict.fromkeys(text for _, text in aliases if text not in known))
    made = dict(zip(new, embedded(embedder, new), strict=True)) if new else {}
    rows = [_given(known, text, embedder.dimensions) if text in known else made[text] for _, text in aliases]
    return unit_rows(rows) if rows else []


def _given(known: Mapping[str, Any], text: str, dimensions: int) -> Any:
    if (shape := np.shape(known[text])) != (dimensions,):
        raise BadInput(f"vectors: {text[:60]!r} must have the shape ({dimensions},); got {shape}", field="vectors")
    return known[text]
