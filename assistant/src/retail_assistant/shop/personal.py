"""What the shop's file keeps about a shopper: told, and erased so that the file holds nothing of it any more.

Orders are kept for the books, as nobody's. So is a complaint that keeps an answer withdrawn, until its owner has
checked it. Everything else of the shopper is deleted. Each change is told by the triggers of its table.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import parbake_semantic.guard
from parbake.adapters.sqlite import emit
from parbake.ports.offers import Mentions
from retail_assistant.shop.errors import ShopBusy
from retail_assistant.shop.schema import connect, transaction
from retail_assistant.shop.voices import spelled

NOBODY = "(erased)"
"""Whose the orders of erased shoppers are. No shopper can be called so."""
BATCH = 1_000
"""Rows that one transaction changes, so that other writers need not wait for long."""
WAIT_S = 30.0
"""Seconds to wait for others who use the file."""
LEAST = 16
"""Characters of the shortest text that is looked for elsewhere."""
_NAMES = "(SELECT value FROM json_each(:names))"
_BY_SHOPPER = f"shopper IN {_NAMES}"
_EVENTS = "subject IN (SELECT 'user/' || value FROM json_each(:names))"
_IN_PARTS = ("queries", "explorations", "complaints", "reviews", "views", "purchases", "orders")
"""Tables in which a shopper may have many rows."""
WHOSE = {
    **dict.fromkeys(("proposals", "notices", "carts", "accounts", *_IN_PARTS), _BY_SHOPPER),
    "written": "EXISTS (SELECT 1 FROM json_each(:names) WHERE instr(written.key, value))",
    "order_lines": f"number IN (SELECT number FROM orders WHERE {_BY_SHOPPER})",  # noqa: S608 - the tables and conditions of this file
    "shoppers": f"id IN {_NAMES}",
    "parbake_outbox": _EVENTS,
}
"""Which rows of each table are a shopper's; a row that others refer to stands behind them."""
_FREE_TEXTS = (("queries", "text"), ("explorations", "text"), ("reviews", "body"), ("orders", "address"))
_NUMBERS = " UNION ".join(
    f"SELECT {column} FROM {table} WHERE {_BY_SHOPPER} AND length({column}) >= {least}"  # noqa: S608 - see above
    for table, column, least in (("orders", "number", 6), ("orders", "tracking", 6), ("complaints", "answer_id", 32))
)
"""What was given to the shopper, and is long enough to mean nothing else."""
_HIDES = f"UPDATE parbake_outbox SET subject = 'user', type = 'user.bulk' WHERE {_EVENTS} AND position <= :upto"  # noqa: S608 - see above
"""Lets the events of a shopper tell of all shoppers instead. A missing event would outdate everything."""


def _statements(table: str) -> list[str]:
    """What takes a shopper's rows, at most :data:`BATCH` each, out of a table."""
    whose = WHOSE[table]
    some = f"id IN (SELECT id FROM {table} WHERE {whose} LIMIT {BATCH})"  # noqa: S608 - see above
    match table:
        case "order_lines" | "parbake_outbox":
            return []
        case "orders":
            return [
                f"INSERT OR IGNORE INTO shoppers SELECT '{NOBODY}', 'all', 0, 0 FROM orders WHERE {whose} LIMIT 1",  # noqa: S608 - see above
                f"UPDATE orders SET shopper = '{NOBODY}', tracking = '', address = '' WHERE {some}",  # noqa: S608 - see above
            ]
        case "complaints":
            keeps = f"{whose} AND withdrew_at IS NOT NULL AND closed_at IS NULL"
            one = f"UPDATE complaints SET shopper = '{NOBODY} ' || id, answer_id = '' WHERE {keeps}"  # noqa: S608 - see above
            return [one, f"DELETE FROM complaints WHERE {some}"]  # noqa: S608 - see above
    return [f"DELETE FROM {table} WHERE {some if table in _IN_PARTS else whose}"]  # noqa: S608 - see above


_ERASES = {table: _statements(table) for table in WHOSE}


def forget(conn: sqlite3.Connection, names: Collection[str], tables: Iterable[str] = tuple(_ERASES)) -> Counter[str]:
    """Erase what is kept under some names, in several transactions; return how many rows changed, by table."""
    done, values = Counter[str](), {"names": json.dumps(sorted(names))}
    while True:
        with transaction(conn):
            for table in tables:
                changed = [conn.execute(statement, values).rowcount for statement in _ERASES[table]]
                done[table] += sum(changed)
                if max(changed, default=0) >= BATCH:
                    break
            else:
                return +done


