"""Steps that wait for LMDB's disk share a commit, and each has its own result."""

import asyncio
import contextlib
import tempfile
import threading

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import HANGS_S

from parbake.errors import StoreError, StoreFull
from parbake.stores import _lmdb_writer
from parbake.stores._lmdb_writer import TOGETHER, Writer
from parbake.stores.lmdb import LmdbStore


@contextlib.contextmanager
def opened(folder, *, map_size=16 << 20):
    """Open an environment with its writer."""
    with lmdb.open(str(folder), map_size=map_size) as env:
        writer = Writer(
            lambda: env, folder, lambda error: StoreError(str(error), field="store"),
            room=map_size, check=lambda _: None, on_commit=lambda: None, follow=lambda: None,
        )  # fmt: skip
        try:
            yield env, writer
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def held(writer):
    """Keep the writer busy during the body, so that steps which start there wait until it ends."""
    entered, release = threading.Event(), threading.Event()

    def hold(_txn):
        entered.set()
        assert release.wait(HANGS_S)

    holding = asyncio.create_task(writer.run(hold))
    await asyncio.to_thread(entered.wait, HANGS_S)
    try:
        yield
        await asyncio.sleep(0)  # tasks that the body started get as far as their step
    finally:
        release.set()
        await holding


def items(env):
    """Return everything in the file."""
    with env.begin() as txn, txn.cursor() as cursor:
        return dict(cursor)


def commits(env):
    """Return the number of commits that have written so far."""
    return env.info()["last_txnid"]


def numbered(name):
    """Return a step that counts up, writes its number under a name and returns it."""

    def step(txn):
        number = int(txn.get(b"count") or b"0") + 1
        txn.put(b"count", b"%d" % number)
        txn.put(name, b"%d" % number)
        return number

    return step


class Refused(Exception):
    """An exception of a step."""


async def test_steps_that_wait_share_a_commit_in_their_order(tmp_path):
    """Waiting steps run in order, each sees the writes before it, and one commit writes all."""
    with opened(tmp_path) as (env, writer):
        before = commits(env)
        async with held(writer):
            tasks = [asyncio.create_task(writer.run(numbered(b"step%d" % n))) for n in range(TOGETHER)]
        assert await asyncio.gather(*tasks) == list(range(1, TOGETHER + 1))
        assert commits(env) == before + 1
        assert items(env)[b"step7"] == b"8"


async def test_many_steps_take_several_commits(tmp_path):
    """A commit holds at most a fixed number of steps, and their order is kept."""
    with opened(tmp_path) as (env, writer):
        before = commits(env)
        async with held(writer):
            tasks = [asyncio.create_task(writer.run(numbered(b"step%d" % n))) for n in range(3 * TOGETHER)]
        assert await asyncio.gather(*tasks) == list(range(1, 3 * TOGETHER + 1))
        assert commits(env) == before + 3


async def test_a_step_that_raises_takes_only_its_own_writes_along(tmp_path):
    """A step that raises loses only its own writes; its caller gets the exception."""

    def refuse(txn):
        numbered(b"refused")(txn)
        raise Refused

    with opened(tmp_path) as (env, writer):
        async with held(writer):
            steps = [numbered(b"first"), refuse, numbered(b"second")]
            tasks = [asyncio.create_task(writer.run(step)) for step in steps]
        first, error, second = await asyncio.gather(*tasks, return_exceptions=True)
        assert (first, type(error), second) == (1, Refused, 2)
        assert items(env) == {b"count": b"2", b"first": b"1", b"second": b"2"}


async def test_a_step_that_does_not_fit_fails_alone(tmp_path):
    """If the map is full each step runs alone, and only the large one is refused."""
    with opened(tmp_path, map_size=256 << 10) as (env, writer):
        async with held(writer):
            steps = [numbered(b"first"), lambda txn: txn.put(b"large", bytes(1 << 20)), numbered(b"second")]
            tasks = [asyncio.create_task(writer.run(step)) for step in steps]
        first, error, second = await asyncio.gather(*tasks, return_exceptions=True)
        assert (first, type(error), second) == (1, StoreFull, 2)
        assert items(env) == {b"count": b"2", b"first": b"1", b"second": b"2"}


