"""Functions, operators and types that a role without rights plants in a schema where it may create."""

import re
from pathlib import Path

import psycopg

import parbake

SOURCES = Path(parbake.__file__).parents[1]
TYPES = [
    "name", "oid", "xid", "xid8", "text", "text[]", "numeric", "bigint", "integer", "smallint", "pg_snapshot",
    '"char"', "boolean", "timestamptz", "interval", "double precision", "bytea", "bytea[]", "name[]", "regnamespace",
    "character varying", "pg_lsn", "regprocedure", "regclass",
]  # fmt: skip
OPERATORS = ["=", "<>", "<", ">", "<=", ">=", "||", "+", "-", "*", "/", "%", "&", "|", "~", "~~", "!~~"]
DOMAINS = ["text", "name", "oid", "xid", "xid8", "pg_snapshot", "regclass", "timestamptz", "regprocedure", "tid"]
MOST_ARGUMENTS = 8
OWN_OVERLOADS = [
    ("parbake_commit", "text, text, text, text, text"),
    ("parbake_commit", "bytea, bytea, bytea, bytea, bytea"),
    *(("parbake_report", f"text, {kind}, pg_snapshot, text, interval, boolean") for kind in ("smallint", "integer")),
    ("parbake_report", "name, numeric, text, name, text, text"),
    *(("parbake_leave", kind) for kind in ("name", "varchar", "anycompatible")),
    *(("parbake_run_noted", kind) for kind in ("name", "varchar", "anycompatible")),
    ("parbake_is_own", "anycompatible, anycompatible"),
]
"""What could be taken for a function of parbake's own, in whose schema it is."""
_NOTED = """'BEGIN
  PERFORM pg_catalog.nextval(''public.ran'');
  RAISE EXCEPTION ''PLANTED %, run by %'', {}, current_user;
END'"""
"""A number of a sequence is used up also in a transaction that is rolled back."""
_OVERLOADS = """
SELECT p.oid::regprocedure::text, p.proname, pg_get_function_identity_arguments(p.oid),
  CASE WHEN t.typtype = 'p' THEN 'text' ELSE format_type(p.prorettype, NULL) END, p.pronargs
FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY(%s)
"""
_OPERATORS = """
SELECT oprname, format_type(oprleft, NULL), format_type(oprright, NULL) FROM pg_operator
WHERE oprleft <> 0 AND oprright <> 0 AND oprname = ANY(%s) AND oprnamespace = 'pg_catalog'::regnamespace
"""


def names_in_statements():
    """Return each name that is called somewhere in a source file that has statements for PostgreSQL."""
    files = [path for suffix in ("py", "sql") for path in SOURCES.glob(f"parbake*/**/*.{suffix}")]
    texts = [text for text in (path.read_text() for path in files) if "pg_catalog" in text or "parbake_outbox" in text]
    return {name.lower() for text in texts for name in re.findall(r"([A-Za-z_]\w*)\(", text)}


def _function(name, arguments, returned="text"):
    said = f"{name}({arguments})".replace("'", "''''")
    body = _NOTED.format(f"''{said}''")
    return f'CREATE FUNCTION public."{name}"({arguments}) RETURNS {returned} LANGUAGE plpgsql AS {body}'


def _operator(sign, left, right, function):
    return f"CREATE OPERATOR public.{sign} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.{function})"


def plant(address, *, is_first):
    """Plant everything, and return how many things that were.

    Args:
        address: The address for the role that may create in ``public``.
        is_first: Whether ``public`` stands before ``pg_catalog`` in the search path, so that what is the same as the
            server's own would be taken, too.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        run = connection.execute
        run("SET search_path = pg_catalog")
        run("CREATE SEQUENCE public.ran; GRANT USAGE, SELECT ON SEQUENCE public.ran TO PUBLIC")
        overloads = run(_OVERLOADS, (sorted(names_in_statements()),)).fetchall()
        statements = [
            _function(name, ", ".join(["anycompatible"] * count))
            for name in sorted({name for _, name, *_ in overloads})
            for count in range(1, MOST_ARGUMENTS)
        ]
        statements += [
            _function(name, ", ".join(["text"] * count))
            for name in ("concat", "concat_ws", "format", "json_build_array", "replace")
            for count in range(1, MOST_ARGUMENTS)
        ]
        statements += [_function("concat_ws", f"text, {first}, {second}") for first in TYPES for second in TYPES]
        statements += [_function(name, f"{kind}") for _, name, _, _, count in overloads if count == 1 for kind in TYPES]
        statements += [
            _function(name, f"{first}, {second}")
            for name in (
                "concat",
                "concat_ws",
                "format",
                "string_agg",
                "strpos",
                "replace",
                "convert_to",
                "convert_from",
            )
            for first in TYPES
            for second in TYPES
        ]
        statements += [_function(name, arguments) for name, arguments in OWN_OVERLOADS]
        pairs = {(left, right) for left in TYPES for right in TYPES}
        own = [tuple(row) for row in run(_OPERATORS, (OPERATORS,)).fetchall()]
        if is_first:
            statements += [_function(name, arguments, returned) for _, name, arguments, returned, _ in overloads]
            pairs.update((left, right) for _, left, right in own)
        numbered = {pair: f"planted_{number}" for number, pair in enumerate(sorted(pairs))}
        statements += [_function(name, f"{left}, {right}", "boolean") for (left, right), name in numbered.items()]
        taken = {tuple(row) for row in own}
        statements += [
            _operator(sign, left, right, numbered[left, right])
            for sign in OPERATORS
            for left, right in numbered
            if ((sign, left, right) in taken) <= is_first
        ]
        if is_first:
            run(_function("noted", ""))
            statements += [f"CREATE DOMAIN public.{name} AS int4 CHECK (public.noted() IS NULL)" for name in DOMAINS]
        return sum(_is_done(connection, statement) for statement in dict.fromkeys(statements))


def _is_done(connection, statement):
    """Whether a statement could be executed; some types can be no argument of such a function."""
    try:
        connection.execute(statement)
    except psycopg.Error:
        return False
    return True


def has_run(connection):
    """Whether anything that was planted has run, also in a transaction that was rolled back."""
    return connection.execute("SELECT is_called FROM public.ran").fetchone()[0]
