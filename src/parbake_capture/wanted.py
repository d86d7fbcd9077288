"""What apps want of a table: the tags of each, checked against the table's columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from parbake.errors import BadInput
from parbake.protocol.table_names import table_name
from parbake.protocol.tags import family, is_family, placeholders
from parbake_capture.tables import Capture, Captured, Repair, is_template

Known = Mapping[str, Mapping[str, tuple[str, ...]]]
"""The tags of each app, by table."""


def gathered(
    tables: Iterable[tuple[str, Captured]],
    known: Known,
    app: str,
    complete: Callable[[str, Captured, tuple[str, ...]], Captured],
    *,
    replaces: bool,
) -> dict[str, dict[str, tuple[str, ...]]]:
    """The tags of each app, by table, once an app has captured some tables. It keeps the tags that it has.

    Args:
        tables: The tables, each with the name by which the database knows it; one may be named several times.
        known: The tags of each app now.
        app: The app.
        complete: Checks a table, and adds the tags that it has, which are given to it.
        replaces: Whether the app has only the tags that are named now.
    """
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for relation, table in tables:
        if relation not in found:
            found[relation] = {a: tags for a, tags in known.get(relation, {}).items() if not (replaces and a == app)}
        apps = found[relation]
        apps[app] = complete(relation, table, apps.get(app, ())).tags
    return found


def repaired(capture: Capture, *, app: str) -> Repair:
    """Put back the triggers of an app that are not whole. A table that cannot be captured any more stops no other.

    Args:
        capture: The database.
        app: The name of the app.
    """
    statements = capture.install([], app=app)
    refused: list[str] = []
    for state in capture.states():
        if not state.problem or state.app != app:
            continue
        try:
            needed = capture.install([state.table], app=app)
        except BadInput as error:
            refused.append(str(error))
        else:
            statements += [statement for statement in needed if statement not in statements]
    return Repair(statements, refused)


def completed(
    table: Captured, relation: str, *, columns: Collection[str], keys: Sequence[str], before: Sequence[str]
) -> Captured:
    """A table whose templates name its columns; without templates, its tags are made of its primary key.

    Args:
        table: The table as it was named.
        relation: The name by which the database knows it.
        columns: Its columns.
        keys: Those of its primary key.
        before: The tags that it has, which it keeps. One whose column is gone gives way to another of its family.

    Raises:
        BadInput: A template names another column, or there are neither templates nor a key.
    """
    own = table_name(relation)
    tags = table.tags or ((f"{own}/" + "/".join(f"{{{key}}}" for key in keys),) if keys else ())
    _check(tags, relation, is_made=not table.tags)
    if not tags:
        raise BadInput(
            f"--table {relation}: it has no primary key; name the columns of the tag, as in {own}:{own}/{{id}}, or "
            f"only a family, as in {own}:{own}",
            field="--table",
        )
    _check(before, relation)
    found = Captured(relation, tags)
    for name in found.columns:
        if name not in columns:
            listed = ", ".join(columns)
            raise BadInput(f"--table {relation}: it has no column {name!r} (it has {listed})", field="--table")
    kept = [tag for tag in before if {*placeholders(tag)}.issubset(columns) or family(tag) not in found.families]
    return Captured(relation, tuple(dict.fromkeys((*kept, *tags))))


def _check(tags: Sequence[str], relation: str, *, is_made: bool = False) -> None:
    """Raise :class:`BadInput` unless each template makes tags.

    Args:
        tags: The templates.
        relation: The table.
        is_made: Whether they were made of the names of the table and of its primary key.
    """
    for tag in tags:
        if is_template(tag) and (not is_made or is_family(table_name(relation))):
            continue
        of_names = "its name or its primary key has letters that a tag cannot have"
        why = of_names if is_made else "this template makes no tags"
        raise BadInput(
            f"--table {relation}: {tag[:80]!r}: {why}; name its tags, as in --table '{relation}:family/{{column}}', or "
            f"only a family, as in --table '{relation}:family' (with --replace in place of those that it has)",
            field="--table",
        )


def ambiguous(relation: str, column: str, why: str) -> BadInput:
    """The error for a column whose text in the database may differ from the one that a view names.

    Args:
        relation: The table.
        column: The column.
        why: What is wrong with it.
    """
    return BadInput(
        f"--table {relation}: column {column!r} {why}, so that its text may differ from the one that a view names; use "
        "another column, or only a family",
        field="--table",
    )


def left_by(app: str, relations: Sequence[str], known: Known) -> dict[str, dict[str, tuple[str, ...]]]:
    """The tags that other apps keep, by table, when an app leaves some tables, or all.

    Args:
        app: The app that leaves.
        relations: The tables that it leaves; all if there are none.
        known: The tags of each app, by table.

    Raises:
        BadInput: The app has not captured such a table, or none.
    """
    own = [relation for relation, apps in known.items() if app in apps]
    for relation in relations:
        if relation not in own:
            captured = ", ".join(own) or "none"
            raise BadInput(f"--table {relation}: {app!r} has not captured it (captured: {captured})", field="--table")
    if not own:
        apps = ", ".join(sorted({name for known_apps in known.values() for name in known_apps})) or "none"
        raise BadInput(f"--app {app}: no table is captured for {app!r} (apps that have some: {apps})", field="--app")
    return {
        relation: {name: tags for name, tags in known[relation].items() if name != app}
        for relation in dict.fromkeys(relations or own)
    }


def by_table(rows: Iterable[tuple[str, str, Iterable[str]]]) -> Known:
    """The tags of each app by table, from rows of a table, an app and its tags."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for relation, app, tags in rows:
        found.setdefault(relation, {})[app] = tuple(tags)
    return found
