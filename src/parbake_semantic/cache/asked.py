"""One question on its way: it is looked up, and if it needs a fresh answer, that is learnt from and stored."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
from msgspec.structs import replace

from parbake.errors import BadInput, StoreError
from parbake.protocol.record import Record
from parbake.values.redaction import one_line
from parbake_semantic.cache.bonding import Begun, Bonding
from parbake_semantic.cache.driving import Driver
from parbake_semantic.cache.driving import finish as at_once
from parbake_semantic.cache.entry import WITHDRAWN, Entry, Found, facts_of, group_of, key_of, packed
from parbake_semantic.cache.options import Settings
from parbake_semantic.cache.shared import Shared
from parbake_semantic.embedder import Embedder
from parbake_semantic.policies.policy import Match
from parbake_semantic.text.arrays import Vectors, unit_rows
from parbake_semantic.text.audience import Scope, verified
from parbake_semantic.text.veto import Screened, barred, screen, veto

_log = logging.getLogger(__name__)
T = TypeVar("T")
_TRIES = 8
"""How often a match is looked for again because its answer is not in the store any more."""
_MOST_FACTS = 64
"""An answer with so many tags is not bound by those of yet another asker, too."""
_NO_VECTOR: Vectors = np.zeros(0, np.float32)


class Handling(msgspec.Struct, frozen=True):
    """How one question is to be handled, beyond the settings of its cache.

    Attributes:
        looks_up: Whether a stored answer may be served.
        stores: Whether a fresh answer may be stored.
        max_age_s: How old a stored answer may be, in seconds.
        ttl_s: For how many seconds a fresh answer may be served.
        tags: What an answer depends on besides what is recorded. A stored answer that none of their changes would
            outdate is not served.
    """

    looks_up: bool = True
    stores: bool = True
    max_age_s: float = math.inf
    ttl_s: float = math.inf
    tags: tuple[str, ...] = ()


USUAL = Handling()


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


class _Look(msgspec.Struct, Generic[T], frozen=True):
    """The result of a lookup.

    Attributes:
        reason: Why the cache does not answer; empty for a hit.
        key: The question's key.
        found: The stored answer, which is served, or with which a fresh one is compared.
        match: The nearest stored question.
        vector: The question's unit vector, empty if it has none; ``None`` if the question must not be stored.
        learns: Whether the policy itself refused the match and therefore learns from the comparison.
        renews: The entry that would have been served if it were not outdated, or if it had the tags of the asker. It
            gets the fresh answer, too, and what has ended it ends that again.
    """

    reason: str
    key: bytes = b""
    found: Found[T] | None = None
    match: Match | None = None
    vector: Any = None
    learns: bool = False
    renews: Found[T] | None = None


@dataclass(frozen=True)
class Means:
    """What a cache answers questions with.

    Attributes:
        embedder: Makes vectors; without one, only repeated texts are hits.
        settings: The settings of the cache.
        bonding: Binds answers.
        shared: Returns what the processes share.
    """

    embedder: Embedder | None
    settings: Settings
    bonding: Bonding
    shared: Callable[[], Shared[Any]]


class Asked(Generic[T]):
    """A question that was looked up.

    Attributes:
        reply: The reply from the cache; ``None`` if the question needs a fresh answer.
        reason: Why the cache does not answer; empty for a hit.
        age_s: How old the stored answer is, in seconds.
    """

    def __init__(self, means: Means, question: str, scope: Scope, handling: Handling, driver: Driver) -> None:
        """Prepare a question; :meth:`look` looks it up."""
        self._means, self._driver = means, driver
        self._question, self._scope, self._handling = question, scope, handling
        self._look: _Look[T] = _Look("")
        self._begun: Begun | None = None
        self.reply: Reply[T] | None = None
        self.reason = ""
        self.age_s = 0.0

    async def look(self) -> None:
        """Look the question up. Whatever fails is logged, and then the question needs a fresh answer."""
        bonding = self._means.bonding
        try:
            look = await self._looked()
        except StoreError as error:
            bonding.trouble.met(one_line(error))
            look = _Look("cache_failed")
        except Exception:  # noqa: BLE001 - a veto, a policy, an embedder: the question can still be answered
            _log.exception("the semantic cache failed; a fresh answer is computed")
            look = _Look("cache_failed")
        self._look, self.reason = look, look.reason
        if look.found is not None and not look.reason:
            self._means.shared().hit(look.found)
            self.age_s = max(0.0, bonding.now() - look.found.bond.computed_at)
            bonding.tell(look.found.bond)
            self.reply = Reply(look.found.value, "", look.match, look.found)
        else:
            self._begun = await bonding.begin(self._driver)

    @property
    def id(self) -> str:
        """Names the answer for complaints: the key of its entry in hexadecimal digits; empty if there can be none."""
        stored = None if self.reply is None else self.reply.stored
        return (self._look.key if stored is None else stored.key).hex()

    @property
    def valid_s(self) -> float:
        """For how many seconds the stored answer may still be served, unless something changes."""
        stored = None if self.reply is None else self.reply.stored
        if stored is None:
            return 0.0
        bonding = self._means.bonding
        return max(0.0, min(bonding.sla_s - self.age_s, stored.bond.valid_until - bonding.now()))

    def listening(self) -> AbstractContextManager[None]:
        """Record what is read through the app in the block, in which the fresh answer is computed."""
        return contextlib.nullcontext() if self._begun is None else self._means.bonding.listening(self._begun)

    async def finish(
        self, value: T, *, tags: Sequence[str] = (), cost_s: float | None = None, ttl_s: float = math.inf
    ) -> Reply[T]:
        """Learn from a fresh answer, and store it.

        Args:
            value: The answer.
            tags: What it depends on besides what was recorded.
            cost_s: How many seconds it took; by default those since the question was looked up.
            ttl_s: For how many seconds it may be served, if less than the handling says.
        """
        look, reply = self._look, Reply(value, self._look.reason, self._look.match)
        made = (
            None
            if self._begun is None
            else self._means.bonding.seal(self._begun, [*dict.fromkeys((*self._handling.tags, *tags))])
        )
        if made is None or look.vector is None or not self._handling.stores:
            return reply
        began = made.computed_at
        until = min(made.valid_until, began + min(ttl_s, self._handling.ttl_s))
        try:
            took_s = max(0.0, self._means.bonding.now() - began) if cost_s is None else cost_s
            return await self._learn(value, replace(made, valid_until=until), took_s)
        except StoreError as error:
            self._means.bonding.trouble.met(one_line(error))
            return reply
        except Exception:  # noqa: BLE001 - the answer is returned, whatever its comparison or a policy raises
            _log.exception("an answer could not be stored; it is returned anyway")
            return reply

    def finish_sync(self, value: T, *, tags: Sequence[str] = (), ttl_s: float = math.inf) -> Reply[T]:
        """Like :meth:`finish`, for a question that was begun with ``begin_sync``.

        Args:
            value: The answer.
            tags: What it depends on besides what was recorded.
            ttl_s: For how many seconds it may be served, if less than the handling says.
        """
        return at_once(self.finish(value, tags=tags, ttl_s=ttl_s))

    async def _looked(self) -> _Look[T]:
        question, vetoes = self._question, self._means.settings.vetoes
        asked = screen(question, vetoes)
        if reason := barred(asked):
            return _Look(reason)
        shared, key = self._means.shared(), self._key_of(question)
        exact = await shared.read(key, self._driver) if self._handling.looks_up else None
        if exact is not None:
            return await self._repeated(exact)
        await shared.follow(self._driver)
        if self._means.embedder is None:
            return _Look("not_stored" if self._handling.looks_up else "bypassed", key, vector=_NO_VECTOR)
        vector = await self._driver.compute(lambda: self._embedded(question))
        if isinstance(vector, str):
            return _Look(vector)
        if not self._handling.looks_up:
            return _Look("bypassed", key, vector=vector)
        return await self._matched(asked, key, vector)

    def _key_of(self, text: str) -> bytes:
        return key_of(self._scope, self._means.settings.form(text))

    async def _repeated(self, exact: Found[T]) -> _Look[T]:
        """The look of a text that is stored."""
        match = Match(exact.entry.group, 1.0, 1.0, 1.0, exact.entry.question, is_exact=True)
        if not (reason := self._reason(exact)):
            return _Look("", exact.key, exact, match)
        found = exact if exact.is_withdrawn else None
        renews = exact if reason == "tags_differ" and len(exact.bond.meta.tags.fences) < _MOST_FACTS else None
        return _Look(reason, exact.key, found, match, await self._vector_of(exact.entry), renews=renews)

    async def _vector_of(self, entry: Entry) -> Vectors:
        """The vector with which a fresh answer to a stored text is stored; one without it gets another chance."""
        if entry.vector or self._means.embedder is None:
            return entry.unpacked()
        vector = await self._driver.compute(lambda: self._embedded(self._question))
        return _NO_VECTOR if isinstance(vector, str) else vector

    def _reason(self, found: Found[T]) -> str:
        """Why a stored answer may not be served to whoever asks."""
        if found.reason or found.lacks(self._handling.tags):
            return found.reason or "tags_differ"
        is_late = self._means.bonding.now() - found.bond.computed_at > self._handling.max_age_s
        return "past_max_age" if is_late else ""

    def _embedded(self, question: str) -> Vectors | str:
        """The question's unit vector, or the reason why there is none."""
        embedder = self._means.embedder
        assert embedder is not None  # noqa: S101  # checked by the caller
        try:
            rows = unit_rows(embedder.embed([question]), dimensions=embedder.dimensions, field="vector")
        except BadInput:
            return "bad_embedding"
        except Exception:  # noqa: BLE001 - any error: the question can still be answered
            _log.exception("the embedder failed; a fresh answer is computed")
            return "embedder_failed"
        row: Vectors = rows[0]
        return row if len(rows) == 1 else "bad_embedding"

    async def _matched(self, asked: Screened, key: bytes, vector: Vectors) -> _Look[T]:
        """Look for the nearest question whose entry is still in the store, and judge the match."""
        shared = self._means.shared()
        for _ in range(_TRIES):
            match = await self._driver.compute(lambda: shared.match(self._scope, vector))
            if match is None:
                break
            look = await self._judged(asked, match)
            if look is not None:
                return replace(look, key=key, vector=vector)
        return _Look("empty_cache", key, vector=vector)

    async def _judged(self, asked: Screened, match: Match) -> _Look[T] | None:
        """Judge a match; ``None`` if its entry is not in the store any more."""
        shared, settings = self._means.shared(), self._means.settings
        reason = veto(asked, match.alias, settings.vetoes)
        if reason:
            return _Look(reason, match=match)
        near = self._key_of(match.alias)
        found: Found[T] | None = await shared.read(near, self._driver)
        if found is None:
            shared.drop(near)
            return None
        if found.is_withdrawn:
            return _Look(WITHDRAWN, found=found, match=match)
        refusal = shared.policy.refusal(match)
        check = settings.verifier
        reason = refusal or await self._driver.compute(lambda: verified(check, asked.text, match.alias)) or ""
        if why := self._reason(found):  # it is outdated: neither served nor compared
            return _Look(reason or why, match=match, renews=None if reason else found)
        return _Look(reason, found=found, match=match, learns=refusal is not None)

    async def _learn(self, value: T, bond: Record, took_s: float) -> Reply[T]:
        """Compare a fresh answer with the one that was not served, and store the question."""
        shared, look, driver = self._means.shared(), self._look, self._driver
        known, renews = look.found, look.renews
        if renews is not None and renews.key == look.key:
            bond, renews = _ended_also(bond, renews), None
        right = None if known is None else await driver.compute(lambda: self._compared(known.value, value))
        if look.learns and look.match is not None and right is not None:
            await shared.observe(look.match, right=right, driver=driver)
        if right and not shared.policy.adds_aliases:
            return Reply(value, look.reason, look.match, known)
        if right and known is not None and known.is_withdrawn and await shared.is_withdrawn(known.entry.group, driver):
            return Reply(value, look.reason, look.match)  # also if this one was made from further facts
        raw = self._means.settings.values.encode(value)
        if raw is None:
            return Reply(value, look.reason, look.match)
        facts = bond.meta.tags.fences
        group = group_of(self._scope, raw, facts)
        if right and known is not None and known.is_made_from(facts):  # it ends with the same facts
            group = known.entry.group
        entry = Entry(self._question, self._scope, group, packed(look.vector), raw)
        is_stored = await shared.store(look.key, entry, bond, took_s, driver)
        if is_stored and renews is not None:
            renewed = replace(renews.entry, group=group, value=raw)
            await shared.store(renews.key, renewed, _ended_also(bond, renews), took_s, driver)
        kept = Found(look.key, entry, value, bond, "") if is_stored else known if right else None
        return Reply(value, look.reason, look.match, kept)

    def _compared(self, known: T, fresh: T) -> bool | None:
        try:
            return bool(self._means.settings.same(known, fresh))
        except Exception:  # noqa: BLE001 - the answer is returned even if the judge fails
            _log.exception("same= raised on two answers (arrays need same=numpy.array_equal); nothing is learned")
            return None


def _ended_also(bond: Record, by: Found[Any]) -> Record:
    """The record of an answer that also ends with the facts of another one."""
    fences = dict.fromkeys((*bond.meta.tags.fences, *facts_of(by.bond, by.entry.group)))
    return replace(bond, meta=replace(bond.meta, tags=replace(bond.meta.tags, fences=tuple(fences))))
