"""The shop's tables, and how a connection to them is opened.

Times are epoch seconds, money is integer cents. Triggers write an outbox row for each change of the tables in
:mod:`retail_assistant.shop.captured`, in the same transaction. A complaint that withdraws an answer emits one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parbake.adapters.sqlite import OUTBOX_DDL, keep_in_wal
from retail_assistant.shop.errors import NotAShop

SCHEMA_VERSION = "11"
SEGMENTS = ("all", "new", "regular", "vip")
ORDER_STATES = ("placed", "packed", "shipped", "delivered", "cancelled", "returning", "returned")

TABLES = f"""{OUTBOX_DDL};
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS products (
    asin TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    series TEXT NOT NULL,
    volume INTEGER NOT NULL,
    author TEXT NOT NULL,
    genre TEXT NOT NULL,
    format TEXT NOT NULL,
    description TEXT NOT NULL,
    listed INTEGER NOT NULL DEFAULT 1 CHECK (listed IN (0, 1)),
    created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS prices (
    asin TEXT PRIMARY KEY REFERENCES products (asin),
    cents INTEGER NOT NULL CHECK (cents >= 0),
    changed_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inventory (
    asin TEXT PRIMARY KEY REFERENCES products (asin),
    quantity INTEGER NOT NULL CHECK (quantity >= 0)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS policies (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    facts TEXT NOT NULL,
    updated_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS promotions (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    category TEXT NOT NULL,
    segment TEXT NOT NULL,
    percent INTEGER NOT NULL CHECK (percent BETWEEN 1 AND 90),
    starts_at REAL NOT NULL,
    ends_at REAL NOT NULL,
    CHECK (starts_at < ends_at)
);
CREATE TABLE IF NOT EXISTS shoppers (
    id TEXT PRIMARY KEY,
    segment TEXT NOT NULL,
    created_at REAL NOT NULL,
    points INTEGER NOT NULL DEFAULT 0 CHECK (points >= 0)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    shopper TEXT NOT NULL REFERENCES shoppers (id),
    placed_at REAL NOT NULL,
    state TEXT NOT NULL,
    tracking TEXT NOT NULL DEFAULT '',
    address TEXT NOT NULL DEFAULT '',
    delivery INTEGER NOT NULL DEFAULT 0 CHECK (delivery >= 0),
    sending TEXT NOT NULL DEFAULT '',
    in_return TEXT NOT NULL DEFAULT '',
    points INTEGER NOT NULL DEFAULT 0 CHECK (points >= 0),
    changed_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS order_lines (
    number TEXT NOT NULL REFERENCES orders (number),
    asin TEXT NOT NULL REFERENCES products (asin),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    cents INTEGER NOT NULL CHECK (cents >= 0),
    PRIMARY KEY (number, asin)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS views (
    id INTEGER PRIMARY KEY,
    shopper TEXT NOT NULL REFERENCES shoppers (id),
    asin TEXT NOT NULL REFERENCES products (asin),
    ts REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS purchases (
    id INTEGER PRIMARY KEY,
    shopper TEXT NOT NULL REFERENCES shoppers (id),
    asin TEXT NOT NULL REFERENCES products (asin),
    ts REAL NOT NULL,
    cents INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS reviews (
    id INTEGER PRIMARY KEY,
    asin TEXT NOT NULL REFERENCES products (asin),
    shopper TEXT NOT NULL REFERENCES shoppers (id),
    rating INTEGER NOT NULL CHECK (rating BETWEEN 1 AND 5),
    body TEXT NOT NULL,
    ts REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS carts (
    shopper TEXT NOT NULL REFERENCES shoppers (id),
    asin TEXT NOT NULL REFERENCES products (asin),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (shopper, asin)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queries (
    id INTEGER PRIMARY KEY,
    shopper TEXT NOT NULL,
    ts REAL NOT NULL,
    text TEXT NOT NULL,
    question TEXT,
    intent TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS explorations (
    id INTEGER PRIMARY KEY,
    shopper TEXT NOT NULL,
    ts REAL NOT NULL,
    text TEXT NOT NULL,
    answer TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS complaints (
    id INTEGER PRIMARY KEY,
    answer TEXT NOT NULL,
    shopper TEXT NOT NULL,
    answer_id TEXT NOT NULL DEFAULT '',
    ts REAL NOT NULL,
    is_known INTEGER NOT NULL CHECK (is_known IN (0, 1)),
    withdrew_at REAL,
    position INTEGER,
    closed_at REAL
);
CREATE TABLE IF NOT EXISTS written (
    key TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    position INTEGER,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    shopper TEXT PRIMARY KEY REFERENCES shoppers (id),
    salt BLOB NOT NULL,
    digest BLOB NOT NULL,
    is_test INTEGER NOT NULL CHECK (is_test IN (0, 1)),
    changed_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices (
    shopper TEXT NOT NULL,
    tag TEXT NOT NULL,
    answer_id TEXT NOT NULL,
    told_at REAL NOT NULL,
    noted_at REAL NOT NULL,
    seen_at REAL,
    PRIMARY KEY (shopper, tag, answer_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS proposals (
    shopper TEXT NOT NULL,
    verb TEXT NOT NULL,
    goods TEXT NOT NULL,
    cents INTEGER NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (shopper, verb, goods)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS search_rows (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    entity TEXT NOT NULL,
    part TEXT NOT NULL,
    UNIQUE (kind, entity, part)
);
CREATE VIRTUAL TABLE IF NOT EXISTS search_index USING fts5(
    doc UNINDEXED, kind UNINDEXED, title, body, tokenize = 'porter unicode61 remove_diacritics 2'
);
"""

INDEXES = """
CREATE INDEX IF NOT EXISTS products_series ON products (series, volume);
CREATE INDEX IF NOT EXISTS products_line ON products (CASE WHEN series = '' THEN title ELSE series END, volume);
CREATE INDEX IF NOT EXISTS products_genre ON products (genre);
CREATE INDEX IF NOT EXISTS views_shopper ON views (shopper, ts);
CREATE INDEX IF NOT EXISTS views_asin ON views (asin, ts);
CREATE INDEX IF NOT EXISTS views_ts ON views (ts);
CREATE INDEX IF NOT EXISTS purchases_shopper ON purchases (shopper, ts);
CREATE INDEX IF NOT EXISTS purchases_asin ON purchases (asin, ts);
CREATE INDEX IF NOT EXISTS purchases_owner ON purchases (shopper, asin);
CREATE INDEX IF NOT EXISTS purchases_ts ON purchases (ts);
CREATE INDEX IF NOT EXISTS orders_shopper ON orders (shopper, placed_at);
CREATE INDEX IF NOT EXISTS reviews_asin ON reviews (asin, ts);
CREATE INDEX IF NOT EXISTS promotions_ends ON promotions (ends_at);
CREATE INDEX IF NOT EXISTS queries_ts ON queries (ts);
CREATE INDEX IF NOT EXISTS complaints_shopper ON complaints (shopper, ts);
CREATE UNIQUE INDEX IF NOT EXISTS complaints_open ON complaints (answer, shopper) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS complaints_once ON complaints (answer_id) WHERE answer_id <> '';
CREATE INDEX IF NOT EXISTS complaints_withdrew ON complaints (withdrew_at) WHERE withdrew_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS written_at ON written (at);
CREATE INDEX IF NOT EXISTS shoppers_name ON shoppers (id COLLATE NOCASE);
"""

DDL = TABLES + INDEXES


def connect(
    path: str | Path, *, any_thread: bool = False, wait_s: float = 10.0, make: bool = True
) -> sqlite3.Connection:
    """Open a shop file for reading and writing, in autocommit mode; ``make`` says whether to create a missing one.

    Every commit is synced to disk (WAL, ``synchronous=FULL``), foreign keys are enforced, what is deleted is
    overwritten, and the connection waits up to ``wait_s`` for a locked file. With ``any_thread`` several threads may
    use the connection, one at a time. Raises :class:`NotAShop` for a file that is not SQLite.
    """
    where = path if make else f"{Path(path).resolve().as_uri()}?mode=rw"
    conn = sqlite3.connect(where, uri=not make, timeout=wait_s, isolation_level=None, check_same_thread=not any_thread)
    try:
        keep_in_wal(conn, within_s=wait_s)
        conn.execute("PRAGMA synchronous=FULL")
        conn.execute("PRAGMA foreign_keys=ON")
        conn.execute("PRAGMA secure_delete=ON")  # what a shopper deletes or changes does not stay in free space
    except sqlite3.DatabaseError as error:
        conn.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise NotAShop(f"{path} is not an SQLite file; name another path or move it away", field="path") from error
    return conn


def create(conn: sqlite3.Connection) -> None:
    """Create missing tables and indexes, and record the schema version."""
    conn.executescript(DDL)
    conn.execute("INSERT OR IGNORE INTO meta VALUES ('schema_version', ?)", (SCHEMA_VERSION,))


def version(conn: sqlite3.Connection) -> str:
    """The schema version of a shop file; raises :class:`NotAShop` if it has no shop tables."""
    try:
        row = conn.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    except sqlite3.DatabaseError as error:
        raise NotAShop("the file has no shop tables; generate or import a shop first", field="path") from error
    return "none" if row is None else str(row[0])


def check(conn: sqlite3.Connection) -> None:
    """Raise :class:`NotAShop` unless the file is a shop of this schema version."""
    found = version(conn)
    if found != SCHEMA_VERSION:
        raise NotAShop(
            f"shop schema version {found}, need {SCHEMA_VERSION}; run 'retail-assistant migrate --apply', or "
            "generate the shop again",
            field="path",
        )


def complete(conn: sqlite3.Connection) -> None:
    """Check a shop file, and create the tables that one of this version may lack, because they came later."""
    check(conn)
    conn.executescript(DDL)


@contextmanager
def transaction(conn: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block as one write transaction. It is committed as a whole, or not at all if the block raises.

    A block within another belongs to the outer transaction, and is committed with it.
    """
    if conn.in_transaction:
        yield conn
        return
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield conn
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise
