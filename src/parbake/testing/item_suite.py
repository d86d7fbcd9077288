"""What every driver of a networked store must do, and a double that does it in memory.

A new driver passes with a subclass that opens it on an empty place::

    class TestMyItems(ItemsSuite):
        async def open_items(self, tmp_path):
            items = MyItems(f"{self.server}/{tmp_path.name}")
            await items.open()
            return items

        async def cut_off(self, items):
            self.server.kill()

Run by pytest with pytest-asyncio in its automatic mode.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path

from parbake.errors import StoreError
from parbake.stores.steps.item_steps import Commit, Items

_CUT_OFF_S = 60.0
"""The seconds within which a call must fail once the server is gone."""


class DictItems:
    """Items in a dictionary, for tests (see :class:`parbake.stores.steps.item_steps.Items`).

    Clients of one dictionary share its data.

    ``is_snapshot=False`` lets other tasks run between the items of a ``fetch``, as a store without snapshots does.
    """

    commit_limit = 100

    def __init__(self, data: dict[bytes, bytes] | None = None, *, is_snapshot: bool = True, host: str = "dict") -> None:
        """Create the items. Assigning ``host`` later simulates a restart."""
        self.data = {} if data is None else data
        self.is_snapshot = is_snapshot
        self.host = host
        self.is_cut_off = False

    async def open(self) -> None:
        """Do nothing: there is nothing to connect to."""
        self._must_be_reachable()

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Read at one moment, or item by item."""
        self._must_be_reachable()
        found: list[bytes | None] = []
        for name in names:
            if not self.is_snapshot:
                await asyncio.sleep(0)
            found.append(self.data.get(name))
        return found

    async def commit(self, commit: Commit) -> bool:
        """Commit atomically."""
        self._must_be_reachable()
        await asyncio.sleep(0)
        if len({*commit.expected, *commit.writes}) > self.commit_limit:
            raise StoreError(f"a commit of more than {self.commit_limit} items", field="store")
        if commit.host not in {"", self.host}:
            return False
        if any(self.data.get(name) != value for name, value in commit.expected.items()):
            return False
        for name, value in commit.writes.items():
            if value is None:
                self.data.pop(name, None)
            else:
                self.data[name] = value
        return True

    async def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        self._must_be_reachable()
        self.data.update(rows)

    async def remove(self, names: Collection[bytes]) -> None:
        self._must_be_reachable()
        for name in names:
            self.data.pop(name, None)

    async def range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        self._must_be_reachable()
        names = sorted(name for name in self.data if name.startswith(prefix) and name >= start)
        return [(name, self.data[name]) for name in names[:limit]]

    async def count(self, prefix: bytes) -> int:
        self._must_be_reachable()
        return sum(name.startswith(prefix) for name in self.data)

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _must_be_reachable(self) -> None:
        if self.is_cut_off:
            raise StoreError("the items were cut off by the test", field="store")


