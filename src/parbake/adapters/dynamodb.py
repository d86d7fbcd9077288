"""``dynamodb://region/table?create=true``: a store in a DynamoDB table with consistent reads and transactional writes.

Options: ``create=true`` creates a missing table (billed per request). ``endpoint=http://127.0.0.1:8000`` uses another
server than the region's. ``timeout_s`` bounds each request (seconds, default 5; a request is made at most three times).
Credentials come from AWS's usual environment only.

The rows of a generation are spread over 256 partitions.

A fetch is not one snapshot: its items may be read before and after another writer's commit. A step takes at most
:data:`MAX_ITEMS` items and 4 MB, without values over 350 kB, which are stored in separate parts. A range over a prefix
of several partitions reads the whole table; only sweeps do that.
"""

from __future__ import annotations

import asyncio
import heapq
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from parbake.adapters import _dynamodb_layout as layout
from parbake.adapters._dynamodb_layout import Manifest, Place, place_of
from parbake.adapters._dynamodb_table import MAX_ITEMS, READ_AT_ONCE, WRITTEN_AT_ONCE, Table, TableAddress
from parbake.adapters._dynamodb_wire import Check, ItemChange, StoredItem
from parbake.errors import StoreError
from parbake.process import forks
from parbake.stores.steps.item_names import BASE
from parbake.stores.steps.item_steps import Commit, Items
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.values.schemes import split_url, url_options

__all__ = ["MAX_ITEMS", "DynamoItems", "open_url"]

T = TypeVar("T")
P = ParamSpec("P")
IDLE_S = 10.0
"""After so many seconds without a call, the table is looked at again; deleting and restoring one takes longer."""
THREADS = 16
_MOST_GENERATIONS = 100_000
_OPTIONS = {"create", "endpoint", "timeout_s"}
_URL = re.compile(r"[a-z0-9-]+/[A-Za-z0-9_.-]{3,255}")


def open_url(url: str) -> OptimisticStore:
    """Create the store for a URL, without connecting yet; raises :class:`StoreError` if the URL is invalid."""
    return OptimisticStore(DynamoItems.from_url(url))


