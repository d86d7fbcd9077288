"""A journal elsewhere tells that the whole disk of an LMDB store was set back."""

import pytest
from tests.store_files import restart_machine, set_disk_back, side_file, snapshot
from tests.unit.shopfloor import contract

import parbake as pb

pytestmark = pytest.mark.xfail(strict=True, reason="no journal is told of openings yet")


class Shop:
    """A policy whose changes are only told by ``touch``, and a journal that lies elsewhere."""

    def __init__(self, folder):
        """Declare the task."""
        self.days, self.place, self.journal = "30", folder / "store", folder / "elsewhere" / "journal"
        self.journal.parent.mkdir()
        self.tasks = pb.Registry()

        @self.tasks.artifact(**contract(invalidated_by=[pb.fence("policy/{name}")]))
        async def policy(name: str) -> str:
            """Return the current days."""
            return self.days

        self.policy = policy

    def open(self):
        """Open an app, as another process would."""
        durability = pb.Durability(journal=self.journal)
        return pb.App(self.tasks, store=f"lmdb://{self.place}?map_size=16MiB", durability=durability)

    async def use(self, *touched):
        """Open an app, touch tags, read the policy, and close; return what was served."""
        app = self.open()
        for tag in touched:
            await app.touch(tag)
        served = await app.serve(self.policy, "returns")
        await app.close()
        return served.value if served.has_value else None


@pytest.fixture
def shop(tmp_path):
    """Return a shop."""
    return Shop(tmp_path)


async def test_a_disk_that_was_set_back_serves_nothing_old(shop):
    """The store and its side file are from before an acknowledged touch, and the machine was started again."""
    assert await shop.use() == "30"
    files = snapshot(shop.place)
    shop.days = "14"
    assert await shop.use("policy/returns") == "14"
    set_disk_back(shop.place, files)
    restart_machine(shop.place)
    assert await shop.use() != "30"
    app = shop.open()
    await app.drain()
    assert (await app.serve(shop.policy, "returns")).value == "14"
    await app.close()
    incarnation = memoryview(side_file(shop.place).read_bytes()).cast("Q")[0]
    shop.days = "not told"
    assert await shop.use() == "14"  # it is answered once: the next opening is trusted
    assert memoryview(side_file(shop.place).read_bytes()).cast("Q")[0] == incarnation
