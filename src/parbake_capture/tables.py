"""What is captured: a table, and the tags that a change of one of its rows raises."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from parbake.errors import BadInput, ContractError
from parbake.protocol.tags import check_tag, family, placeholders

LIMIT = 1000
"""A statement that raises more tags than this raises their families, each once."""
_COLUMN = re.compile(r"[^{}\[\].!:\x00-\x1f\x7f]+")
"""The names of columns that a template can name: those that do not read as a part of the template."""
_TABLE = re.compile(r'((?:"(?:[^"]|"")*"|[^":])*):?(.*)', re.DOTALL)
"""A table and its tags; a colon within quotes belongs to the table."""


class Captured(NamedTuple):
    """A table and the templates of its tags, such as ``policy/{id}``; ``{id}`` is the value of a column."""

    relation: str
    tags: tuple[str, ...]

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the tags."""
        return tuple(dict.fromkeys(map(family, self.tags)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the templates name."""
        return tuple(dict.fromkeys(name for tag in self.tags for name in placeholders(tag)))


class CaptureState(NamedTuple):
    """A captured table, the app that asked for it, and what keeps its changes from being told, if something does."""

    table: Captured
    app: str
    problem: str


class Repair(NamedTuple):
    """The statements that put missing triggers back, and why some tables cannot be captured as they are."""

    statements: list[str]
    refused: list[str]


class Reader(NamedTuple):
    """A store that reports how far it has read, the seconds since its last report, and what that means."""

    store: str
    age_s: float
    state: str


class Capture(Protocol):
    """The triggers of one database. A method that changes them returns statements; :meth:`run` executes them."""

    def install(self, tables: Sequence[Captured], *, app: str, replaces: bool = False) -> list[str]:
        """The statements that capture tables, which keep the tags that they have; none for what is there already.

        Args:
            tables: The tables; without any, only the outbox is set right.
            app: The name of the app. Several apps may capture one table, each with tags of its own.
            replaces: Whether the app raises only the tags that are named now.

        Raises:
            BadInput: A table cannot be captured, or has no such column.
        """
        ...

    def repair(self, *, app: str) -> Repair:
        """The statements that put back the triggers of an app that are not whole, table by table.

        Args:
            app: The name of the app.
        """
        ...

    def remove(self, relations: Sequence[str], *, app: str) -> list[str]:
        """The statements that end the capture of tables by an app.

        Args:
            relations: The tables; all that the app has captured if there are none.
            app: The name of the app.

        Raises:
            BadInput: The app has not captured such a table.
        """
        ...

    def states(self) -> list[CaptureState]:
        """All captured tables."""
        ...

    def grant(self, roles: Sequence[str]) -> list[str]:
        """The statements that let roles read the outbox and report; none for what they may already.

        Args:
            roles: The roles that servers connect as.

        Raises:
            BadInput: The database has no such role, or no roles.
        """
        ...

    def allow_silence(self, limit_s: float) -> list[str]:
        """The statements that set for how long a store may trust itself without a report.

        Args:
            limit_s: The limit, in seconds.

        Raises:
            BadInput: Nobody reports to this kind of database.
        """
        ...

    def readers(self) -> list[Reader]:
        """The stores that report to the database; none where nobody does."""
        ...

    def retire(self, store: str) -> list[str]:
        """The statements after which nobody waits for a store.

        Args:
            store: The name under which it reported.

        Raises:
            BadInput: There is no such store, or it may still trust what it holds.
        """
        ...

    def run(self, statements: Sequence[str]) -> None:
        """Execute statements in one transaction."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


def parsed(text: str) -> Captured:
    """Read a table with its tags, as in ``prices:product/{asin},catalog``.

    Args:
        text: The table, a colon, and the templates, separated by commas. Without templates the tags have the table's
            name and its primary key.

    Raises:
        BadInput: It is not of that form.
    """
    match = _TABLE.fullmatch(text)
    relation, listed = match.groups() if match else text.partition(":")[::2]
    tags = tuple(tag.strip() for tag in listed.split(",") if tag.strip())
    if not relation.strip():
        raise BadInput(f"--table {text[:80]!r} names no table: write policies:policy/{{id}}", field="--table")
    for tag in tags:
        _check_template(tag)
    return Captured(relation.strip(), tags)


def is_template(text: str) -> bool:
    """Whether a text is a template that makes tags, and that all who read it cut in the same way.

    Args:
        text: The text.
    """
    named = [name for kind, name in pieces(text) if kind == "column"]
    is_plain = "{{" not in text and "}}" not in text and "{" not in family(text)
    if not (is_plain and all(map(_COLUMN.fullmatch, named)) and _names(text) == named):
        return False
    try:
        check_tag("".join(part if kind == "text" else "x" for kind, part in pieces(text)))
    except BadInput:
        return False
    return True


def _check_template(text: str) -> None:
    """Raise :class:`BadInput` unless a template that somebody has typed makes tags."""
    if not is_template(text):
        raise BadInput(
            f"--table: {text[:80]!r} is not a template: write a family, a slash and columns in braces, such as "
            "policy/{id}",
            field="--table",
        )


def _names(template: str) -> list[str] | None:
    """The columns that a template names as every reader of templates takes them; ``None`` if it is malformed."""
    try:
        return placeholders(template)
    except ContractError:
        return None


def pieces(template: str) -> list[tuple[str, str]]:
    """The parts of a template: ``("text", "policy/")`` and ``("column", "id")``."""
    found: list[tuple[str, str]] = []
    for text, name in re.findall(r"([^{}]+)|\{([^{}]*)\}", template):
        found.append(("text", text) if text else ("column", name))
    return found


def sql_text(value: str) -> str:
    """A text as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"
