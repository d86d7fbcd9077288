"""Computes prefixes before anybody asks: changed ones on an engine of one's own, lapsing ones at a provider."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from parbake.errors import ParbakeError
from parbake.ports.clock import Clock
from parbake.ports.models import Generator
from parbake.ports.named_values import NamedValue, NamedValues
from parbake.ports.prompts import TTL_S, Block, Prompt
from parbake.prompt.watching.places import members_of, place_of
from parbake.prompt.watching.prompt_watch import WarmUp, kind_of
from parbake.serving.bound import BoundTask
from parbake.serving.meter import PREFIX_LANE, Metered, TokenMeter
from parbake.serving.read import Resolver
from parbake.values.redaction import one_line

WITHIN_S = 10.0
"""How long a warm-up may take, in seconds."""
PAUSE_S = TTL_S["5m"] - 60.0
"""For how long after a process has warmed a prefix no other process does, in seconds."""
_log = logging.getLogger("parbake.prompt")


class ComputesAhead(Protocol):
    """A generator that can compute a prefix before anybody asks."""

    async def warm(self, prompt: Prompt) -> None:
        """Compute the blocks of a prompt ahead."""
        ...


class WarmUps:
    """Warms the prefixes of one process's generators; what providers share is warmed by one process at a time."""

    def __init__(
        self,
        meter: TokenMeter,
        resolver: Resolver,
        prefixes: Sequence[BoundTask],
        store: NamedValues,
        *,
        clock: Clock,
        resources: Mapping[Any, Any],
    ) -> None:
        """Have warmed nothing yet.

        Args:
            meter: Watches the requests, and books what warm-ups cost.
            resolver: Reads stored prefixes.
            prefixes: The app's prefixes.
            store: Keeps what was warmed, for all processes.
            clock: The source of wall time.
            resources: The app's resources, with the generator.
        """
        self._meter, self._resolver, self._clock = meter, resolver, clock
        self._prefixes, self._resources = prefixes, resources
        self._computed: set[tuple[str, tuple[Block, ...]]] = set()
        self._claims: NamedValue[dict[str, float]] = NamedValue(store, "prefix/warmed", dict[str, float], {})

    async def ahead(self) -> None:
        """Let engines in this process compute changed prefixes ahead, such as after a policy event."""
        watch = self._meter.watch
        generators = [found for found in self._generators() if hasattr(found, "warm")]
        if not generators or not watch.kinds():
            return
        async for name, blocks in self._stored():
            kind = kind_of(blocks)
            if (name, kind) not in watch.kinds() or (name, blocks) in self._computed:
                continue
            others = {one for one in self._computed if one[0] != name or kind_of(one[1]) != kind}
            self._computed = others | {(name, blocks)}
            for generator in generators:
                try:
                    await generator.warm(Prompt(blocks=blocks, prefix=name))
                except ParbakeError as error:
                    _log.warning("%s could not be computed ahead: %s", name, one_line(error))

    async def due(self) -> None:
        """Send what keeps providers from dropping the prefixes that the followed plans want to keep.

        A prefix that has changed meanwhile is not sent.
        """
        for warm_up in self._meter.watch.due(now=self._clock.now()):
            try:
                if await self._is_current(warm_up.prompt) and await self._claim(warm_up):
                    await self._send(warm_up)
            except ParbakeError as error:
                _log.warning("%s could not be kept warm: %s", warm_up.prompt.prefix, one_line(error))

    async def _send(self, warm_up: WarmUp) -> None:
        prompt = warm_up.prompt
        for generator in self._generators():
            if place_of(generator) == warm_up.place:
                metered = Metered(generator, prompt.prefix, PREFIX_LANE, self._meter)
                async for _ in metered.stream(prompt, max_tokens=1, timeout_s=WITHIN_S):
                    pass

    async def _is_current(self, prompt: Prompt) -> bool:
        """Whether the blocks begin a stored prefix that may be served now."""
        async for name, blocks in self._stored():
            if name == prompt.prefix and blocks[: len(prompt.blocks)] == prompt.blocks:
                return True
        return False

    async def _claim(self, warm_up: WarmUp) -> bool:
        """Whether this process is the one to warm it; the claim is dropped once it has no effect any more."""
        now = self._clock.now()
        digest = blake2b(msgspec.msgpack.encode(warm_up), digest_size=16).hexdigest()
        is_mine = False

        def claimed(claims: dict[str, float]) -> dict[str, float]:
            nonlocal is_mine
            live = {name: until for name, until in claims.items() if now < until <= now + PAUSE_S}
            is_mine = digest not in live
            return {digest: now + PAUSE_S} | live

        await self._claims.change(claimed)
        return is_mine

    async def _stored(self) -> AsyncIterator[tuple[str, tuple[Block, ...]]]:
        for bound in self._prefixes:
            async for _, blocks in self._resolver.stored(bound):
                yield bound.name, blocks

    def _generators(self) -> Sequence[Any]:
        """The app's generator, or the members of its chain, once it has been built."""
        found = self._resources.get(Generator)
        return [] if found is None else members_of(found)
