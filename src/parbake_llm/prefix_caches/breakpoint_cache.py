"""A prefix cache with breakpoints that the request marks, as Anthropic and Bedrock have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from parbake.errors import BadInput
from parbake_llm.ports.prompts import TTL_S, Miss, MissCause, Prediction, Ttl
from parbake_llm.prefix_caches.predicted import Piece
from parbake_llm.prefix_caches.recent import Recent, chained, common, steady
from parbake_llm.writing.placement import CacheRules

HOUR: Ttl = "1h"


class _Entry(msgspec.Struct, frozen=True):
    """A cached prefix: the time at which it lapses, and the time to live that each read gives it anew."""

    until: float
    ttl: Ttl


class _Reading(msgspec.Struct, frozen=True):
    """The positions of breakpoints that count, and how many pieces of the prompt are read."""

    marks: tuple[int, ...]
    pieces: int


class BreakpointCache:
    """Entries at marked positions, by the hash of the whole prefix.

    From each breakpoint, the provider looks at so many positions backwards, the breakpoint's own first, and reads the
    longest entry that it finds. It writes what stands between that and the last breakpoint. A read prolongs every entry
    within the read prefix by the time to live with which it was written.
    """

    def __init__(self, rules: CacheRules) -> None:
        """Make an empty cache that follows the provider's rules."""
        self._rules = rules
        self._entries: Recent[bytes, _Entry] = Recent()
        self._last: Recent[str, tuple[bytes, ...]] = Recent()

    def predict(self, session: str, prompt: Sequence[Piece], *, now: float) -> Prediction:
        """See :meth:`PrefixCache.predict`.

        Raises:
            BadInput: The prompt has more breakpoints than the provider allows, or a longer time to live stands behind
                a shorter one.
        """
        chain, ends = chained(prompt), tuple(_ends(prompt))
        found = self._reading(prompt, chain, ends, now)
        read = ends[found.pieces]
        hours = [ends[mark + 1] for mark in found.marks if prompt[mark].ttl == HOUR]
        hour = max(read, *hours, 0)
        last = max(hour, *(ends[mark + 1] for mark in found.marks), 0)
        return Prediction(
            read=read,
            write=last - hour,
            write_hour=hour - read,
            uncached=ends[-1] - last,
            miss=self._miss(session, prompt, chain, found, now),
        )

    def sent(self, session: str, prompt: Sequence[Piece], *, now: float, reply: Sequence[Piece] = ()) -> None:
        """See :meth:`PrefixCache.sent`. The reply is cached with the next request that marks it."""
        del reply
        chain = chained(prompt)
        found = self._reading(prompt, chain, tuple(_ends(prompt)), now)
        for at in range(found.pieces):
            entry = self._entries.get(chain[at])
            if entry is not None and entry.until >= now:
                self._entries[chain[at]] = _Entry(now + TTL_S[entry.ttl], entry.ttl)
        for mark in found.marks:
            asked, alive = prompt[mark].ttl, self._alive(chain[mark], now)
            if asked is not None and not alive:
                self._entries[chain[mark]] = _Entry(now + TTL_S[asked], asked)
        if session:
            marked = max(found.marks, default=-1) + 1
            self._last[session] = chain[: min(marked, steady(prompt))]

    def _reading(self, prompt: Sequence[Piece], chain: Sequence[bytes], ends: Sequence[int], now: float) -> _Reading:
        self._check(prompt)
        marks = tuple(self._marks(prompt, ends))
        reached = (at for mark in marks for at in self._window(mark) if self._alive(chain[at], now))
        return _Reading(marks, max(reached, default=-1) + 1)

    def _check(self, prompt: Sequence[Piece]) -> None:
        times = [TTL_S[piece.ttl] for piece in prompt if piece.ttl is not None]
        if len(times) > self._rules.most:
            raise BadInput(
                f"{len(times)} breakpoints: the provider allows {self._rules.most}; mark fewer", field="breakpoints"
            )
        if times != sorted(times, reverse=True):
            raise BadInput("breakpoints: a longer time to live must stand before a shorter one", field="breakpoints")

    def _marks(self, prompt: Sequence[Piece], ends: Sequence[int]) -> Iterator[int]:
        """The breakpoints behind enough tokens to be cached; the provider passes over the others silently."""
        for at, piece in enumerate(prompt):
            if piece.ttl is not None and ends[at + 1] >= max(1, self._rules.minimum):
                yield at

    def _window(self, mark: int) -> range:
        return range(max(0, mark - self._rules.lookback + 1), mark + 1)

    def _alive(self, key: bytes, now: float) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.until >= now

    def _miss(
        self, session: str, prompt: Sequence[Piece], chain: Sequence[bytes], found: _Reading, now: float
    ) -> Miss | None:
        if not found.marks:
            is_short = any(piece.ttl is not None for piece in prompt)
            return Miss(MissCause.BELOW_MINIMUM) if is_short else None
        at = found.pieces
        end = max(found.marks) + 1
        if at >= end:
            return None
        name = prompt[at].name
        written = [one for one in range(at, end) if self._entries.get(chain[one]) is not None]
        if any(self._alive(chain[one], now) for one in written):
            return Miss(MissCause.BEYOND_LOOKBACK, at, name)
        if written:
            return Miss(MissCause.TTL_LAPSED, at, name)
        before = self._last.get(session) or ()
        same = common(before, chain)
        if same < min(len(before), steady(prompt)):
            return Miss(MissCause.PREFIX_CHANGED, same, prompt[same].name)
        return Miss(MissCause.COLD, at, name) if not at else None


def _ends(prompt: Sequence[Piece]) -> Iterator[int]:
    """The tokens before each piece, and all of them."""
    total = 0
    yield total
    for piece in prompt:
        total += piece.tokens
        yield total
