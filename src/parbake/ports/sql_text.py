"""What the text of a statement tells: the columns that it compares with parameters, and those that it selects.

The text is read by patterns, not by a parser. What no pattern recognises counts as a conversion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

_NAME = r"(?:\"?\w+\"?\.)*?(?:\"?(\w+)\"?\.)?\"?([A-Za-z_]\w*)\"?"
"""A column, in two groups: the table or alias before it, and its name."""
_PARAMETER = re.compile(r"(?<!:):([A-Za-z_]\w*)")
_EQUAL = re.compile(
    rf"(?:\bwhere|\band|\bon|\()\s*{_NAME}\s*=\s*(?::(\w+)|any\s*\(\s*:(\w+)\s*\))"
    r"(?=\s*(?:$|[;)]|\b(?:and|order|limit|group|having|for|union|offset|fetch|except|intersect)\b))",
    re.IGNORECASE,
)
"""A condition of its own that a column equals a parameter, or an item of it."""
_JOINED = re.compile(rf"(?:\bwhere|\band|\bon|\()\s*{_NAME}\s*=\s*{_NAME}(?![\w.\"]|\s*[(+*/|:-])", re.IGNORECASE)
"""A condition that two columns are equal."""
_USING = re.compile(r"\busing\s*\(([^()]*)\)", re.IGNORECASE)
_ALIAS = re.compile(
    r"(?:\b(?:from|join|only|lateral)|,)\s+(?:\"?\w+\"?\.)*?\"?(\w+)\"?\s+(?:as\s+)?(?!join\b)\"?(\w+)\"?",
    re.IGNORECASE,
)
_TABLE = r"(?:only\s+|lateral\s+)?(?:\"?\w+\"?\.)*\"?\w+\"?(?:\s+(?:as\s+)?(?!join\b)\"?\w+\"?)?"
_FROM = re.compile(rf"\b(?:from|join)\s+({_TABLE}(?:\s*,\s*{_TABLE})*)", re.IGNORECASE)
"""What stands behind FROM and JOIN: tables, some of which have an alias."""
_TABLE_NAME = re.compile(r"\s*(?:only\s+|lateral\s+)?(?:\"?\w+\"?\.)*?\"?(\w+)\"?(?![\w.\"])", re.IGNORECASE)
_LOOSE = re.compile(r"\b(?:or|not|case)\b", re.IGNORECASE)
_NOT_NULL = re.compile(r"\bis\s+not\s+null\b", re.IGNORECASE)
_TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|\w+|::|[^\s\w]", re.DOTALL)
_DEPTHS = {"(": 1, ")": -1}
_LIST_ENDS = {
    "from", "where", "group", "having", "order", "limit", "offset", "fetch", "for", "window", "union", "intersect",
    "except", ";",
}  # fmt: skip
_ALIASED = r"(?: ?(?:as )?(?:\"[^\"]*\"|\w+))?"
_COLUMN = r"(?:(?:\"[^\"]*\"|\w+)\.)*\"?([A-Za-z_]\w*)\"?"
_ITEM = re.compile(
    rf"(?:{_COLUMN}|(?:min|max)\({_COLUMN}\)|cast\({_COLUMN} as text\)|{_COLUMN}::text\b){_ALIASED}", re.IGNORECASE
)
"""An item of a select list that is a value of a column: itself, its least or greatest, or its text."""
_STAR = re.compile(r"(?:[\w.\"]+\.)?\*")


class ColumnName(NamedTuple):
    """A column as a statement names it; ``qualifier`` is the table or alias before it, if there is one."""

    qualifier: str
    name: str


class SelectItem(NamedTuple):
    """An item of a select list.

    Attributes:
        column: The column whose value it is; empty if it is a conversion, or if a star stands for it.
        is_value: Whether it is the value of a column, or is taken to be.
        is_itself: Whether it is the column itself, without a function around it.
        is_text: Whether it is the text of a column, which the database makes of it.
    """

    column: str
    is_value: bool
    is_itself: bool
    is_text: bool


_STARRED = SelectItem("", is_value=True, is_itself=True, is_text=False)


class Statement(NamedTuple):
    """What the text of a statement tells.

    Attributes:
        words: All words of it.
        tables: The names behind FROM and JOIN, as far as patterns find them; some may be no tables.
        tables_by_alias: What stands before each word that may be an alias.
        equal_columns: For each parameter, the columns that equal it.
        exact: The parameters that are used for nothing but that.
        joined: The columns that it compares with each other.
        using: The columns that tables share by ``USING``.
        select_lists: The items of each of its selects that is not within another one.
    """

    words: frozenset[str]
    tables: frozenset[str]
    tables_by_alias: Mapping[str, frozenset[str]]
    equal_columns: Mapping[str, Sequence[ColumnName]]
    exact: frozenset[str]
    joined: Sequence[tuple[ColumnName, ColumnName]]
    using: frozenset[str]
    select_lists: Sequence[Sequence[SelectItem]]

    @property
    def is_compound(self) -> bool:
        """Whether it is a union, or the like, of several selects."""
        return len(self.select_lists) > 1

    def items(self, width: int) -> Sequence[SelectItem]:
        """The item of each column of its rows; for a compound one, the least certain of its selects.

        Args:
            width: The number of columns of its rows.
        """
        lists = [_widened(items, width) for items in self.select_lists] or [[_STARRED] * width]
        return [min(column, key=lambda item: item.is_value) for column in zip(*lists, strict=True)]


@lru_cache(1024)
def read_statement(statement: str) -> Statement:
    """Read the text of a statement."""
    uses: dict[str, int] = {}
    for name in _PARAMETER.findall(statement):
        uses[name] = uses.get(name, 0) + 1
    equal: dict[str, list[ColumnName]] = {}
    for qualifier, column, name, items in _EQUAL.findall(statement):
        equal.setdefault(name or items, []).append(ColumnName(qualifier, column))
    aliases: dict[str, set[str]] = {}
    for table, alias in _ALIAS.findall(statement):
        aliases.setdefault(alias, set()).add(table)
    is_loose = _LOOSE.search(_NOT_NULL.sub("", statement)) is not None
    return Statement(
        frozenset(re.findall(r"\w+", statement)),
        frozenset(_tables(statement)),
        {alias: frozenset(tables) for alias, tables in aliases.items()},
        equal,
        frozenset(name for name, count in uses.items() if not is_loose and len(equal.get(name, ())) == count),
        [(ColumnName(*match[:2]), ColumnName(*match[2:])) for match in _JOINED.findall(statement)],
        frozenset(name for listed in _USING.findall(statement) for name in re.findall(r"\w+", listed)),
        [[_item(text) for text in items] for items in _select_lists(statement)],
    )


def _tables(statement: str) -> Iterator[str]:
    for listed in _FROM.findall(statement):
        for text in listed.split(","):
            if match := _TABLE_NAME.match(text):
                yield match[1]


def _select_lists(statement: str) -> list[list[str]]:
    """The texts of the items of each select that stands within no brackets."""
    lists: list[list[str]] = []
    for tokens in _select_tokens(statement):
        items: list[list[str]] = [[]]
        depth = 0
        for text in tokens:
            depth += _DEPTHS.get(text, 0)
            if text == "," and not depth:
                items.append([])
            else:
                items[-1].append(text)
        texts = [re.sub(r" ?([.(),]|::) ?", r"\1", " ".join(item)) for item in items]
        texts[0] = re.sub(r"^(?:all |distinct(?: on\([^()]*\)| ))", "", texts[0], flags=re.IGNORECASE)
        lists.append([text.strip() for text in texts])
    return lists


def _select_tokens(statement: str) -> Iterator[list[str]]:
    """The tokens of each select list that stands within no brackets."""
    depth = 0
    tokens: list[str] | None = None
    for text in _TOKEN.findall(statement):
        word = text.lower()
        if word.startswith(("--", "/*")):
            continue
        depth += _DEPTHS.get(text, 0)
        if tokens is not None and not depth and word in _LIST_ENDS:
            yield tokens
            tokens = None
        elif tokens is not None:
            tokens.append(text)
        elif word == "select" and not depth:
            tokens = []
    if tokens is not None:
        yield tokens


def _item(text: str) -> SelectItem:
    if _STAR.fullmatch(text):
        return _STARRED
    match = _ITEM.fullmatch(text)
    if match is None:
        return SelectItem("", is_value=False, is_itself=False, is_text=False)
    itself, extreme, cast, text_of = match.groups()
    column = itself or extreme or cast or text_of
    return SelectItem(column, is_value=True, is_itself=bool(itself), is_text=bool(cast or text_of))


def _widened(items: Sequence[SelectItem], width: int) -> Sequence[SelectItem]:
    """Replace stars so that there is an item for each column of a row."""
    stars = [position for position, item in enumerate(items) if item is _STARRED]
    if not stars:
        return items if len(items) == width else [_STARRED] * width
    before, after = items[: stars[0]], items[stars[-1] + 1 :]
    return [*before, *[_STARRED] * max(width - len(before) - len(after), 0), *after]
