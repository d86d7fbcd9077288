"""Capture on PostgreSQL: statement triggers on a table and its partitions, whose function fills the outbox.

A statement fires the triggers of the table that it names, with all rows that it changed in the tables below. So each
partition needs triggers of its own for statements that name it, and so does each table above, if the captured table is
a partition itself. They fire always, and run with the rights of their owner, so that a writer needs none. A trigger
never fails a writer: if it cannot tell the rows, it raises the family. Because of these rights nothing that another
role may make runs in a trigger: names are looked up in the server's own schema, values are spelled by the output of
their type and not by a cast, and nobody else may put the function on a table.

A subscription changes row by row and fires no statement trigger. For it, each table that holds rows has a trigger that
fires for replicated changes only, and raises the families once in a transaction.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parbake.adapters._postgresql.search_path import PINNED, pin_own
from parbake.adapters.postgresql import OUTBOX_DDL, connected
from parbake.errors import BadInput, MissingDependency, SourceError
from parbake.protocol.tag_parts import postgresql_part
from parbake_capture import postgresql_readers
from parbake_capture.postgresql_quoting import array, body, identifier, literal
from parbake_capture.tables import LIMIT, Captured, CaptureState, Reader, Repair, pieces
from parbake_capture.wanted import Known, ambiguous, by_table, completed, gathered, left_by, repaired

if TYPE_CHECKING:
    import psycopg

_OUTBOX = "parbake_outbox"
_LOCK_S = 5
"""Longest wait for a table's lock, in seconds. Writers queue behind it meanwhile."""
_PLAIN = ("smallint", "integer", "bigint", "text", "character varying", "uuid", "date")
"""Types whose text is the same in PostgreSQL and in Python."""
_MEMBERS = """
WITH RECURSIVE root(oid) AS (SELECT %s::OID), below(oid) AS (
  SELECT oid FROM root UNION SELECT inhrelid FROM pg_inherits JOIN below ON inhparent = below.oid
), above(oid) AS (
  SELECT inhparent FROM pg_inherits JOIN root ON inhrelid = root.oid
  UNION SELECT inhparent FROM pg_inherits JOIN above ON inhrelid = above.oid
)
SELECT c.oid::REGCLASS::TEXT, c.relkind, is_above FROM (
  SELECT oid, false FROM below UNION ALL SELECT oid, true FROM above
) AS members(oid, is_above) JOIN pg_class c USING (oid) ORDER BY c.oid
"""
"""The tables whose statements change rows of a table: itself, those below, and those above."""
_COLUMNS = """
SELECT
  a.attname, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL), t.typtype = 'e',
  coalesce(NOT c.collisdeterministic, false), coalesce(a.attnum = ANY(i.indkey), false)
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation c ON c.oid = a.attcollation
LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_SEEN = {
    "INSERT": "REFERENCING NEW TABLE AS new_rows",
    "UPDATE": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "DELETE": "REFERENCING OLD TABLE AS old_rows",
    "TRUNCATE": "",
}
"""The rows that a trigger of each event sees."""
_WHOLE_TRIGGERS = """
SELECT t.tgname,
  CASE t.tgtype
    WHEN 4 THEN 'INSERT' WHEN 8 THEN 'DELETE' WHEN 16 THEN 'UPDATE' WHEN 32 THEN 'TRUNCATE' ELSE 'REPLICATED'
  END,
  t.tgoldtable, t.tgnewtable
FROM pg_trigger t
WHERE t.tgrelid = %s AND t.tgfoid = to_regprocedure(%s)
  AND (t.tgenabled = 'A' AND t.tgtype IN (4, 8, 16, 32) OR t.tgenabled = 'R' AND t.tgtype = 29)
  AND t.tgqual IS NULL AND t.tgattr = ''
