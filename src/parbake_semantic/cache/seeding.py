"""Fills a cache with known questions, so that it answers from its first question on.

The wordings are stored like answers that were computed. From them the policy learns what it would otherwise learn from
the first few hundred questions: each wording is matched without itself and without its answer, as in
:mod:`parbake_semantic.policies.calibrate`.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np

from parbake.errors import BadInput
from parbake.protocol.cause import Cause
from parbake.protocol.record import Stamp
from parbake_semantic.cache.asked import Means
from parbake_semantic.cache.driving import Driver
from parbake_semantic.cache.entry import Entry, group_of, key_of, packed
from parbake_semantic.cache.options import Settings
from parbake_semantic.policies import ridge
from parbake_semantic.policies.adaptive import AdaptivePolicy
from parbake_semantic.policies.calibrate import Calibration, calibrate
from parbake_semantic.text.arrays import Vectors
from parbake_semantic.text.audience import Scope
from parbake_semantic.text.given import check_wordings, embedded, must_be
from parbake_semantic.text.veto import barred, screen

T = TypeVar("T")
_log = logging.getLogger(__name__)
_MOST_CALIBRATED = 2_000
"""How many wordings the policy learns from at most: fitting takes the cube of their number."""


class Known(msgspec.Struct, Generic[T], frozen=True):
    """A known answer with wordings of its question.

    Attributes:
        value: The answer.
        wordings: How the question is asked; the policy learns from answers with several.
        tags: What the answer depends on, such as ``policy/returns``.
    """

    value: T
    wordings: Sequence[str]
    tags: Sequence[str] = ()


async def seed(
    means: Means, known: Sequence[Known[Any]], scope: Scope, driver: Driver, *, as_of: Stamp | None = None
) -> Calibration | None:
    """Store known questions, and let the policy learn from them.

    Args:
        means: What the cache answers with.
        known: The answers with their wordings.
        scope: For whom they hold.
        driver: How to wait.
        as_of: The app's stamp from before the answers were read.

    Returns:
        What was learnt; ``None`` if the policy learns nothing from wordings. Without a ``least`` in it, only questions
        that are worded alike are answered at first, which the log says, with the bound that would hold.

    Raises:
        BadInput: A wording cannot be a question or belongs to two answers, an answer has no wordings or cannot be
            stored, or nothing could outdate it.
    """
    must_be(as_of, Stamp | None, field="as_of", expected="a stamp, as app.stamp() returns it")
    _check(known, means.settings)
    for one in known:
        means.bonding.check(one.tags)
    begun = await means.bonding.begin(driver)
    if begun is not None and as_of is not None:
        begun.recording.stamp = as_of
    texts = [text for one in known for text in one.wordings]
    vectors = await driver.compute(lambda: _embedded(means, texts))
    shared, rows = means.shared(), iter(vectors)
    for one in known:
        made = None if begun is None else means.bonding.seal(begun, one.tags)
        raw = means.settings.values.encode(one.value)
        if made is None or raw is None:
            raise BadInput(
                f"value={repr(one.value)[:60]} cannot be stored: give tags= or the cache a freshness_sla=, "
                "and answers= for a type of your own",
                field="value",
            )
        group = group_of(scope, raw, made.meta.tags.fences)
        for text in one.wordings:
            entry, key = Entry(text, scope, group, packed(next(rows)), raw), key_of(scope, means.settings.form(text))
            stored = None if as_of is not None else await shared.read(key, driver)
            if stored is None or stored.reason == Cause.PAST_SLA.value:  # else it knows of a change, maybe
                await shared.store(key, entry, made, 0.0, driver)
    if not isinstance(shared.policy, AdaptivePolicy) or means.embedder is None:
        return None
    bound, model = shared.policy.bound, means.embedder.model_hash
    made_of = await driver.compute(lambda: _calibrated(known, vectors, bound, model))
    _warn_if_too_few(made_of)
    await shared.begin_with(made_of, driver)
    return made_of


def _check(known: Sequence[Known[Any]], settings: Settings) -> None:
    must_be(known, Collection, field="known", expected="a list of Known objects")
    owners: dict[str, int] = {}
    never: list[tuple[str, str]] = []
    for at, one in enumerate(known):
        must_be(one, Known, field="known", expected="a Known, such as Known(answer, [wording])")
        check_wordings(one.wordings, field="wordings", of=repr(one.value)[:60])
        for text in one.wordings:
            if owners.setdefault(settings.form(text), at) != at:
                raise BadInput(f"wordings: {text[:60]!r} is in two Known; leave it in one of them", field="wordings")
            if refusal := barred(screen(text, settings.vetoes)):
                never.append((text[:60], refusal))
    if never:
        _log.warning("the cache never answers %d of the wordings, such as %r (%s)", len(never), *never[0])


def _embedded(means: Means, texts: list[str]) -> Vectors:
    if means.embedder is None or not texts:
        return np.zeros((len(texts), 0), np.float32)
    return embedded(means.embedder, texts)


def _warn_if_too_few(made: Calibration) -> None:
    if made.least is not None:
        return
    holds = "no share holds" if made.holds_from is None else f"from {made.holds_from:.0%} on one would hold"
    _log.warning(
        "%d wordings are too few for error=%g: only questions that are worded alike are answered, until enough others "
        "were compared; %s. Seed more answers, or more wordings of each", made.rows // 2, made.bound.error, holds
    )  # fmt: skip


def _calibrated(known: Sequence[Known[Any]], vectors: Vectors, bound: Any, model: str) -> Calibration:
    owner = np.repeat(np.arange(len(known)), [len(one.wordings) for one in known])
    if len(owner) > _MOST_CALIBRATED:
        rows = np.sort(random.Random(0).sample(range(len(owner)), _MOST_CALIBRATED))  # noqa: S311  # a sample
        owner, vectors = np.unique(owner[rows], return_inverse=True)[1], vectors[rows]
    head = ridge.fit(vectors, owner, int(owner.max(initial=-1)) + 1)
    return calibrate(head, bound, model_hash=model)
