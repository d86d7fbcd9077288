"""Runs that are interrupted, continued, contended, or recorded in the history."""

import asyncio
import gc
import signal
import socket
import subprocess
import sys

import msgspec
import pytest
from tests.unit.shopfloor import contract
from tests.waiting import HANGS_S

import parbake as pb
from parbake.errors import StoreError
from parbake.lanes.batch import partition
from parbake.lanes.batch.off_peak import RunSlot
from parbake.lanes.batch.runs import LEASE_S, State
from parbake.protocol.control import Pointer, Promotion
from parbake.tasks.retention import Retention


class Rows:
    """A task over 500 keys that fails at a chosen key and records what it computed."""

    def __init__(self, world, *, is_async=False, **options):
        """Declare the task and open the app."""
        self.keys = [f"key-{n:03}" for n in range(500)]
        self.break_at, self.error = None, ValueError("broken off")
        self.computed = []
        tasks = pb.Registry()

        def names() -> list[str]:
            return self.keys

        def row(key: str) -> str:
            if key == self.break_at:
                raise self.error
            self.computed.append(key)
            return key.upper()

        async def row_here(key: str) -> str:
            return row(key)

        row_here.__name__ = row.__name__
        settings = contract(invalidated_by=[pb.fence("fact/{key}")], refresh=pb.every("20m"), keys=names)
        self.row = tasks.artifact(**settings)(row_here if is_async else row)
        self.world = world
        self.app = world.app(tasks, **options)

    async def run(self, **options):
        """Run the task once."""
        self.computed.clear()
        return await self.app.materialize(self.row, **options)

    async def broken_run(self, at="key-400"):
        """Run the task once, with a failure."""
        self.break_at = at
        with pytest.raises(pb.errors.ComputeFailed):
            await self.run()
        self.break_at = None

    async def kept(self):
        """Return the state of the runs that the store keeps."""
        raw = await self.app.engine.store.get(f"runs/{self.row.ref}")
        return msgspec.msgpack.decode(raw, type=State)


@pytest.fixture
async def rows(world):
    """Return the task, after polling its sources."""
    made = Rows(world)
    await made.app.drain()
    return made


async def test_a_broken_run_is_continued_where_it_stood(rows):
    """The next run computes only the missing partitions, in the same generation."""
    await rows.broken_run()
    before = set(rows.computed)
    generation = (await rows.kept()).under_way.generation
    run = await rows.run()
    assert run.is_continued
    assert len(before & set(rows.computed)) < 128, "at most the partition that was under way"
    assert before | set(rows.computed) == set(rows.keys)
    built = run.built[0]
    assert (built.generation, built.rows) == (generation, 500)
    assert 0 < built.kept_partitions < built.partitions
    rows.computed.clear()
    served = [await rows.app.serve(rows.row, key) for key in rows.keys]
    assert {s.lane for s in served} == {"batch"}
    assert rows.computed == []


async def test_a_killed_run_is_continued_once_its_lease_has_ended(rows, world, monkeypatch):
    """A run whose process died cannot be continued until its lease expires."""
    release = rows.app.engine.batch.runs.__class__.release
    monkeypatch.setattr(rows.app.engine.batch.runs.__class__, "release", lambda *_: asyncio.sleep(0))
    await rows.broken_run()
    monkeypatch.setattr(rows.app.engine.batch.runs.__class__, "release", release)
    with pytest.raises(pb.errors.RunInProgress, match="row: a run is under way since 0 s") as caught:
        await rows.run()
    assert caught.value.status == 409
    world.clock.advance(LEASE_S + 1)
    assert (await rows.run()).is_continued


def pid_of_the_dead():
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    return ended.pid


async def test_a_run_whose_process_has_died_is_continued_at_once_on_its_machine(rows, monkeypatch):
    """A dead process's run on this host is continued at once; on another host its lease holds."""
    runs = rows.app.engine.batch.runs.__class__
    release = runs.release
    monkeypatch.setattr(runs, "release", lambda *_: asyncio.sleep(0))
    await rows.broken_run()
    monkeypatch.setattr(runs, "release", release)
    pid = pid_of_the_dead()
    for host, outcome in (("another machine", "RunInProgress"), (socket.gethostname(), "Run")):
        dead = f"{host}/{pid}/x"

        def held_by_dead(state, dead=dead):
            return msgspec.structs.replace(state, under_way=msgspec.structs.replace(state.under_way, holder=dead))

        await rows.app.engine.batch.runs.change(rows.row.ref, held_by_dead)
        (done,) = await asyncio.gather(rows.run(), return_exceptions=True)
        assert type(done).__name__ == outcome
    assert done.is_continued


