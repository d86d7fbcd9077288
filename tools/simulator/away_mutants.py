"""Mutants of computing while the store is away; each docstring says what the mutant gets wrong."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from msgspec.structs import replace as changed

from parbake.errors import StoreError
from parbake.protocol.cause import Cause
from parbake.protocol.recording import Recording
from parbake.protocol.since_outage import SinceOutage
from parbake.serving.compute import Computed
from parbake.serving.model_reads import ModelReads
from parbake.serving.on_demand import OnDemand, flight_of
from parbake.serving.read import ReadResult, Resolver
from simulator.patches import method, mutant


@mutant
def follower_unchecked_without_store(stack: ExitStack) -> None:
    """While the store is away, a request takes the result of a computation that began before it."""
    get = OnDemand.get

    async def believing(self: Any, bound: Any, key: Any, context: Any) -> Any:
        if context.is_without_store:
            place = asyncio.get_running_loop(), flight_of(bound, bound.keys.encode(key), context)
            flown = self._flights._flights.get(place)
            if flown is not None and (computed := await asyncio.shield(flown)) is not None:
                return computed
        return await get(self, bound, key, context)

    method(stack, OnDemand, "get", believing)


@mutant
def stored_when_the_store_returns(stack: ExitStack) -> None:
    """A value that was computed without a stamp is stored with the stamp of the moment at which the store returned."""
    without_store = OnDemand._without_store

    async def kept(self: Any, bound: Any, key: Any, context: Any) -> Computed:
        computed = await without_store(self, bound, key, context)
        for _ in range(8):
            try:
                stamp, _ = await self._store.stamp()
            except StoreError:
                continue
            later = changed(computed, record=changed(computed.record, stamp=stamp.pack()))
            await self._written(bound, later, context)
            break
        return computed

    method(stack, OnDemand, "_without_store", kept)


@mutant
def unstamped_input_is_stored(stack: ExitStack) -> None:
    """A value is stored although one of its inputs was computed without a stamp, and so without tags."""
    note = Resolver._note

    def careless(self: Any, found: ReadResult, recording: Recording) -> None:
        is_away = found.doubt is not None and found.doubt.cause is Cause.WITHOUT_STORE
        if not (is_away and recording.origin is self._store):
            note(self, found, recording)

    method(stack, Resolver, "_note", careless)


@mutant
def model_kept_in_memory(stack: ExitStack) -> None:
    """While the store is away, values are computed with the model that the process has in memory."""
    read = ModelReads.read

    async def remembering(self: Any, bound: Any, control: Any, recording: Recording, context: Any) -> Any:
        if context.is_without_store:
            kept = [found for (ref, _), found in sorted(self._kept.items()) if ref == bound.ref]
            if kept:
                return kept[-1].model
        return await read(self, bound, control, recording, context)

    method(stack, ModelReads, "read", remembering)


@mutant
def store_believed_when_it_returns(stack: ExitStack) -> None:
    """After an outage of the store its values are served before their sources were heard again."""

    def believed(_self: Any, _source: str, _heartbeats: Any) -> bool:
        return False

    method(stack, SinceOutage, "is_unheard", believed)


@mutant
def poll_from_before_counts(stack: ExitStack) -> None:
    """After an outage of the store a source counts as heard by a poll that began before the last value was computed."""
    heard = SinceOutage.heard

    def late(self: Any, source: str, began: int) -> None:
        heard(self, source, max(began, self.polls(source)))

    method(stack, SinceOutage, "heard", late)
