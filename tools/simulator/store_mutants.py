"""Mutants of stores, events, generations and recovery; each docstring says what the mutant gets wrong."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import msgspec
from msgspec.structs import replace as changed

from parbake.adapters._postgresql.copies import SeenPosition
from parbake.lanes.event import log_reader
from parbake.lanes.event.ingest import Ingest
from parbake.lanes.event.log_reader import Drained, LogReader
from parbake.ports.event_log import Ack, Advance, Change
from parbake.ports.sources import LogPage
from parbake.protocol import control as generations
from parbake.protocol.control import Control, Number, Promotion
from parbake.protocol.record import Stamp
from parbake.serving.read import Resolver
from parbake.stores.steps import item_names as names
from parbake.stores.steps.base_store import EngineStore
from parbake.stores.steps.item_steps import Commit
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.stores.steps.record_steps import RecordSteps, Txn
from simulator.patches import everywhere, method, mutant
from simulator.processes.sim_sources import SimSource, SimUnorderedSource
from simulator.processes.sim_stores import SimItems
from simulator.world.system_of_record import Snapshot
from simulator.world.world_state import SimJournal

DELAY_S = 0.05


@mutant
def no_blessing(stack: ExitStack) -> None:
    """A new incarnation is trusted at once."""
    adopt = generations.adopt

    def trusting(control: Control, host: str, number: Number) -> Control:
        adopted = adopt(control, host, number)
        return changed(adopted, blessed=adopted.incarnation)

    everywhere(stack, adopt, trusting)


@mutant
def boolean_blessing(stack: ExitStack) -> None:
    """The current incarnation is blessed, and not the incarnation whose outboxes were replayed."""
    bless = generations.bless

    def blind(control: Control, seen: int, *, raise_floor: bool) -> Control:
        del seen
        return bless(control, control.incarnation, raise_floor=raise_floor)

    everywhere(stack, bless, blind)


@mutant
def bless_before_replay(stack: ExitStack) -> None:
    """The incarnation is blessed before the outboxes are replayed."""
    drain = Ingest.drain

    async def hasty(self: Any) -> Ack | None:
        if doubted := await self._recovery.doubted():
            await self._recovery.bless(doubted)
        return await drain(self)

    method(stack, Ingest, "drain", hasty)


@mutant
def stamp_without_incarnation(stack: ExitStack) -> None:
    """Stamps are compared by the counter only, without the incarnation."""
    method(stack, Stamp, "pack", lambda self: bytes(8) + self.sequence.to_bytes(8, "big"))


@mutant
def lost_incarnation_believed(stack: ExitStack) -> None:
    """The store accepts a stamp by its number, although it does not descend from the stamp's incarnation."""
    adopt = generations.adopt
    everywhere(stack, adopt, lambda *args: changed(adopt(*args), ancestry=()))


@mutant
def ack_before_durable(stack: ExitStack) -> None:
    """An event is acknowledged before it is written."""
    apply = EngineStore._apply

    async def early(self: Any, changes: Any, now: float, position: Any) -> Ack:
        async def later() -> None:
            await asyncio.sleep(DELAY_S)
            await apply(self, changes, now, position)

        self._late = asyncio.create_task(later())
        at, control = await self.stamp()
        raised = {tag: at.sequence + 1 for change in changes for tag in change.tags}
        return Ack(at, raised, trusted=control.is_trusted)

    method(stack, EngineStore, "_apply", early)
    method(stack, OptimisticStore, "_apply", early)


@mutant
def no_floor(stack: ExitStack) -> None:
    """Watermarks are swept, and losses blessed, without raising the floor."""
    everywhere(stack, generations.raise_floor, lambda control, _: control)
    bless = generations.bless

    def floorless(control: Control, seen: int, *, raise_floor: bool) -> Control:
        del raise_floor
        return bless(control, seen, raise_floor=False)

    everywhere(stack, bless, floorless)


@mutant
def sweep_unconditional(stack: ExitStack) -> None:
    """The sweep deletes a watermark that was raised again after it was listed."""

    def blind(self: Any, doomed: Any) -> int:
        for name in doomed:
            self._txn.delete(name)
        return len(doomed)

    method(stack, RecordSteps, "drop_below", blind)


