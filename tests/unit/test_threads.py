"""Threads for tasks: ``def`` tasks that read others never wait for a thread that only they could free."""

import asyncio
import threading

import pytest
from tests.unit.shopfloor import contract
from tests.waiting import HANGS_S

import parbake as pb
from parbake.process import threads
from parbake.process.threads import THREADS


async def test_a_chain_of_functions_never_runs_out_of_threads():
    """Three levels of ``def`` tasks serve more concurrent keys than a pool has threads."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def base(key: str) -> str:
        return key

    @tasks.artifact(**contract(invalidated_by=[]))
    def middle(key: str, *, bases: pb.Reader[str, str] = pb.Input(base)) -> str:
        return bases.read(key).unwrap()

    @tasks.artifact(**contract(invalidated_by=[]))
    def top(key: str, *, middles: pb.Reader[str, str] = pb.Input(middle)) -> str:
        return middles.read(key).unwrap()

    app = pb.App(tasks)
    keys = [str(n) for n in range(3 * THREADS)]
    async with asyncio.timeout(HANGS_S):
        served = await asyncio.gather(*(app.serve(top, key) for key in keys))
    assert [one.value for one in served] == keys
    await app.close()


def test_a_task_stands_above_all_that_it_may_read():
    """A task's height exceeds that of its inputs and of its fallback task."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def low(key: str) -> str:
        return key

    @tasks.artifact(**contract(invalidated_by=[], fallback_if_stale=pb.Use(low)))
    def covered(key: str) -> str:
        return key

    @tasks.artifact(**contract(invalidated_by=[]))
    def high(key: str, *, others: pb.Reader[str, str] = pb.Input(covered)) -> str:
        return others.read(key).unwrap()

    assert [task.height for task in (low, covered, high)] == [0, 1, 2]


async def test_the_number_of_threads_is_a_setting(monkeypatch):
    """With two threads, at most two ``def`` tasks of a height run at once."""
    monkeypatch.setenv("PARBAKE_TASK_THREADS", "2")
    monkeypatch.setattr(threads, "_pools", {})
    tasks, running, most, lock = pb.Registry(), 0, 0, threading.Lock()
    both = threading.Barrier(2)

    @tasks.artifact(**contract(invalidated_by=[]))
    def busy(key: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(HANGS_S)
        with lock:
            running -= 1
        return key

    app = pb.App(tasks)
    async with asyncio.timeout(HANGS_S):
        await asyncio.gather(*(app.serve(busy, str(number)) for number in range(8)))
    assert most == 2
    await app.close()


@pytest.mark.parametrize("said", ["0", "-1", "many", "", "1001", "9" * 30, "2.5"])
def test_a_number_of_threads_that_cannot_be_meant_is_refused(monkeypatch, said):
    """An invalid ``PARBAKE_TASK_THREADS`` is refused by name when the app is opened."""
    monkeypatch.setenv("PARBAKE_TASK_THREADS", said)
    with pytest.raises(pb.BadInput, match="PARBAKE_TASK_THREADS") as refused:
        _ = pb.App(pb.Registry()).engine
    assert refused.value.field == "PARBAKE_TASK_THREADS"


async def test_a_poll_waits_for_no_thread_of_a_request(world):
    """Sources are polled while all threads of the event loop's default pool are blocked."""
    app, free = world.app(pb.Registry()), threading.Event()
    await app.drain()
    world.put("a", "one")
    taken = [asyncio.create_task(asyncio.to_thread(free.wait, HANGS_S)) for _ in range(2 * THREADS)]
    async with asyncio.timeout(HANGS_S / 2):
        assert "fact/a" in (await app.drain()).raised
        assert (await app.ready()).is_ready
    free.set()
    await asyncio.gather(*taken)
    await app.close()
