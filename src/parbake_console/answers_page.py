"""The page *Answers*: why was this answer given, what was it made of, and how is it marked as stale?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from parbake.errors import BadInput, UnknownResource
from parbake.ports.clock import Clock
from parbake_console.wording import NONE, clock_time, count, span, usd
from parbake_planner.books import Books
from parbake_planner.ledger.answer_table import Answer

_SHOWN = 50


class StepLine(msgspec.Struct, frozen=True):
    """One task that was served for an answer, in words."""

    task: str
    verdict: str
    lane: str
    age: str
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
    """What the page shows: one answer, or the newest ones that a word was found in, and what could not be found."""

    word: str
    found: AnswerLine | None = None
    newest: Sequence[AnswerLine] = ()
    trouble: str = ""


async def answers_page(books: Books, clock: Clock, *, word: str) -> AnswersPage:
    """Look up an answer by its id, or the newest answers by a word.

    Args:
        books: The ledger.
        clock: The clock.
        word: An answer's id; or a part of a subject, a tag, a task, a lane or a refusal; empty for all answers.
    """
    now = clock.now()
    if word:
        try:
            return AnswersPage(word, found=_answer(await books.answers.find(word), now))
        except (BadInput, UnknownResource):
            pass  # it is not an id, so it is a word to look for
    newest = await asyncio.to_thread(books.answers.newest, _SHOWN, word)
    if word and not newest:
        return AnswersPage(word, trouble=f"no answer of the last days has this id, or {word!r} in it")
    return AnswersPage(word, newest=[_answer(one, now) for one in newest])


def _answer(answer: Answer, now: float) -> AnswerLine:
    used = answer.usage
    tokens = NONE
    if used is not None and used.input is not None and used.output is not None:
        tokens = f"{count(used.input)} in, {count(used.output)} out"
    return AnswerLine(
        id=answer.id,
        at=clock_time(answer.at, now),
        lane=answer.lane,
        subject=answer.subject,
        sources=answer.sources,
        refusals=answer.refusals,
        steps=[
            StepLine(s.task, s.verdict, _lane(s.lane, s.over), span(s.age_s), f"{s.ms:,.1f} ms", s.stamp, s.reason)
            for s in answer.steps
        ],
        tokens=tokens,
        cost=usd(answer.cost_usd),
        sentence=_sentence(answer, now),
    )


def _lane(lane: str, over: str | None) -> str:
    return f"{lane}, over {over}" if over else lane


def _sentence(answer: Answer, now: float) -> str:
    """Where an answer came from, in a sentence."""
    stored = [step for step in answer.steps if step.lane != "realtime"]
    oldest = max((step.age_s for step in stored), default=None)
    parts = [f"given {span(now - answer.at)} ago"]
    parts.append(
        "computed on request" if answer.lane == "realtime" else f"from what the {answer.lane} lane had computed"
    )
    if oldest is not None:
        parts.append(f"its oldest stored part was {span(oldest)} old")
    if answer.sources:
        parts.append(f"it states {', '.join(answer.sources)}")
    if answer.refusals:
        parts.append(f"{len(answer.refusals)} closer matches were refused")
    return "; ".join(parts)