def names_of(conn: sqlite3.Connection, shopper: str) -> list[str]:
    """How a shopper's name is spelled in the shop."""
    found = {shopper.strip(), spelled(shopper)}
    for whose in ("shopper FROM proposals", "shopper FROM queries", "shopper FROM explorations", "id FROM shoppers"):
        rows = conn.execute(f"SELECT DISTINCT {whose} WHERE {whose.split()[0]} = ? COLLATE NOCASE", (shopper.strip(),))
        found.update(name for (name,) in rows)
    return sorted(found - {NOBODY})


class ShopRecords:
    """The shop's file as a place that keeps something about people (:class:`parbake.ports.offers.PersonalData`)."""

    name = "shop"

    def __init__(self, path: Path, shortened: Callable[[str], str]) -> None:
        """Open nothing yet.

        Args:
            path: The file.
            shortened: Returns a question as the bank of questions has it.
        """
        self._path, self._shortened = path, shortened
        self._told: dict[str, int] = {}

    def export(self, subject: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return the rows of a shopper by table, without the salt and the hash of the passphrase."""
        with contextlib.closing(connect(self._path, make=False)) as conn:
            values = {"names": json.dumps(names_of(conn, subject))}
            conn.row_factory = sqlite3.Row
            return {
                table: [
                    {column: value for column, value in dict(row).items() if not isinstance(value, bytes)}
                    for row in conn.execute(f"SELECT * FROM {table} WHERE {whose}", values)  # noqa: S608 - this file's own
                ]
                for table, whose in WHOSE.items()
            }

    def mentions(self, subject: str) -> Mentions:
        """Return the spellings of a shopper's name, the numbers of orders, and texts that nobody else has written."""
        with contextlib.closing(connect(self._path, make=False)) as conn:
            values = {"names": json.dumps(names := names_of(conn, subject))}
            numbers = [number for (number,) in conn.execute(_NUMBERS, values)]
            return Mentions((*names, *numbers), tuple(_own_texts(conn, values, self._shortened)))

    def erase(self, subject: str, mentions: Mentions) -> dict[str, int]:
        """Erase a shopper, and at the next call of this process what told of it; that call leaves nothing in the file.

        The rows of the outbox that name the shopper stay until then, because every store has to read them. Rows are not
        looked for by ``mentions``: some of it was typed by people, and might be another shopper's name.

        Raises:
            ShopBusy: Another program has read the file for so long that its log still has what was erased.
        """
        with contextlib.closing(connect(self._path, wait_s=WAIT_S, make=False)) as conn:
            values: dict[str, Any] = {"names": json.dumps(names := names_of(conn, subject))}
            rows = forget(conn, names)
            for name in names if rows else ():
                emit(conn, f"user/{name}", "user.deleted")
            upto = self._told.get(subject, 0)
            rows["parbake_outbox"] = conn.execute(_HIDES, values | {"upto": upto}).rowcount
            if upto:
                _overwrite(conn, self._path, [*names, *mentions.texts])
            (self._told[subject],) = conn.execute("SELECT IFNULL(max(seq), 0) FROM sqlite_sequence").fetchone()
        return dict(+rows)


def _own_texts(conn: sqlite3.Connection, values: Mapping[str, Any], shortened: Callable[[str], str]) -> list[str]:
    """The texts of a shopper, and their sentences, that nobody else has written."""
    found = set[str]()
    for table, column in _FREE_TEXTS:
        said = conn.execute(f"SELECT {column} FROM {table} WHERE {_BY_SHOPPER}", values)  # noqa: S608 - this file's own
        parts = {part for (text,) in said for part in (text, shortened(text), *parbake_semantic.guard.sentences(text))}
        own = {part for part in parts if len(part) >= LEAST and " " in part}
        others = conn.execute(f"SELECT {column} FROM {table} WHERE NOT {_BY_SHOPPER}", values)  # noqa: S608 - this file's own
        for (text,) in others if own else ():
            own = {part for part in own if part not in text}
        found |= own
    return sorted(found)


def _overwrite(conn: sqlite3.Connection, path: Path, words: Iterable[str]) -> None:
    """Leave none of some words in the file, also not in parts of it that are free: others may have written it."""
    is_read = _is_in_log(conn)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as found:
        is_left = any(found.find(word.encode()) >= 0 for word in words)
    if is_left:
        conn.execute("VACUUM")
        is_read = _is_in_log(conn)
    if is_read:
        raise ShopBusy("a program has been reading the shop's file for long; erase again when it has ended")


def _is_in_log(conn: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the file; return whether it could not be emptied, because somebody reads it."""
    return bool(conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
