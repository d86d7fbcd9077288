"""A semantic cache for any application that asks a model: it fills as it is used, and keeps a bound on errors."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from parbake.errors import BadInput
from parbake.fence.record import Record
from parbake.ports.models import Embedder
from parbake.semantic.cache.bonding import Bonding, Fenced, Judge
from parbake.semantic.cache.scoped_store import CachedAnswer, ScopedStore
from parbake.semantic.policies.adaptive import AdaptivePolicy
from parbake.semantic.policies.policy import Match, Policy
from parbake.semantic.text.arrays import Vectors
from parbake.semantic.text.audience import Scope, Verifier, verified
from parbake.semantic.text.veto import VETOES, Veto, is_personal, veto
from parbake.values.duration import Duration

_log = logging.getLogger(__name__)
T = TypeVar("T")
CAPACITY = 100_000
EVERYONE = Scope()


def equal(known: object, fresh: object) -> bool:
    """Whether two answers are equal and of one type: ``1`` says another thing than ``True``."""
    return type(known) is type(fresh) and bool(known == fresh)


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """A value with where it came from: ``reason`` says why it was not the cache, and is empty for a hit.

    ``match`` is the nearest stored question, if there was one; ``stored`` the answer itself where the cache keeps it.
    """

    value: T
    reason: str
    match: Match | None = None
    stored: CachedAnswer[T] | None = None

    @property
    def is_hit(self) -> bool:
        """Whether the cache answered."""
        return not self.reason


class _Look(msgspec.Struct, Generic[T], frozen=True):
    """What a lookup found.

    ``answer`` is the one that a fresh one is compared with; ``vector`` is ``None`` for what must not be stored, unless
    the text ``is_known``; the policy ``learns`` from what it refused itself. ``renews`` is the stored question that
    would have been served if its answer were not out of date: it gets the fresh one, too.
    """

    reason: str
    shelf: ScopedStore[T] | None = None
    answer: CachedAnswer[T] | None = None
    match: Match | None = None
    vector: Any = None
    learns: bool = False
    is_known: bool = False
    renews: str = ""


class SemanticCache(Generic[T]):
    """Answers a question as one of the same meaning was answered before; safe to share between threads.

    With an app an answer keeps the app's promise: once a change of anything that it was made of is acknowledged, it is
    not served again. What the answering function reads through the app (``app.serve``, or its tasks) binds the answer,
    and ``tags=`` adds what only the caller knows.

    Values are kept and handed out as they are: treat them as immutable. When the embedder's ``model_hash`` changes,
    everything begins anew. What fails beside the answer itself (embedding, ``same``) is logged and costs a hit only.

    Args:
        embedder: makes unit vectors (see :class:`parbake.ports.models.Embedder`).
        app: whose changes end answers; without one ``freshness_sla`` is required.
        freshness_sla: how old an answer may be; unlimited by default where there is an app.
        policy: makes the policy of each scope; by default at most 1 % of requests get a wrong answer.
        same: whether two answers say the same, which is how the cache learns; equality by default, a judge in earnest.
        vetoes: hard refusals, see :mod:`parbake.semantic.text.veto`.
        verifier: a second opinion before a hit is served; it fails closed.
        capacity: questions per scope; once full, nothing more is stored.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        app: Fenced | None = None,
        freshness_sla: Duration | None = None,
        policy: Callable[[], Policy] = AdaptivePolicy,
        same: Callable[[T, T], bool] = equal,
        vetoes: Sequence[Veto] = VETOES,
        verifier: Verifier | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        """Begin empty."""
        self._embedder, self._policy, self._same = embedder, policy, same
        self._bonding = Bonding(app, freshness_sla)
        self._vetoes, self._verifier, self._capacity = vetoes, verifier, capacity
        self._shelves: dict[Scope, ScopedStore[T]] = {}
        self._model = embedder.model_hash  # that the shelves' vectors were made with
        self._lock = threading.Lock()

    def ask(
        self, question: str, answer: Callable[[str], T], *, tags: Sequence[str] = (), scope: Scope = EVERYONE
    ) -> Reply[T]:
        """Return what is stored, or ``answer(question)``; errors of ``answer`` pass through and store nothing.

        ``tags`` name what a fresh answer depends on besides what it reads through the app, such as ``policy/returns``.
        """
        self._bonding.check(tags)
        judge = self._bonding.judge()
        look = self._looked(question, scope, judge)
        hit = _hit(look)
        if hit is not None:
            self._bonding.tell(hit.bond)
            return hit.reply
        with self._bonding.recorded(tags) as made:
            value = answer(question)
        return self._learned(question, look, (value, made.bond), judge)

    async def ask_async(
        self,
        question: str,
        answer: Callable[[str], Awaitable[T]],
        *,
        tags: Sequence[str] = (),
        scope: Scope = EVERYONE,
    ) -> Reply[T]:
        """The same for a coroutine function; the embedding, the lookup and ``same`` run in a thread."""
        self._bonding.check(tags)
        judge = self._bonding.judge(asyncio.get_running_loop())
        look = await asyncio.to_thread(self._looked, question, scope, judge)
        hit = _hit(look)
        if hit is not None:
            self._bonding.tell(hit.bond)
            return hit.reply
        async with self._bonding.recorded_async(tags) as made:
            value = await answer(question)
        return await asyncio.to_thread(self._learned, question, look, (value, made.bond), judge)

    def demote(self, reply: Reply[T]) -> None:
        """After a complaint: the answer in this reply is served no more, whatever is asked.

        That holds for a hit and for a fresh answer alike. What was not stored cannot come again: nothing is done.
        """
        if reply.stored is not None:
            reply.stored.is_demoted = True

    def _shelf(self, scope: Scope) -> ScopedStore[T]:
        if self._model != self._embedder.model_hash:
            self._shelves, self._model = {}, self._embedder.model_hash
        if scope not in self._shelves:
            self._shelves[scope] = ScopedStore(self._policy(), self._embedder.dimensions, self._capacity)
        return self._shelves[scope]

    def _looked(self, question: str, scope: Scope, judge: Judge) -> _Look[T]:
        try:
            look = self._look(question, scope)
            return look if look.answer is None else _if_it_holds(look, look.answer, judge)
        except Exception:  # noqa: BLE001 - a veto, a policy, an embedder, a store: the question can still be answered
            _log.exception("the cache could not be asked; the question is answered afresh")
            return _Look("cache_failed")

    def _look(self, question: str, scope: Scope) -> _Look[T]:
        # A question that is vetoed against its own wording can be matched with none.
        reason = veto(question, question, self._vetoes) or ("personal" if is_personal(question) else None)
        if reason:
            return _Look(reason)
        with self._lock:
            shelf = self._shelf(scope)
            place = shelf.exact(question)
            if place is not None:
                exact = Match(str(place), 1.0, 1.0, 1.0, question, is_exact=True)
                return _Look("", shelf, shelf.at(place), exact, is_known=True)
        try:
            vector = shelf.questions.checked(self._embedder.embed([question]))
        except BadInput:
            return _Look("bad_embedding")
        except Exception:  # noqa: BLE001 - whatever it is: the question can still be answered
            _log.exception("the embedder failed; the question is answered afresh")
            return _Look("embedder_failed")
        with self._lock:
            match = shelf.questions.match(vector, shelf.policy.ranking)
            return self._judge(question, shelf, match, vector)

    def _judge(self, question: str, shelf: ScopedStore[T], match: Match | None, vector: Vectors) -> _Look[T]:
        if match is None:
            return _Look("empty_cache", shelf, vector=vector)
        answer = shelf.at(int(match.answer))
        if answer.is_demoted:
            return _Look("demoted", shelf, answer, match, vector)
        reason = veto(question, match.alias, self._vetoes)
        if reason:
            return _Look(reason, shelf, match=match, vector=vector)
        reason = shelf.policy.refusal(match)
        if reason:
            return _Look(reason, shelf, answer, match, vector, learns=True)
        reason = verified(self._verifier, question, match.alias)
        return _Look(reason or "", shelf, answer, match, vector)

    def _learned(self, question: str, look: _Look[T], made: tuple[T, Record | None], judge: Judge) -> Reply[T]:
        value, bond = made
        if bond is None or look.shelf is None or (look.vector is None and not look.is_known):
            return Reply(value, look.reason, look.match)
        try:
            return self._learn(question, look, CachedAnswer(value, bond), judge)
        except Exception:  # noqa: BLE001 - whatever the answer's own comparison or a policy raises, there is an answer
            _log.exception("an answer could not be stored; it is given all the same")
            return Reply(value, look.reason, look.match)

    def _learn(self, question: str, look: _Look[T], fresh: CachedAnswer[T], judge: Judge) -> Reply[T]:
        """Compare a fresh answer with the one that was not served, and store the question."""
        shelf, known = look.shelf, look.answer
        assert shelf is not None  # noqa: S101  # the caller has looked
        right = None if known is None else self._compared(known.value, fresh.value)
        if look.learns and look.match is not None and right is not None:
            shelf.policy.observe(look.match, right=right)
        if right and not shelf.policy.adds_aliases:
            return Reply(fresh.value, look.reason, look.match, known)
        with self._lock:
            place = known.place if right and known is not None and known.is_bound_like(fresh) else None
            if place is None:  # what says the same of other facts ends with those
                place = shelf.place_of(fresh, lambda equal: judge(equal.bond) is None)
            stored = shelf.store(question, look.vector, place)
            if look.renews:
                shelf.store(look.renews, None, place)
        return Reply(fresh.value, look.reason, look.match, stored or (known if right else None))

    def _compared(self, known: T, fresh: T) -> bool | None:
        try:
            return bool(self._same(known, fresh))
        except Exception:  # noqa: BLE001 - a judge that fails must not cost the answer it was to judge
            _log.exception("same= failed on two answers (arrays need same=numpy.array_equal); nothing is learned")
            return None


def _if_it_holds(look: _Look[T], answer: CachedAnswer[T], judge: Judge) -> _Look[T]:
    """The same look, or one that serves and compares nothing since the answer is out of date."""
    reason = judge(answer.bond)
    if reason is None:
        return look
    replaced = msgspec.structs.replace(look, answer=None, learns=False)
    if look.reason:
        return replaced
    renews = look.match.alias if look.match is not None else ""
    return msgspec.structs.replace(replaced, reason=reason.cause.value, renews=renews)


class _Hit(msgspec.Struct, Generic[T], frozen=True):
    """A reply from the cache, and what binds it."""

    reply: Reply[T]
    bond: Record


def _hit(look: _Look[T]) -> _Hit[T] | None:
    if look.reason or look.answer is None:
        return None
    return _Hit(Reply(look.answer.value, "", look.match, look.answer), look.answer.bond)
