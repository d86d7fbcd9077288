"""Runs that an executor computes elsewhere: nothing is promoted unless its rows are in the run's own store."""

import msgspec
import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.adapters.ray import RayExecutor
from parbake.errors import DeclarationError, OtherStore, RunLost
from parbake.lanes.batch.partition import PartitionAnswer, PartitionWork

tasks = pb.Registry()


def names() -> list[str]:
    """Return the keys."""
    return [f"key-{n}" for n in range(20)]


@tasks.artifact(**contract(invalidated_by=[], refresh=pb.every("20m"), keys=names))
def word(key: str) -> str:
    """Return the key in capitals."""
    return key.upper()


class Elsewhere:
    """An executor whose process has the same app over a store of its own choice."""

    width, is_local = 1, True

    def __init__(self, app):
        """Compute with an app."""
        self.app = app

    async def run(self, job):
        """Compute and write a partition there."""
        work = self.told(msgspec.msgpack.decode(job, type=PartitionWork))
        engine = self.app.engine
        try:
            done = await engine.batch.worker.perform(engine.tasks["word"], work, self.moved)
        except pb.errors.ParbakeError as error:
            return msgspec.msgpack.encode(PartitionAnswer(None, type(error).__name__, str(error), error.field))
        return msgspec.msgpack.encode(PartitionAnswer(done))

    def told(self, work):
        """Return what the process is told."""
        return work

    async def moved(self, _keys, _took_s):
        """Go on at once."""

    async def close(self):
        """Close the app."""
        await self.app.close()


class Careless(Elsewhere):
    """An executor whose process takes any store for the run's."""

    def __init__(self, app, incarnation):
        """Compute with an app whose store is in an incarnation."""
        super().__init__(app)
        self.incarnation = incarnation

    def told(self, work):
        """Replace the run's incarnation by that of its own store."""
        return msgspec.structs.replace(work, incarnation=self.incarnation)


@pytest.fixture
def there(tmp_path):
    """Return the app of the other process, whose store lies in another folder."""
    return pb.App(tasks, store=f"lmdb://{tmp_path}/theirs?map_size=16MiB")


@pytest.fixture
async def run(tmp_path):
    """Return a function that computes elsewhere for an app, and closes the app after the test."""
    apps = []

    async def run_by(executor):
        app = pb.App(tasks, store=f"lmdb://{tmp_path}/ours?map_size=16MiB", batch=pb.Batch(executor=executor))
        apps.append(app)
        return app, await _failure(app)

    yield run_by
    for app in apps:
        await app.close()


async def _failure(app):
    try:
        await app.materialize(word)
    except pb.errors.ParbakeError as error:
        return error
    return None


async def test_a_process_with_another_store_refuses_the_partition(run, there):
    """A process whose store is in another incarnation writes nothing, and the run is not promoted."""
    app, failure = await run(Elsewhere(there))
    assert type(failure) is OtherStore
    assert failure.field == "store"
    assert await app.ops.generation(word) == 0
    assert await there.engine.store.rows(1) == 0


async def test_rows_that_are_not_in_the_store_are_not_promoted(run, there):
    """If a process has written elsewhere all the same, the count in the run's own store prevents the promotion."""
    stamp, _ = await there.engine.store.stamp()
    app, failure = await run(Careless(there, stamp.incarnation))
    assert type(failure) is RunLost
    assert "0 of the 20 rows" in str(failure)
    assert await app.ops.generation(word) == 0


async def test_rows_in_the_store_are_promoted(tmp_path, run):
    """A process with the same store computes for the run."""
    same = pb.App(tasks, store=f"lmdb://{tmp_path}/ours?map_size=16MiB")
    app, failure = await run(Elsewhere(same))
    assert failure is None
    assert (await app.serve(word, "key-7")).lane == "batch"


@pytest.mark.parametrize("store", ["memory://", "lmdb://{folder}/store"])
def test_a_cluster_of_other_machines_needs_a_store_that_they_reach(tmp_path, store):
    """A store of one machine is refused with a cluster that may have others, before anything is computed."""
    executor = RayExecutor("shop:app", address="ray://head:10001")
    app = pb.App(tasks, store=store.format(folder=tmp_path), batch=pb.Batch(executor=executor))
    with pytest.raises(DeclarationError, match=r"cannot open a (memory:// )?store") as caught:
        _ = app.engine
    assert caught.value.field == "store"


def test_a_cluster_of_this_machine_may_use_its_store(tmp_path):
    """A cluster that is started here opens a store on this disk."""
    executor = RayExecutor("shop:app")
    app = pb.App(tasks, store=f"lmdb://{tmp_path}/store?map_size=16MiB", batch=pb.Batch(executor=executor))
    assert app.engine.store.is_local
