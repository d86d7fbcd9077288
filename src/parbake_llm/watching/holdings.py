"""What providers may still hold: of which prefix, of which conversation, and until when."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from parbake.ports.usage import Usage
from parbake_llm.ports.prompts import Prompt, everybodys
from parbake_llm.watching.shares import PromptShares, split
from parbake_llm.writing.placement import CachePlace

MOST = 100_000
"""How many holdings are remembered; the oldest are forgotten first."""


_Key = tuple[CachePlace, str, str]
"""A cache, the hash of a prefix, and the conversation."""


class Holding(msgspec.Struct, frozen=True):
    """One thing that a provider may hold. That is a prediction: nobody can ask a provider.

    Attributes:
        provider: The provider.
        model: The model.
        generator: The name of the generator.
        prefix: The task of the prefix.
        digest: A hash of the prefix's bytes.
        session: The conversation; empty for the prefix that everybody shares.
        parts: The names of the blocks with their versions.
        tokens: The tokens that were written or read when it was first seen.
        reads: How many requests have read it since.
        since: When it was written, in epoch seconds.
        until: When it lapses unless it is read again, in epoch seconds.
    """

    provider: str
    model: str
    generator: str
    prefix: str
    digest: str
    session: str
    parts: tuple[str, ...]
    tokens: int
    reads: int
    since: float
    until: float


class Holdings:
    """The holdings of all providers, by what was sent and reported. Not thread-safe."""

    def __init__(self) -> None:
        """Begin without any."""
        self._held: OrderedDict[_Key, tuple[Holding, Usage]] = OrderedDict()
        self._wasted: list[tuple[Holding, Usage]] = []

    def note(
        self,
        place: CachePlace,
        prompt: Prompt,
        shares: PromptShares,
        usage: Usage,
        *,
        now: float,
        ttl_s: float,
        is_use: bool = True,
    ) -> None:
        """Note what a request has left at its provider.

        Args:
            place: The cache.
            prompt: What was sent.
            shares: Which of its tokens belong to the prefix.
            usage: What was reported.
            now: Epoch seconds.
            ttl_s: How long the provider keeps it, in seconds; 0 if it keeps nothing.
            is_use: Whether a user's request was sent. A warm-up reads a prefix too, but does not count as a use of it.
        """
        if ttl_s <= 0 or not (usage.cache_read or usage.cache_write or usage.cache_write_hour):
            return
        of_shared, _ = split(shares.shared, usage)
        if of_shared.cache_read or of_shared.cache_write or of_shared.cache_write_hour:
            self._keep((place, shares.digest, ""), prompt, of_shared, now, ttl_s, is_use=is_use)
        if prompt.session and prompt.turns:
            self._keep((place, shares.digest, prompt.session), prompt, usage, now, ttl_s, is_use=is_use)
        while len(self._held) > MOST:
            self._held.popitem(last=False)

    def of(self, session: str | None = None, *, now: float) -> Iterator[Holding]:
        """What may be held now, of one conversation or of all.

        Args:
            session: The conversation; ``None`` for everything.
            now: Epoch seconds.
        """
        for held, _ in self._held.values():
            if held.until > now and (session is None or held.session == session):
                yield held

    def lapsed(self, *, now: float) -> list[tuple[Holding, Usage]]:
        """Forget what has lapsed, and return what of it was written and never read: the holding and its tokens."""
        for key in [key for key, (held, _) in self._held.items() if held.until <= now]:
            self._end(key)
        found, self._wasted = self._wasted, []
        return found

    def _keep(self, key: _Key, prompt: Prompt, usage: Usage, now: float, ttl_s: float, *, is_use: bool) -> None:
        place, digest, session = key
        before, written = self._held.get(key, (None, Usage()))
        if before is not None and before.until <= now:
            self._end(key)
            before = None
        if before is not None:
            reads = before.reads + (bool(usage.cache_read) and is_use)
            held = msgspec.structs.replace(before, reads=reads, until=now + ttl_s)
        else:
            blocks = prompt.blocks if session else everybodys(prompt.blocks)
            names = tuple(f"{block.name} {block.version}".strip() for block in blocks)
            written = Usage(cache_write=usage.cache_write, cache_write_hour=usage.cache_write_hour)
            tokens = sum(filter(None, (usage.cache_read, usage.cache_write, usage.cache_write_hour)))
            held = Holding(
                place.provider, place.model, place.generator, prompt.prefix, digest, session, names,
                tokens, int(bool(usage.cache_read)), now, now + ttl_s,
            )  # fmt: skip
        self._held[key] = (held, written)
        self._held.move_to_end(key)

    def _end(self, key: _Key) -> None:
        held, written = self._held.pop(key)
        if not held.reads and not held.session:
            self._wasted.append((held, written))
