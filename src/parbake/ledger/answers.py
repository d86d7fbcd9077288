"""What became of an answer: kept under the id that the client was given, looked up by it, and complained of by it.

A complaint of one answer does not stop a task, as an operator's does (:mod:`parbake.lanes.worker.quarantine`):
whoever has an
answer could then stop everybody's. It has what the answer states computed again, and its owners look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from parbake.errors import BadInput, ParbakeError, UnknownResource
from parbake.fence.tags import check_tag, family
from parbake.lanes.worker.quarantine import LONGEST_REASON
from parbake.ledger.answer_table import AN_HOUR_S, Answer, AnswerTable, checked_id, new_id
from parbake.ledger.costs import NOBODY, CostBook, cost_of
from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.ports.event_log import Ack
from parbake.ports.models import Usage
from parbake.process.threads import in_ledger_thread
from parbake.serving.bound import BoundTask
from parbake.serving.request import Request
from parbake.values.redaction import visible

COMPLAINTS_AN_HOUR = 10
"""How many complaints of a task's answers have an effect within an hour."""
NO_TASK = ""
"""What complaints of answers are counted against that no task with an owner had a part in."""
Effect = Literal["computed again", "noted", "complained of before", "too many complaints"]


class AnswerComplaint(msgspec.Struct, frozen=True):
    """What a complaint of an answer did.

    Attributes:
        answer_id: Which answer.
        effect: ``computed again`` where what the answer states was touched; ``noted`` where it states nothing that can
            be; nothing more was done for an answer that was ``complained of before``, and where its task has had
            ``too many complaints`` within the hour.
        touched: The tags that were raised: nothing made of them before is served.
        ticket: Sent as ``parbake-after``, it makes the next read see that.
    """

    answer_id: str
    effect: Effect
    touched: tuple[str, ...] = ()
    ticket: str = ""