async def test_a_run_that_fails_says_why_until_it_is_continued(rows):
    """The store keeps the exception in one short line without secrets, until the next run."""
    rows.error = ConnectionError("cannot reach\n redis://shop:s3cret@db with password=hunter2, " + "x" * 1000)
    await rows.broken_run()
    failed = (await rows.kept()).under_way
    shown = "row: ConnectionError: cannot reach redis://***@db with password=***, xxx"
    assert failed.failure.startswith(shown)
    assert len(failed.failure) == 500
    assert failed.standing(rows.world.clock.now()) == "failed"
    assert (await rows.run()).is_continued
    assert (await rows.kept()).under_way is None


async def test_a_run_that_is_cancelled_has_not_failed(rows, monkeypatch):
    """A cancelled run is recorded as interrupted, without a failure."""
    reached = asyncio.Event()
    runs = rows.app.engine.batch.runs.__class__
    finish = runs.finish

    async def noted(*args):
        await finish(*args)
        reached.set()

    monkeypatch.setattr(runs, "finish", noted)
    running = asyncio.create_task(rows.run())
    await reached.wait()
    now = rows.world.clock.now()
    assert (await rows.kept()).under_way.standing(now) == "under way"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    left = (await rows.kept()).under_way
    assert (left.failure, left.standing(now)) == ("", "interrupted")


@pytest.mark.parametrize("error", [SystemExit("enough"), KeyboardInterrupt("enough")])
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_task_that_exits_has_failed(world, error, is_async, monkeypatch):
    """``SystemExit`` or ``KeyboardInterrupt`` in a task fails its run, which can be continued."""
    if is_async:  # as under asyncio.run, where an interruption by the user cancels
        monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_IGN)
    rows = Rows(world, is_async=is_async)
    rows.error = error
    await rows.app.drain()
    await rows.broken_run()
    assert (await rows.kept()).under_way.failure == f"row: {type(error).__name__}: enough"
    assert (await rows.run()).is_continued


async def test_a_quality_gate_that_exits_has_refused(world):
    """A gate that raises ``SystemExit`` fails the run."""
    tasks = pb.Registry()

    def gate(_):
        sys.exit("no")

    @tasks.artifact(**contract(invalidated_by=[]), gates=pb.Gates(quality=gate))
    def word(key: str) -> str:
        return key

    with pytest.raises(pb.errors.GateFailed, match="its quality gate raised SystemExit: no"):
        await world.app(tasks).materialize(word, keys=["a"])


class Refusing:
    """An executor whose two partitions fail, both at once, or the second when it is cancelled."""

    width, is_local = 2, True

    def __init__(self, *, at_once):
        """Start without jobs."""
        self.jobs, self.at_once = 0, at_once
        self.both = asyncio.Event()

    async def run(self, _job):
        """Fail."""
        self.jobs += 1
        number = self.jobs
        if number == self.width:
            self.both.set()
        try:
            await (self.both.wait() if number == 1 or self.at_once else asyncio.sleep(60))
        except asyncio.CancelledError:
            raise OSError("lost while it was cancelled") from None
        raise pb.errors.ComputeFailed(f"job {number} failed", field="row")

    async def close(self):
        """Close nothing."""


@pytest.mark.parametrize("at_once", [True, False])
async def test_of_two_failures_one_is_raised_and_the_other_logged(world, tmp_path, caplog, at_once):
    """Of two failed partitions one exception is raised and the other logged; asyncio reports none as lost."""
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    rows = Rows(
        world, batch=pb.Batch(executor=Refusing(at_once=at_once)), store=f"lmdb://{tmp_path}/store?map_size=16MiB"
    )
    await rows.app.drain()
    with pytest.raises(pb.errors.ComputeFailed, match="job 1 failed"):
        await rows.run()
    gc.collect()
    assert complaints == []
    other = "job 2 failed" if at_once else "OSError: lost while it was cancelled"
    assert [r.getMessage() for r in caplog.records] == [f"another partition of the run failed: {other}"]
    await rows.app.close()


async def test_a_partition_that_cancels_itself_fails_the_run(world):
    """A task that raises ``CancelledError`` fails its run."""
    rows = Rows(world)
    rows.error = asyncio.CancelledError()
    await rows.app.drain()
    await rows.broken_run()
    assert "row: CancelledError" in (await rows.kept()).under_way.failure


async def test_a_write_that_fails_beside_the_computation_is_logged(world, monkeypatch, caplog):
    """The computation's exception is raised, and that of a concurrent write is logged."""
    rows = Rows(world)
    await rows.app.drain()

    async def broken(*_):
        await asyncio.sleep(0)
        raise pb.errors.StoreError("the disk is gone")

    monkeypatch.setattr(rows.app.engine.store, "write_base", broken)
    monkeypatch.setattr(partition, "FLUSH_ROWS", 1)
    rows.keys = rows.keys[:2]
    rows.break_at = rows.keys[1]
    with pytest.raises(pb.errors.ComputeFailed, match="broken off"):
        await rows.run()
    assert f"{rows.row.ref}: a write of the failed partition failed, too: the disk is gone" in caplog.text


