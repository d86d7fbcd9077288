"""Computes prefixes before anybody asks: changed ones on an engine of one's own, lapsing ones at a provider."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from parbake.app.plugin import Parts
from parbake.errors import FailureKind, ParbakeError, ProviderError, StoreError
from parbake.ports.named_values import NamedValue
from parbake.serving.bound import BoundTask
from parbake.values.redaction import one_line
from parbake_llm.ports.generator import Generator
from parbake_llm.ports.prompts import TTL_S, Block, Prompt
from parbake_llm.watching.meter import PREFIX_LANE, Metered, TokenMeter
from parbake_llm.watching.places import members_of, place_of
from parbake_llm.watching.prompt_watch import WarmUp, kind_of

WITHIN_S = 10.0
"""How long a warm-up may take, in seconds."""
PAUSE_S = TTL_S["5m"] - 60.0
"""For how long after a process has warmed a prefix no other process does, in seconds."""
AT_ONCE = 16
"""The most warm-ups that are under way at the same time."""
_REFUSALS = {FailureKind.REJECTED, FailureKind.AUTH}
"""The failures of a warm-up that another one would meet as well."""
_log = logging.getLogger("parbake_llm")


class WarmUps:
    """Warms the prefixes of one process's generators; what providers share is warmed by one process at a time."""

    def __init__(
        self,
        meter: TokenMeter,
        prefixes: Sequence[BoundTask],
        parts: Parts,
    ) -> None:
        """Have warmed nothing yet.

        Args:
            meter: Watches the requests, and books what warm-ups cost.
            prefixes: The app's prefixes.
            parts: The parts of the app. Its store keeps what was warmed, for all processes.
        """
        self._meter, self._prefixes, self._parts = meter, prefixes, parts
        self._clock = parts.clock
        self._computed: set[tuple[str, tuple[Block, ...]]] = set()
        # One value for all claims, and not a lease for each: a lease that nobody releases would stay in the store.
        self._claims: NamedValue[dict[str, float]] = NamedValue(parts.store, "prefix/warmed", dict[str, float], {})

    async def ahead(self) -> None:
        """Let engines in this process compute changed prefixes ahead, such as after a policy event."""
        generators = [found for found in self._generators() if hasattr(found, "warm")]
        sent = self._meter.watch.kinds()
        if not generators or not sent:
            return
        async for name, blocks in self._stored():
            kind = kind_of(blocks)
            if (name, kind) not in sent or (name, blocks) in self._computed:
                continue
            others = {one for one in self._computed if one[0] != name or kind_of(one[1]) != kind}
            self._computed = others | {(name, blocks)}
            for generator in generators:
                try:
                    await generator.warm(Prompt(blocks=blocks, prefix=name))
                except ParbakeError as error:
                    _log.warning("%s could not be computed ahead: %s", name, one_line(error))

    async def send_due(self) -> None:
        """Read the prefixes again that followed plans want to keep, before their providers drop them."""
        due = self._meter.watch.due(now=self._clock.now())
        for begin in range(0, len(due), AT_ONCE):
            current = [found async for found in self._stored()]
            await asyncio.gather(*(self._keep(one, current) for one in due[begin : begin + AT_ONCE]))

    async def _keep(self, warm_up: WarmUp, current: Sequence[tuple[str, tuple[Block, ...]]]) -> None:
        """Send a warm-up, unless its prefix has changed or lapsed, or another process keeps it."""
        prompt, now = warm_up.prompt, self._clock.now()
        begun = [blocks[: len(prompt.blocks)] for name, blocks in current if name == prompt.prefix]
        generator = next((one for one in self._generators() if place_of(one) == warm_up.place), None)
        if generator is None or prompt.blocks not in begun or now >= warm_up.until:
            return
        is_mine = False
        try:
            is_mine = await self._claim(warm_up)
            if is_mine:
                await self._send(generator, prompt)
            else:
                self._meter.watch.kept_elsewhere(warm_up)
        except asyncio.CancelledError:
            if is_mine:
                await self._release(warm_up)
            raise
        except Exception as error:  # noqa: BLE001 - any error of a generator or the store: nobody waits for a warm-up
            is_refused = isinstance(error, ProviderError) and error.kind in _REFUSALS
            if is_refused:
                self._meter.watch.warms_no_more(warm_up)
            end = "; this process follows its plan without warm-ups" if is_refused else ""
            _log.warning("%s could not be kept warm%s: %s", prompt.prefix, end, one_line(error))
            if is_mine:
                await self._release(warm_up)

    async def _send(self, generator: Generator, prompt: Prompt) -> None:
        metered = Metered(generator, prompt.prefix, PREFIX_LANE, self._meter)
        async with asyncio.timeout(WITHIN_S):  # also for a generator that does not keep to its time
            async for _ in metered.stream(prompt, max_tokens=1, timeout_s=WITHIN_S):
                pass

    async def _claim(self, warm_up: WarmUp) -> bool:
        """Whether this process is the one to send a warm-up. Expired claims are removed."""
        now, digest, is_mine = self._clock.now(), _digest(warm_up), False

        def claimed(claims: dict[str, float]) -> dict[str, float]:
            nonlocal is_mine
            live = {name: until for name, until in claims.items() if now < until <= now + PAUSE_S}
            is_mine = digest not in live
            return {digest: now + PAUSE_S} | live

        await self._claims.change(claimed)
        return is_mine

    async def _release(self, warm_up: WarmUp) -> None:
        """Let another process try. If the store fails, the claim expires."""
        digest = _digest(warm_up)
        with contextlib.suppress(StoreError):
            await self._claims.change(lambda claims: {name: until for name, until in claims.items() if name != digest})

    async def _stored(self) -> AsyncIterator[tuple[str, tuple[Block, ...]]]:
        for bound in self._prefixes:
            async for _, blocks in self._parts.core.stored(bound):
                yield bound.name, blocks

    def _generators(self) -> Sequence[Any]:
        """The app's generator, or the members of its chain, once it has been built."""
        found = self._parts.resource(Generator, build=False)
        return [] if found is None else members_of(found)


def _digest(warm_up: WarmUp) -> str:
    return blake2b(msgspec.msgpack.encode((warm_up.place, warm_up.prompt)), digest_size=16).hexdigest()