class Answers:
    """Keeps what is known of answers, and takes complaints of them."""

    def __init__(
        self,
        table: AnswerTable | None,
        clock: Clock,
        bound_tasks: Mapping[str, BoundTask],
        known: Collection[str],
        *,
        book: CostBook,
        touch: Callable[[Sequence[str]], Awaitable[Ack]],
        send: Callable[[Alert], Awaitable[None]],
    ) -> None:
        """``table`` is ``None`` for an app without a ledger, which keeps no answers."""
        self._table = table
        self._clock = clock
        self._bound_tasks = bound_tasks
        self._known = known
        self._book = book
        self._touch = touch
        self._send = send
        self._told_until: dict[str, float] = {}

    def note(
        self,
        request: Request,
        *,
        answer_id: str = "",
        lane: str = "realtime",
        subject: str = "",
        sources: Iterable[str] = (),
        refusals: Iterable[str] = (),
    ) -> Answer:
        """Keep what an answer was made of, at the end of the request that made it.

        Args:
            request: The scope in which it was made.
            answer_id: What the client is given; a new one by default. Make it hard to guess.
            lane: Where its main part came from.
            subject: What was answered, where the application has a name for it. No text of a customer's.
            sources: The tags of what it states.
            refusals: Why nearer answers were not given.

        Returns:
            The answer with its tokens and its cost. Without a ledger nothing is measured: both are ``None`` then.

        Raises:
            BadInput: A source is not a tag of a family that the app knows, or this cannot be an id.
        """
        now, tags = self._clock.now(), self._checked(sources)
        answer = Answer(
            id=checked_id(answer_id) if answer_id else new_id(),
            at=now,
            lane=lane,
            subject=subject,
            steps=tuple(request.steps),
            sources=tags,
            refusals=tuple(refusals),
            usage=None if self._table is None else _tokens(request),
            cost_usd=None if self._table is None else self._cost(request, now),
        )
        if self._table is not None:
            self._table.keep(answer)
        return answer

    async def find(self, answer_id: str) -> Answer:
        """What is kept of an answer.

        Raises:
            BadInput: This cannot be an id.
            UnknownResource: It was not given out, or is too old, or this app has no ledger to keep answers in.
        """
        return await self._find(self._kept(), checked_id(answer_id))

    async def complain(self, answer_id: str, reason: str) -> AnswerComplaint:
        """Have what an answer states computed again, once for each answer, and tell the owners of its tasks.

        Raises:
            BadInput: This cannot be an id.
            UnknownResource: See :meth:`find`.
        """
        table = self._kept()
        answer = await self._find(table, checked_id(answer_id))
        # A client that leaves takes nothing back: what is noted has its effect, too.
        return await asyncio.shield(self._complained(table, answer, visible(reason, LONGEST_REASON)))

    async def _complained(self, table: AnswerTable, answer: Answer, reason: str) -> AnswerComplaint:
        now = self._clock.now()
        tasks = tuple(dict.fromkeys(step.task for step in answer.steps if step.task in self._bound_tasks)) or (NO_TASK,)
        standing = await in_ledger_thread(table.complain, answer, tasks, now=now, an_hour=COMPLAINTS_AN_HOUR)
        if standing == "unknown":
            raise UnknownResource("no answer with this id is kept", field="answer_id")
        if standing == "repeated":
            return AnswerComplaint(answer.id, "complained of before")
        if standing == "one too many":
            await self._tell_of_many(tasks, now)
            return AnswerComplaint(answer.id, "too many complaints")
        tags = tuple(
            tag for tag in answer.sources if family(tag) in self._known
        )  # another version of the app knew more
        try:
            ack = await self._touch(tags) if tags else None
        except ParbakeError:
            await in_ledger_thread(table.take_back, answer)
            raise
        message = (
            f"answer {answer.id} was complained of ({reason or 'no reason given'}); it states "
            f"{', '.join(tags) or 'nothing that can be computed again'}"
        )
        await self._tell("complained", tasks, message, now)
        return AnswerComplaint(answer.id, "computed again" if ack else "noted", tags, ack.ticket if ack else "")

    def _checked(self, sources: Iterable[str]) -> tuple[str, ...]:
        """The sources, each a tag that can be touched."""
        if isinstance(sources, str):
            raise BadInput(f"sources={sources!r}: expected a list of tags, such as [{sources!r}]", field="sources")
        tags = tuple(sources)
        for tag in tags:
            if not isinstance(tag, str) or "{" in tag or family(tag) not in self._known:
                known = ", ".join(sorted(self._known)) or "none"
                raise BadInput(
                    f"sources: {tag!r} is not a tag of a family that the app knows ({known})", field="sources"
                )
            check_tag(tag, field="sources")
        return tags

    def _kept(self) -> AnswerTable:
        if self._table is None:
            raise UnknownResource("this app keeps no answers: give it a ledger", field="answer_id")
        return self._table

    @staticmethod
    async def _find(table: AnswerTable, answer_id: str) -> Answer:
        found = await in_ledger_thread(table.find, answer_id)
        if found is None:
            raise UnknownResource("no answer with this id is kept", field="answer_id")
        return found

    async def _tell_of_many(self, tasks: Iterable[str], now: float) -> None:
        """Say once an hour that complaints of a task have no more effect."""
        new = [task for task in tasks if self._told_until.get(task, 0.0) <= now]
        self._told_until.update(dict.fromkeys(new, now + AN_HOUR_S))
        if new:
            message = f"more than {COMPLAINTS_AN_HOUR} answers were complained of within an hour; the rest is not heard"
            await self._tell("held_back", new, message, now)

    async def _tell(self, kind: str, tasks: Iterable[str], message: str, now: float) -> None:
        for task in tasks:
            owner = self._bound_tasks[task].contract.owner if task in self._bound_tasks else NOBODY
            await self._send(Alert(kind, task, owner, message, now))

    def _cost(self, request: Request, now: float) -> float | None:
        kept = sum(step.lane != "realtime" for step in request.steps)
        return cost_of(self._book, at=now, cpu_s=request.cpu_s, serves=kept, generations=request.generations)


def _tokens(request: Request) -> Usage | None:
    """The tokens of all generators together, ``None`` where one has not reported them."""
    sent = made = cached = 0
    for call in request.generations:
        if call.usage.input_tokens is None or call.usage.output_tokens is None:
            return None
        sent, made = sent + call.usage.input_tokens, made + call.usage.output_tokens
        cached += call.usage.cached_tokens or 0
    return Usage(sent, made, cached)