async def test_new_keys_where_nothing_was_finished_cost_nothing(rows):
    """A new key behind the finished partitions is included when the run continues."""
    await rows.broken_run()
    first = set(rows.computed)
    rows.keys.insert(490, "key-489b")
    run = await rows.run()
    assert run.is_continued
    assert "key-489b" in rows.computed
    assert run.built[0].rows == 501
    assert len(first & set(rows.computed)) < 128


@pytest.mark.parametrize("change", ["a key gone", "another order", "a key more"])
async def test_finished_keys_that_are_listed_otherwise_begin_the_run_anew(rows, change):
    """If keys of finished partitions change, the run restarts, and only listed keys are stored."""
    await rows.broken_run()
    if change == "a key gone":
        del rows.keys[3]
    elif change == "another order":
        rows.keys.reverse()
    else:
        rows.keys.insert(3, "key-002b")
    run = await rows.run()
    assert not run.is_continued
    assert sorted(rows.computed) == sorted(rows.keys)
    stored = [key async for key, _ in rows.app.stored(rows.row)]
    assert sorted(stored) == sorted(rows.keys)
    kept = await rows.kept()
    assert (run.built[0].rows, kept.ended[0].profile.rows) == (len(rows.keys), len(rows.keys))
    assert kept.under_way is None


async def test_an_event_during_the_interruption_kills_what_was_computed_before_it(rows):
    """An event during an interruption outdates a row that was computed before it."""
    await rows.broken_run()
    await rows.app.touch("fact/key-000")
    await rows.run()
    rows.computed.clear()
    served = await rows.app.serve(rows.row, "key-000")
    assert served.lane == "realtime"
    assert rows.computed == ["key-000"]


@pytest.mark.parametrize("change", ["other keys", "too old", "other code", "anew", "a promotion", "another store"])
async def test_a_run_that_cannot_be_continued_is_begun_anew(rows, world, change):
    """If keys, code, age or generation rule out a continuation, the run restarts in a new generation."""
    await rows.broken_run()
    old = (await rows.kept()).under_way.generation
    options = {}
    if change == "other keys":
        options = {"keys": ["key-001", "key-002"]}
    elif change == "other code":
        broken = rows.row.fn

        def mended(key: str) -> str:
            return broken(key).lower()

        object.__setattr__(rows.row, "fn", mended)
    elif change == "anew":
        options = {"anew": True}
    elif change == "too old":
        world.clock.advance(1801)
    elif change == "a promotion":
        store = rows.app.engine.store
        generation, _, control = await store.begin()
        await store.promote(Promotion({rows.row.ref: Pointer(generation, 0.0, 0.0)}, {}, control.incarnation))
    else:
        await rows.app.engine.store.sweep([old])
    run = await rows.run(**options)
    assert not run.is_continued
    assert run.built[0].generation != old
    assert len(rows.computed) == (2 if "keys" in options else 500)
    control = (await rows.app.engine.store.stamp())[1]
    assert control.running == ()


async def test_a_run_that_is_taken_over_ends(rows, monkeypatch):
    """A run that another process took over raises ``RunInProgress`` and promotes nothing."""
    taken = asyncio.Event()
    finish = rows.app.engine.batch.runs.__class__.finish

    async def stolen(runs, ref, *done):
        await finish(runs, ref, *done)
        held = (await runs.in_full(ref)).under_way
        if len(held.finished) == 2 and not taken.is_set():
            taken.set()
            thief = msgspec.structs.replace(held.bare(), holder="another")
            await runs.change(ref, lambda state: msgspec.structs.replace(state, under_way=thief))

    monkeypatch.setattr(rows.app.engine.batch.runs.__class__, "finish", stolen)
    with pytest.raises(pb.errors.RunInProgress, match="taken this run over"):
        await rows.run()
    assert (await rows.kept()).under_way.holder == "another"
    assert await rows.app.ops.generation(rows.row) == 0


