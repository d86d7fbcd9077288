"""What an app's executor needs."""

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.executors.local import LocalExecutor


async def test_processes_elsewhere_need_a_store_that_they_can_open():
    """Rows that other processes write into a memory store would be lost: it is refused before anything runs."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[pb.fence("fact/{key}")], refresh=pb.every("20m"), keys=lambda: ["a"]))
    def row(key: str) -> str:
        return key

    app = pb.App(tasks, executor=LocalExecutor("shop:app"))
    with pytest.raises(pb.DeclarationError, match="several processes can open") as caught:
        await app.materialize(row)
    assert caught.value.field == "store"