@mutant
def rollback_unfenced(stack: ExitStack) -> None:
    """A rollback moves the pointer, but marks no generation as withdrawn."""
    rollback = generations.rollback

    def unmarked(control: Control, *args: Any, **options: Any) -> Control:
        return changed(rollback(control, *args, **options), withdrawn=control.withdrawn)

    everywhere(stack, rollback, unmarked)


@mutant
def rollback_lost_in_failover(stack: ExitStack) -> None:
    """Rollbacks that a failover has undone are not repeated."""
    method(stack, SimJournal, "read", lambda _: [])


@mutant
def promote_apart(stack: ExitStack) -> None:
    """The pointers of a chain are moved one after the other."""
    promote = EngineStore.promote

    async def piecemeal(self: Any, promotion: Promotion) -> Control:
        control = None
        for task, pointer in promotion.pointers.items():
            expected = {task: promotion.expected[task]}
            control = await promote(self, Promotion({task: pointer}, expected, promotion.incarnation))
        assert control is not None  # a promotion moves something
        return control

    method(stack, EngineStore, "promote", piecemeal)


@mutant
def promote_blind(stack: ExitStack) -> None:
    """A promotion does not check whether another run was promoted first."""
    promote = generations.promote

    def blind(control: Control, promotion: Promotion) -> Control:
        expected = {task: control.pointer(task) for task in promotion.expected}
        return promote(control, changed(promotion, expected=expected))

    everywhere(stack, promote, blind)


@mutant
def applied_maximum_not_prefix(stack: ExitStack) -> None:
    """A published event moves its source's position past events that were not applied."""
    publish = Ingest.publish

    async def jumping(self: Any, published: Any) -> Ack:
        ack = await publish(self, published)
        for event in published:
            source, _, position = event.id.partition("-")
            done = (await self._store.applied(source)).position
            await self._store.apply(
                [Change(event.tags)], now=self._clock.now(), advance=Advance(source, done, int(position))
            )
        return ack

    method(stack, Ingest, "publish", jumping)


@mutant
def no_silence(stack: ExitStack) -> None:
    """A source that has sent no heartbeat is trusted."""
    method(stack, Resolver, "silent", lambda *_: set())


@mutant
def heartbeat_time_after_poll(stack: ExitStack) -> None:
    """A heartbeat carries the time after the poll, and not before it."""
    drain_one = LogReader.drain_one
    beat = EngineStore.beat
    polled: dict[int, float] = {}

    async def timed(self: Any, source: Any, _: float | None) -> Drained:
        drained = await drain_one(self, source, None)
        polled[id(self._store)] = self._clock.now()
        return drained

    async def late(self: Any, source: str, at: float, *, now: float) -> bool:
        return await beat(self, source, polled.get(id(self), at), now=now)

    method(stack, LogReader, "drain_one", timed)
    method(stack, EngineStore, "beat", late)


@mutant
def heartbeat_before_end(stack: ExitStack) -> None:
    """A heartbeat moves with the first event of a poll, and not with the last."""
    poll = SimSource.poll

    def one_by_one(self: Any, after: int, limit: int) -> Any:
        return poll(self, after, min(limit, 1))

    method(stack, SimSource, "poll", one_by_one)
    everywhere(stack, log_reader.reaches_end, lambda *_: True)


@mutant
def snapshot_as_position(stack: ExitStack) -> None:
    """A transaction that was still running when the outbox was read counts as read, if its id is lower."""
    method(stack, Snapshot, "shows", lambda self, transaction: transaction < self.upper)


@mutant
def cursor_before_its_pages(stack: ExitStack) -> None:
    """The cursor moves behind all pages of a scan with the first of them."""
    read = SimUnorderedSource.read

    def at_once(self: Any, cursor: bytes, limit: int) -> LogPage:
        page = read(self, cursor, limit)
        behind = msgspec.msgpack.encode((self._system.snapshot(), None, 0))
        return changed(page, cursor=behind, is_end=True)

    method(stack, SimUnorderedSource, "read", at_once)