async def test_a_caller_that_gave_up_is_passed_over(tmp_path):
    """A step that is cancelled while it waits does not run, and one cancelled under way does no harm."""
    with opened(tmp_path) as (env, writer):
        async with held(writer):
            tasks = [asyncio.create_task(writer.run(numbered(b"step%d" % n))) for n in range(3)]
            await asyncio.sleep(0)
            tasks[1].cancel()
        assert (await tasks[0], await tasks[2]) == (1, 2)
        assert b"step1" not in items(env)
        async with held(writer):
            inside = asyncio.create_task(writer.run(numbered(b"later")))
        inside.cancel()
        with pytest.raises(asyncio.CancelledError):
            await inside
        assert await writer.run(numbered(b"last")) in {3, 4}


async def test_callers_on_several_loops_share_a_commit(tmp_path):
    """Steps from several loops share a commit, each gets its result, and a closed loop disturbs no other."""
    with opened(tmp_path) as (env, writer):
        found = []
        gone = asyncio.new_event_loop()
        async with held(writer):
            left = gone.create_task(writer.run(numbered(b"gone")))
            gone.call_soon(gone.stop)
            await asyncio.to_thread(gone.run_forever)
            gone.close()
            here = asyncio.create_task(writer.run(numbered(b"here")))
            await asyncio.sleep(0)  # so that it waits before the other one
            there = threading.Thread(target=lambda: found.append(asyncio.run(writer.run(numbered(b"there")))))
            there.start()
            while len(writer._waiting) < 3:  # noqa: ASYNC110  # the other loop runs in a thread of its own
                await asyncio.sleep(0.001)
        assert await here == 2
        await asyncio.to_thread(there.join)
        assert found == [3]
        assert not left.done()
        left._log_destroy_pending = False  # the task is left unfinished on purpose
        assert items(env)[b"gone"] == b"1"


WRITES = st.lists(
    st.tuples(st.integers(0, 20), st.one_of(st.none(), st.sampled_from([0, 10, 600, 3000, 9000]))), max_size=6
)


@settings(max_examples=40)
@given(st.lists(st.tuples(WRITES, st.booleans()), min_size=2, max_size=12))
def test_what_is_committed_together_is_what_one_after_the_other_would_be(plan):
    """For any writes and deletions, the file holds what the successful steps would leave one after the other."""
    expected = {}
    for number, (writes, fails) in enumerate(plan):
        for name, size in () if fails else writes:
            expected.pop(b"%d" % name, None)
            if size is not None:
                expected[b"%d" % name] = bytes([number]) * size
    with tempfile.TemporaryDirectory() as folder, opened(folder) as (env, writer):
        asyncio.run(_all_at_once(writer, plan))
        assert items(env) == expected


async def _all_at_once(writer, plan):
    def step_of(number, writes, fails):
        def step(txn):
            for name, size in writes:
                if size is None:
                    txn.delete(b"%d" % name)
                else:
                    txn.put(b"%d" % name, bytes([number]) * size)
            if fails:
                raise Refused

        return step

    async with held(writer):
        steps = [step_of(number, writes, fails) for number, (writes, fails) in enumerate(plan)]
        tasks = [asyncio.create_task(writer.run(step)) for step in steps]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, Refused) for result in results] == [fails for _, fails in plan]


async def test_a_full_disk_is_said_to_be_full(tmp_path, monkeypatch):
    """LMDB's I/O error becomes ``StoreFull`` if the disk has no room left."""
    store = LmdbStore(tmp_path / "store")
    await store.stamp()

    def failing(_):
        raise lmdb.DiskError("mdb_txn_commit: Input/output error")

    with pytest.raises(StoreError, match="Input/output") as caught:
        await store._step(failing)
    assert not isinstance(caught.value, StoreFull)
    monkeypatch.setattr(_lmdb_writer, "_left", lambda _: 4096)
    with pytest.raises(StoreFull, match=r"disk of .* is full"):
        await store._step(failing)
    await store.close()