async def test_a_lease_is_renewed_for_as_long_as_the_run_works(rows, world, monkeypatch):
    """A run renews its lease again and again, also after a failed renewal."""
    runs = rows.app.engine.batch.runs
    hold, finish = type(runs).hold, type(runs).finish
    renewed, thrice = [], asyncio.Event()

    async def counted(runs, ref, holder, until):
        world.clock.advance(1)
        if len(renewed) == 1:
            renewed.append(None)
            raise StoreError("down", field="store")
        await hold(runs, ref, holder, until)
        renewed.append((await rows.kept()).under_way.until - world.clock.now() + 1)
        if len(renewed) > 3:
            thrice.set()

    async def patient(*given):
        await thrice.wait()
        await finish(*given)

    monkeypatch.setattr(type(runs), "hold", counted)
    monkeypatch.setattr(type(runs), "finish", patient)
    monkeypatch.setattr(runs, "lease_s", 0.03)
    await asyncio.wait_for(rows.run(), HANGS_S)
    assert renewed[:4] == [pytest.approx(0.03), None, pytest.approx(0.03), pytest.approx(0.03)]
    assert await rows.app.ops.generation(rows.row) > 0


async def test_runs_are_remembered_with_their_outcome(rows):
    """The history has promoted and refused runs with their reasons, newest first."""
    lane, plan = rows.app.engine.batch, rows.app.engine.tasks["row"]
    await anext(lane.materialize(plan, trigger="test", slot=RunSlot(0.0, "to see")))
    rows.keys = rows.keys[:10]
    with pytest.raises(pb.errors.GateFailed, match="10 rows, fewer than 50% of the previous 500"):
        await rows.run()
    refused, promoted = (await rows.kept()).ended
    assert (promoted.outcome, promoted.trigger, promoted.why, promoted.rows) == ("promoted", "test", "to see", 500)
    assert "10 rows" in refused.outcome
    assert (await rows.kept()).under_way is None


async def test_a_disk_that_fills_up_during_a_run_costs_the_run_and_nothing_else(world, tmp_path):
    """If the store is full a run fails, its rows are removed, and the old generation is served."""
    size, tasks = [10], pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[pb.fence("fact")]), chunk=64)
    def blob(keys: pb.Keys[str]) -> dict[str, bytes]:
        return {key: bytes(size[0]) for key in keys}

    app = world.app(tasks, store=f"lmdb://{tmp_path}/store?map_size=64MiB")
    await app.drain()
    keys = [f"k{n}" for n in range(1000)]
    first = await app.materialize(blob, keys=keys)
    size[0] = 200_000
    with pytest.raises(pb.errors.StoreFull, match="map_size"):
        await app.materialize(blob, keys=keys)
    served = await app.serve(blob, "k7")
    assert (served.lane, served.generation, len(served.unwrap())) == ("batch", first.built[0].generation, 10)
    await app.touch("fact/k7")
    refused, _ = (await app.ops.runs(blob)).ended
    assert "map_size" in refused.outcome
    size[0] = 1000
    assert (await app.materialize(blob, keys=keys)).built[0].rows == 1000
    await app.close()


async def test_a_continued_run_is_judged_by_the_keys_that_are_listed_now(rows):
    """A gate counts only keys that are listed now, and not those of finished partitions."""
    await rows.run()
    await rows.broken_run()
    rows.keys = rows.keys[:10]
    with pytest.raises(pb.errors.GateFailed, match="10 rows, fewer than 50% of the previous 500"):
        await rows.run()


async def test_refusals_do_not_wear_a_gate_out(rows):
    """Refused runs do not push the last promoted run out of the history."""
    await rows.run()
    promoted = await rows.app.ops.generation(rows.row)
    rows.keys = rows.keys[:10]
    for _ in range(25):
        with pytest.raises(pb.errors.GateFailed):
            await rows.run()
    assert (await rows.kept()).of_generation(promoted).rows == 500
    assert len((await rows.kept()).ended) == 21


async def test_retention_bounds_what_can_be_rolled_back_to(world):
    """Generations are kept by number and by size; the current one is always kept."""
    for retention, kept in ((Retention(2), 2), (Retention(5), 5), (Retention(5, "2047"), 2)):
        tasks = pb.Registry()

        @tasks.artifact(**contract(invalidated_by=[]), retention=retention)
        def word(key: str) -> str:
            return key * 1000

        app = world.app(tasks)
        for _ in range(7):
            await app.materialize(word, keys=["a"])
        pointer = (await app.engine.store.stamp())[1].pointers[word.ref]
        assert len(pointer.history) == kept
        for _ in range(kept - 1):
            await app.ops.rollback(word)
        with pytest.raises(pb.errors.UnknownResource, match="no earlier generation"):
            await app.ops.rollback(word)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"generations": 0}, "retention.generations"),
        ({"generations": 17}, "retention.generations"),
        ({"size": "much"}, "retention.size"),
    ],
)
def test_a_retention_that_cannot_be_meant_is_refused(wrong, field):
    """An invalid retention is refused by its field."""
    with pytest.raises(pb.errors.ContractError) as caught:
        Retention(**wrong)
    assert caught.value.field == field
