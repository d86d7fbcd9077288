"""A prefix cache that matches whole granules from the start of a prompt, as vLLM, SGLang and OpenAI do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from parbake.errors import BadInput
from parbake_llm.ports.prompts import Miss, MissCause, Prediction
from parbake_llm.prefix_caches.predicted import Piece
from parbake_llm.prefix_caches.recent import Recent, chained, common, steady

_Key = tuple[bytes, int]
"""The prefix up to the piece that a granule ends in, and the granule's number."""


class BlockCache:
    """Granules that are found by the hash of everything before them; those used longest ago make room.

    See :class:`PrefixCache`.

    Pieces are equal or not, so the granule in which a piece differs counts as different, although a provider that
    compares tokens may find it equal. Of a prompt that is longer than the capacity, the beginning is kept.
    """

    def __init__(
        self,
        granule: int,
        *,
        capacity: int | None = None,
        ttl_s: float | None = None,
        minimum: int = 0,
        bills_writes: bool = False,
    ) -> None:
        """Make an empty cache.

        Args:
            granule: The tokens of a granule.
            capacity: The most granules it holds; ``None`` for no limit.
            ttl_s: The seconds after its last use at which a granule is lost; ``None`` for never.
            minimum: The least number of tokens of a prefix that is written or read.
            bills_writes: Whether the provider counts new granules as written; if not, they are uncached tokens.

        Raises:
            BadInput: A number is negative, or a granule or the capacity is less than one.
        """
        for name, value, least in (("granule", granule, 1), ("capacity", capacity, 1), ("ttl_s", ttl_s, 0),
                                   ("minimum", minimum, 0)):  # fmt: skip
            if value is not None and value < least:
                raise BadInput(f"{name}={value}: it must be at least {least}", field=name)
        self._granule, self._capacity, self._ttl, self._minimum = granule, capacity, ttl_s, minimum
        self._bills = bills_writes
        self._used: OrderedDict[_Key, float] = OrderedDict()
        self._lost: Recent[_Key, MissCause] = Recent()
        self._last: Recent[str, tuple[bytes, ...]] = Recent()

    def predict(self, session: str, prompt: Sequence[Piece], *, now: float) -> Prediction:
        chain, total = chained(prompt), sum(piece.tokens for piece in prompt)
        keys = list(self._keys(prompt, chain))
        found = next((at for at, key in enumerate(keys) if not self._holds(key, now)), len(keys))
        read = self._kept(found * self._granule)
        written = max(0, self._kept(len(keys) * self._granule) - read) if self._bills else 0
        missing = keys[found] if found < len(keys) else None
        miss = self._miss(session, prompt, chain, read, missing)
        return Prediction(read=read, write=written, uncached=total - read - written, miss=miss)

    def sent(self, session: str, prompt: Sequence[Piece], *, now: float, reply: Sequence[Piece] = ()) -> None:
        everything = (*prompt, *reply)
        chain = chained(everything)
        keys = list(self._keys(everything, chain))
        self._drop_lapsed(now)
        for key in reversed(keys if self._kept(len(keys) * self._granule) else []):
            self._used[key] = now
            self._used.move_to_end(key)
            self._lost.pop(key)
        while self._capacity is not None and len(self._used) > self._capacity:
            self._lost[self._used.popitem(last=False)[0]] = MissCause.EVICTED
        if session:
            self._last[session] = chain[: steady(prompt)]

    def _keys(self, prompt: Sequence[Piece], chain: Sequence[bytes]) -> Iterator[_Key]:
        """The key of each whole granule: it ends within a piece, so all pieces up to that one determine it."""
        end, number = 0, 0
        for piece, key in zip(prompt, chain, strict=True):
            end += piece.tokens
            while (number + 1) * self._granule <= end:
                yield key, number
                number += 1

    def _kept(self, tokens: int) -> int:
        return tokens if tokens >= self._minimum else 0

    def _holds(self, key: _Key, now: float) -> bool:
        at = self._used.get(key)
        return at is not None and not self._lapsed(at, now)

    def _lapsed(self, at: float, now: float) -> bool:
        return self._ttl is not None and now - at > self._ttl

    def _drop_lapsed(self, now: float) -> None:
        while self._used:
            key, at = next(iter(self._used.items()))
            if not self._lapsed(at, now):
                return
            del self._used[key]
            self._lost[key] = MissCause.TTL_LAPSED

    def _miss(
        self, session: str, prompt: Sequence[Piece], chain: Sequence[bytes], read: int, missing: _Key | None
    ) -> Miss | None:
        if self._kept(sum(piece.tokens for piece in prompt) // self._granule * self._granule) == 0:
            return Miss(MissCause.BELOW_MINIMUM) if prompt else None
        at = _piece_at(prompt, read)
        name = prompt[at].name if at < len(prompt) else ""
        if missing is not None:
            lost = MissCause.TTL_LAPSED if missing in self._used else self._lost.get(missing)
            if lost is not None:
                return Miss(lost, at, name)
        before = self._last.get(session) or ()
        same = common(before, chain)
        if same < min(len(before), steady(prompt)):
            return Miss(MissCause.PREFIX_CHANGED, same, prompt[same].name)
        return Miss(MissCause.COLD, at, name) if not read else None


def _piece_at(prompt: Sequence[Piece], tokens: int) -> int:
    """The position of the piece that contains the token after so many."""
    end = 0
    for at, piece in enumerate(prompt):
        end += piece.tokens
        if tokens < end:
            return at
    return len(prompt)