class ItemsSuite(ABC):
    """The conformance suite of :class:`parbake.stores.steps.item_steps.Items`."""

    @abstractmethod
    async def open_items(self, tmp_path: Path) -> Items:
        """Open the items of a test, empty at first; a further call with the same folder is one more client of them."""

    @abstractmethod
    async def cut_off(self, items: Items) -> None:
        """Make the server unreachable for these items until the test has ended."""

    @contextlib.asynccontextmanager
    async def opened(self, tmp_path: Path) -> AsyncIterator[Items]:
        """Open items and close them again."""
        items = await self.open_items(tmp_path)
        try:
            yield items
        finally:
            await items.close()

    async def test_open_is_repeatable_and_tells_the_host(self, tmp_path: Path) -> None:
        """Opening again changes nothing, and two clients of one server see the same copy of the data."""
        async with self.opened(tmp_path) as items, self.opened(tmp_path) as other:
            host = items.host
            await items.open()
            assert host
            assert (items.host, other.host) == (host, host)

    async def test_fetch_answers_in_order(self, tmp_path: Path) -> None:
        """Each name gets its value in order, even if it is requested twice, and ``None`` if it is absent."""
        async with self.opened(tmp_path) as items:
            await items.put([(b"ca", b"1"), (b"cb", b"2")])
            assert await items.fetch([b"cb", b"cx", b"ca", b"cb"]) == [b"2", None, b"1", b"2"]
            assert await items.fetch([b"cb"]) == [b"2"]
            assert await items.fetch([]) == []

    async def test_fetch_takes_many_names(self, tmp_path: Path) -> None:
        """A fetch of 450 names, some of them absent, is answered as a whole."""
        async with self.opened(tmp_path) as items:
            rows = [(b"n%d" % n, b"v%d" % n) for n in range(0, 450, 2)]
            await items.put(rows)
            expected = dict(rows)
            names = [b"n%d" % n for n in range(450)]
            assert await items.fetch(names) == [expected.get(name) for name in names]

    async def test_a_commit_writes_all_or_nothing(self, tmp_path: Path) -> None:
        """One failed expectation, on a written or a read item, prevents all writes."""
        async with self.opened(tmp_path) as items:
            await items.put([(b"ca", b"1"), (b"cb", b"2")])
            for wrong in ({b"ca": b"0"}, {b"ca": b"1", b"cb": b"0"}, {b"cz": b"0"}, {b"ca": b"1", b"cz": b""}):
                assert not await items.commit(Commit(wrong, {b"ca": b"new", b"cb": b"new", b"cd": b"new"}))
            assert await items.fetch([b"ca", b"cb", b"cd"]) == [b"1", b"2", None]
            right = Commit({b"ca": b"1", b"cb": b"2"}, {b"ca": b"new", b"cd": b"new"})
            assert await items.commit(right)
            assert await items.fetch([b"ca", b"cb", b"cd"]) == [b"new", b"2", b"new"]

    async def test_absence_can_be_expected(self, tmp_path: Path) -> None:
        """``None`` means absent: it holds until the item exists, and an empty value is not absent."""
        async with self.opened(tmp_path) as items:
            assert await items.commit(Commit({b"ca": None, b"cb": None}, {b"ca": b""}))
            assert not await items.commit(Commit({b"ca": None}, {b"ca": b"2"}))
            assert not await items.commit(Commit({b"cb": b""}, {b"ca": b"2"}))
            assert await items.commit(Commit({b"ca": b""}, {b"ca": b"2"}))
            assert await items.fetch([b"ca", b"cb"]) == [b"2", None]

    async def test_a_commit_may_expect_or_write_nothing(self, tmp_path: Path) -> None:
        """Without expectations it always writes; without writes it only checks."""
        async with self.opened(tmp_path) as items:
            assert await items.commit(Commit({}, {b"ca": b"1"}))
            assert await items.commit(Commit({b"ca": b"1"}, {}))
            assert not await items.commit(Commit({b"ca": b"2"}, {}))
            assert await items.commit(Commit({}, {}))

    async def test_a_commit_meant_for_another_host_writes_nothing(self, tmp_path: Path) -> None:
        """What was read on one copy of the data decides nothing on another."""
        async with self.opened(tmp_path) as items:
            assert not await items.commit(Commit({}, {b"ca": b"1"}, "another"))
            assert await items.fetch([b"ca"]) == [None]
            assert await items.commit(Commit({}, {b"ca": b"1"}, items.host))

    async def test_a_commit_as_large_as_allowed_is_made(self, tmp_path: Path) -> None:
        """Half of the items it may name are checked, all others written."""
        async with self.opened(tmp_path) as items:
            half = items.commit_limit // 2
            rows = [(b"n%d" % n, b"%d" % n) for n in range(half)]
            await items.put(rows)
            assert await items.commit(Commit(dict(rows), {b"e%d" % n: b"x" for n in range(items.commit_limit - half)}))
            assert await items.fetch([b"n0", b"e0"]) == [b"0", b"x"]

    async def test_a_commit_deletes(self, tmp_path: Path) -> None:
        """``None`` among the writes deletes, even an absent item, and removes the name from the listing."""
        async with self.opened(tmp_path) as items:
            await items.put([(b"ot\0a", b"1"), (b"ot\0b", b"2")])
            assert await items.commit(Commit({b"ot\0a": b"1"}, {b"ot\0a": None, b"ot\0x": None}))
            assert await items.fetch([b"ot\0a"]) == [None]
            assert await items.range(b"ot\0", b"", 10) == [(b"ot\0b", b"2")]

    async def test_concurrent_increments_are_all_counted(self, tmp_path: Path) -> None:
        """Eight tasks that fetch, commit, and start over when refused lose no increment."""
        async with self.opened(tmp_path) as items:

            async def increment() -> None:
                for _ in range(20):
                    while True:
                        (raw,) = await items.fetch([b"q"])
                        new = int(raw or 0) + 1
                        if await items.commit(Commit({b"q": raw}, {b"q": b"%d" % new})):
                            break

            await asyncio.gather(*(increment() for _ in range(8)))
            assert await items.fetch([b"q"]) == [b"160"]

    async def test_a_range_is_in_byte_order(self, tmp_path: Path) -> None:
        """Bytes 0 and 255 in names sort as bytes; what comes has the prefix, from the start on, up to the limit."""
        async with self.opened(tmp_path) as items:
            keys = [b"", b"\0", b"\0\xff", b"a", b"a\0", b"ab", b"\xff", b"\xff\xff"]
            rows = [(b"ot\0" + key, b"v" + key) for key in keys]
            await items.put([*reversed(rows), (b"os\0a", b"x"), (b"ou\0a", b"x"), (b"cot\0a", b"x")])
            assert await items.range(b"ot\0", b"", 100) == rows
            assert await items.range(b"ot\0", b"ot\0a\0", 100) == rows[4:]
            assert await items.range(b"ot\0", b"ot\0a\1", 2) == rows[5:7]
            assert await items.range(b"ot\0", b"ou", 100) == []
            assert await items.range(b"ot\0a", b"", 100) == rows[3:6]
            assert await items.range(b"ot\0\xff", b"", 100) == rows[6:]
            assert await items.range(b"o", b"ot", 100) == [*rows, (b"ou\0a", b"x")]

    async def test_generations_log_and_watermarks_are_listed(self, tmp_path: Path) -> None:
        """Each kind of name that is listed comes in order, whatever binary number is in it."""
        async with self.opened(tmp_path) as items:
            base = [(b"b" + n.to_bytes(8, "big") + key, key) for n in (0, 1, 255, 256) for key in (b"j", b"k")]
            log = [(b"e" + n.to_bytes(8, "big"), b"%d" % n) for n in (1, 2, 255, 256)]
            marks = [(b"w%02d" % n, b"m") for n in range(40)]
            parked = [(b"p1", b"x"), (b"p2", b"y")]
            await items.put([*base, *log, *marks, *parked])
            assert sorted(await items.range(b"b" + (255).to_bytes(8, "big"), b"", 9)) == base[4:6]
            assert sorted(await items.range(b"b", b"", 100)) == base
            (row,) = await items.range(b"b", b"b" + (2).to_bytes(8, "big"), 1)
            assert row in base[4:6]
            assert await items.range(b"e", b"e" + (2).to_bytes(8, "big"), 2) == log[1:3]
            assert await items.range(b"w", b"w05", 30) == marks[5:35]
            assert await items.range(b"p", b"", 9) == parked
            assert await items.count(b"b" + (255).to_bytes(8, "big")) == len(base[4:6])
            assert await items.count(b"b" + (7).to_bytes(8, "big")) == 0

    async def test_values_of_every_size_come_back(self, tmp_path: Path) -> None:
        """An empty value, every byte, and a megabyte are kept, compared and replaced."""
        async with self.opened(tmp_path) as items:
            sizes = [b"", bytes(range(256)), b"x" * 350_000, bytes(range(256)) * 4096]
            for n, value in enumerate(sizes):
                assert await items.commit(Commit({b"c%d" % n: None}, {b"c%d" % n: value}))
            assert await items.fetch([b"c0", b"c1", b"c2", b"c3"]) == sizes
            assert not await items.commit(Commit({b"c3": sizes[3][:-1] + b"x"}, {b"c3": b"small"}))
            assert await items.commit(Commit({b"c3": sizes[3]}, {b"c3": sizes[3][::-1]}))
            assert await items.fetch([b"c3"]) == [sizes[3][::-1]]
            assert await items.commit(Commit({b"c3": sizes[3][::-1]}, {b"c3": b"small"}))
            assert await items.fetch([b"c3"]) == [b"small"]

    async def test_thousands_are_put_and_removed(self, tmp_path: Path) -> None:
        """Three thousand rows go in and out, and the listing follows."""
        async with self.opened(tmp_path) as items:
            rows = [(b"b" + (7).to_bytes(8, "big") + b"%04d" % n, b"v%d" % n) for n in range(3000)]
            await items.put(rows)
            listed = await items.range(rows[0][0][:9], b"", 5000)
            assert sorted(listed) == rows
            after = listed[1000][0] + b"\0"
            assert await items.range(rows[0][0][:9], after, 500) == listed[1001:1501]
            await items.remove([name for name, _ in rows[10:]])
            assert sorted(await items.range(rows[0][0][:9], b"", 5000)) == rows[:10]
            await items.remove([])
            await items.put([])

    async def test_clients_see_each_others_writes_at_once(self, tmp_path: Path) -> None:
        """What one client has written, the other reads next."""
        async with self.opened(tmp_path) as one, self.opened(tmp_path) as two:
            for n in range(20):
                writer, reader = (one, two) if n % 2 else (two, one)
                before = b"%d" % (n - 1) if n else None
                assert await writer.commit(Commit({b"ca": before}, {b"ca": b"%d" % n}))
                assert await reader.fetch([b"ca"]) == [b"%d" % n]
            await one.put([(b"e1", b"x")])
            assert await two.range(b"e", b"", 9) == [(b"e1", b"x")]

    async def test_a_server_that_is_gone_is_an_error_soon(self, tmp_path: Path) -> None:
        """Every call raises a StoreError within seconds; no call hangs, and none returns an empty answer."""
        async with self.opened(tmp_path) as items:
            await items.put([(b"e1", b"x")])
            await self.cut_off(items)
            calls = (
                lambda: items.fetch([b"e1"]),
                lambda: items.commit(Commit({}, {b"e1": b"y"})),
                lambda: items.range(b"e", b"", 1),
            )
            for call in calls:
                began = time.monotonic()
                try:
                    await asyncio.wait_for(call(), _CUT_OFF_S)
                except StoreError as error:
                    assert error.field.startswith("store")
                else:
                    raise AssertionError("a call to a server that is gone was answered")
                assert time.monotonic() - began < _CUT_OFF_S
