"""A captured shop on a PostgreSQL server of its own, and the ways in which its rows are changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
from tests.servers import pg

import parbake_capture
from parbake.adapters.postgresql import PostgresqlSource
from parbake.protocol.tags import spelled

FAMILIES = ("policy", "note", "stock")
TABLES = """
CREATE TABLE policies(id TEXT PRIMARY KEY, days INT NOT NULL DEFAULT 0);
CREATE TABLE notes(id INT PRIMARY KEY, policy TEXT REFERENCES policies ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE stock(shop INT, item INT, n INT DEFAULT 0, PRIMARY KEY (shop, item)) PARTITION BY RANGE (shop);
CREATE TABLE stock_1 PARTITION OF stock FOR VALUES FROM (0) TO (1000);
CREATE TABLE stock_2 PARTITION OF stock FOR VALUES FROM (1000) TO (2000);
CREATE TABLE plain(LIKE policies INCLUDING ALL);
"""
CAPTURED = ("policies:policy/{id}", "notes:note/{id}", "stock:stock/{shop}-{item}")
ROWS = 400
"""Rows that one statement changes, below the number that raises whole families."""


@dataclass
class Told:
    """What was told of some statements: how many rows they changed, and which tags were missed or false."""

    rows: int = 0
    missed: int = 0
    false: int = 0
    ways: dict[str, int] = field(default_factory=dict)

    def judge(self, way: str, rows: int, expected: set[str], told: set[str]) -> None:
        """Compare what a statement should raise with what was told; a family stands for each of its tags."""
        families = {tag for tag in told if "/" not in tag}
        self.rows += rows
        missed = sum(tag not in told and tag.partition("/")[0] not in families for tag in expected)
        self.missed += missed
        self.ways[way] = self.ways.get(way, 0) + missed
        touched = {tag.partition("/")[0] for tag in expected}
        self.false += sum(tag.partition("/")[0] not in touched for tag in told)


class World:
    """A database, captured, with a connection that changes it and a source that reads its outbox."""

    def __init__(self, server: pg.Postgresql) -> None:
        """Create the tables and the triggers."""
        server.sql("CREATE DATABASE shop")
        self.address = f"postgresql://postgres@127.0.0.1:{server.port}/shop"
        self.connection = psycopg.connect(self.address, autocommit=True)
        self.connection.execute(TABLES.encode())
        parbake_capture.install(self.address, *CAPTURED)
        self.source = PostgresqlSource(self.address, families=FAMILIES, views=[])
        self.early: set[str] = set()
        """What a way has read itself."""
        self._cursor = b""
        self.told()

    def told(self) -> set[str]:
        """The tags told since the last call."""
        found: set[str] = set()
        while True:
            page = self.source.read(self._cursor, 1000)
            found.update(spelled(event.subject) for event in page.events)
            self._cursor = page.cursor
            if page.is_end:
                return found

    def close(self) -> None:
        """Disconnect."""
        self.source.close()
        self.connection.close()


Way = Callable[[World, int], tuple[int, set[str]]]
"""Changes rows in the n-th turn; returns how many, and the tags that this should raise."""
_numbers = itertools.count(1)


def _new(count: int = ROWS) -> list[str]:
    return [f"p{next(_numbers)}" for _ in range(count)]


def _put(world: World, names: list[str], table: str = "policies") -> None:
    world.connection.execute(f"INSERT INTO {table}(id) SELECT unnest(%s::TEXT[])".encode(), (names,))


def _policies(names: list[str]) -> set[str]:
    return {f"policy/{name}" for name in names}


def insert(world: World, _: int) -> tuple[int, set[str]]:
    """Insert rows with one statement."""
    names = _new()
    _put(world, names)
    return len(names), _policies(names)


def copy(world: World, _: int) -> tuple[int, set[str]]:
    """Load rows with COPY."""
    names = _new()
    with world.connection.cursor().copy("COPY policies(id) FROM STDIN") as stream:
        for name in names:
            stream.write_row((name,))
    return len(names), _policies(names)


def update(world: World, _: int) -> tuple[int, set[str]]:
    """Update rows, and rename others."""
    names = _new()
    _put(world, names)
    world.told()
    world.connection.execute("UPDATE policies SET days = days + 1 WHERE id = ANY(%s)", (names,))
    world.connection.execute("UPDATE policies SET id = id || 'x' WHERE id = ANY(%s)", (names,))
    return 2 * len(names), _policies(names) | _policies([f"{name}x" for name in names])


def large(world: World, turn: int) -> tuple[int, set[str]]:
    """Update very many rows with one statement, which raises the family."""
    world.connection.execute("INSERT INTO policies(id) SELECT %s || n FROM generate_series(1, 20000) n", (f"l{turn}x",))
    world.told()
    changed = world.connection.execute("UPDATE policies SET days = 1 WHERE id LIKE %s", (f"l{turn}x%",)).rowcount
    names = [f"l{turn}x{n}" for n in range(1, 20001)]
    world.connection.execute("DELETE FROM policies WHERE id LIKE %s", (f"l{turn}x%",))
    return changed + 40_000, _policies(names)


def delete(world: World, _: int) -> tuple[int, set[str]]:
    """Delete rows, whose notes go with them by a cascade."""
    names = _new()
    _put(world, names)
    ids = [next(_numbers) for _ in names]
    world.connection.execute("INSERT INTO notes SELECT * FROM unnest(%s::INT[], %s::TEXT[])", (ids, names))
    world.told()
    world.connection.execute("DELETE FROM policies WHERE id = ANY(%s)", (names,))
    return 2 * len(names), _policies(names) | {f"note/{number}" for number in ids}


def upsert(world: World, _: int) -> tuple[int, set[str]]:
    """Insert or update by ON CONFLICT, half of each."""
    names = _new()
    _put(world, names[::2])
    world.told()
    world.connection.execute(
        "INSERT INTO policies(id) SELECT unnest(%s::TEXT[]) ON CONFLICT (id) DO UPDATE SET days = 5", (names,)
    )
    return len(names), _policies(names)


def merge(world: World, _: int) -> tuple[int, set[str]]:
    """Delete, and insert, by MERGE."""
    names = _new()
    _put(world, names[::2])
    world.told()
    world.connection.execute(
        "MERGE INTO policies p USING (SELECT unnest(%s::TEXT[]) AS id) v ON p.id = v.id "
        "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id)",
        (names,),
    )
    return len(names), _policies(names)


def truncate(world: World, _: int) -> tuple[int, set[str]]:
    """Empty two tables."""
    names = _new()
    _put(world, names)
    world.told()
    world.connection.execute("TRUNCATE policies CASCADE")
    return len(names), {*_policies(names), "note/1"}


def partitions(world: World, turn: int) -> tuple[int, set[str]]:
    """Write to a partitioned table and to its partitions, and move rows between them."""
    execute, items = world.connection.execute, [next(_numbers) for _ in range(ROWS // 2)]
    execute("INSERT INTO stock(shop, item) SELECT 1, unnest(%s::INT[])", (items,))
    execute("INSERT INTO stock_2(shop, item) SELECT 1001, unnest(%s::INT[])", (items,))
    execute("UPDATE stock_1 SET n = 1 WHERE item = ANY(%s)", (items,))
    execute("UPDATE stock SET shop = 1002 WHERE shop = 1 AND item = ANY(%s)", (items,))
    execute("DELETE FROM stock_2 WHERE item = ANY(%s)", (items,))
    found = {f"stock/{shop}-{item}" for shop in (1, 1001, 1002) for item in items}
    name, low = f"stock_a{turn}", 10_000 + 10 * turn
    execute(f"CREATE TABLE {name}(LIKE stock INCLUDING ALL)".encode())
    execute(f"INSERT INTO {name} SELECT {low}, 1, 1".encode())
    execute(f"ALTER TABLE stock ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({low + 10})".encode())
    told = world.told()
    execute(f"INSERT INTO {name} VALUES ({low}, 2, 1)".encode())  # written directly, before it has triggers
    told |= world.told()
    execute(f"ALTER TABLE stock DETACH PARTITION {name}".encode())
    execute(f"DROP TABLE {name}".encode())
    world.early = told
    return 6 * len(items), found | {f"stock/{low}-1", f"stock/{low}-2"}


def savepoints(world: World, _: int) -> tuple[int, set[str]]:
    """Change rows within savepoints, some of which are rolled back, and roll a transaction back."""
    kept, lost = _new(ROWS // 2), _new(ROWS // 2)
    with world.connection.transaction():
        _put(world, kept)
        with world.connection.transaction(force_rollback=True):
            _put(world, lost)
    with world.connection.transaction(force_rollback=True):
        _put(world, lost)
    return len(kept) + 2 * len(lost), _policies(kept)


def untouched(world: World, _: int) -> tuple[int, set[str]]:
    """Change a table that is not captured."""
    names = _new()
    _put(world, names, "plain")
    return len(names), set()


WAYS: dict[str, Way] = {
    "INSERT": insert, "COPY": copy, "UPDATE": update, "one large UPDATE": large, "DELETE, cascade": delete,
    "ON CONFLICT": upsert, "MERGE": merge, "TRUNCATE": truncate, "partitions": partitions, "savepoints": savepoints,
    "another table": untouched,
}  # fmt: skip


def changed(world: World, rows: int) -> Iterator[Told]:
    """Change at least so many rows, in every way in turn; yield what was told so far after each way."""
    told, turn = Told(), 0
    while told.rows < rows:
        for name, way in WAYS.items():
            world.told()
            world.early = set()
            count, expected = way(world, turn)
            told.judge(name, count, expected, world.told() | world.early)
            yield told
        turn += 1
