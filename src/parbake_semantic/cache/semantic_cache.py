"""A semantic cache for any application that calls a model: it fills with use and keeps a bound on errors."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, Unpack

import msgspec

from parbake.errors import BadInput
from parbake.process.counters import Counters
from parbake.protocol.record import Record
from parbake.values.duration import Duration
from parbake_semantic.cache.bonding import Bonding, Fenced, NewAnswer
from parbake_semantic.cache.driving import Driver, InThread, OnLoop, finish
from parbake_semantic.cache.entries import Entries
from parbake_semantic.cache.entry import WITHDRAWN, Entry, Found, group_of, key_of, packed
from parbake_semantic.cache.local_ridge import Neighbours
from parbake_semantic.cache.options import Options, settings_of
from parbake_semantic.cache.shared import Shared
from parbake_semantic.cache.streaming import Form, Stream, passed_on, replayed
from parbake_semantic.cache.view import View
from parbake_semantic.embedder import Embedder
from parbake_semantic.policies.adaptive import AdaptivePolicy
from parbake_semantic.policies.policy import Match, Policy
from parbake_semantic.policies.ridge import MAX_ALIASES
from parbake_semantic.text.arrays import Vectors, unit_rows
from parbake_semantic.text.audience import Scope, verified
from parbake_semantic.text.veto import Screened, is_personal, screen, veto

_log = logging.getLogger(__name__)
T = TypeVar("T")
C = TypeVar("C")
_KEPT_S = 30 * 86_400.0
"""How long answers stay in the store at most, in seconds."""
_TRIES = 8
"""How often a match is looked for again because its answer is not in the store any more."""
_EVERYONE = Scope()


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """A value and its origin. ``reason`` says why it does not come from the cache, and is empty for a hit.

    ``match`` is the nearest stored question, if there is one. ``stored`` is the stored answer, if the cache stores it.
    """

    value: T
    reason: str
    match: Match | None = None
    stored: Found[T] | None = None

    @property
    def is_hit(self) -> bool:
        """Whether the value comes from the cache."""
        return not self.reason


class Statistics(msgspec.Struct, frozen=True):
    """What a process has seen of a cache.

    Attributes:
        asked: Its questions by the reason why the cache did not answer; empty for a hit.
        answers: How many answers are stored.
        size: Their bytes in the store.
        dropped: How many answers it has dropped because the cache was full.
        saved_s: The seconds that the answers of its hits took to compute.
    """

    asked: Mapping[str, int]
    answers: int = 0
    size: int = 0
    dropped: int = 0
    saved_s: float = 0.0

    @property
    def hits(self) -> int:
        """How many questions the cache has answered."""
        return self.asked.get("", 0)


class _Look(msgspec.Struct, Generic[T], frozen=True):
    """The result of a lookup.

    Attributes:
        reason: Why the cache does not answer; empty for a hit.
        key: The question's key.
        found: The stored answer, which is served, or with which a fresh one is compared.
        match: The nearest stored question.
        vector: The question's unit vector; ``None`` if the question must not be stored.
        learns: Whether the policy itself refused the match and therefore learns from the comparison.
        renews: The entry that would have been served if it were not outdated. It gets the fresh answer, too.
    """

    reason: str
    key: bytes = b""
    found: Found[T] | None = None
    match: Match | None = None
    vector: Any = None
    learns: bool = False
    renews: Found[T] | None = None


class SemanticCache(Generic[T]):
    """Answers a question with the stored answer to a question of the same meaning. Thread-safe.

    Answers are kept in the app's store, so that they outlast the process, and all processes of the app share them and
    what they have learnt. Once a change of an answer's data is acknowledged, no process serves it again. The answering
    function's reads through the app (``app.serve``, or its tasks) bind the answer. ``tags=`` adds dependencies that
    only the caller knows.

    If the embedder, the store or ``same`` fails, that is logged and the question is answered afresh. Only an error of
    your answer function is raised.

    Args:
        embedder: Makes unit vectors (see :class:`parbake_semantic.embedder.Embedder`). Answers that were stored with
            another ``model_hash`` are not seen.
        app: The app whose changes invalidate answers, and whose store keeps them; without one, ``freshness_sla`` is
            required, and answers are kept in memory.
        name: The cache's name in the store: small letters, digits, ``_``, ``.`` and ``-``. Processes that share
            answers give one name.
        freshness_sla: The greatest age of an answer. By default, with an app, answers stay for 30 days.
        answers: The type of the answers. By default, what msgpack returns as it was: texts, numbers, lists, dicts.
        policy: Makes the policy; by default at most 1 % of requests get a wrong answer.
        same: Whether two answers say the same, which is how the cache learns. Equality by default; use a judge in
            production.
        vetoes: Hard refusals, see :mod:`parbake_semantic.text.veto`.
        verifier: A second check before a hit is served. If it fails, the hit is not served.
        capacity: The greatest number of answers. Beyond it, those go first whose hits save the least per byte.
        max_bytes: The greatest sum of their sizes in the store, such as ``"1GiB"``.

    Raises:
        BadInput: A setting is invalid; the error names it.
        DeclarationError: Answers of the type cannot be stored.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        app: Fenced | None = None,
        name: str = "answers",
        freshness_sla: Duration | None = None,
        policy: Callable[[], Policy] = AdaptivePolicy,
        **options: Unpack[Options],
    ) -> None:
        """Check and keep the settings; nothing is read before the first question."""
        self._embedder, self._policy = embedder, policy
        self._bonding = Bonding(app, freshness_sla)
        self._settings = settings_of(name, options)
        counters: Counters = getattr(self._bonding.app, "counters", None) or Counters()
        if any(cache.name == name for cache in counters.caches):
            raise BadInput(f"the app has a cache named {name!r} already: give this one another name=", field="name")
        counters.caches.add(self)  # those of an app are its metrics
        self._counters = counters
        self._asked: Counter[str] = Counter()
        self._model = ""
        self._current: Shared[T] | None = None

    @property
    def name(self) -> str:
        """Its name in the store."""
        return self._settings.name

    @property
    def keeps_s(self) -> float:
        """How long answers stay in the store, in seconds."""
        return min(self._bonding.sla_s, _KEPT_S)

    def ask(
        self, question: str, answer: Callable[[str], T], *, tags: Sequence[str] = (), scope: Scope = _EVERYONE
    ) -> Reply[T]:
        """Return the stored answer or ``answer(question)``. Errors of ``answer`` are raised, and nothing is stored.

        Args:
            question: The question.
            answer: Computes a fresh answer.
            tags: What a fresh answer depends on besides what it reads through the app, such as ``policy/returns``.
            scope: Who asks.
        """

        async def answered(asked: str) -> T:
            return answer(asked)

        return finish(self._answered(question, answered, tags, scope, self._in_thread()))

    async def ask_async(
        self,
        question: str,
        answer: Callable[[str], Awaitable[T]],
        *,
        tags: Sequence[str] = (),
        scope: Scope = _EVERYONE,
    ) -> Reply[T]:
        """Like :meth:`ask`, for a coroutine function. Embedding, matching and ``same`` run in a thread.

        Args:
            question: The question.
            answer: Computes a fresh answer.
            tags: What a fresh answer depends on besides what it reads through the app, such as ``policy/returns``.
            scope: Who asks.
        """
        return await self._answered(question, answer, tags, scope, OnLoop())

    async def stream(
        self,
        question: str,
        answer: Callable[[str], AsyncIterator[C]],
        *,
        form: Form[T, C],
        tags: Sequence[str] = (),
        scope: Scope = _EVERYONE,
    ) -> Stream[C]:
        """Like :meth:`ask_async`, for an answer that comes piece by piece.

        A fresh answer is passed on as it comes, and stored when it is complete and all pieces were taken. One that
        fails or is cut short is not stored.

        Args:
            question: The question.
            answer: Gives the pieces of a fresh answer.
            form: How pieces make an answer, and an answer pieces.
            tags: What a fresh answer depends on besides what it reads through the app, such as ``policy/returns``.
            scope: Who asks.
        """
        driver = OnLoop()
        self._bonding.check(tags)
        look = await self._looked(question, scope, driver)
        if look.found is not None and not look.reason:
            self._bonding.tell(look.found.bond)
            return Stream("", replayed(form.pieces(look.found.value)))

        async def store(take: Callable[[], Awaitable[list[C]]]) -> None:
            async with self._bonding.recorded(tags, driver) as made:
                value = form.whole(await take())
            await self._learned(_Fresh(question, scope, value, made), look, driver)

        return Stream(look.reason, passed_on(answer(question), store))

    async def _answered(
        self,
        question: str,
        answer: Callable[[str], Awaitable[T]],
        tags: Sequence[str],
        scope: Scope,
        driver: Driver,
    ) -> Reply[T]:
        self._bonding.check(tags)
        look = await self._looked(question, scope, driver)
        if look.found is not None and not look.reason:
            self._bonding.tell(look.found.bond)
            return Reply(look.found.value, "", look.match, look.found)
        async with self._bonding.recorded(tags, driver) as made:
            value = await answer(question)
        return await self._learned(_Fresh(question, scope, value, made), look, driver)

    def demote(self, reply: Reply[T]) -> None:
        """Stop serving the answer in this reply after a complaint, in all processes, for all questions of its scope.

        This holds for a hit and for a fresh answer. For an answer that was not stored, nothing has to be done. The
        same answer is not stored again while the facts that it was made from hold.
        """
        if reply.stored is not None:
            finish(self._shared.withdraw(reply.stored.entry, reply.stored.bond, self._in_thread()))

    async def demote_async(self, reply: Reply[T]) -> None:
        """Like :meth:`demote`, on an event loop."""
        if reply.stored is not None:
            await self._shared.withdraw(reply.stored.entry, reply.stored.bond, OnLoop())

    def clear(self) -> None:
        """Stop serving all answers, in all processes. What was learnt about questions is kept."""
        finish(self._shared.clear(self._in_thread()))

    @property
    def statistics(self) -> Statistics:
        """What this process has seen of the cache since it started."""
        shared = self._current
        if shared is None:
            return Statistics(Counter(self._asked))
        return Statistics(Counter(self._asked), len(shared), shared.size, shared.dropped, shared.saved_s)

    @property
    def stored(self) -> dict[Scope, int]:
        """How many questions are stored for each scope, as far as this process knows."""
        return {} if self._current is None else self._current.counts

    def _in_thread(self) -> InThread:
        app = self._bonding.app
        return InThread(app.sync.run, reads_at_once=app.bonds.is_immediate)

    @property
    def _shared(self) -> Shared[T]:
        """What belongs to the embedder's present model."""
        model, dimensions = self._embedder.model_hash, self._embedder.dimensions
        found = self._current
        if found is None or self._model != model:
            policy = self._policy()
            most = MAX_ALIASES if policy.adds_aliases else None
            limits, values = self._settings, self._settings.values
            view = View(lambda: Neighbours(dimensions, most), most=limits.most, most_bytes=limits.most_bytes)
            made_by = (model, str(dimensions), values.shape)
            entries = Entries[T](self._bonding.app.bonds, self.name, made_by, values, self._bonding.sla_s)
            found = Shared(entries, view, policy)
            self._current, self._model = found, model
        return found

    async def _looked(self, question: str, scope: Scope, driver: Driver) -> _Look[T]:
        try:
            look = await self._look(question, scope, driver)
        except Exception:  # noqa: BLE001 - a veto, a policy, an embedder, a store: the question can still be answered
            _log.exception("the semantic cache failed; a fresh answer is computed")
            look = _Look("cache_failed")
        self._counters.asked[look.reason] += 1
        self._asked[look.reason] += 1
        return look

    async def _look(self, question: str, scope: Scope, driver: Driver) -> _Look[T]:
        asked = screen(question, self._settings.vetoes)
        reason = asked.refusal or ("personal" if is_personal(question) else "")
        if reason:
            return _Look(reason)
        shared, key = self._shared, key_of(scope, question)
        exact = await shared.read(key, driver)
        if exact is not None:
            return _repeated(exact, shared)
        await shared.follow(driver)
        vector = await driver.compute(lambda: self._embedded(question))
        if isinstance(vector, str):
            return _Look(vector)
        return await self._matched(_Question(asked, scope, key, vector), shared, driver)

    async def _matched(self, question: _Question, shared: Shared[T], driver: Driver) -> _Look[T]:
        """Look for the nearest question whose entry is still in the store, and judge the match."""
        for _ in range(_TRIES):
            match = await driver.compute(lambda: shared.match(question.scope, question.vector))
            if match is None:
                break
            look = await self._judged(question, match, shared, driver)
            if look is not None:
                return look
        return _Look("empty_cache", question.key, vector=question.vector)

    def _embedded(self, question: str) -> Vectors | str:
        """The question's unit vector, or the reason why there is none."""
        try:
            rows = unit_rows(self._embedder.embed([question]), dimensions=self._embedder.dimensions, field="vector")
        except BadInput:
            return "bad_embedding"
        except Exception:  # noqa: BLE001 - any error: the question can still be answered
            _log.exception("the embedder failed; a fresh answer is computed")
            return "embedder_failed"
        row: Vectors = rows[0]
        return row if len(rows) == 1 else "bad_embedding"

    async def _judged(self, question: _Question, match: Match, shared: Shared[T], driver: Driver) -> _Look[T] | None:
        """Judge a match; ``None`` if its entry is not in the store any more."""
        key, vector = question.key, question.vector
        reason = veto(question.asked, match.alias, self._settings.vetoes)
        if reason:
            return _Look(reason, key, match=match, vector=vector)
        near = key_of(question.scope, match.alias)
        found = await shared.read(near, driver)
        if found is None:
            shared.drop(near)
            return None
        if found.is_withdrawn:
            return _Look(WITHDRAWN, key, found, match, vector)
        refusal = shared.policy.refusal(match)
        verifier = self._settings.verifier
        reason = refusal or await driver.compute(lambda: verified(verifier, question.asked.text, match.alias))
        if found.reason:  # it is outdated: neither served nor compared
            return _Look(reason or found.reason, key, None, match, vector, renews=None if reason else found)
        if not reason:
            shared.hit(found)
        return _Look(reason or "", key, found, match, vector, learns=refusal is not None)

    async def _learned(self, fresh: _Fresh[T], look: _Look[T], driver: Driver) -> Reply[T]:
        reply = Reply(fresh.value, look.reason, look.match)
        if fresh.made.bond is None or look.vector is None:
            return reply
        try:
            return await self._learn(fresh, fresh.made.bond, look, driver)
        except Exception:  # noqa: BLE001 - the answer is returned, whatever its comparison or a policy raises
            _log.exception("an answer could not be stored; it is returned anyway")
            return reply

    async def _learn(self, fresh: _Fresh[T], bond: Record, look: _Look[T], driver: Driver) -> Reply[T]:
        """Compare a fresh answer with the one that was not served, and store the question."""
        shared, known, value = self._shared, look.found, fresh.value
        right = None if known is None else await driver.compute(lambda: self._compared(known.value, value))
        if look.learns and look.match is not None and right is not None:
            await shared.observe(look.match, right=right, driver=driver)
        if right and not shared.policy.adds_aliases:
            return Reply(value, look.reason, look.match, known)
        raw = self._settings.values.encode(value)
        if raw is None:
            return Reply(value, look.reason, look.match)
        facts = bond.meta.tags.fences
        group = group_of(fresh.scope, raw, facts)
        if right and known is not None and known.is_made_from(facts):  # it ends with the same facts
            group = known.entry.group
        entry = Entry(fresh.question, fresh.scope, group, packed(look.vector), raw)
        is_stored = await shared.store(look.key, entry, bond, fresh.made.took_s, driver)
        if is_stored and look.renews is not None:
            renewed = msgspec.structs.replace(look.renews.entry, group=group, value=raw)
            await shared.store(look.renews.key, renewed, bond, fresh.made.took_s, driver)
        kept = Found(look.key, entry, value, bond, "") if is_stored else known if right else None
        return Reply(value, look.reason, look.match, kept)

    def _compared(self, known: T, fresh: T) -> bool | None:
        try:
            return bool(self._settings.same(known, fresh))
        except Exception:  # noqa: BLE001 - the answer is returned even if the judge fails
            _log.exception("same= raised on two answers (arrays need same=numpy.array_equal); nothing is learned")
            return None


def _repeated(exact: Found[T], shared: Shared[T]) -> _Look[T]:
    """The look of a text that is stored."""
    if not exact.reason:
        shared.hit(exact)
        return _Look("", exact.key, exact, _exact(exact))
    kept = exact if not exact.reason or exact.is_withdrawn else None
    return _Look(exact.reason, exact.key, kept, _exact(exact), exact.entry.unpacked())


def _exact(found: Found[T]) -> Match:
    return Match(found.entry.group, 1.0, 1.0, 1.0, found.entry.question, is_exact=True)


class _Question(msgspec.Struct, frozen=True):
    """A question that was read: its screened text, its scope, its key and its unit vector."""

    asked: Screened
    scope: Scope
    key: bytes
    vector: Any


class _Fresh(msgspec.Struct, Generic[T], frozen=True):
    """A question with its new answer, and what that was made from."""

    question: str
    scope: Scope
    value: T
    made: NewAnswer
