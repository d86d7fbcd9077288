"""Records answers, looks them up, takes complaints about them, and finds those that a change has outdated.

An answer is recorded under the id that the client received, and that id identifies it later. A complaint about one
answer does not stop a task, unlike an operator's quarantine (:mod:`parbake.lanes.worker.quarantine`). Otherwise one
client with one answer could stop the task for all clients. A complaint makes the answer's sources be computed again,
and notifies the owners.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from parbake.errors import BadInput, ParbakeError, UnknownResource
from parbake.lanes.worker.quarantine import LONGEST_REASON
from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.ports.event_log import Ack
from parbake.ports.store import Store
from parbake.ports.usage import Usage
from parbake.process.about import ABOUT
from parbake.process.threads import in_ledger_thread
from parbake.protocol.record import Meta, Stamp, Tags, bond, unpack_stamp
from parbake.protocol.tags import check_tag, family, is_whole, named, read_set
from parbake.protocol.verdict import Verdict
from parbake.serving.bound import BoundTask
from parbake.serving.request import Request
from parbake.values.redaction import visible
from parbake_planner.ledger.answer_table import AN_HOUR_S, Answer, AnswerTable, checked_id, new_id
from parbake_planner.ledger.costs import NOBODY, CostBook, cost_of
from parbake_planner.ledger.told import LAST_SEQUENCE, WITHOUT_STORE, Stated

COMPLAINTS_AN_HOUR = 10
"""How many complaints about a task's answers have an effect within an hour."""
_NO_TASK = ""
"""The name that complaints count against if no task with an owner took part in the answer."""
_FRESH = Verdict.FRESH.value
Effect = Literal["computed again", "noted", "complained of before", "too many complaints"]


class AnswerComplaint(msgspec.Struct, frozen=True):
    """The effect of a complaint about an answer.

    Attributes:
        answer_id: The answer's id.
        effect: ``computed again`` if the answer's sources were touched; ``noted`` if it has no sources to touch;
            ``complained of before`` if this is a repeated complaint; ``too many complaints`` if the task is over its
            hourly limit.
        touched: The tags that were raised. Nothing computed from them before is served any more.
        ticket: Send it as ``parbake-after``, and the next read sees the effect.
    """

    answer_id: str
    effect: Effect
    touched: tuple[str, ...] = ()
    ticket: str = ""


class RecalledAnswer(msgspec.Struct, frozen=True):
    """An answer that stated something which was changed afterwards.

    Attributes:
        answer_id: The id that the client received.
        recipient: Who got it, as the application names them; empty if it does not.
        at: When it was told, in epoch seconds.
        sequence: The sequence of the store as of which it was told, or the oldest one if that is not known.
        is_without_store: Whether the store was away. Then only its time says whether it was told before the change.
    """

    answer_id: str
    recipient: str
    at: float
    sequence: int
    is_without_store: bool = False


