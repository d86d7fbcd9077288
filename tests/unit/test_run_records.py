"""What the store writes of a run's progress, and what is left of it."""

import pytest

from parbake.errors import RunInProgress
from parbake.lanes.batch.runs import Part, Runs, State, UnderWay
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.tasks.gates import Profile
from parbake.testing.item_suite import DictItems

REF = "row@1"
HELD = UnderWay("r1", "me", 100.0, 1, 0.0, bytes(16), 1, {}, (REF,), b"")


class Weighed(DictItems):
    """Items that count the bytes that are written."""

    written = 0

    async def commit(self, commit):
        """Count, and commit."""
        self.written += sum(len(name) + len(value or b"") for name, value in commit.writes.items())
        return await super().commit(commit)

    async def put(self, rows):
        """Count, and put."""
        self.written += sum(len(name) + len(value) for name, value in rows)
        await super().put(rows)


@pytest.fixture
async def runs():
    """Return the record of a run that has begun."""
    found = Runs(OptimisticStore(Weighed()))
    await found.change(REF, lambda _: State(HELD))
    return found


async def finish(runs, number):
    """Finish a partition; return the bytes that were written."""
    before = runs.store.items.written
    await runs.finish(REF, "me", number.to_bytes(8, "big"), (Part(64, 1, 900), Profile(rows=64, absent=1)))
    return runs.store.items.written - before


async def test_a_finished_partition_writes_as_much_as_the_first_one_did(runs):
    """The bytes of a finish do not grow with the number of finished partitions."""
    written = [await finish(runs, number) for number in range(500)]
    assert set(written) == {written[0]}


async def test_the_finished_partitions_are_known_to_the_next_process(runs):
    """Partitions and the profile of all their rows are read together."""
    for number in range(3):
        await finish(runs, number)
    held = (await runs.in_full(REF)).under_way
    assert held.finished == {number.to_bytes(8, "big"): Part(64, 1, 900) for number in range(3)}
    assert (held.profile.rows, held.profile.absent) == (192, 3)
    assert (await runs.state(REF)).under_way == HELD


async def test_a_process_that_has_lost_its_run_finishes_nothing(runs):
    """After another process has taken the run over, no partition is added."""
    with pytest.raises(RunInProgress):
        await runs.finish(REF, "somebody else", b"digest", (Part(1, 0, 1), Profile()))
    assert (await runs.in_full(REF)).under_way.finished == {}


async def test_a_run_that_has_ended_leaves_no_list(runs):
    """The list of finished partitions is deleted with its run."""
    await finish(runs, 1)
    await runs.forget(REF, "r1")
    assert [name for name in runs.store.items.data if name.startswith(b"r")] == []
