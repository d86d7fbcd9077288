"""What every store must do.

A new adapter passes with a subclass that opens one::

    class TestMyStore(StoreSuite):
        def open_store(self, tmp_path):
            return MyStore(tmp_path)

Run by pytest with pytest-asyncio in its automatic mode.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from parbake.errors import BlessingConflict, PromotionConflict, StoreError, UnknownResource
from parbake.ports.event_log import Advance, Applied, Change, Move, Parked
from parbake.ports.records import RecordSnapshots
from parbake.ports.store import Store
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.check import is_pending, killed_by, newness
from parbake.protocol.control import Pointer, Promotion
from parbake.protocol.record import Meta, Record, Stamp, Tags
from parbake.testing.journal_suite import JournalMarkSuite
from parbake.testing.named_values_suite import NamedValuesSuite

TASK = "task@1"


def make_record(
    stamp: Stamp,
    payload: bytes = b"value",
    *,
    generation: int = 0,
    fences: tuple[str, ...] = ("policy/a", "policy"),
    computed_at: float = 1.0,
) -> Record:
    """Make a record that is fenced by ``policy/a`` and ``policy``.

    Args:
        stamp: The record's stamp.
        payload: The encoded value.
        generation: The generation; 0 for an event or on-demand result.
        fences: The fence tags.
        computed_at: Time of the computation, in epoch seconds.
    """
    meta = Meta(Tags(fences, (("user/7", stamp.pack()),)), generation)
    return Record(stamp.pack(), computed_at, float("inf"), "batch", absent=False, meta=meta, payload=payload)


class StoreSuite(NamedValuesSuite, JournalMarkSuite):
    """The conformance suite of :class:`parbake.ports.store.Store`; a subclass opens an empty store."""

    @abstractmethod
    def open_store(self, tmp_path: Path) -> Store:
        """Open an empty store."""

    async def test_an_empty_store_is_blessed_and_starts_at_nothing(self, tmp_path: Path) -> None:
        """A new incarnation has lost nothing, so it is trusted."""
        store = self.open_store(tmp_path)
        stamp, control = await store.stamp()
        assert stamp == Stamp(control.incarnation, 0)
        assert control.blessed == control.incarnation
        lookup = await store.read(TASK, b"k")
        assert (lookup.records, dict(lookup.marks), dict(lookup.heartbeats)) == ((), {}, {})
        await store.close()

    async def test_a_glimpse_shows_the_newest_record(self, tmp_path: Path) -> None:
        """A store that offers glimpses gives what a read finds, as of now: overlay or base, whichever is newer.

        It reviews what was read before: the same record, with what it is judged by now.
        """
        store = self.open_store(tmp_path)
        if isinstance(store, RecordSnapshots):
            assert store.glimpse(TASK, b"k") is None
            generation, started, control = await store.begin()
            await store.write_base(TASK, generation, [(b"k", make_record(started, b"base", generation=generation))])
            assert store.glimpse(TASK, b"k") is None
            pointers = {TASK: Pointer(generation, 1.0, 1.0)}
            await store.promote(Promotion(pointers, {TASK: 0}, control.incarnation))
            await self._glimpsed(store, b"base")
            ack = await store.apply([Change(("policy/a",))], now=1.0)
            await self._glimpsed(store, b"base")
            await store.write(TASK, b"k", make_record(ack.stamp, b"overlay"), now=1.0)
            await store.beat("shop", 7.0, now=7.0)
            await self._glimpsed(store, b"overlay")
        await store.close()

    @staticmethod
    async def _glimpsed(store: Any, payload: bytes) -> None:
        seen, lookup = store.glimpse(TASK, b"k"), await store.read(TASK, b"k")
        newest = max(lookup.records, key=newness)
        assert (seen.payload, newest.payload, newness(seen.header)) == (payload, payload, newness(newest))
        assert seen.header.meta == newest.meta
        again = store.review(newest)
        assert (again.control, again.records, again.marks, again.heartbeats) == (
            lookup.control, (newest,), seen.marks, lookup.heartbeats,
        )  # fmt: skip
        assert (seen.control, dict(seen.marks), dict(seen.heartbeats)) == (
            lookup.control,
            dict(lookup.marks),
            dict(lookup.heartbeats),
        )

    async def test_a_written_record_is_read_with_its_watermarks(self, tmp_path: Path) -> None:
        """One read brings the record, the watermarks of its raised tags of both strengths, and nothing else's."""
        store = self.open_store(tmp_path)
        await store.apply([Change(("policy/a", "policy/*")), Change(("user/7", "user/*"))], now=1.0)
        stamp, control = await store.stamp()
        record = make_record(stamp)
        assert await store.write(TASK, b"k", record, now=1.0)
        lookup = await store.read(TASK, b"k")
        assert lookup.records == (record,)
        assert lookup.control == control
        assert set(lookup.marks) == {"policy/a", "user/7"}
        assert (await store.read(TASK, b"other")).records == ()
        assert (await store.read("other@1", b"k")).records == ()
        await store.close()

    async def test_an_event_kills_what_it_concerns_and_nothing_else(self, tmp_path: Path) -> None:
        """I1 and I9 at the store: after the acknowledgement the fence fails, or a refresh is pending."""
        store = self.open_store(tmp_path)
        stamp, _ = await store.stamp()
        await store.write(TASK, b"k", make_record(stamp), now=1.0)
        await store.apply([Change(("policy/b", "policy/*"))], now=1.0)
        lookup = await store.read(TASK, b"k")
        assert killed_by(lookup.records[0], lookup.control, lookup.marks, now=1.0) is None
        await store.apply([Change(("user/7", "user/*"))], now=1.0)
        lookup = await store.read(TASK, b"k")
        assert is_pending(lookup.records[0], lookup.marks)
        ack = await store.apply([Change(("policy/a", "policy/*"))], now=1.0)
        lookup = await store.read(TASK, b"k")
        killed = killed_by(lookup.records[0], lookup.control, lookup.marks, now=1.0)
        assert killed == Reason(Cause.TAG_CHANGED, "policy/a")
        assert lookup.marks["policy/a"] == ack.stamp.pack()
        await store.close()

    async def test_the_write_rule_holds(self, tmp_path: Path) -> None:
        """I2: a live record gives way only to a newer one, a dead one to any."""
        store = self.open_store(tmp_path)
        early, _ = await store.stamp()
        await store.apply([Change(("noise/x", "noise/*"))], now=1.0)
        late, _ = await store.stamp()
        assert await store.write(TASK, b"k", make_record(late, b"late"), now=1.0)
        assert not await store.write(TASK, b"k", make_record(early, b"early"), now=1.0)
        assert not await store.write(TASK, b"k", make_record(late, b"tie"), now=1.0)
        assert await store.write(TASK, b"k", make_record(late, b"later", computed_at=2.0), now=1.0)
        await store.apply([Change(("policy/a", "policy/*"))], now=1.0)
        assert await store.write(TASK, b"k", make_record(early, b"dead too"), now=1.0)
        assert (await store.read(TASK, b"k")).records[0].payload == b"dead too"
        await store.close()

    async def test_applied_positions_are_skipped(self, tmp_path: Path) -> None:
        """Two processes that poll one outbox apply each row once; the applied position is a contiguous prefix."""
        store = self.open_store(tmp_path)
        rows = [Change((f"policy/{n}", "policy/*"), "shop", str(n)) for n in (1, 2, 3)]
        assert await store.applied("shop") == Applied()
        await store.apply(rows[:2], now=1.0, advance=Advance("shop", 0, 2))
        again = await store.apply(rows[:2], now=1.0, advance=Advance("shop", 0, 2))
        assert (again.raised, again.stamp.sequence) == ({}, 2)
        overlap = await store.apply(rows[1:], now=1.0, advance=Advance("shop", 1, 3))
        assert set(overlap.raised) == {"policy/3", "policy/*"}
        assert (await store.applied("shop")).position == 3
        assert (await store.applied("other")).position == 0
        await store.close()

    async def test_a_cursor_moves_only_from_where_the_changes_were_read(self, tmp_path: Path) -> None:
        """Changes that were read behind another cursor are not applied, and bring no heartbeat; a rewind drops it."""
        store = self.open_store(tmp_path)
        change = [Change(("policy/1", "policy/*"), "shop", "1")]
        assert (await store.apply(change, now=1.0, advance=Move("shop", b"", b"one"))).raised
        overtaken = await store.apply(change, now=2.0, advance=Move("shop", b"", b"two", heard_at=2.0))
        assert overtaken.raised == {}
        assert (await store.applied("shop")) == Applied(cursor=b"one")
        assert "shop" not in (await store.read(TASK, b"k")).heartbeats
        assert (await store.apply([], now=3.0, advance=Move("shop", b"one", b"\xff\0", heard_at=3.0))).raised == {}
        assert (await store.applied("shop")) == Applied(cursor=b"\xff\0")
        await store.rewind("shop", ["policy"], now=4.0)
        assert (await store.applied("shop")) == Applied()
        await store.close()

    async def test_changes_after_a_position_that_was_lost_are_refused(self, tmp_path: Path) -> None:
        """A store that went back while an outbox was being polled passes over nothing: it is to be polled again."""
        store = self.open_store(tmp_path)
        await store.apply([Change(("policy/1", "policy/*"), "shop", "1")], now=1.0, advance=Advance("shop", 0, 1))
        before = await store.stamp()
        try:
            await store.apply([Change(("policy/4", "policy/*"), "shop", "4")], now=1.0, advance=Advance("shop", 3, 4))
        except StoreError as error:
            assert error.field == "store"
        else:
            raise AssertionError("a position was jumped over")
        assert ((await store.applied("shop")).position, await store.stamp()) == (1, before)
        await store.close()

    async def test_duplicates_are_counted_and_raised_again(self, tmp_path: Path) -> None:
        """Redelivery is normal: the pair of source and id counts, its tags are raised either way."""
        store = self.open_store(tmp_path)
        change = Change(("policy/a", "policy/*"), "shop", "1")
        first = await store.apply([change], now=1.0)
        again = await store.apply([change, Change(("policy/b", "policy/*"), "other", "1")], now=1.0)
        assert (first.duplicates, again.duplicates) == (0, 1)
        assert again.raised["policy/a"] == 2
        nameless = Change(("policy/a", "policy/*"))
        assert (await store.apply([nameless, nameless], now=1.0)).duplicates == 0
        await store.close()

    async def test_the_log_is_in_order_and_pages(self, tmp_path: Path) -> None:
        """Every acknowledged change is in the log, oldest first, from any sequence on."""
        store = self.open_store(tmp_path)
        for n in range(5):
            await store.apply([Change((f"policy/{n}", "policy/*"))], now=float(n))
        assert [(e.stamp.sequence, e.tags[0], e.at) for e in await store.log(Stamp(0, 0), 2)] == [
            (1, "policy/0", 0.0),
            (2, "policy/1", 1.0),
        ]
        incarnation = (await store.stamp())[0].incarnation
        assert [e.stamp.sequence for e in await store.log(Stamp(incarnation, 3), 100)] == [4, 5]
        assert await store.log(Stamp(incarnation, 5), 100) == []
        await store.close()

    async def test_what_was_stamped_in_a_lost_incarnation_is_not_kept(self, tmp_path: Path) -> None:
        """Whatever its number: the store does not descend from that incarnation and does not know its events."""
        store = self.open_store(tmp_path)
        stamp, _ = await store.stamp()
        assert await store.write(TASK, b"k", make_record(stamp, b"ours"), now=1.0)
        for incarnation in (stamp.incarnation - 1, stamp.incarnation + 1):
            assert not await store.write(TASK, b"k", make_record(Stamp(incarnation, 9), b"theirs"), now=1.0)
        (kept,) = (await store.read(TASK, b"k")).records
        assert kept.payload == b"ours"
        await store.close()

    async def test_a_distrusted_store_is_in_a_new_incarnation(self, tmp_path: Path) -> None:
        """Nothing in it is trusted until that incarnation is blessed; a second call for the first one does nothing."""
        store = self.open_store(tmp_path)
        first = (await store.apply([Change(("policy/a",))], now=1.0)).stamp
        assert await store.write(TASK, b"k", make_record(first), now=1.0)
        control = await store.distrust_store(first.incarnation)
        second, stored = await store.stamp()
        assert stored == control == await store.distrust_store(first.incarnation)
        assert (second.incarnation > first.incarnation, second.sequence, control.is_trusted) == (True, 1, False)
        try:
            await store.bless(first.incarnation, raise_floor=False)
        except BlessingConflict:
            pass
        else:
            raise AssertionError("an incarnation was blessed that the store has left")
        third = (await store.distrust_store(second.incarnation)).incarnation
        assert third > second.incarnation
        assert (await store.bless(third, raise_floor=False)).is_trusted
        lookup = await store.read(TASK, b"k")
        assert killed_by(lookup.records[0], lookup.control, lookup.marks, now=1.0) is None
        await store.close()

    async def test_a_floor_of_a_lost_incarnation_is_refused(self, tmp_path: Path) -> None:
        """Its number may be above all stamps of this store; no record could be above it any more."""
        store = self.open_store(tmp_path)
        ack = await store.apply([Change(("policy/a",))], now=1.0)
        try:
            await store.raise_floor(Stamp(ack.stamp.incarnation + 1, 0))
        except StoreError as error:
            assert error.field == "store"
        else:
            raise AssertionError("a floor above every stamp was accepted")
        assert await store.write(TASK, b"k", make_record(ack.stamp), now=1.0)
        assert (await store.read(TASK, b"k")).marks["policy/a"] == ack.stamp.pack()
        await store.close()

    async def test_heartbeats_only_move_forward(self, tmp_path: Path) -> None:
        """A late report of an earlier poll changes nothing."""
        store = self.open_store(tmp_path)
        await store.beat("shop", 100.0, now=100.0)
        assert await store.beat("shop", 60.0, now=101.0)
        assert dict((await store.read(TASK, b"k")).heartbeats) == {"shop": 100.0}
        await store.close()

    async def test_a_heartbeat_from_the_future_gives_way(self, tmp_path: Path) -> None:
        """A clock that was wrong once must not hide a silence: the next heartbeat replaces it and reports this."""
        store = self.open_store(tmp_path)
        assert await store.beat("shop", 1000.0, now=1000.0)
        assert await store.beat("shop", 996.0, now=996.0)
        assert not await store.beat("shop", 900.0, now=900.0)
        assert dict((await store.read(TASK, b"k")).heartbeats) == {"shop": 900.0}
        await store.close()

    async def test_the_last_applied_event_is_known_by_its_id(self, tmp_path: Path) -> None:
        """It tells another log from the one that was applied; of a long id, only the begin is stored."""
        store = self.open_store(tmp_path)
        assert await store.applied("shop") == Applied(0, "")
        rows = [Change((f"policy/{n}", "policy/*"), "shop", f"id-{n}" * 100) for n in (1, 2)]
        await store.apply(rows, now=1.0, advance=Advance("shop", 0, 2))
        done = await store.applied("shop")
        assert done.position == 2
        assert done.event_id
        assert rows[1].id.startswith(done.event_id)
        await store.apply(rows[:1], now=1.0, advance=Advance("shop", 0, 1))
        assert await store.applied("shop") == done
        await store.close()

    async def test_a_source_is_rewound_in_one_step_with_its_tags(self, tmp_path: Path) -> None:
        """Its position is forgotten only in one step with raising its tags."""
        store = self.open_store(tmp_path)
        await store.apply([Change(("policy/a",), "shop", "1")], now=1.0, advance=Advance("shop", 0, 1))
        ack = await store.rewind("shop", ["policy", "policy/*"], now=1.0)
        assert ack.raised == {"policy": 2, "policy/*": 2}
        assert await store.applied("shop") == Applied(0, "")
        await store.close()

    async def test_an_event_is_parked_with_its_position(self, tmp_path: Path) -> None:
        """One commit raises the tags, moves the position and keeps the event; who comes second parks nothing."""
        store = self.open_store(tmp_path)
        events = [Parked("shop", n, "no tag", 1.0, b"\xff%d" % n) for n in (1, 2)]
        changes = [Change(("policy", "policy/*"), "shop", "", parked) for parked in events]
        await store.apply(changes, now=1.0, advance=Advance("shop", 0, 2))
        assert await store.unpark("shop", 2)
        await store.apply(changes, now=1.0, advance=Advance("shop", 0, 2))
        (kept,) = await store.parked(10)
        assert (kept.source, kept.position, kept.reason, kept.at, kept.event) == ("shop", 1, "no tag", 1.0, b"\xff1")
        assert (await store.applied("shop")).position == 2
        await store.close()

    async def test_parked_events_are_listed_and_forgotten(self, tmp_path: Path) -> None:
        """By source and position, page by page; a new reason replaces the old one; a forgotten event is gone."""
        store = self.open_store(tmp_path)
        for source, position in (("b", 300), ("a", 2), ("b", 1)):
            await store.park(Parked(source, position, "why", 1.0, b"x"))
        await store.park(Parked("b", 1, "now why", 1.0, b"x"))
        listed = [(p.source, p.position, p.reason) for p in await store.parked(10)]
        assert listed == [("a", 2, "why"), ("b", 1, "now why"), ("b", 300, "why")]
        assert [p.position for p in await store.parked(1, ("b", 1))] == [300]
        assert [p.position for p in await store.parked(2)] == [2, 1]
        assert await store.unpark("b", 1)
        assert not await store.unpark("b", 1)
        assert len(await store.parked(10)) == 2
        await store.close()

    async def test_forgotten_records_are_gone(self, tmp_path: Path) -> None:
        """A record that is forgotten is not read any more, others stay, and a key without a record does no harm."""
        store = self.open_store(tmp_path)
        stamp, _ = await store.stamp()
        for key in (b"a", b"b", b"c"):
            assert await store.write(TASK, key, make_record(stamp), now=1.0)
        await store.forget(TASK, [b"a", b"none", b"c"])
        assert [len((await store.read(TASK, key)).records) for key in (b"a", b"b", b"c")] == [0, 1, 0]
        assert await store.write(TASK, b"a", make_record(stamp), now=1.0)
        await store.close()

    async def test_a_generation_is_read_once_promoted(self, tmp_path: Path) -> None:
        """Rows of a run are visible to the run itself, and to all readers once its pointer has moved."""
        store = self.open_store(tmp_path)
        generation, stamp, _ = await store.begin()
        row = make_record(stamp, generation=generation)
        await store.write_base(TASK, generation, [(b"k", row)])
        assert (await store.read(TASK, b"k")).records == ()
        assert (await store.read(TASK, b"k", generation=generation)).records == (row,)
        assert await store.rows(generation) == 1
        assert await store.rows(generation + 1) == 0
        now_current = Promotion({TASK: Pointer(generation, 2.0, 1.0, 1)}, {TASK: 0}, stamp.incarnation)
        control = await store.promote(now_current)
        assert control.pointer(TASK) == generation
        assert (await store.read(TASK, b"k")).records == (row,)
        await store.close()

    async def test_a_promotion_whose_pointers_moved_conflicts(self, tmp_path: Path) -> None:
        """Compare-and-swap covers what is replaced and what was only read; a refused promotion moves nothing."""
        store = self.open_store(tmp_path)
        await self._generation(store, "model@1")
        try:
            incarnation = (await store.stamp())[0].incarnation
            await store.promote(Promotion({TASK: Pointer(9, 2.0, 1.0)}, {TASK: 0, "model@1": 0}, incarnation))
        except PromotionConflict as error:
            assert error.field == "model@1"
        else:
            raise AssertionError("a promotion over a moved pointer was accepted")
        assert (await store.stamp())[1].pointer(TASK) == 0
        await store.close()

    async def test_a_rollback_withdraws_the_current_generation(self, tmp_path: Path) -> None:
        """I8: everything built in or from it is dead at once, and the previous generation is current."""
        store = self.open_store(tmp_path)
        first = await self._generation(store, TASK)
        second = await self._generation(store, TASK)
        assert await store.rollback(TASK, 3.0) == first
        control = (await store.stamp())[1]
        assert (control.pointer(TASK), list(control.withdrawn)) == (first, [second])
        assert (await store.read(TASK, b"k")).records[0].meta.generation == first
        try:
            await store.rollback("never@1", 3.0)
        except UnknownResource:
            pass
        else:
            raise AssertionError("a task without a generation was rolled back")
        await store.close()

    async def test_a_sweep_leaves_what_may_still_be_read(self, tmp_path: Path) -> None:
        """Current, retained and running generations stay; abandoned and forgotten ones go."""
        store = self.open_store(tmp_path)
        generations = [await self._generation(store, TASK) for _ in range(5)]
        running, stamp, _ = await store.begin()
        abandoned, _, _ = await store.begin()
        for generation in (running, abandoned):
            await store.write_base(TASK, generation, [(b"k", make_record(stamp, generation=generation))])
        assert await store.sweep([abandoned]) == 3
        for generation in (*generations[2:], running):
            assert (await store.read(TASK, b"k", generation=generation)).records
        for generation in (*generations[:2], abandoned):
            assert (await store.read(TASK, b"k", generation=generation)).records == ()
        await store.close()

    async def test_a_retired_place_keeps_nothing(self, tmp_path: Path) -> None:
        """All generations of a retired task are deleted, even current or retained ones; those of others stay."""
        store = self.open_store(tmp_path)
        gone = [await self._generation(store, TASK) for _ in range(2)]
        kept = await self._generation(store, "other@1")
        assert await store.sweep((), [TASK]) == 2
        _, control = await store.stamp()
        assert sorted(control.pointers) == ["other@1"]
        assert [(await store.read(TASK, b"k", generation=generation)).records for generation in gone] == [(), ()]
        assert (await store.read("other@1", b"k", generation=kept)).records
        await store.close()

    async def test_what_names_a_person_is_erased(self, tmp_path: Path) -> None:
        """Items with a word in their name or value go, the log loses its tags, and everything else stays as it was."""
        store = self.open_store(tmp_path)
        word, told = b"ada-lovelace", b"a text of hers"
        generation = await self._generation(store, TASK, keys=(b"k", word, b"z"))
        stamp, _ = await store.stamp()
        await store.write(TASK, b"theirs", make_record(stamp, b"of " + word), now=1.0)
        await store.write(TASK, b"tagged", make_record(stamp, fences=("user/ada-lovelace",)), now=1.0)
        await store.write(TASK, b"said", make_record(stamp, told), now=1.0)
        await store.write(TASK, b"other", make_record(stamp), now=1.0)
        for key, entry in ((b"1", word), (b"2", b"else")):
            await store.append("list", key, entry)
        others = Change(("user/ada-lovelace2", "user/*"))
        changes = [Change(("user/ada-lovelace", "user/*")), others, Change(("policy/a", "policy/*"))]
        ack = await store.apply(changes, now=1.0)
        for position, event in ((1, b"{" + word), (2, b"{")):
            await store.park(Parked("shop", position, "unreadable", 1.0, event))
        names = (["ada-lovelace", "unheard-of"], ["a text of hers"], ack.stamp)
        await store.write(TASK, b"new", make_record(ack.stamp, told), now=1.0)  # of others, who say the same
        await store.write(TASK, b"later", make_record(ack.stamp, b"again of " + word), now=1.0)
        assert await store.erase(*names) == 8
        assert await store.erase(*names) == 0
        await store.compact()
        found = [key async for key, _ in store.scan(TASK)]
        assert sorted(found) == [b"k", b"new", b"other", b"z"]
        assert (await store.read(TASK, word, generation=generation)).records == ()
        assert await store.entries("list") == {b"2": b"else"}
        assert [parked.position for parked in await store.parked(10)] == [2]
        logged = [raised.tags for raised in await store.log(Stamp(0, 0), 10)]
        assert logged == [("user/*",), others.tags, ("policy/a", "policy/*")]
        record = make_record(ack.stamp, fences=("user/ada-lovelace",))
        assert (await store.look_again(record)).marks["user/ada-lovelace"]  # what begins before must not come back
        await store.close()

    async def test_a_scan_sees_each_key_once(self, tmp_path: Path) -> None:
        """Overlay and current base come together, with their watermarks; other tasks and generations do not."""
        store = self.open_store(tmp_path)
        await self._generation(store, TASK)
        generation = await self._generation(store, TASK, keys=(b"a", b"b"))
        await self._generation(store, "other@1", keys=(b"z",))
        await store.apply([Change(("policy/a", "policy/*"))], now=1.0)
        stamp, _ = await store.stamp()
        for key in (b"b", b"c"):
            await store.write(TASK, key, make_record(stamp), now=1.0)
        found = {key: [r.meta.generation for r in lookup.records] async for key, lookup in store.scan(TASK)}
        assert found == {b"a": [generation], b"b": [0, generation], b"c": [0]}
        assert [set(lookup.marks) async for _, lookup in store.scan(TASK)] == [{"policy/a"}] * 3
        await store.close()

    async def test_the_longest_keys_and_tags_fit(self, tmp_path: Path) -> None:
        """Keys of 300 bytes under a long task name, and tags of 256 bytes, are kept apart."""
        store = self.open_store(tmp_path)
        task, tag = "t" * 120 + "@1", "policy/" + "x" * 249
        stamp, _ = await store.stamp()
        for last in (b"1", b"2"):
            assert await store.write(task, b"k" * 299 + last, make_record(stamp, last, fences=(tag,)), now=1.0)
        ack = await store.apply([Change((tag, "policy/*"))], now=1.0)
        lookup = await store.read(task, b"k" * 299 + b"2")
        assert (lookup.records[0].payload, lookup.marks[tag]) == (b"2", ack.stamp.pack())
        await store.close()

    async def _generation(self, store: Store, task: str, keys: tuple[bytes, ...] = (b"k",)) -> int:
        """Build and promote one generation; returns its number."""
        generation, stamp, control = await store.begin()
        row = make_record(stamp, generation=generation)
        await store.write_base(task, generation, [(key, row) for key in keys])
        pointers = {task: Pointer(generation, 2.0, 1.0, 1)}
        await store.promote(Promotion(pointers, {task: control.pointer(task)}, control.incarnation))
        return generation
