"""What an app with an executor requires."""

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.adapters.local import LocalExecutor


async def test_processes_elsewhere_need_a_store_that_they_can_open(world):
    """An executor with other processes refuses a memory store before a run, because their rows would be lost."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(invalidated_by=[pb.fence("fact/{key}")], refresh=pb.every("20m"), keys=names))
    def row(key: str) -> str:
        return key

    executor = LocalExecutor("shop:app")
    app = pb.App(tasks, sources=[world.source], batch=pb.Batch(executor=executor))
    with pytest.raises(pb.errors.DeclarationError, match="cannot open a memory:// store") as caught:
        await app.materialize(row)
    assert caught.value.field == "store"
    await executor.close()