@mutant
def dedupe_before_apply(stack: ExitStack) -> None:
    """An event is marked as seen in one commit and applied in the next."""
    apply = EngineStore._apply

    async def split(self: Any, changes: Any, now: float, position: Any) -> Ack:
        def note(txn: Txn) -> list[Any]:
            fresh = []
            for change in changes:
                name = b"s!" + f"{change.source} {change.id}".encode()
                if not change.id or txn.get(name) is None:
                    fresh.append(change)
                txn.put(name, b"")
            return fresh

        fresh = await self._step(note)
        return await apply(self, fresh, now, position)

    method(stack, EngineStore, "_apply", split)
    method(stack, OptimisticStore, "_apply", split)


@mutant
def collapse_inherited(stack: ExitStack) -> None:
    """Tags inherited from inputs are replaced by their families' tags."""
    from parbake.protocol.recording import Recording
    from parbake.protocol.tags import family

    artifact = Recording.artifact

    def coarse(self: Recording, *args: Any, **options: Any) -> None:
        artifact(self, *args, **options)
        self.inherited = dict.fromkeys(f"{family(tag)}/*" for tag in self.inherited)

    method(stack, Recording, "artifact", coarse)


@mutant
def control_read_first(stack: ExitStack) -> None:
    """On a store of single items the control record is read with the others, and not again at the end."""
    between = OptimisticStore._fetch_between

    async def first(self: Any, wanted: Any) -> tuple[dict[bytes, bytes | None], bytes | None]:
        if self.items.is_snapshot:
            return await between(self, wanted)
        (beats,) = await self.items.fetch([names.BEATS])
        return await self._fetch([names.CONTROL, *wanted]), beats

    method(stack, OptimisticStore, "_fetch_between", first)


@mutant
def event_not_atomic(stack: ExitStack) -> None:
    """An event's watermarks are written after its counter and position."""
    commit = SimItems.commit

    async def piecemeal(self: Any, asked: Commit) -> bool:
        marks = {name: raw for name, raw in asked.writes.items() if name[:1] == names.MARK}
        rest = {name: raw for name, raw in asked.writes.items() if name[:1] != names.MARK}
        if not marks or not rest:
            return await commit(self, asked)
        if not await commit(self, changed(asked, writes=rest)):
            return False
        await asyncio.sleep(DELAY_S)
        return await commit(self, Commit({}, marks))

    method(stack, SimItems, "commit", piecemeal)


@mutant
def older_copy_believed(stack: ExitStack) -> None:
    """An older copy of a database is taken for the one before it, although its log ends before what was seen."""
    method(stack, SeenPosition, "_kept", lambda self, _: self.position)


@mutant
def regrown_log_believed(stack: ExitStack) -> None:
    """An older copy is taken for the one before it, because its log has grown again since its start."""
    method(stack, SeenPosition, "_kept", lambda _, server: server.position)


@mutant
def counter_not_compared(stack: ExitStack) -> None:
    """An older copy is taken for the one before it, because others wrote to it before its server's last start."""
    advance = SeenPosition.advance
    method(stack, SeenPosition, "advance", lambda self, position, _: advance(self, position, 0))


@mutant
def older_name_believed(stack: ExitStack) -> None:
    """A copy whose name is older than a name that was seen is taken for a newer one."""
    what_is_lost = SeenPosition.what_is_lost

    def forgetful(self: SeenPosition, found: Any, *args: Any, **options: Any) -> str:
        if found.name is not None and found.name.number < self.number:
            self.number = 0
        return what_is_lost(self, found, *args, **options)

    method(stack, SeenPosition, "what_is_lost", forgetful)


@mutant
def promotion_not_noticed(stack: ExitStack) -> None:
    """A promoted standby is taken for the primary, because the name of the copy came with the data."""
    what_is_lost = SeenPosition.what_is_lost

    def trusting(self: SeenPosition, found: Any, server: Any, **options: Any) -> str:
        name = found.name and changed(found.name, timeline=server.timeline)
        return what_is_lost(self, changed(found, name=name), server, **options)

    method(stack, SeenPosition, "what_is_lost", trusting)
