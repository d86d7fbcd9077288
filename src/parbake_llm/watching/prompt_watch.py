"""Predicts what each provider's cache reads of each request, and compares that with what the provider reports."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from parbake.ports.usage import Usage
from parbake_llm.ports.prompts import TTL_S, Block, Miss, MissCause, Prediction, Prompt, Tool, everybodys
from parbake_llm.prefix_caches.pieces import pieces
from parbake_llm.prefix_caches.predicted import Piece, PrefixCache
from parbake_llm.prefix_caches.provider_cache import provider_cache
from parbake_llm.prefix_caches.reconciled import Reconciliation, reconcile
from parbake_llm.watching.holdings import Holding, Holdings
from parbake_llm.watching.shares import PromptShares, shares_of
from parbake_llm.writing.placement import CachePlace, CacheRules, placed

WEIGHT = 0.05
"""The weight of a new request in the moving average of the drift."""
FEWEST = 20
"""From this number of requests on, a drift is reported."""
DRIFTS, _SETTLES = 0.10, 0.05
"""The shares of the input tokens at which a drift is reported, and at which it is over."""
_TOLERANCE = 0.02
"""The share of the input tokens by which a report may differ from its prediction before it contradicts it."""


class WarmUp(msgspec.Struct, frozen=True):
    """A prompt to send to a cache before ``until`` (epoch seconds), so that a prefix does not lapse.

    ``entry`` is the number by which the plan that wants it knows the prefix.
    """

    place: CachePlace
    prompt: Prompt
    until: float
    entry: int = 0


class Marked(NamedTuple):
    """A prompt with its breakpoints, and what the plan that set them has measured of it."""

    prompt: Prompt
    measured: Any = None


class Marking:
    """Places the breakpoints of prompts, and says what to warm. This one follows the volatility of the blocks."""

    def __call__(self, place: CachePlace, rules: CacheRules, prompt: Prompt, now: float, /) -> Marked:
        """Return the prompt with breakpoints for a cache with its rules, at a time in epoch seconds."""
        del place, now
        return Marked(placed(prompt, rules))

    def due(self, now: float) -> Sequence[WarmUp]:
        """Take the warm-ups that are due at a time, in epoch seconds."""
        del now
        return ()

    def answered(self, place: CachePlace, sent: Marked, usage: Usage, at: float, *, is_warm_up: bool) -> None:
        """Learn what a request has left in a cache.

        Args:
            place: The cache.
            sent: What was sent.
            usage: The tokens that the provider reported.
            at: When it was sent, in epoch seconds.
            is_warm_up: It was sent because of :meth:`due`.
        """

    def kept_elsewhere(self, warm_up: WarmUp) -> None:
        """Learn that another process sends a warm-up that :meth:`due` has returned."""

    def warms_no_more(self, place: CachePlace) -> None:
        """Learn that a cache cannot be warmed."""


BY_VOLATILITY = Marking()


class PrefixPlace(msgspec.Struct, frozen=True):
    """A kind of prefix in a cache: its task, and the names of its blocks."""

    prefix: str
    kind: tuple[str, ...]
    place: CachePlace


class Sent(msgspec.Struct, frozen=True):
    """A request on its way.

    Attributes:
        key: The cache, and the kind of prefix.
        rules: How the cache works.
        marked: The prompt with its breakpoints.
        pieces: The prompt as the cache compares it.
        shares: Which of its tokens belong to the prefix.
        at: When it began, in epoch seconds.
        prediction: What is expected of the cache; ``None`` if nothing can be expected.
        is_warm_up: Nobody asked: it only keeps a prefix from lapsing.
    """

    key: PrefixPlace
    rules: CacheRules
    marked: Marked
    pieces: tuple[Piece, ...]
    shares: PromptShares
    at: float
    prediction: Prediction | None
    is_warm_up: bool = False

    @property
    def prompt(self) -> Prompt:
        """The prompt with its breakpoints."""
        return self.marked.prompt


class PrefixStats(msgspec.Struct):
    """What one prefix met in one cache since the process started, in tokens and requests.

    ``drift`` is the moving average of (reported - expected) / input; ``causes`` counts misses by their cause, and
    ``unreported`` the requests of which the provider reported no reads.
    """

    requests: int = 0
    input: int = 0
    expected: int = 0
    reported: int = 0
    unreported: int = 0
    drift: float = 0.0
    is_drifting: bool = False
    causes: dict[str, int] = {}


class Drift(msgspec.Struct, frozen=True):
    """A prefix of which a provider reads much more or less than predicted; ``is_over`` once it does not any more."""

    prefix: str
    place: CachePlace
    share: float
    is_over: bool = False


class PromptWatch:
    """Watches the requests of a process; safe to share between threads."""

    def __init__(self) -> None:
        """Know nothing of any cache yet."""
        self._holdings = Holdings()
        self._lock = threading.Lock()
        self._caches: dict[CachePlace, PrefixCache[Piece]] = {}
        self._stats: defaultdict[PrefixPlace, PrefixStats] = defaultdict(lambda: PrefixStats(causes={}))
        self._drifts: list[Drift] = []
        self._last: dict[PrefixPlace, list[str]] = {}
        self._followed: dict[str, Marking] = {}
        self._tools: dict[tuple[str, tuple[str, ...]], tuple[Tool, ...]] = {}

    def send(
        self, place: CachePlace, rules: CacheRules, prompt: Prompt, *, now: float, is_warm_up: bool = False
    ) -> Sent:
        """Place the breakpoints of a prompt, and predict what is read of it.

        Args:
            place: The cache.
            rules: How it works.
            prompt: The prompt.
            now: Epoch seconds.
            is_warm_up: It only keeps a prefix from lapsing.
        """
        key = PrefixPlace(prompt.prefix, kind_of(prompt.blocks), place)
        with self._lock:
            marked = self._followed.get(prompt.prefix, BY_VOLATILITY)(place, rules, prompt, now)
            if not is_warm_up:
                self._tools[key.prefix, key.kind] = prompt.tools
            cache = self._cache(place, rules)
            cut = () if cache is None else pieces(marked.prompt)
            found = None if cache is None else cache.predict(prompt.session, cut, now=now)
        return Sent(key, rules, marked, cut, shares_of(marked.prompt), now, found, is_warm_up)

    def report(self, sent: Sent, usage: Usage, prediction: Prediction | None = None) -> Reconciliation | None:
        """Compare a finished request with its prediction; ``None`` if there is no prediction.

        Args:
            sent: The request.
            usage: The tokens that the generator reported.
            prediction: The generator's own prediction, which knows more than the one in ``sent``.
        """
        expected = prediction or sent.prediction
        with self._lock:
            place, plan = sent.key.place, self._followed.get(sent.key.prefix, BY_VOLATILITY)
            cache = self._cache(place, sent.rules)
            if cache is not None:
                cache.sent(sent.prompt.session, sent.pieces, now=sent.at)
            plan.answered(place, sent.marked, usage, sent.at, is_warm_up=sent.is_warm_up)
            self._holdings.note(
                place, sent.prompt, sent.shares, usage, now=sent.at, ttl_s=_ttl_s(sent), is_use=not sent.is_warm_up
            )
            if expected is None or sent.is_warm_up:
                return None
            found = reconcile(expected, usage, tolerance=round((usage.input or 0) * _TOLERANCE))
            found = msgspec.structs.replace(found, miss=self._explained(sent, found.miss))
            self._count(sent, usage, found)
        return found

    def stats(self) -> dict[PrefixPlace, PrefixStats]:
        """What each kind of prefix met in each cache."""
        with self._lock:
            return {key: msgspec.structs.replace(one, causes=dict(one.causes)) for key, one in self._stats.items()}

    def follow(self, prefix: str, marking: Marking | None) -> None:
        """Place breakpoints as an adopted plan says; ``None`` places them by volatility.

        Args:
            prefix: The prefix's task.
            marking: Places the breakpoints.
        """
        with self._lock:
            self._followed[prefix] = marking or BY_VOLATILITY

    def due(self, *, now: float) -> list[WarmUp]:
        """Take the warm-ups that the followed plans want at ``now`` (epoch seconds)."""
        with self._lock:
            return [warm_up for plan in self._followed.values() for warm_up in plan.due(now)]

    def kept_elsewhere(self, warm_up: WarmUp) -> None:
        """Learn that another process sends a warm-up that :meth:`due` has returned."""
        with self._lock:
            self._followed[warm_up.prompt.prefix].kept_elsewhere(warm_up)

    def warms_no_more(self, warm_up: WarmUp) -> None:
        """Learn that a cache refuses warm-ups such as one that :meth:`due` has returned."""
        with self._lock:
            self._followed[warm_up.prompt.prefix].warms_no_more(warm_up.place)

    def kinds(self) -> set[tuple[str, tuple[str, ...]]]:
        """The prefixes that were sent: the task, and the names of the blocks."""
        with self._lock:
            return set(self._tools)

    def tools(self, prefix: str, kind: tuple[str, ...]) -> tuple[Tool, ...]:
        """The tools of the last request with a prefix.

        Args:
            prefix: The prefix's task.
            kind: The names of its blocks.
        """
        with self._lock:
            return self._tools.get((prefix, kind), ())

    def held(self, session: str | None = None, *, now: float) -> list[Holding]:
        """What providers may hold now, of one conversation or of all.

        Args:
            session: The conversation; ``None`` for everything.
            now: Epoch seconds.
        """
        with self._lock:
            return list(self._holdings.of(session, now=now))

    def lapsed(self, *, now: float) -> list[tuple[Holding, Usage]]:
        """Take the prefixes that were written, never read, and have lapsed by ``now`` (epoch seconds)."""
        with self._lock:
            return self._holdings.lapsed(now=now)

    def drifts(self) -> Iterator[Drift]:
        """Take the drifts that began or ended since the last call."""
        with self._lock:
            found, self._drifts = self._drifts, []
        yield from found

    def _cache(self, place: CachePlace, rules: CacheRules) -> PrefixCache[Piece] | None:
        """The predictor of a cache; ``None`` if it caches nothing, or knows itself what it holds."""
        if place not in self._caches and (made := provider_cache(rules)) is not None:
            self._caches[place] = made
        return self._caches.get(place)

    def _explained(self, sent: Sent, miss: Miss | None) -> Miss | None:
        """A cold miss of a prefix that was sent before with other bytes: the part that has changed since."""
        before = self._last.get(sent.key)
        texts = [block.text for block in everybodys(sent.prompt.blocks)]
        if sent.key.prefix:
            self._last[sent.key] = texts
        if miss is None or miss.cause is not MissCause.COLD or before is None:
            return miss
        changed = (at for at, (one, other) in enumerate(zip(before, texts, strict=True)) if one != other)
        at = next(changed, None)
        return miss if at is None else Miss(MissCause.PREFIX_CHANGED, at, sent.key.kind[at])

    def _count(self, sent: Sent, usage: Usage, found: Reconciliation) -> None:
        one = self._stats[sent.key]
        one.requests += 1
        one.input += usage.input or 0
        one.expected += found.expected
        one.reported += found.reported or 0
        one.unreported += found.reported is None
        if found.miss is not None:
            one.causes = dict(Counter(one.causes) + Counter([found.miss.cause.value]))
        if found.drift is not None and usage.input:
            one.drift += WEIGHT * (found.drift / usage.input - one.drift)
            self._judge(sent, one)

    def _judge(self, sent: Sent, one: PrefixStats) -> None:
        """Note that a drift begins or ends; the two limits keep it from doing both at every request."""
        if one.requests < FEWEST or not sent.key.prefix:
            return
        if not one.is_drifting and abs(one.drift) > DRIFTS:
            one.is_drifting = True
            self._drifts.append(Drift(sent.key.prefix, sent.key.place, one.drift))
        elif one.is_drifting and abs(one.drift) < _SETTLES:
            one.is_drifting = False
            self._drifts.append(Drift(sent.key.prefix, sent.key.place, one.drift, is_over=True))


def kind_of(blocks: Sequence[Block]) -> tuple[str, ...]:
    """The names of the blocks that users share, by which prefixes of one task are told apart."""
    return tuple(block.name for block in everybodys(blocks))


def _ttl_s(sent: Sent) -> float:
    """How long what was sent may be held: as long as the longest breakpoint asks, or as the provider says by itself."""
    asked = [TTL_S[one.ttl] for one in sent.prompt.breakpoints or ()]
    return max(asked, default=TTL_S[sent.rules.ttls[0]] if sent.rules.mechanism == "automatic" else 0.0)
