"""Worker threads: ``def`` tasks that read others never wait for a thread that only they could free."""

import asyncio

from tests.unit.shopfloor import contract
from tests.waiting import HANGS_S

import parbake as pb
from parbake.serving.threads import THREADS


async def test_a_chain_of_functions_never_runs_out_of_threads():
    """Three heights of plain functions, each asked for more keys at once than a pool has threads: all are served."""
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
    """Its inputs, and what its contract puts in its place."""
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
