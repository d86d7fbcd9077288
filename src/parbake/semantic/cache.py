"""A semantic cache for any application that asks a model: it fills as it is used, and keeps a bound on errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from operator import eq
from typing import Any, Generic, TypeVar

import msgspec

from parbake.errors import BadInput
from parbake.ports import Embedder
from parbake.semantic.adaptive import AdaptivePolicy
from parbake.semantic.arrays import Vectors
from parbake.semantic.head import MAX_ALIASES
from parbake.semantic.neighbours import Neighbours
from parbake.semantic.policy import Match, Policy
from parbake.semantic.scope import Scope, Verifier, verified
from parbake.semantic.text import normalize
from parbake.semantic.veto import VETOES, Veto, is_personal, veto

T = TypeVar("T")
CAPACITY = 100_000
EVERYONE = Scope()


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """A value with where it came from: ``reason`` says why it was not the cache, and is empty for a hit."""

    value: T
    reason: str
    match: Match | None = None

    @property
    def is_hit(self) -> bool:
        """Whether the cache answered."""
        return not self.reason


class _Look(msgspec.Struct, frozen=True):
    """What a lookup found. ``vector`` is ``None`` for what must not be stored; ``learns`` after a policy's refusal."""

    reason: str
    answer: int = -1
    match: Match | None = None
    vector: Any = None
    learns: bool = False


class _Shelf(Generic[T]):
    """What is stored for one scope; not safe to share between threads."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.stored = Neighbours(MAX_ALIASES if policy.adds_aliases else None)
        self.values: list[T] = []
        self.places: dict[T, int] = {}  # of values that can be hashed: equal answers are one
        self.exact: dict[str, int] = {}
        self.demoted: set[int] = set()


class SemanticCache(Generic[T]):
    """Answers a question as one of the same meaning was answered before; safe to share between threads.

    Args:
        embedder: makes unit vectors (see :class:`parbake.ports.Embedder`).
        policy: makes the policy of each scope; by default at most 1 % of requests get a wrong answer.
        same: whether two answers say the same, which is how the cache learns; equality by default, a judge in earnest.
        vetoes: hard refusals, see :mod:`parbake.semantic.veto`.
        verifier: a second opinion before a hit is served; it fails closed.
        capacity: questions per scope; once full, nothing more is stored.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        policy: Callable[[], Policy] = AdaptivePolicy,
        same: Callable[[T, T], bool] = eq,
        vetoes: Sequence[Veto] = VETOES,
        verifier: Verifier | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        """Begin empty."""
        self._embedder, self._policy, self._same = embedder, policy, same
        self._vetoes, self._verifier, self._capacity = vetoes, verifier, capacity
        self._shelves: dict[Scope, _Shelf[T]] = {}
        self._lock = threading.Lock()

    def ask(self, question: str, answer: Callable[[str], T], *, scope: Scope = EVERYONE) -> Reply[T]:
        """Return what is stored, or ``answer(question)``; errors of ``answer`` pass through and store nothing."""
        look = self._look(question, scope)
        if look.reason:
            return self._learn(question, scope, look, answer(question))
        return Reply(self._shelves[scope].values[look.answer], "", look.match)

    async def ask_async(
        self, question: str, answer: Callable[[str], Awaitable[T]], *, scope: Scope = EVERYONE
    ) -> Reply[T]:
        """The same for a coroutine function; the embedding, the lookup and ``same`` run in a thread."""
        look = await asyncio.to_thread(self._look, question, scope)
        if look.reason:
            return await asyncio.to_thread(self._learn, question, scope, look, await answer(question))
        return Reply(self._shelves[scope].values[look.answer], "", look.match)

    def demote(self, reply: Reply[T], *, scope: Scope = EVERYONE) -> None:
        """After a complaint: the answer behind a reply is served no more, whatever is asked."""
        if reply.match is not None:
            with self._lock:
                self._shelf(scope).demoted.add(int(reply.match.answer))

    def _shelf(self, scope: Scope) -> _Shelf[T]:
        if scope not in self._shelves:
            self._shelves[scope] = _Shelf(self._policy())
        return self._shelves[scope]

    def _look(self, question: str, scope: Scope) -> _Look:
        # A question that is vetoed against its own wording can be matched with none.
        reason = veto(question, question, self._vetoes) or ("personal" if is_personal(question) else None)
        if reason:
            return _Look(reason)
        with self._lock:
            shelf = self._shelf(scope)
            at = shelf.exact.get(normalize(question))
            if at is not None and at not in shelf.demoted:
                return _Look("", at, Match(str(at), 1.0, 1.0, 1.0, question, is_exact=True))
        try:
            vector = shelf.stored.checked(self._embedder.embed([question]))
        except BadInput:
            return _Look("bad_embedding")
        with self._lock:
            match = shelf.stored.match(vector, shelf.policy.ranking)
            return self._judge(question, shelf, match, vector)

    def _judge(self, question: str, shelf: _Shelf[T], match: Match | None, vector: Vectors) -> _Look:
        if match is None:
            return _Look("empty_cache", vector=vector)
        at = int(match.answer)
        if at in shelf.demoted:
            return _Look("demoted", match=match, vector=vector)
        reason = veto(question, match.alias, self._vetoes)
        if reason:
            return _Look(reason, match=match, vector=vector)
        reason = shelf.policy.refusal(match)
        if reason:
            return _Look(reason, at, match, vector, learns=True)
        reason = verified(self._verifier, question, match.alias)
        return _Look(reason or "", at, match, vector)

    def _learn(self, question: str, scope: Scope, look: _Look, value: T) -> Reply[T]:
        """Compare a fresh answer with the one that was not served, and store the question."""
        reply = Reply(value, look.reason, look.match)
        if look.vector is None:
            return reply
        shelf = self._shelves[scope]
        right = look.learns and bool(self._same(shelf.values[look.answer], value))
        if look.learns and look.match is not None:
            shelf.policy.observe(look.match, right=right)
        if not right or shelf.policy.adds_aliases:
            with self._lock:
                self._store(question, shelf, look, value, right=right)
        return reply

    def _store(self, question: str, shelf: _Shelf[T], look: _Look, value: T, *, right: bool) -> None:
        if len(shelf.stored) >= self._capacity:
            return
        at = look.answer if right else _place(shelf, value)
        if shelf.stored.add(look.vector, at, question):
            shelf.exact[normalize(question)] = at


def _place(shelf: _Shelf[T], value: T) -> int:
    """The number of an answer, a new one unless an equal value is known."""
    try:
        at = shelf.places.setdefault(value, len(shelf.values))
    except TypeError:  # not hashable
        at = len(shelf.values)
    if at == len(shelf.values):
        shelf.values.append(value)
    return at
