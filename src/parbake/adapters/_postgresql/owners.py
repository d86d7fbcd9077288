"""Whose the tables and functions are that parbake takes for its own, because they have the names of its own.

Whoever may create in a schema may make a table there before parbake does. Its triggers, rules and policies, and the
functions of that name, would then run with the rights of whoever installs, reads or writes.
"""

from __future__ import annotations

from collections.abc import Sequence

OUTBOX = (
    "parbake_format", "parbake_outbox", "parbake_outbox_gone", "parbake_outbox_gone_xid", "parbake_setting",
    "parbake_run_start", "parbake_reader", "parbake_capture",
)  # fmt: skip
"""The relations of an outbox; the statements that make them have the same list."""
OUTBOX_FUNCTIONS = (
    "parbake_outbox_stamp()", "parbake_outbox_note_gone()", "parbake_run()", "parbake_capture_states()",
    "parbake_is_own(pg_catalog.xid,pg_catalog.xid8)", "parbake_run_noted(pg_catalog.text)",
    "parbake_report(pg_catalog.text,bigint,pg_catalog.pg_snapshot,pg_catalog.text,interval,boolean)",
    "parbake_leave(pg_catalog.text)", "parbake_wait(pg_catalog.xid8,interval)",
    "parbake_wait(pg_catalog.text,interval)",
)  # fmt: skip
STORE = ("parbake_store", "parbake_items")
STORE_FUNCTIONS = (
    "parbake_commit(pg_catalog.bytea,pg_catalog.bytea[],pg_catalog.bytea,pg_catalog.bytea[],pg_catalog.bytea[])",
)
_STRANGERS = """
  (
    SELECT pg_catalog.string_agg(
      pg_catalog.format('%I of the role %I', found.name, pg_catalog.pg_get_userbyid(found.owner)), ', '
      ORDER BY found.name
    )
    FROM (
      SELECT c.relname AS name, c.relowner AS owner FROM pg_catalog.pg_class c
      WHERE c.relnamespace OPERATOR(pg_catalog.=) <place>
        AND c.relname OPERATOR(pg_catalog.=) ANY(ARRAY[<relations>]::pg_catalog.NAME[])
      UNION ALL
      SELECT p.proname, p.proowner FROM pg_catalog.pg_proc p
      WHERE p.oid OPERATOR(pg_catalog.=) ANY(ARRAY(
        SELECT pg_catalog.to_regprocedure(
          pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', signature)
        )::pg_catalog.OID
        FROM pg_catalog.pg_namespace n, pg_catalog.unnest(ARRAY[<functions>]::pg_catalog.TEXT[]) AS signature
        WHERE n.oid OPERATOR(pg_catalog.=) <place>
      ))
    ) AS found
    WHERE found.owner OPERATOR(pg_catalog.<>) ALL(ARRAY(
      SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname OPERATOR(pg_catalog.=) current_user
      UNION ALL
      SELECT datdba FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
      UNION ALL
      SELECT nspowner FROM pg_catalog.pg_namespace WHERE oid OPERATOR(pg_catalog.=) <place>
    ))
  ),
  pg_catalog.has_schema_privilege('public', <place>, 'CREATE')
"""
"""Executed with any search path, so that each function, operator and type is named with its schema."""


def strangers(place: str, relations: Sequence[str], functions: Sequence[str]) -> str:
    """Two expressions: what belongs to a role that need not be trusted, and whether every role may create in a schema.

    Trusted are the present role, superusers, and the owners of the database and of the schema. The schema ``public``
    belongs to ``pg_database_owner``, a role that stands for the owner of the database.

    Args:
        place: The expression for the id of the schema.
        relations: The names of relations in it.
        functions: Functions in it, with the types of their arguments.
    """
    listed = {"relations": relations, "functions": functions}
    text = _STRANGERS.replace("<place>", place)
    for name, values in listed.items():
        text = text.replace(f"<{name}>", ", ".join(f"'{value}'" for value in values))
    return text.strip()


def said_of_strangers(found: str, schema: str | None, *, to_do: str) -> str:
    """What is said of relations that somebody else has made.

    Args:
        found: Their names and owners.
        schema: The schema that they are in.
        to_do: How another schema is chosen.
    """
    return (
        f"the schema {schema} holds {found}, who is not this role, a superuser, or the owner of the database or of the "
        "schema. Its triggers, rules, policies and functions would run with the rights of this role. If parbake has "
        "not made it, drop it, or "
        f"{to_do}. If it has, continue as that owner, or let everything of parbake in the schema belong to this role "
        "(ALTER ... OWNER TO)"
    )
