"""A semantic cache for any application that calls a model: it fills with use and keeps a bound on errors."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from parbake.errors import BadInput
from parbake.process.counters import Counters
from parbake.protocol.record import Record
from parbake.values.duration import Duration
from parbake_semantic.cache.bonding import Bonding, Fenced, Judge
from parbake_semantic.cache.scoped_store import CachedAnswer, ScopedStore
from parbake_semantic.embedder import Embedder
from parbake_semantic.policies.adaptive import AdaptivePolicy
from parbake_semantic.policies.policy import Match, Policy
from parbake_semantic.text.arrays import Vectors
from parbake_semantic.text.audience import Scope, Verifier, verified
from parbake_semantic.text.veto import VETOES, Screened, Veto, checked, is_personal, screen, veto

_log = logging.getLogger(__name__)
T = TypeVar("T")
CAPACITY = 100_000
EVERYONE = Scope()


def equal(known: object, fresh: object) -> bool:
    """Whether two answers are equal and of the same type, because ``1`` and ``True`` say different things."""
    return type(known) is type(fresh) and bool(known == fresh)


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """A value and its origin. ``reason`` says why it does not come from the cache, and is empty for a hit.

    ``match`` is the nearest stored question, if there is one. ``stored`` is the stored answer, if the cache stores it.
    """

    value: T
    reason: str
    match: Match | None = None
    stored: CachedAnswer[T] | None = None

    @property
    def is_hit(self) -> bool:
        """Whether the value comes from the cache."""
        return not self.reason


class _Look(msgspec.Struct, Generic[T], frozen=True):
    """The result of a lookup.

    Attributes:
        reason: Why the cache does not answer; empty for a hit.
        shelf: The store of the scope.
        answer: The answer that a fresh one is compared with.
        match: The nearest stored question.
        vector: The question's vector; ``None`` if the question must not be stored (unless ``is_known``).
        learns: Whether the policy itself refused the match and therefore learns from the comparison.
        is_known: Whether the text is stored already.
        renews: The stored question whose answer would have been served if it were not outdated. It gets the fresh
            answer, too.
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
    """Answers a question with the stored answer to a question of the same meaning. Thread-safe.

    With an app, an answer keeps the app's promise: once a change of its data is acknowledged, it is not served again.
    The answering function's reads through the app (``app.serve``, or its tasks) bind the answer. ``tags=`` adds
    dependencies that only the caller knows.

    Values are stored and returned without copying: treat them as immutable. When the embedder's ``model_hash`` changes,
    the cache starts empty again. If the embedder or ``same`` fails, that is logged and the question is answered
    afresh. Only an error of your answer function is raised.

    Args:
        embedder: Makes unit vectors (see :class:`parbake_semantic.embedder.Embedder`).
        app: The app whose changes invalidate answers; without one, ``freshness_sla`` is required.
        freshness_sla: The greatest age of an answer; unlimited by default if there is an app.
        policy: Makes the policy of each scope; by default at most 1 % of requests get a wrong answer.
        same: Whether two answers say the same, which is how the cache learns. Equality by default; use a judge in
            production.
        vetoes: Hard refusals, see :mod:`parbake_semantic.text.veto`.
        verifier: A second check before a hit is served. If it fails, the hit is not served.
        capacity: Questions per scope; when it is reached, nothing more is stored.
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
        self._embedder, self._policy, self._same = embedder, policy, same
        self._bonding = Bonding(app, freshness_sla)
        self._counters: Counters = getattr(app, "counters", None) or Counters()  # those of an app are its metrics
        self._counters.caches.add(self)
        self._vetoes, self._verifier, self._capacity = checked(vetoes), verifier, capacity
        self._shelves: dict[Scope, ScopedStore[T]] = {}
        self._model = embedder.model_hash  # the model that made the shelves' vectors
        self._lock = threading.Lock()

    def ask(
        self, question: str, answer: Callable[[str], T], *, tags: Sequence[str] = (), scope: Scope = EVERYONE
    ) -> Reply[T]:
        """Return the stored answer or ``answer(question)``. Errors of ``answer`` are raised, and nothing is stored.

        Args:
            question: The question.
            answer: Computes a fresh answer.
            tags: What a fresh answer depends on besides what it reads through the app, such as ``policy/returns``.
            scope: Who asks.
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
        """Like :meth:`ask`, for a coroutine function. Embedding, lookup and ``same`` run in a thread.

        Args:
            question: The question.
            answer: Computes a fresh answer.
            tags: What a fresh answer depends on besides what it reads through the app, such as ``policy/returns``.
            scope: Who asks.
        """
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
        """Stop serving the answer in this reply after a complaint, for all questions.

        This holds for a hit and for a fresh answer. For an answer that was not stored, nothing has to be done.
        """
        if reply.stored is not None:
            reply.stored.is_demoted = True

    @property
    def stored(self) -> dict[Scope, int]:
        """How many questions are stored for each scope that has asked."""
        return {scope: len(shelf.questions) for scope, shelf in list(self._shelves.items())}

    def _shelf(self, scope: Scope) -> ScopedStore[T]:
        if self._model != self._embedder.model_hash:
            self._shelves, self._model = {}, self._embedder.model_hash
        if scope not in self._shelves:
            self._shelves[scope] = ScopedStore(self._policy(), self._embedder.dimensions, self._capacity)
        return self._shelves[scope]

    def _looked(self, question: str, scope: Scope, judge: Judge) -> _Look[T]:
        try:
            look = self._look(question, scope)
            look = look if look.answer is None else _if_it_holds(look, look.answer, judge)
        except Exception:  # noqa: BLE001 - a veto, a policy, an embedder, a store: the question can still be answered
            _log.exception("the semantic cache failed; a fresh answer is computed")
            look = _Look("cache_failed")
        with self._lock:
            self._counters.asked[look.reason] += 1
        return look

    def _look(self, question: str, scope: Scope) -> _Look[T]:
        asked = screen(question, self._vetoes)
        reason = asked.refusal or ("personal" if is_personal(question) else "")
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
        except Exception:  # noqa: BLE001 - any error: the question can still be answered
            _log.exception("the embedder failed; a fresh answer is computed")
            return _Look("embedder_failed")
        with self._lock:
            match = shelf.questions.match(vector, shelf.policy.ranking)
            return self._judge(asked, shelf, match, vector)

    def _judge(self, question: Screened, shelf: ScopedStore[T], match: Match | None, vector: Vectors) -> _Look[T]:
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
        reason = verified(self._verifier, question.text, match.alias)
        return _Look(reason or "", shelf, answer, match, vector)

    def _learned(self, question: str, look: _Look[T], made: tuple[T, Record | None], judge: Judge) -> Reply[T]:
        value, bond = made
        if bond is None or look.shelf is None or (look.vector is None and not look.is_known):
            return Reply(value, look.reason, look.match)
        try:
            return self._learn(question, look, CachedAnswer(value, bond), judge)
        except Exception:  # noqa: BLE001 - the answer is returned, whatever its comparison or a policy raises
            _log.exception("an answer could not be stored; it is returned anyway")
            return Reply(value, look.reason, look.match)

    def _learn(self, question: str, look: _Look[T], fresh: CachedAnswer[T], judge: Judge) -> Reply[T]:
        """Compare a fresh answer with the one that was not served, and store the question."""
        shelf, known = look.shelf, look.answer
        assert shelf is not None  # noqa: S101  # checked by the caller
        right = None if known is None else self._compared(known.value, fresh.value)
        if look.learns and look.match is not None and right is not None:
            shelf.policy.observe(look.match, right=right)
        if right and not shelf.policy.adds_aliases:
            return Reply(fresh.value, look.reason, look.match, known)
        with self._lock:
            place = known.place if right and known is not None and known.is_bound_like(fresh) else None
            if place is None:  # an answer from other facts is invalidated with those facts
                place = shelf.place_of(fresh, lambda equal: judge(equal.bond) is None)
            stored = shelf.store(question, look.vector, place)
            if look.renews:
                shelf.store(look.renews, None, place)
        return Reply(fresh.value, look.reason, look.match, stored or (known if right else None))

    def _compared(self, known: T, fresh: T) -> bool | None:
        try:
            return bool(self._same(known, fresh))
        except Exception:  # noqa: BLE001 - the answer is returned even if the judge fails
            _log.exception("same= raised on two answers (arrays need same=numpy.array_equal); nothing is learned")
            return None


def _if_it_holds(look: _Look[T], answer: CachedAnswer[T], judge: Judge) -> _Look[T]:
    """The same lookup; or, if the answer is outdated, one that neither serves nor compares it."""
    reason = judge(answer.bond)
    if reason is None:
        return look
    replaced = msgspec.structs.replace(look, answer=None, learns=False)
    if look.reason:
        return replaced
    renews = look.match.alias if look.match is not None else ""
    return msgspec.structs.replace(replaced, reason=reason.cause.value, renews=renews)


class _Hit(msgspec.Struct, Generic[T], frozen=True):
    """A reply from the cache and its bond."""

    reply: Reply[T]
    bond: Record


def _hit(look: _Look[T]) -> _Hit[T] | None:
    if look.reason or look.answer is None:
        return None
    return _Hit(Reply(look.answer.value, "", look.match, look.answer), look.answer.bond)