"""
"""Statement triggers that fire after an event, always, and for every column, and the one for replicated rows."""
_REPLICATED = "REPLICATED"
_FUNCTION = (Path(__file__).parent / "sql" / "postgresql_function.sql").read_text()
_KINDS = {
    "v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "i": "an index",
    "c": "a type",
}  # fmt: skip

_INSTEAD = {
    "v": "capture the tables from which it is made",
    "m": "write its tag to the outbox in the transaction of its REFRESH",
    "f": "write its tag to the outbox when you know of a change, or give its values a short freshness_sla",
}


class PostgresqlCapture:
    """The triggers of one PostgreSQL database (see :class:`parbake_capture.tables.Capture`).

    The outbox is in the first schema of the search path. The statements that are returned may be executed with any
    search path that begins with it, also by hand: each function, operator and type is named with its schema.
    """

    def __init__(self, conninfo: str) -> None:
        """Connect; raises :class:`SourceError` if the database cannot be reached."""
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise MissingDependency.of("capture on PostgreSQL", "postgresql", field="psycopg") from error
        self._client = psycopg
        with self._failures():
            self._connection: psycopg.Connection[Any] = connected(conninfo, field="DATABASE")
            self._path = pin_own(self._connection, field="DATABASE")
            self._schema = self._path.first_schema or ""

    def install(self, tables: Sequence[Captured], *, app: str, replaces: bool = False) -> list[str]:
        self._path.refuse_strangers(field="DATABASE", is_installing=True)
        with self._failures():
            wanted = [(self._resolved(table.relation), table) for table in tables]
            if not wanted:
                self._must_have_its_outbox()
            found = [f"SET LOCAL lock_timeout = '{_LOCK_S}s'", OUTBOX_DDL]
            for relation, apps in gathered(wanted, self._known(), app, self._completed, replaces=replaces).items():
                found += self._installed(relation, apps)
        return found

    def repair(self, *, app: str) -> Repair:
        return repaired(self, app=app)

    def remove(self, relations: Sequence[str], *, app: str) -> list[str]:
        with self._failures():
            named = [self._canonical(relation) or relation for relation in relations]
            found = [f"SET LOCAL lock_timeout = '{_LOCK_S}s'"]
            for relation, left in left_by(app, named, self._known()).items():
                found += self._installed(relation, left) if left else self._removed(relation)
        return found

    def states(self) -> list[CaptureState]:
        with self._failures():
            if not self._has_outbox():
                return []
            problems = self._problems()
            rows = self._all("SELECT relation, app, tags FROM OWN.parbake_capture ORDER BY relation, app")
            return [
                CaptureState(table, app, problems[table.relation] or problems[_OUTBOX] or self._lacking(table))
                for table, app in ((Captured(relation, tuple(tags)), app) for relation, app, tags in rows)
            ]

    def grant(self, roles: Sequence[str]) -> list[str]:
        with self._failures():
            return postgresql_readers.granted(self._all, self._schema, roles)

    def allow_silence(self, limit_s: float) -> list[str]:
        return postgresql_readers.silence_allowed(self._schema, limit_s)

    def readers(self) -> list[Reader]:
        with self._failures():
            return postgresql_readers.listed(self._all) if self._has_outbox() else []

    def retire(self, store: str) -> list[str]:
        with self._failures():
            return postgresql_readers.retired(self._all, self._schema, store)

    def _problems(self) -> Mapping[str, str]:
        """What keeps the changes of each captured table from being told, and the rows of the outbox from being read."""
        found: dict[str, str] = defaultdict(str)
        is_present = "SELECT FROM pg_proc WHERE oid = to_regprocedure(%s) AND proconfig = ARRAY[%s::TEXT]"
        function = f"{self._path.outbox_schema}.parbake_capture_states()"
        if self._one(is_present, function, f"search_path={PINNED}") is None:
            found[_OUTBOX] = (
                "a function of the outbox is missing or of an earlier version: run 'parbake capture install DATABASE "
                "--apply'"
            )
        else:
            found.update(self._all("SELECT relation, coalesce(problem, '') FROM OWN.parbake_capture_states()"))
        return found

    def _must_have_its_outbox(self) -> None:
        """Raise :class:`BadInput` if the database has outboxes, but none where this role's search path begins."""
        held = (
            "SELECT quote_ident(nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = %s"
        )
        schemas = [schema for (schema,) in self._all(f"{held} AND relkind = 'r' ORDER BY 1", _OUTBOX)]
        if schemas and self._schema not in schemas:
            raise BadInput(
                f"nothing is captured in the schema {self._schema}, with which the search_path begins, but there "
                f"is an outbox in {', '.join(schemas)}: let the search_path begin with that schema",
                field="DATABASE",
            )

    def _lacking(self, table: Captured) -> str:
        """What is said of a table whose tags name a column that it has lost, or whose triggers are to be made again."""
        if not self._has_present_function(table.relation):
            return (
                "its triggers were made by an earlier version, and run what others may make with their owner's "
                "rights: run 'parbake capture install DATABASE --apply'"
            )
        columns = {row[0] for row in self._all(_COLUMNS, self._oid(table.relation))}
        gone = [name for name in table.columns if name not in columns]
        return f"it has no column {gone[0]!r} any more, so that each change raises whole families" if gone else ""

    def run(self, statements: Sequence[str]) -> None:
        self._path.refuse_strangers(field="DATABASE", is_installing=True)
        with self._failures(), self._connection.transaction():
            self._connection.execute(self._path.set_for_transaction())
            for statement in statements:
                self._connection.execute(statement.encode())

    def close(self) -> None:
        self._connection.close()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except self._client.errors.LockNotAvailable as error:
            raise SourceError(
                f"a table was locked for more than {_LOCK_S} s: end the transaction that holds it, and try again",
                field="DATABASE",
            ) from error
        except self._client.errors.InsufficientPrivilege as error:
            raise SourceError(
                f"{error.diag.message_primary}: capture needs a role that owns the tables and may create in the schema",
                field="DATABASE",
            ) from error
        except self._client.Error as error:
            raise SourceError(f"the database refuses: {error}", field="DATABASE") from error

    def _one(self, statement: str, *values: Any) -> Any:
        return self._connection.execute(self._path.qualify(statement), values).fetchone()

    def _all(self, statement: str, *values: Any) -> list[Any]:
        return self._connection.execute(self._path.qualify(statement), values).fetchall()

    def _has_outbox(self) -> bool:
        return bool(self._one("SELECT to_regclass(%s) IS NOT NULL", f"{self._path.outbox_schema}.parbake_capture")[0])

    def _known(self) -> Known:
        return by_table(self._all("SELECT relation, app, tags FROM OWN.parbake_capture") if self._has_outbox() else ())

    def _canonical(self, relation: str) -> str | None:
        """The quoted name of a table with its schema; ``None`` if there is none."""
        found = self._one(
            "SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s::OID",
            self._named(relation),
        )
        return str(found[0]) if found else None

    def _named(self, relation: str) -> int | None:
        """The id of a table that the caller has named, as the caller's path finds it; ``None`` if there is none."""
        with self._connection.transaction():
            self._connection.execute(self._path.set_for_transaction())
            (found,) = self._one("SELECT pg_catalog.to_regclass(%s::pg_catalog.TEXT)::pg_catalog.OID", relation)
        return None if found is None else int(found)

    def _resolved(self, relation: str) -> str:
        """The name of a table that can be captured."""
        name = self._canonical(relation)
        if name is None:
            raise BadInput(f"--table {relation}: there is no such table", field="--table")
        members = self._members(name)
        for member, kind, _ in members:
            if kind not in ("r", "p"):
                raise BadInput(
                    f"--table {relation}: {member} is {_KINDS.get(kind, 'not a table')}, whose changes no trigger "
                    f"sees; {_INSTEAD.get(kind, 'name the tables that views read')}",
                    field="--table",
                )
        filled = "SELECT s.srrelid::REGCLASS::TEXT FROM pg_subscription_rel s WHERE s.srrelid = to_regclass(%s)"
        for member, *_ in members:
            if self._one(filled, member):
                raise BadInput(
                    f"--table {relation}: {member} is filled by a subscription, which fires no statement trigger; "
                    "capture it where it is written",
                    field="--table",
                )
        return name

    def _members(self, relation: str) -> list[Any]:
        return self._all(_MEMBERS, self._oid(relation))

    def _oid(self, relation: str) -> int:
        (found,) = self._one("SELECT to_regclass(%s)::OID", relation)
        return int(found)

    def _completed(self, relation: str, table: Captured, before: Sequence[str]) -> Captured:
        """A table whose templates are checked against its columns, or made from its primary key."""
        columns = {name: rest for name, *rest in self._all(_COLUMNS, self._oid(relation))}
        keys = [name for name, (_, _, _, is_key) in columns.items() if is_key]
        found = completed(table, relation, columns=list(columns), keys=keys, before=before)
        for name in columns.keys() & found.columns:
            kind, is_enum, is_loose, _ = columns[name]
            if is_loose:
                raise ambiguous(relation, name, "compares texts that differ as equal")
            if not is_enum and kind not in _PLAIN:
                raise ambiguous(relation, name, f"is of type {kind}")
        return found

    def _function(self, relation: str) -> str:
        return f"{self._schema}.{_function_name(relation)}"

    def _trigger(self, event: str, captured: str) -> str:
        """The name of a trigger; on a table above, which may have those of several captured tables, with that one."""
        digest = blake2b(f"{self._schema} {captured}".rstrip().encode(), digest_size=3).hexdigest()
        return f"parbake_capture_{digest}_{event.lower()}"

    def _installed(self, relation: str, apps: Mapping[str, tuple[str, ...]]) -> list[str]:
        """The statements that capture a table for some apps; none if it is captured for them already.

        What is there is not made again: a trigger or a function that was made again looks to readers as if it had been
        away, and they raise its families.
        """
        table = Captured(relation, tuple(dict.fromkeys(tag for tags in apps.values() for tag in tags)))
        function = self._function(relation)
        types = {name: kind for name, kind, *_ in self._all(_COLUMNS, self._oid(relation))}
        text = _body(self._schema, table, types)
        found: list[str] = []
        if not self._has_function(function, text):
            found.append(
                f"CREATE OR REPLACE FUNCTION {function}() RETURNS pg_catalog.trigger LANGUAGE plpgsql SECURITY DEFINER "
                f"SET search_path = {PINNED} AS {body(text)}"
            )
            found.append(f"REVOKE EXECUTE ON FUNCTION {function}() FROM PUBLIC")
        for member, kind, is_above in self._members(relation):
            found += self._missing_triggers(member, function, kind, relation if is_above else "")
        if not found and self._apps_of(relation) == dict(apps):
            return []
        checksum = (
            "(SELECT pg_catalog.md5(pg_catalog.concat(prosrc, proconfig)) FROM pg_catalog.pg_proc "
            f"WHERE oid OPERATOR(pg_catalog.=) {literal(function + '()')}::pg_catalog.REGPROCEDURE)"
        )
        known, name = f"{self._schema}.parbake_capture", literal(relation)
        found.append(f"DELETE FROM {known} WHERE relation OPERATOR(pg_catalog.=) {name}")
        found += [
            f"INSERT INTO {known} VALUES ({name}, {literal(app)}, {array(tags)}, {checksum})"
            for app, tags in apps.items()
        ]
        return [*found, *self._raised(table)]

    def _apps_of(self, relation: str) -> dict[str, tuple[str, ...]]:
        """The tags for which each app has captured a table, if the triggers are those that were installed."""
        if not self._has_outbox():
            return {}
        rows = self._all(
            "SELECT c.app, c.tags FROM OWN.parbake_capture c WHERE c.relation = %s AND c.checksum = "
            "(SELECT md5(concat(prosrc, proconfig)) FROM pg_proc WHERE oid = to_regprocedure(%s))",
            relation,
            f"{self._function(relation)}()",
        )
        return {app: tuple(tags) for app, tags in rows}

    def _has_present_function(self, relation: str) -> bool:
        """Whether the function of a table's triggers is not of an earlier version; it is in the outbox's schema."""
        (is_present,) = self._one(
            "SELECT bool_and(p.proconfig IS NOT DISTINCT FROM ARRAY[%s::TEXT]) FROM pg_proc p "
            "JOIN pg_class c ON c.relnamespace = p.pronamespace WHERE c.oid = to_regclass(%s) AND p.proname = %s",
            f"search_path={PINNED}",
            f"{self._path.outbox_schema}.parbake_capture",
            _function_name(relation),
        )
        return is_present is not False

    def _has_function(self, function: str, text: str) -> bool:
        found = self._one(
            "SELECT prosrc = %s AND prosecdef AND proconfig = ARRAY[%s::TEXT] AND NOT has_function_privilege('public', "
            "oid, 'execute') FROM pg_proc WHERE oid = to_regprocedure(%s)",
            text,
            f"search_path={PINNED}",
            f"{function}()",
        )
        return bool(found and found[0])

    def _missing_triggers(self, member: str, function: str, kind: str, captured: str) -> list[str]:
        """The statements for those triggers of a table that are missing, altered or disabled.

        Args:
            member: The table.
            function: The function that the triggers call.
            kind: Whether the table holds rows, as ``pg_class.relkind``.
            captured: The captured table, if this is one above it.
        """
        whole = {
            name
            for name, event, old_table, new_table in self._all(_WHOLE_TRIGGERS, self._oid(member), f"{function}()")
            if event == _REPLICATED
            or (
                f"OLD TABLE AS {old_table}" in _SEEN[event] + "OLD TABLE AS None"
                and f"NEW TABLE AS {new_table}" in _SEEN[event] + "NEW TABLE AS None"
            )
        }
        wanted = {
            self._trigger(event, captured): (f"AFTER {event} ON {member} {seen} FOR EACH STATEMENT", "ALWAYS")
            for event, seen in _SEEN.items()
        }
        if kind == "r" and not captured:
            of_rows = f"AFTER INSERT OR UPDATE OR DELETE ON {member} FOR EACH ROW"
            wanted[self._trigger(_REPLICATED, captured)] = (of_rows, "REPLICA")
        found: list[str] = []
        for name, (fires, when) in wanted.items():
            if name not in whole:
                found.append(f"CREATE OR REPLACE TRIGGER {name} {fires} EXECUTE FUNCTION {function}()")
                found.append(f"ALTER TABLE ONLY {member} ENABLE {when} TRIGGER {name}")
        return found

    def _removed(self, relation: str) -> list[str]:
        return [
            f"DROP FUNCTION IF EXISTS {self._function(relation)}() CASCADE",
            f"DELETE FROM {self._schema}.parbake_capture WHERE relation OPERATOR(pg_catalog.=) {literal(relation)}",
        ]

    def _raised(self, table: Captured) -> list[str]:
        """What happened before is unknown to who has read the outbox, so that each family is raised once."""
        raised = (
            f"INSERT INTO {self._schema}.parbake_outbox(subject, type) "
            f"SELECT family, 'capture.bulk' FROM pg_catalog.unnest({array(table.families)}) AS family"
        )
        return [raised] if self._has_outbox() else []


