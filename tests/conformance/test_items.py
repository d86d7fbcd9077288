"""The stand-in for a networked store's driver passes the drivers' suite."""

import pytest

from parbake.testing.item_suite import DictItems, ItemsSuite


class TestDictItems(ItemsSuite):
    """A dictionary with snapshots."""

    is_snapshot = True

    @pytest.fixture(autouse=True)
    def _data(self):
        self.data = {}

    async def open_items(self, tmp_path):
        """Open the items."""
        items = DictItems(self.data, is_snapshot=self.is_snapshot)
        await items.open()
        return items

    async def cut_off(self, items):
        """Make every further call fail."""
        items.is_cut_off = True


class TestDictItemsWithoutSnapshots(TestDictItems):
    """A dictionary whose fetch reads each item at its own moment."""

    is_snapshot = False


async def test_a_fetch_without_snapshots_can_mix_moments():
    """Without snapshots, a commit of another task can fall between two items of one fetch."""
    import asyncio

    from parbake.stores.steps.item_steps import Commit

    items = DictItems({b"ca": b"old", b"cb": b"old"}, is_snapshot=False)
    both = Commit({}, {b"ca": b"new", b"cb": b"new"})
    found, _ = await asyncio.gather(items.fetch([b"ca", b"cb"]), items.commit(both))
    assert found == [b"old", b"new"]
