"""A semantic cache for any application that calls a model: it fills with use and keeps a bound on errors."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar, Unpack

import msgspec

from parbake.errors import BadInput
from parbake.process.counters import Counters
from parbake.protocol.record import Stamp
from parbake.values.duration import Duration
from parbake_semantic.cache.asked import USUAL, Asked, Handling, Means, Reply
from parbake_semantic.cache.bonding import Bonding, Fenced
from parbake_semantic.cache.driving import Driver, InThread, OnLoop, finish
from parbake_semantic.cache.entries import Entries
from parbake_semantic.cache.exact_wordings import MAX_EXACT_WORDINGS
from parbake_semantic.cache.local_ridge import Neighbours
from parbake_semantic.cache.options import Options, settings_of
from parbake_semantic.cache.seeding import Known, seed
from parbake_semantic.cache.shared import Shared
from parbake_semantic.cache.streaming import Form, Stream, passed_on, replayed
from parbake_semantic.cache.view import View
from parbake_semantic.embedder import Embedder
from parbake_semantic.policies.adaptive import AdaptivePolicy
from parbake_semantic.policies.calibrate import Calibration
from parbake_semantic.policies.policy import Policy
from parbake_semantic.policies.ridge import MAX_ALIASES
from parbake_semantic.text.audience import Scope
from parbake_semantic.text.given import check_embedder, must_be

T = TypeVar("T")
C = TypeVar("C")
_EVERYONE = Scope()
_KEPT_S = 30 * 86_400.0
"""How long answers stay in the store at most, in seconds."""


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
            another ``model_hash`` are not seen. Without one (``None``), only repeated texts are hits.
        app: The app whose changes invalidate answers, and whose store keeps them; without one, ``freshness_sla`` is
            required, and answers are kept in memory.
        name: The cache's name in the store: small letters, digits, ``_``, ``.`` and ``-``. Processes that share
            answers give one name.
        freshness_sla: The greatest age of an answer. By default, with an app, answers stay for 30 days.
        answers: The type of the answers. By default, what msgpack returns as it was: texts, numbers, lists, dicts.
        policy: Makes the policy; by default at most 1 % of requests get a wrong answer.
        same: Whether two answers say the same, which is how the cache learns. Equality by default; use a judge in
            production.
        form: Brings texts into the form in which one repeats another. By default case, white space and the signs at
            the end do not matter; ``str.strip`` lets them matter, for texts that may be code.
        vetoes: Hard refusals, see :mod:`parbake_semantic.text.veto`.
        verifier: A second check before a hit is served. If it fails, the hit is not served.
        capacity: The greatest number of questions with an answer. Beyond it, those go first whose hits save the least
            per byte. An answer is found by the vectors of 60 of its questions at most, and to the letter by 1,000 more.
        max_bytes: The greatest sum of their sizes in the store, such as ``"1GiB"``.

    Raises:
        BadInput: A setting is invalid; the error names it.
        DeclarationError: Answers of the type cannot be stored.
    """

    def __init__(
        self,
        embedder: Embedder | None,
        *,
        app: Fenced | None = None,
        name: str = "answers",
        freshness_sla: Duration | None = None,
        policy: Callable[[], Policy] = AdaptivePolicy,
        **options: Unpack[Options],
    ) -> None:
        """Check and keep the settings; nothing is read before the first question."""
        if embedder is not None:
            check_embedder(embedder)
        must_be(policy, Callable, field="policy", expected="a function: write policy=lambda: fixed(0.9)")
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
            tags: What the answer depends on besides what it reads through the app, such as ``policy/returns``. A stored
                answer that does not depend on them is not served.
            scope: Who asks.

        Raises:
            BadInput: ``answer`` is a coroutine function, or a tag would have no effect.
        """
        if inspect.iscoroutinefunction(answer):
            raise BadInput("answer must be a plain function; await ask_async for a coroutine function", field="answer")

        async def answered() -> Reply[T]:
            asked = await self._begun(question, tags, scope, driver)
            if asked.reply is not None:
                return asked.reply
            with asked.listening():
                value = answer(question)
            return await asked.finish(value)

        driver = self._in_thread()
        return finish(answered())

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
            tags: What the answer depends on besides what it reads through the app, such as ``policy/returns``. A stored
                answer that does not depend on them is not served.
            scope: Who asks.
        """
        asked = await self._begun(question, tags, scope, OnLoop())
        if asked.reply is not None:
            return asked.reply
        with asked.listening():
            value = await answer(question)
        return await asked.finish(value)

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
            tags: What the answer depends on besides what it reads through the app, such as ``policy/returns``. A stored
                answer that does not depend on them is not served.
            scope: Who asks.
        """
        asked = await self._begun(question, tags, scope, OnLoop())
        if asked.reply is not None:
            return Stream("", replayed(form.pieces(asked.reply.value)))

        async def store(take: Callable[[], Awaitable[list[C]]]) -> None:
            with asked.listening():
                pieces = await take()
            await asked.finish(form.whole(pieces))

        return Stream(asked.reason, passed_on(answer(question), store))

    async def _begun(self, question: str, tags: Sequence[str], scope: Scope, driver: Driver) -> Asked[T]:
        self._bonding.check(tags)
        return await self.begin(question, scope=scope, handling=Handling(tags=tuple(tags)), driver=driver)

    async def begin(
        self, question: str, *, scope: Scope = _EVERYONE, handling: Handling = USUAL, driver: Driver | None = None
    ) -> Asked[T]:
        """Look a question up, for a caller who computes a fresh answer in steps of its own.

        If there is no ``reply``, compute the answer, within ``asked.listening()`` as far as it reads through the app,
        and give it to ``await asked.finish(...)``. If there is none, leave it at that.

        Args:
            question: The question.
            scope: Who asks.
            handling: How this question is to be handled.
            driver: How to wait; on the running event loop by default.
        """
        asked = Asked[T](self._means(), question, scope, handling, driver or OnLoop())
        await asked.look()
        self._counters.asked[asked.reason] += 1
        self._asked[asked.reason] += 1
        return asked

    def begin_sync(self, question: str, *, scope: Scope = _EVERYONE, handling: Handling = USUAL) -> Asked[T]:
        """Like :meth:`begin`, for synchronous code, which ends with ``asked.finish_sync(...)``.

        Args:
            question: The question.
            scope: Who asks.
            handling: How this question is to be handled.
        """
        return finish(self.begin(question, scope=scope, handling=handling, driver=self._in_thread()))

    def seed(
        self, known: Sequence[Known[T]], *, scope: Scope = _EVERYONE, as_of: Stamp | None = None
    ) -> Calibration | None:
        """Store known questions with their answers, and let the policy learn from their wordings.

        Questions like them are then answered at once, within the policy's bound: twenty wordings per answer let it
        serve as much as it would after some hundred questions. Once a fact of an answer has changed, the question is
        answered afresh, like any other. A question that has an answer already, outdated or not, keeps it.

        Args:
            known: The answers with their wordings.
            scope: For whom they hold.
            as_of: What ``app.stamp()`` returned before the answers were read. They then end with changes since that,
                and replace answers from before. By default they count as read now.

        Returns:
            What was learnt; ``None`` if the policy learns nothing from wordings.

        Raises:
            BadInput: A wording cannot be a question or belongs to two answers, an answer has no wordings or cannot be
                stored, or nothing could outdate it.
        """
        return finish(seed(self._means(), known, scope, self._in_thread(), as_of=as_of))

    async def seed_async(
        self, known: Sequence[Known[T]], *, scope: Scope = _EVERYONE, as_of: Stamp | None = None
    ) -> Calibration | None:
        """Like :meth:`seed`, on an event loop."""
        return await seed(self._means(), known, scope, OnLoop(), as_of=as_of)

    def _means(self) -> Means:
        return Means(self._embedder, self._settings, self._bonding, lambda: self._shared)

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

    async def withdraw(self, key: bytes) -> bool:
        """Like :meth:`demote_async`, by the key of a stored answer; ``False`` if there is none."""
        found = await self._shared.read(key, OnLoop())
        if found is None:
            return False
        await self._shared.withdraw(found.entry, found.bond, OnLoop())
        return True

    def check(self, tags: Sequence[str]) -> None:
        """Raise :class:`parbake.BadInput` for tags that would have no effect."""
        self._bonding.check(tags)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._bonding.now()

    async def warm(self) -> None:
        """Read what is stored, so that no question has to wait for it."""
        await self._shared.follow(OnLoop())

    async def clear_async(self) -> None:
        """Like :meth:`clear`, on an event loop."""
        await self._shared.clear(OnLoop())

    async def erase_async(self) -> None:
        """Like :meth:`clear_async`, and delete the entries; the store's ``compact`` then leaves nothing of them."""
        await self._shared.erase(OnLoop())

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
        embedder = self._embedder
        model, dimensions = ("", 0) if embedder is None else (embedder.model_hash, embedder.dimensions)
        found = self._current
        if found is None or self._model != model:
            policy = self._policy()
            most = MAX_ALIASES if policy.adds_aliases else None
            limits, values = self._settings, self._settings.values
            view = View(
                lambda: Neighbours(dimensions, most),
                most=limits.most,
                most_bytes=limits.most_bytes,
                most_exact=None if embedder is None else MAX_EXACT_WORDINGS,
            )
            made_by = (model, str(dimensions), values.shape)
            entries = Entries[T](self._bonding.app.bonds, self.name, made_by, values, self._bonding.sla_s)
            found = Shared(entries, view, policy)
            self._current, self._model = found, model
        return found
