"""What is done on a new connection to a PostgreSQL store, before anything is read or written.

The server is identified, the tables are found or created, and it is told whether the data is the copy that was seen
before.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from importlib import resources
from typing import Any

import msgspec

from parbake.adapters._postgresql.copies import CopyName, FoundData, SeenPosition, ServerState
from parbake.adapters._postgresql.owners import STORE, STORE_FUNCTIONS, said_of_strangers, strangers
from parbake.adapters._postgresql.wire import PGresult, Wire, text
from parbake.errors import ForeignStore, StoreError
from parbake.stores.steps.record_steps import numbers

FORMAT, _OLDEST = 1, 14
COPY = b"\0"
"""The name of the item that names the copy; items of the store never begin like this."""
DAMAGE = b"\0damage"
"""The name of an item that whoever meets a damaged page makes."""
_TRIES = 5
_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")
# The path of a session is the schema of the store, before which the server looks into its own. Where others may create
# in that schema, a function or an operator of theirs would be taken if it fits better. So whatever is not called with
# the very types of the server's own is named with its schema, and so is everything before the path is set.
_SESSION = b"""SELECT pg_catalog.set_config('search_path', $1, false),
  pg_catalog.set_config('statement_timeout', $2, false),
  pg_catalog.set_config('default_transaction_isolation', 'read committed', false),
  pg_catalog.set_config('client_min_messages', 'error', false),
  pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', false),
  pg_catalog.set_config('jit', 'off', false), pg_catalog.set_config('enable_seqscan', 'off', false),
  pg_catalog.set_config('enable_bitmapscan', 'off', false)"""
_SERVER = b"""SELECT pg_is_in_recovery(), current_setting('server_version_num')::int / 10000,
  current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
  pg_catalog.concat((SELECT system_identifier FROM pg_control_system()), '.',
    (SELECT oid FROM pg_database WHERE datname = current_database())),
  CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_flush_lsn()) END,
  (extract(epoch FROM pg_postmaster_start_time()) OPERATOR(pg_catalog.*) 1000000)::bigint,
  coalesce(
    (SELECT (extract(epoch FROM stats_reset) OPERATOR(pg_catalog.*) 1000000)::bigint FROM pg_stat_bgwriter), 0),
  CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() - '0/0' END,
  (SELECT redo_lsn - '0/0' FROM pg_control_checkpoint())"""
_LAYOUT = b"""SELECT pg_catalog.to_regnamespace($1) IS NOT NULL,
  CASE WHEN pg_catalog.to_regnamespace($1) IS NOT NULL THEN pg_catalog.has_schema_privilege($1, 'USAGE') END,
  CASE WHEN pg_catalog.to_regclass('parbake_store') IS NOT NULL THEN EXISTS (SELECT FROM pg_attribute
    WHERE attrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('parbake_store') AND attname = 'format'
      AND atttypid OPERATOR(pg_catalog.=) 'integer'::regtype) END,
  (SELECT relkind::text || relpersistence::text FROM pg_class
    WHERE oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('parbake_items')),
  (SELECT pg_catalog.string_agg(
      pg_catalog.concat(attname, ' ', pg_catalog.format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('parbake_items') AND attnum > 0
      AND NOT attisdropped),
  """ + strangers("pg_catalog.to_regnamespace($1)::pg_catalog.oid", STORE, STORE_FUNCTIONS).encode()
_STATEMENTS = {
    b"copy": b"""SELECT (SELECT format FROM parbake_store), (SELECT value FROM parbake_items WHERE name = '\\x00'),
      (SELECT xmin::text FROM parbake_items WHERE name = '\\x00'),
      (SELECT value FROM parbake_items WHERE name = 'q')""",
    b"name": b"""INSERT INTO parbake_items AS item
      VALUES ('\\x00', $1::bytea || pg_catalog.convert_to(pg_current_xact_id()::xid::text, 'UTF8'))
      ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value WHERE item.value = $2""",
    b"damage": b"INSERT INTO parbake_items VALUES ('\\x0064616d616765', '') ON CONFLICT DO NOTHING",
}
_SET_ASIDE = """DO $$
DECLARE is_damaged BOOLEAN;
BEGIN
  BEGIN
    is_damaged := EXISTS (SELECT FROM parbake_items WHERE name = '\\x0064616d616765')
      OR coalesce((SELECT length(value) FROM parbake_items WHERE name = '\\x00') = 0, false);
  EXCEPTION WHEN data_corrupted OR index_corrupted THEN
    is_damaged := true;
  END;
  IF is_damaged THEN
    ALTER TABLE parbake_items RENAME TO {aside};
  END IF;
END $$"""
_ASIDE = b"""
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname OPERATOR(pg_catalog.~) '^parbake_items_damaged_[0-9]+$' AND c.relkind = 'r'
ORDER BY 1
"""
_log = logging.getLogger("parbake.postgresql")
_number = numbers()


class StoreAddress(msgspec.Struct, frozen=True):
    """Where a store is and what is expected of its server. ``connect`` may contain a password, ``shown`` never does.

    ``timeout_s`` bounds each call, in seconds; ``connections`` is the most of one event loop.
    """

    shown: str
    connect: Mapping[str, Any]
    schema: str = "parbake"
    timeout_s: float = 5.0
    connections: int = 8
    is_durability_the_servers: bool = False


async def greet(wire: Wire, address: StoreAddress, seen: SeenPosition, statements: Mapping[bytes, bytes]) -> str:
    """Prepare a new connection; returns the copy of the data that it reaches.

    Args:
        wire: The connection.
        address: What is expected of it.
        seen: What this process has seen, which is updated.
        statements: The statements to prepare, by name.

    Raises:
        StoreError: The server is unfit.
        ForeignStore: The schema holds something else, or a store of another format.
    """
    before = copy(seen)  # other connections go on meanwhile, and see more than this one is about to be told
    schema, timeout_ms = f'"{address.schema}"'.encode(), b"%d" % max(1, address.timeout_s * 1000)
    _, found, layout = await wire.query(
        (_SESSION, [schema, timeout_ms]), (_SERVER, []), (_LAYOUT, [address.schema.encode()])
    )
    row = _texts(found)
    is_durable = _must_be_fit(address, row)
    await _find_or_create(wire, address, _texts(layout))
    await wire.prepare({**_STATEMENTS, **statements})
    system, file, began, reset, position, checkpoint = row[5:]
    server = ServerState(system, int(file[:8], 16), began, reset, int(position), int(checkpoint))
    for _ in range(_TRIES):
        raw, data = await _read_copy(wire, address)
        lost = before.what_is_lost(data, server, is_durable=is_durable)
        if data.name is not None and not lost:
            seen.arrive(data.name, server)
            return text(raw)
        if raw is not None:
            _log.warning("%s may lack what it has acknowledged: %s", address.shown, lost)
        await wire.ask(b"name", seen.name_after(data.name, server, _number(0)).encode(), raw)
    raise StoreError(f"{address.shown}: several processes disagree about which copy of the data this is", field="store")


async def _read_copy(wire: Wire, address: StoreAddress) -> tuple[bytes | None, FoundData]:
    """The row that names the copy, and what the data says."""
    value = (await wire.ask(b"copy")).get_value
    if int.from_bytes(value(0, 0) or b"", "big") != FORMAT:
        raise _foreign(address, "a store of a format that this version does not know")
    raw = value(0, 1)
    counter = int.from_bytes(value(0, 3) or b"", "big")
    return raw, FoundData(CopyName.parse(raw) if raw else None, text(value(0, 2)), counter)


def _must_be_fit(address: StoreAddress, row: Sequence[str]) -> bool:
    """Reject an unfit server; returns whether it keeps what it has acknowledged if it crashes."""
    if row[0] == "t":
        raise StoreError(
            f"{address.shown} is a standby; point the store at its primary, or name all hosts in the URL",
            field="store.role",
        )
    if int(row[1]) < _OLDEST:
        raise StoreError(
            f"{address.shown} is version {row[1]}; the store needs PostgreSQL {_OLDEST} or later", field="store.version"
        )
    loose = [f"{name}=off" for name, value in zip(_SETTINGS, row[2:5], strict=True) if value == "off"]
    if loose and not address.is_durability_the_servers:
        raise StoreError(
            f"{address.shown} can lose an acknowledged event in a crash ({', '.join(loose)}). Set "
            f"{', '.join(f'{name}=on' for name in _SETTINGS)} for the server and this role; or accept with "
            "?durability=server that an acknowledgement is only as safe as these settings (a loss is still noticed, "
            "and the store rebuilt)",
            field="store.durability",
        )
    return not loose


async def _find_or_create(wire: Wire, address: StoreAddress, layout: Sequence[str]) -> None:
    """Create missing tables, and reject tables that are not parbake's."""
    has_schema, may_use, has_format, kind, columns = layout[:5]
    if may_use == "f":
        raise forbidden(address, f"{address.shown}: permission denied for schema {address.schema}")
    _refuse_strangers(address, layout)
    if has_format == "f" or (kind and (kind[0] != "r" or columns != "name bytea, value bytea" or not has_format)):
        raise _foreign(address, "tables named parbake_store or parbake_items that are not a store's")
    if kind[1:] == "u" and not address.is_durability_the_servers:
        raise StoreError(
            f"{address.shown}: parbake_items is unlogged, so that a crash empties it; execute ALTER TABLE "
            f"{address.schema}.parbake_items SET LOGGED, or accept it with ?durability=server",
            field="store.durability",
        )
    if has_format and kind:
        return
    schema = "" if has_schema == "t" else f'CREATE SCHEMA IF NOT EXISTS "{address.schema}"'
    await _alone(wire, address, schema)


def _refuse_strangers(address: StoreAddress, layout: Sequence[str]) -> None:
    """Reject tables and functions of a role that need not be trusted, before any of them is used.

    Whoever uses a store need not be whoever has created it. So where only roles that were named may create in the
    schema, each of them is trusted to have created a whole store.
    """
    _, _, has_format, kind, _, found, is_open = layout
    is_whole = bool(has_format and kind)
    if found and not (is_whole and is_open == "f"):
        to_do = "choose another schema with ?schema="
        if is_whole:
            to_do += f", or let not everybody create in it (REVOKE CREATE ON SCHEMA {address.schema} FROM PUBLIC)"
        said = said_of_strangers(found, address.schema, to_do=to_do)
        raise ForeignStore(f"{address.shown}: {said}", field="store.schema")


async def set_aside(wire: Wire, address: StoreAddress) -> str:
    """Rename a damaged table and make an empty one, unless another worker has; returns the new name.

    Args:
        wire: A connection that was not greeted, because that may need what is damaged.
        address: The store.
    """
    aside = f"parbake_items_damaged_{_number(0)}"
    _, layout = await wire.query(
        (_SESSION, [f'"{address.schema}"'.encode(), b"0"]), (_LAYOUT, [address.schema.encode()])
    )
    _refuse_strangers(address, _texts(layout))
    await _alone(wire, address, _SET_ASIDE.format(aside=aside))
    (found,) = await wire.query((b"SELECT pg_catalog.to_regclass($1)", [aside.encode()]))
    return text(found.get_value(0, 0))


async def discard(wire: Wire, address: StoreAddress) -> list[str]:
    """Drop the tables that were set aside; returns their names.

    Args:
        wire: A connection.
        address: The store.
    """
    _, found = await wire.query((_SESSION, [f'"{address.schema}"'.encode(), b"0"]), (_ASIDE, [address.schema.encode()]))
    names = [text(found.get_value(row, 0)) for row in range(found.ntuples)]
    if names:
        await wire.script(f"DROP TABLE {', '.join(names)}".encode())
    return names


async def _alone(wire: Wire, address: StoreAddress, statement: str) -> None:
    """Execute a statement and make missing tables, while no other process does this."""
    lock = f"SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('parbake store {address.schema}'))"
    script = (resources.files("parbake.adapters._postgresql") / "sql" / f"postgresql_store_{FORMAT}.sql").read_text()
    await wire.script(f"BEGIN; {lock}; {statement}; {script}; COMMIT".encode())


def forbidden(address: StoreAddress, told: str) -> StoreError:
    """The error for a role without rights, which names them.

    Args:
        address: The store.
        told: What the server refused.
    """
    schema, role = address.schema, address.connect.get("user") or "the role"
    return StoreError(
        f"{told}. Let an owner execute: GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT, INSERT, UPDATE, DELETE "
        f"ON {schema}.parbake_items TO {role}; GRANT SELECT ON {schema}.parbake_store TO {role}; GRANT EXECUTE ON "
        f"FUNCTION {schema}.parbake_commit TO {role}. To create the tables, it needs GRANT CREATE ON DATABASE, or "
        "CREATE on the schema",
        field="store.user",
    )


def _foreign(address: StoreAddress, what: str) -> ForeignStore:
    return ForeignStore(
        f"{address.shown}: the schema {address.schema} holds {what}; choose another with ?schema=, or drop it",
        field="store.schema",
    )


def _texts(result: PGresult) -> list[str]:
    """The first row, as text."""
    return [text(result.get_value(0, column)) for column in range(result.nfields)]