class DynamoItems(Items, forks.Forkable):
    """Items in one table of DynamoDB."""

    is_snapshot = False
    commit_limit = MAX_ITEMS

    def __init__(self, address: TableAddress, *, is_created: bool = False) -> None:
        """Create the driver; ``is_created`` creates the table if it is missing."""
        self._address, self._is_created = address, is_created
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._host = ""
        self._is_known = False
        self._used_at = float("-inf")
        self._table: Table | None = None
        self._buckets: dict[bytes, int] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="parbake-dynamodb")

    def after_fork_in_child(self) -> None:
        """Start new threads and connections for this process at the next use."""
        forks.abandon(self._table, self._threads)
        self._begin()

    @classmethod
    def from_url(cls, url: str) -> DynamoItems:
        """Parse a URL; see the module."""
        parts = split_url(url, setting="store", error=StoreError)
        where = parts.netloc + parts.path
        if not _URL.fullmatch(where):
            raise StoreError("store must be a URL such as dynamodb://eu-central-1/shop", field="store")
        options = url_options(parts.query, _OPTIONS, setting="store", error=StoreError)
        endpoint = options.get("endpoint", "")
        if endpoint and not re.fullmatch(r"https?://[^@?#]+", endpoint):
            raise StoreError("endpoint must be a URL such as http://127.0.0.1:8000", field="store.endpoint")
        region, _, table = where.partition("/")
        return cls(TableAddress(region, table, endpoint, _timeout(options)), is_created=options.get("create") == "true")

    @property
    def host(self) -> str:
        """The identity of the table, which a restore changes.

        It is read at ``open``, after any failed call, and before the first call after some idle seconds: a table can be
        deleted and restored under its name while nobody asks.
        """
        return self._host

    async def open(self) -> None:
        """Find or create the table, and reject one with other keys."""
        await self._in_thread(self._find_or_create)

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Read consistently, up to 100 items per request; requests happen at different moments."""
        if not names:
            return []
        await self._learn_buckets(names)
        places = {name: place_of(name, self._buckets) for name in names}
        found = await self._read(list(dict.fromkeys(places.values())))
        values = await self._values(found.values())
        return [values.get(places[name]) for name in names]

    async def commit(self, commit: Commit) -> bool:
        """Commit in one transaction; it names no row of a generation.

        Parts of large values are written before it, and replaced parts are removed after it.
        """
        places = {name: place_of(name, self._buckets) for name in (*commit.expected, *commit.writes)}
        heads = await self._heads_of_large({places[name]: value for name, value in commit.expected.items()})
        if heads is None:
            return False
        written = await self._write_parts({places[name]: value for name, value in commit.writes.items()})
        changes = [
            _change(name, commit, place, (heads.get(place), written.get(place))) for name, place in places.items()
        ]
        is_made = await self._call(self._transact, changes, commit.host)
        replaced = [heads[places[name]] for name in commit.writes if places[name] in heads]
        await self._remove_parts(replaced if is_made else written.values())
        return is_made

    async def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write 25 items per request. Parts of a large value that this overwrites remain in the table, unread."""
        for generation in _generations(name for name, _ in rows):
            await self._claim_buckets(generation)
        wanted: dict[Place, bytes | None] = {place_of(name, self._buckets): value for name, value in rows}
        await self._write({**wanted, **await self._write_parts(wanted)})

    async def remove(self, names: Collection[bytes]) -> None:
        """Delete 25 items per request, and then their parts."""
        await self._learn_buckets(names)
        places = list(dict.fromkeys(place_of(name, self._buckets) for name in names))
        found = await self._read(places, is_value_wanted=False)
        await self._write(dict.fromkeys(places))
        await self._remove_parts([item.manifest for item in found.values() if item.manifest is not None])

    async def range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """List items: queries each partition of the prefix, or scans the table if they are not known.

        Args:
            prefix: The prefix of the names.
            start: The first name.
            limit: The greatest number of items.
        """
        rows: list[tuple[bytes, bytes]] = []
        least = max(prefix, start)
        while len(rows) < limit and least.startswith(prefix):
            wanted = limit - len(rows)
            items = await self._list(prefix, least, wanted)
            values = await self._values(items)
            rows += [(layout.name_of(place), value) for place, value in values.items()]
            if len(items) < wanted:
                break
            # Items may have been deleted during the read, but fewer than the limit must mean that there are no more.
            least = layout.name_of(items[-1].place) + b"\0"
        return rows

    async def count(self, prefix: bytes) -> int:
        """Count rows partition by partition; no value is transferred."""
        await self._learn_buckets([prefix + b"\0"])
        count, buckets = self._opened().count, layout.rest(prefix, b"", self._buckets.get(prefix, layout.BUCKETS))
        return sum(await asyncio.gather(*(self._call(count, group, (k, layout.LAST)) for group, k in buckets)))

    async def close(self) -> None:
        """Wait for running calls, then disconnect."""
        await asyncio.to_thread(self._threads.shutdown)
        if self._table is not None:
            self._table.close()

    def _transact(self, changes: Sequence[ItemChange], host: str) -> bool:
        if host not in {"", self._host}:
            return False
        return not changes or self._opened().transact(changes)

    async def _list(self, prefix: bytes, least: bytes, limit: int) -> list[StoredItem]:
        """The first items with a prefix, from a name on, ordered by name."""
        if prefix[:1] == BASE:
            return await self._list_rows(prefix, least, limit)
        groups = layout.groups_of(prefix)
        if groups is None:
            return await self._list_by_scan(prefix, least, limit)
        query = self._opened().query
        asked = [self._call(query, group, layout.bounds(group, prefix, least), limit) for group in groups]
        found = {layout.name_of(item.place): item for items in await asyncio.gather(*asked) for item in items}
        return [found[name] for name in sorted(found) if name.startswith(prefix)][:limit]

    async def _list_rows(self, prefix: bytes, least: bytes, limit: int) -> list[StoredItem]:
        """The first rows of one generation or of all: by generation, by partition, and then by name."""
        found: list[StoredItem] = []
        for generation in [prefix] if len(prefix) == layout.BASE_CUT else await self._generations_from(least):
            await self._learn_buckets([generation + b"\0"])
            start = least if least.startswith(generation) else generation
            left = layout.rest(generation, start, self._buckets.get(generation, layout.BUCKETS))
            width = 1  # a full partition fills a page; several are asked at once while they hold little
            while left and len(found) < limit:
                asked, left = left[:width], left[width:]
                wanted = limit - len(found)
                query = self._opened().query
                answers = await asyncio.gather(*(self._call(query, p, (k, layout.LAST), wanted) for p, k in asked))
                found += [item for answer in answers for item in answer]
                width = THREADS
        return found[:limit]

    async def _generations_from(self, least: bytes) -> list[bytes]:
        """The generations that have rows, from the one of a name on."""
        first = place_of(least[: layout.BASE_CUT], {}).k
        items = await self._call(self._opened().query, layout.GENERATIONS, (first, layout.LAST), _MOST_GENERATIONS)
        return [layout.name_of(item.place) for item in items]

    async def _learn_buckets(self, names: Iterable[bytes]) -> None:
        """Read how many partitions the generations of some rows have, unless it is known."""
        unknown = {place_of(g, {}): g for g in _generations(names) if g not in self._buckets}
        for place, item in (await self._read(list(unknown))).items() if unknown else ():
            self._buckets[unknown[place]] = int(item.value or layout.BUCKETS)

    async def _claim_buckets(self, generation: bytes) -> None:
        """Make the generation's own item before its rows, also if a sweep has deleted it: rows need it to be found."""
        place, number = place_of(generation, {}), b"%d" % self._buckets.get(generation, layout.BUCKETS)
        if not await self._read([place]):
            await self._call(self._opened().transact, [ItemChange(place, Check(), is_written=True, value=number)])
        self._buckets.pop(generation, None)
        await self._learn_buckets([generation + b"\0"])

    async def _list_by_scan(self, prefix: bytes, least: bytes, limit: int) -> list[StoredItem]:
        """Scan for names first and read values after, so that at most ``limit`` of either are in memory."""

        def find() -> list[Place]:
            between = (prefix, layout.behind(prefix))
            names = {layout.name_of(place): place for place in self._opened().scan(between)}
            kept = (name for name in names if name >= least and name.startswith(prefix))
            return [names[name] for name in heapq.nsmallest(limit, kept)]

        places = await self._call(find)
        found = await self._read(places)
        return [found.get(place, StoredItem(place, None, None)) for place in places]

    async def _values(self, items: Iterable[StoredItem]) -> dict[Place, bytes]:
        """The values of items, with large ones reassembled; an item that was deleted in the meantime is left out."""
        values: dict[Place, bytes] = {}
        for item in items:
            value = item.value if item.manifest is None else await self._assemble(item.place, item.manifest)
            if value is not None:
                values[item.place] = value
        return values

    async def _assemble(self, place: Place, manifest: Manifest) -> bytes | None:
        for is_last in (False, True):
            parts = await self._read(manifest.places())
            if len(parts) == manifest.parts:
                return b"".join(parts[part].value or b"" for part in manifest.places())
            # Parts are removed only after their item was replaced: read again.
            head = (await self._read([place])).get(place)
            if head is None or head.manifest is None:
                return None if head is None else head.value
            if is_last or head.manifest == manifest:
                break
            manifest = head.manifest
        raise StoreError(f"{self._address.shown}: parts of a large value are missing", field="store")

    async def _heads_of_large(self, expected: Mapping[Place, bytes | None]) -> dict[Place, Manifest] | None:
        """The manifests of the expected large values; ``None`` if one of them is missing."""
        digests = {place: layout.digest_of(v) for place, v in expected.items() if v is not None and _is_large(v)}
        found = await self._read(list(digests), is_value_wanted=False)
        heads = {place: item.manifest for place, item in found.items() if item.manifest is not None}
        is_as_expected = all(place in heads and heads[place].digest == digest for place, digest in digests.items())
        return heads if is_as_expected else None

    async def _write_parts(self, values: Mapping[Place, bytes | None]) -> dict[Place, Manifest]:
        """Write the parts of the large values, one value after the other."""
        written: dict[Place, Manifest] = {}
        for place, value in values.items():
            if value is not None and _is_large(value):
                manifest, parts = layout.split(value)
                await self._write(dict(zip(manifest.places(), parts, strict=True)))
                written[place] = manifest
        return written

    async def _remove_parts(self, manifests: Iterable[Manifest]) -> None:
        """Remove parts that no item refers to any more. A failure wastes space and has no other effect."""
        places = [place for manifest in manifests for place in manifest.places()]
        try:
            await self._write(dict.fromkeys(places))
        except StoreError:
            return

    async def _read(self, places: Sequence[Place], *, is_value_wanted: bool = True) -> dict[Place, StoredItem]:
        chunks = [places[at : at + READ_AT_ONCE] for at in range(0, len(places), READ_AT_ONCE)]
        get = self._opened().get
        asked = [self._call(get, chunk, is_value_wanted=is_value_wanted) for chunk in chunks]
        found: dict[Place, StoredItem] = {}
        for answer in await asyncio.gather(*asked):
            found |= answer
        return found

    async def _write(self, items: Mapping[Place, bytes | Manifest | None]) -> None:
        rows = list(items.items())
        at_once = WRITTEN_AT_ONCE * THREADS
        write = self._opened().write
        for begin in range(0, len(rows), at_once):
            window = rows[begin : begin + at_once]
            chunks = [dict(window[at : at + WRITTEN_AT_ONCE]) for at in range(0, len(window), WRITTEN_AT_ONCE)]
            await asyncio.gather(*(self._call(write, chunk) for chunk in chunks))

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a thread. After a failure or idle time the table may be another one, so the call checks it first."""

        def run() -> T:
            if not self._is_known or time.monotonic() > self._used_at + IDLE_S:
                self._find()
            self._used_at = time.monotonic()
            try:
                return function(*args, **kwargs)
            except StoreError:
                self._is_known = False
                raise

        return await self._in_thread(run)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        try:
            answer = asyncio.get_running_loop().run_in_executor(self._threads, function)
        except RuntimeError as error:
            raise StoreError(f"{self._address.shown} was closed", field="store") from error
        return await answer

    def _opened(self) -> Table:
        if self._table is None:
            raise StoreError(f"{self._address.shown} is not open", field="store")
        return self._table

    def _find_or_create(self) -> None:
        if self._table is None:
            self._table = Table(self._address, THREADS)
        if self._is_created:
            if not self._table.exists():
                self._table.create()
            self._table.wait()
        self._find()

    def _find(self) -> None:
        self._used_at = time.monotonic()
        host = self._opened().describe()
        if host != self._host:
            self._host, self._buckets = host, {}
        self._is_known = True


def _is_large(value: bytes) -> bool:
    return len(value) > layout.LARGEST_VALUE


def _generations(names: Iterable[bytes]) -> set[bytes]:
    """The generations of some rows."""
    return {name[: layout.BASE_CUT] for name in names if name[:1] == BASE and len(name) > layout.BASE_CUT}


def _change(
    name: bytes, commit: Commit, place: Place, manifests: tuple[Manifest | None, Manifest | None]
) -> ItemChange:
    head, written = manifests
    check = Check(None if head else commit.expected[name], head) if name in commit.expected else None
    value = commit.writes.get(name) if written is None else None
    return ItemChange(place, check, name in commit.writes, value, written)


def _timeout(options: Mapping[str, str]) -> float:
    try:
        seconds = float(options.get("timeout_s", "5"))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 60:  # noqa: PLR2004  # the bound in the message
        raise StoreError("timeout_s must be a number of seconds above 0 and at most 60", field="store.timeout_s")
    return seconds