def _function_name(relation: str) -> str:
    """The name of the function that the triggers of a table call."""
    return f"parbake_capture_{blake2b(relation.encode(), digest_size=4).hexdigest()}"


def _tag(template: str, types: Mapping[str, str]) -> str:
    """The expression for a tag of a row ``r``; its family if a column is null, or all of them are empty.

    Args:
        template: The template of the tag.
        types: The type of each column.
    """
    parts = [
        literal(part) if kind == "text" else postgresql_part(f"r.{identifier(part)}", types.get(part, ""))
        for kind, part in pieces(template)
    ]
    whole, slash, _ = template.partition("/")
    if not slash:
        return literal(template)
    made = " OPERATOR(pg_catalog.||) ".join(parts)  # nullif() would look its operator up in the search path
    is_empty = f"{made} OPERATOR(pg_catalog.=) {literal(whole + slash)}"
    return f"coalesce(CASE WHEN {is_empty} THEN {literal(whole)} ELSE {made} END, {literal(whole)})"


def _body(schema: str, table: Captured, types: Mapping[str, str]) -> str:
    """The body of the function that all triggers of a table call.

    Args:
        schema: The schema of the outbox.
        table: The table.
        types: The type of each column.
    """
    tags = [_tag(template, types) for template in table.tags]
    filled = {
        "schema": schema,
        "tag": tags[0] if len(tags) == 1 else f"pg_catalog.unnest(ARRAY[{', '.join(tags)}])",
        "columns": ", ".join(map(identifier, table.columns)) or "1",
        "most": str(LIMIT + 1),
        "families": array(table.families),
    }
    return re.sub(r"<(\w+)>", lambda found: filled[found[1]], _FUNCTION)
