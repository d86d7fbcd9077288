"""The double that stands in for a networked store's driver passes the drivers' own suite."""

import pytest

from parbake.testing.items import DictItems, ItemsSuite


class TestDictItems(ItemsSuite):
    """A dictionary with snapshots."""

    is_snapshot = True

    @pytest.fixture(autouse=True)
    def _data(self):
        self.data = {}

    async def open_items(self, tmp_path):
        """Open one."""
        items = DictItems(self.data, is_snapshot=self.is_snapshot)
        await items.open()
        return items

    async def cut_off(self, items):
        """Refuse every further call."""
        items.is_cut_off = True


class TestDictItemsWithoutSnapshots(TestDictItems):
    """A dictionary whose fetch sees each item at a moment of its own."""

    is_snapshot = False


async def test_a_fetch_without_snapshots_can_mix_moments():
    """Another task's commit lands between two items of one fetch, which is what such a store's reader must expect."""
    import asyncio

    from parbake.stores.steps.items import Commit

    items = DictItems({b"ca": b"old", b"cb": b"old"}, is_snapshot=False)
    both = Commit({}, {b"ca": b"new", b"cb": b"new"})
    found, _ = await asyncio.gather(items.fetch([b"ca", b"cb"]), items.commit(both))
    assert found == [b"old", b"new"]
