"""The page *Answers*: why was this answer given, what was it made of, and how is it marked as stale?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec

from parbake.errors import BadInput, UnknownResource
from parbake.ports.clock import Clock
from parbake.serving.request import Step
from parbake_console.wording import LANES, NONE, clock_time, count, lane, span, usd
from parbake_planner.books import Books
from parbake_planner.breakeven import DAY
from parbake_planner.ledger.answer_table import REFUSED, Answer

_SHOWN, _COUNTED = 50, 10_000
_AT_ONCE_S = 1.0
"""A value counts as computed for the answer if its age exceeds the time that it took by no more than these seconds."""
_MEANT = {words: name for name, words in LANES.items()} | {"refused": REFUSED}
"""Words of the pages that the ledger has another name for."""


class StepLine(msgspec.Struct, frozen=True):
    """One task that was served for an answer, in words."""

    task: str
    verdict: str
    origin: str
    took: str
    stamp: int
    reason: str


class AnswerLine(msgspec.Struct, frozen=True):
    """One answer, in words."""

    id: str
    at: str
    lane: str
    subject: str
    sources: Sequence[str]
    refusals: Sequence[str]
    steps: Sequence[StepLine]
    tokens: str
    cost: str
    sentence: str


class AnswersPage(msgspec.Struct, frozen=True):
    """What the page shows: one answer, or the newest ones that a word was found in, and what could not be found.

    Attributes:
        word: What was looked for.
        found: The answer with this id.
        newest: The newest answers.
        older: The time before which there are older ones, in epoch seconds.
        trouble: What could not be found.
        hours: Each hour of the last day, the oldest first: its name, its answers, and those with a refusal.
        counted: From how many answers these are counted, if there are more.
    """

    word: str
    found: AnswerLine | None = None
    newest: Sequence[AnswerLine] = ()
    older: float | None = None
    trouble: str = ""
    hours: Sequence[tuple[int, int, int]] = ()
    counted: int = 0


async def answers_page(books: Books, clock: Clock, *, word: str, before: float | None = None) -> AnswersPage:
    """Look up an answer by its id, or the newest answers by a word.

    Args:
        books: The ledger.
        clock: The clock.
        word: An answer's id; a part of a subject, a tag or a refusal; a task, a lane, or ``refused``; empty for all.
        before: Only answers from before this time, in epoch seconds.
    """
    now = clock.now()
    if word and before is None:
        try:
            return AnswersPage(word, found=_answer(await books.answers.find(word), now))
        except (BadInput, UnknownResource):
            pass  # it is not an id, so it is a word to look for
    meant = _MEANT.get(word, word)
    is_first = not word and before is None
    looked_at = await asyncio.to_thread(books.answers.newest, _COUNTED if is_first else _SHOWN, meant, before=before)
    if word and not looked_at:
        return AnswersPage(word, trouble=f"no answer of the last days has this id, or {word!r} in it")
    newest = looked_at[:_SHOWN]
    return AnswersPage(
        word,
        newest=[_answer(one, now) for one in newest],
        older=newest[-1].at if len(newest) == _SHOWN else None,
        hours=_by_hour(looked_at, now) if is_first and looked_at else (),
        counted=_COUNTED if len(looked_at) == _COUNTED and looked_at[-1].at > now - DAY else 0,
    )


def _by_hour(answers: Sequence[Answer], now: float) -> list[tuple[int, int, int]]:
    given = Counter(int(one.at // 3600) for one in answers)
    refused = Counter(int(one.at // 3600) for one in answers if one.refusals)
    return [(hour % 24, given[hour], refused[hour]) for hour in range(int(now // 3600) - 23, int(now // 3600) + 1)]


def _answer(answer: Answer, now: float) -> AnswerLine:
    used = answer.usage
    tokens = NONE
    if used is not None and used.input is not None and used.output is not None:
        tokens = f"{count(used.input)} in, {count(used.output)} out"
    steps = [StepLine(s.task, s.verdict, _origin(s), f"{s.ms:,.1f} ms", s.stamp, s.reason) for s in answer.steps]
    return AnswerLine(
        id=answer.id,
        at=clock_time(answer.at, now),
        lane=lane(answer.lane),
        subject=answer.subject,
        sources=answer.sources,
        refusals=answer.refusals,
        steps=steps,
        tokens=tokens,
        cost=usd(answer.cost_usd),
        sentence=_sentence(answer, now),
    )


def _is_computed(step: Step) -> bool:
    """Whether a value was computed for this answer, and not stored before."""
    return step.lane == "realtime" and step.age_s <= step.ms / 1000 + _AT_ONCE_S


def _origin(step: Step) -> str:
    if _is_computed(step):
        return "computed for this answer" + (f", over a value computed {lane(step.over)}" if step.over else "")
    return f"stored, computed {lane(step.lane)} {span(step.age_s)} before"


def _sentence(answer: Answer, now: float) -> str:
    """Where an answer came from, in a sentence."""
    stored = [step for step in answer.steps if not _is_computed(step)]
    computed = len(answer.steps) - len(stored)
    parts = [
        f"given {span(now - answer.at)} ago",
        f"{len(stored)} of its parts were stored, and {computed} computed for it",
    ]
    if stored:
        oldest = max(stored, key=lambda step: step.age_s)
        parts.append(f"the oldest stored one, {oldest.task}, was {span(oldest.age_s)} old")
    if answer.sources:
        parts.append(f"it states {', '.join(answer.sources)}")
    if refused := len(answer.refusals):
        parts.append("one closer match was refused" if refused == 1 else f"{refused} closer matches were refused")
    return "; ".join(parts)