class Answers:
    """Records answers, takes complaints about them, and finds those that changes have outdated."""

    def __init__(
        self,
        table: AnswerTable,
        clock: Clock,
        bound_tasks: Mapping[str, BoundTask],
        known: Collection[str],
        *,
        book: CostBook,
        store: Store,
        touch: Callable[[Sequence[str]], Awaitable[Ack]],
        send: Callable[[Alert], Awaitable[None]],
    ) -> None:
        """Create the recorder.

        Args:
            table: Stores the answers.
            clock: The clock.
            bound_tasks: The tasks of the app, compiled, by name.
            known: The tag families that the app knows.
            book: Prices for the cost of an answer.
            store: Knows when each tag was last raised.
            touch: Raises tags.
            send: Sends an alert.
        """
        self._table = table
        self._clock = clock
        self._bound_tasks = bound_tasks
        self._known = known
        self._book = book
        self._store = store
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
        recipient: str = "",
        as_of: Stamp | None = None,
    ) -> Answer:
        """Record the tasks, sources and costs of an answer, at the end of the request that computed it.

        Args:
            request: The request scope in which the answer was made.
            answer_id: The id that the client receives; a new one by default. It must be hard to guess.
            lane: The lane of its main part.
            subject: What the answer is about, if the application has a name for it. Never the customer's text.
            sources: The tags of what the answer states.
            refusals: Why closer matches were not served.
            recipient: Who receives it, as the application names them, so that :meth:`recall` can tell.
            as_of: The store's counter before the request's first read (:meth:`parbake.App.stamp`). By default the
                stamps of what was served, so that more answers may be recalled than were wrong, but no fewer.

        Returns:
            The answer with its tokens and its cost.

        Raises:
            BadInput: A source is not a tag of a family that the app knows, or the id is not well-formed.
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
            usage=_tokens(request),
            cost_usd=self._cost(request, now),
        )
        indexed = dict.fromkeys(name for tag in tags for name in _index_names(tag))
        if any(step.is_without_store for step in request.steps):
            incarnation = WITHOUT_STORE
            stated = [Stated(tag, 0, LAST_SEQUENCE) for tag in indexed]
        else:
            incarnation = as_of.incarnation if as_of else 0
            stated = [Stated(tag, *self._told_as_of(request, tag, as_of)) for tag in indexed]
        self._table.keep(answer, to=recipient, incarnation=incarnation, stated=stated)
        if (about := ABOUT.get()) is not None:
            about.answer = answer.id
        return answer

    async def recall(self, tag: str, *, since: int, before: int | None = None) -> list[RecalledAnswer]:
        """Find the answers that stated what a tag stands for, and told what is not true any more, ordered by time.

        An answer from just before a change was acknowledged may be among them although it told the new value already.
        So may any that stated the tag while the store was away, which says so.

        Args:
            tag: The tag, such as ``policy/returns``; or a family, for everything in it.
            since: The sequence from which on answers are looked for: that of the change that brought the wrong value.
            before: The sequence of the change that ended it; by default of the last change.

        Raises:
            BadInput: It is not a tag of a family that the app knows.
            UnknownResource: The tag was not raised for so long that the store does not know when; give ``before``.
        """
        (tag,) = self._checked([tag], field="tag")
        if before is None:
            # A change of the whole family changes each of its tags, and a change of a tag changes the family.
            marks = (await self._store.look_again(bond(b"", 0.0, Meta(Tags(named(tag)))))).marks
            mark = max(marks.values(), default=None)
            if mark is None:
                raise UnknownResource(
                    f"{tag}: the store does not know of a change; give the sequence of one as before", field="before"
                )
            before = unpack_stamp(mark).sequence
        control = (await self._store.stamp()).control
        lived = {0, WITHOUT_STORE, control.incarnation, *(int.from_bytes(one, "big") for one in control.ancestry)}
        found = await in_ledger_thread(self._table.told_between, _searched_names(tag), since, before)
        return [
            RecalledAnswer(t.answer, t.recipient, t.at, t.sequence, t.incarnation == WITHOUT_STORE)
            for t in found
            if t.incarnation in lived
        ]

    def _told_as_of(self, request: Request, tag: str, as_of: Stamp | None) -> tuple[int, int]:
        """The oldest and the newest sequence as of which an answer may state a tag.

        The fence holds fresh values to the present: they are as of the request's beginning, or newer. Others may be
        older, and so may those of a task that ignores the tag's family; they are as of their own stamps.
        """
        begins = [as_of.sequence] if as_of else []
        late = [s.stamp for s in request.steps if as_of is None or s.verdict != _FRESH or self._ignores(s.task, tag)]
        return min([*begins, *late], default=0), max([*begins, *(step.stamp for step in request.steps)], default=0)

    def _ignores(self, task: str, tag: str) -> bool:
        bound = self._bound_tasks.get(task)
        items = bound.contract.invalidated_by if bound else ()
        return any(item.strength == "ignore" and item.family == family(tag) for item in items)

    async def find(self, answer_id: str) -> Answer:
        """Look up an answer.

        Raises:
            BadInput: The id is not well-formed.
            UnknownResource: The id was never given out, or the answer is too old.
        """
        return await self._find(checked_id(answer_id))

    def newest(self, limit: int, word: str = "", *, before: float | None = None) -> list[Answer]:
        """Return the newest answers, the last one first; blocking.

        Args:
            limit: The greatest number of answers.
            word: Only those that have this in their subject, lane, sources or refusals, or in the name of a task;
                :data:`~parbake_planner.ledger.answer_table.REFUSED` for those with a refusal, and ``COMPLAINED`` of
                the same module for those that somebody complained of.
            before: Only those from before this time, in epoch seconds.
        """
        return self._table.newest(limit, word, before=before)

    async def complain(self, answer_id: str, reason: str) -> AnswerComplaint:
        """Touch the sources of an answer, once per answer, so that they are computed again, and notify the owners.

        Raises:
            BadInput: The id is not well-formed.
            UnknownResource: The answer is not stored; see :meth:`find`.
        """
        answer = await self._find(checked_id(answer_id))
        # Shielded: if the client disconnects, the recorded complaint must still have its effect.
        return await asyncio.shield(self._complained(answer, visible(reason, LONGEST_REASON)))

    async def _complained(self, answer: Answer, reason: str) -> AnswerComplaint:
        now = self._clock.now()
        tasks = tuple(dict.fromkeys(step.task for step in answer.steps if step.task in self._bound_tasks)) or (
            _NO_TASK,
        )
        standing = await in_ledger_thread(self._table.complain, answer, tasks, now=now, an_hour=COMPLAINTS_AN_HOUR)
        if standing == "unknown":
            raise UnknownResource("no answer with this id is stored; it may be too old", field="answer_id")
        if standing == "repeated":
            return AnswerComplaint(answer.id, "complained of before")
        if standing == "one too many":
            await self._tell_of_many(tasks, now)
            return AnswerComplaint(answer.id, "too many complaints")
        # Another version of the app may have recorded families that this one does not know.
        tags = tuple(tag for tag in answer.sources if family(tag) in self._known)
        try:
            ack = await self._touch(tags) if tags else None
        except ParbakeError:
            await in_ledger_thread(self._table.take_back, answer)
            raise
        message = (
            f"answer {answer.id} was complained of ({reason or 'no reason given'}); its sources: "
            f"{', '.join(tags) or 'none that can be computed again'}"
        )
        await self._tell("complained", tasks, message, now, about=answer.id)
        return AnswerComplaint(answer.id, "computed again" if ack else "noted", tags, ack.ticket if ack else "")

    def _checked(self, sources: Iterable[str], *, field: str = "sources") -> tuple[str, ...]:
        """Check that each source is a tag that can be touched, and return the sources as events spell them."""
        if isinstance(sources, str):
            raise BadInput(f"sources={sources!r}: expected a list of tags, such as [{sources!r}]", field="sources")
        tags = tuple(sources)
        for tag in tags:
            if not isinstance(tag, str) or "{" in tag or family(tag) not in self._known:
                known = ", ".join(sorted(self._known)) or "none"
                raise BadInput(f"{field}: {tag!r} is not a tag of a family that the app knows ({known})", field=field)
        return tuple(check_tag(tag, field=field) for tag in tags)

    async def _find(self, answer_id: str) -> Answer:
        found = await in_ledger_thread(self._table.find, answer_id)
        if found is None:
            raise UnknownResource("no answer with this id is stored; it may be too old", field="answer_id")
        return found

    async def _tell_of_many(self, tasks: Iterable[str], now: float) -> None:
        """Alert, once an hour, that further complaints about a task have no effect."""
        new = [task for task in tasks if self._told_until.get(task, 0.0) <= now]
        self._told_until.update(dict.fromkeys(new, now + AN_HOUR_S))
        if new:
            message = f"more than {COMPLAINTS_AN_HOUR} complaints within an hour; further ones have no effect"
            await self._tell("held_back", new, message, now, about="")

    async def _tell(self, kind: str, tasks: Iterable[str], message: str, now: float, *, about: str) -> None:
        for task in tasks:
            owner = self._bound_tasks[task].contract.owner if task in self._bound_tasks else NOBODY
            await self._send(Alert(kind, task, owner, message, now, f"{kind}/{task}/{owner}/{about}"))

    def _cost(self, request: Request, now: float) -> float | None:
        kept = sum((step.over or step.lane) != "realtime" for step in request.steps)
        return cost_of(self._book, at=now, cpu_s=request.cpu_s, serves=kept, generations=request.generations)


def _index_names(tag: str) -> tuple[str, ...]:
    """The names under which the index has an answer that states a tag.

    They are the tag and its family, which every answer has that states anything of it; for a whole family ``family/*``
    and the family.
    """
    return (*(read_set(family(tag)) if is_whole(tag) else (tag,)), family(tag))


def _searched_names(tag: str) -> tuple[str, ...]:
    """The names in the index of all answers that state what a tag stands for, or a part of it."""
    return (family(tag),) if is_whole(tag) else (tag, *read_set(family(tag)))


def _tokens(request: Request) -> Usage | None:
    """The tokens of all generators together; ``None`` if one of them has not reported its tokens."""
    found = Usage(uncached=0, output=0)
    for call in request.generations:
        if call.usage.input is None or call.usage.output is None:
            return None
        found += call.usage
    return found
