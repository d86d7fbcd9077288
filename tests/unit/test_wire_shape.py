"""The shape of stored values changes exactly if their bytes change."""

import collections.abc
import dataclasses
import datetime as dt
import decimal
import enum
import subprocess
import sys
import typing
import uuid
from typing import Annotated, Generic, Literal, NamedTuple, NotRequired, Optional, TypedDict, TypeVar, Union

import attrs
import msgspec
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from parbake.values.codecs.wire_shape import wire_shape, wire_text

T = TypeVar("T")
S = TypeVar("S")
UserId = typing.NewType("UserId", str)


class Colour(enum.Enum):
    """An enumeration whose values are stored."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """An enumeration of numbers, whose names are part of the shape."""

    LOW = 1
    HIGH = 2


class Offer(msgspec.Struct, rename="camel"):
    """A struct with renamed and optional fields."""

    shop_name: str
    cents: Annotated[int, Meta(ge=0, description="price")]
    note: str | None = None


class Pair(msgspec.Struct, array_like=True):
    """A struct that is stored as an array."""

    left: int
    right: float = 0.0


class Cat(msgspec.Struct, tag="cat", tag_field="kind"):
    """One member of a union."""

    lives: int


class Dog(msgspec.Struct, tag="dog", tag_field="kind"):
    """Another tagged struct of the union."""

    name: bytes


class Short(msgspec.Struct, omit_defaults=True):
    """A struct whose defaults are omitted from the bytes."""

    count: int = 3
    rows: list[int] = []
    since: dt.date | msgspec.UnsetType = msgspec.UNSET


class Tree(msgspec.Struct):
    """A recursive type."""

    name: str
    children: "list[Tree]" = []
    twin: "Tree | None" = None


class Box(msgspec.Struct, Generic[T]):
    """A generic struct."""

    inner: T
    more: list[T]


class IntBox(Box[int], Generic[T]):
    """A generic struct over a bound one, with a variable of the same name."""

    other: T


@dataclasses.dataclass
class Row:
    """A dataclass."""

    shop: str
    n: int = 1
    when: dt.datetime | None = None


@dataclasses.dataclass
class Wide(Generic[S]):
    """A generic dataclass."""

    rows: dict[str, S]


@dataclasses.dataclass
class Deep(Wide[tuple[S, ...]], Generic[S]):
    """A generic dataclass that binds its base's variable to one of its own."""

    top: S


class Doc(TypedDict):
    """A mapping with declared keys."""

    zeta: int
    alpha: NotRequired[str]


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: float = 0.5


@attrs.define
class Cart:
    """An attrs class."""

    items: list[str]
    total: decimal.Decimal = decimal.Decimal(0)


KNOWN = [
    (typing.Any, "any"),
    (object, "any"),
    (None, "none"),
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (str, "str"),
    (UserId, "str"),
    (bytes, "bytes"),
    (bytearray, "bytes"),
    (memoryview, "bytes"),
    (dt.datetime, "datetime"),
    (Annotated[dt.datetime, Meta(tz=True)], "datetime(tz=true)"),
    (dt.date, "date"),
    (dt.time, "time"),
    (dt.timedelta, "timedelta"),
    (decimal.Decimal, "decimal"),
    (uuid.UUID, "uuid"),
    (msgspec.Raw, "raw"),
    (msgspec.msgpack.Ext, "ext"),
    (list, "list[any]"),
    (list[int], "list[int]"),
    (typing.List[int], "list[int]"),  # noqa: UP006  # the old spelling is what is tried
    (collections.abc.Sequence[int], "list[int]"),
    (set[str], "set[str]"),
    (frozenset[str], "set[str]"),
    (tuple, "tuple[any*]"),
    (tuple[()], "tuple[]"),
    (tuple[int, ...], "tuple[int*]"),
    (tuple[int, str], "tuple[int,str]"),
    (dict, "dict[any,any]"),
    (dict[str, list[float]], "dict[str,list[float]]"),
    (collections.abc.Mapping[str, int], "dict[str,int]"),
    (Optional[int], "int|none"),  # noqa: UP045  # the old spelling is what is tried
    (Union[str, int, None], "int|none|str"),  # noqa: UP007  # (the same)
    (Literal["b", "a", 1, None], 'literal("a","b",1,null)'),  # noqa: PYI061  # null among the values is what is tried
    (Annotated[int, Meta(ge=0, lt=5, title="n", examples=[1])], "int(ge=0,lt=5)"),
    (Annotated[str, Meta(pattern="^a", max_length=3)], 'str(max_length=3,pattern="^a")'),
    (Annotated[list[int], Meta(min_length=1)], "list[int](min_length=1)"),
    (Colour, 'enum("blue","red")'),
    (Level, "enum(HIGH=2,LOW=1)"),
    (Offer, 'map{"shopName":str,"cents":int(ge=0),"note"?:none|str}'),
    (Pair, 'array{"left":int,"right"?:float}'),
    (Cat | Dog, 'map{tag "kind"="dog","name":bytes}|map{tag "kind"="cat","lives":int}'),
    (Short, 'map{"count"?:int=3,"rows"?:list[int]=list(),"since"?:date}'),
    (Tree, 'map{"name":str,"children"?:list[#0],"twin"?:#0|none}'),
    (list[Tree | None], 'list[map{"name":str,"children"?:list[#0],"twin"?:#0|none}|none]'),
    (Box[int], 'map{"inner":int,"more":list[int]}'),
    (Box, 'map{"inner":any,"more":list[any]}'),
    (tuple[Box[str], Box[str]], 'tuple[map{"inner":str,"more":list[str]},#0]'),
    (IntBox[str], 'map{"inner":int,"more":list[int],"other":str}'),
    (Row, 'map{"shop":str,"n"?:int,"when"?:datetime|none}'),
    (Wide[int], 'map{"rows":dict[str,int]}'),
    (Deep[int], 'map{"rows":dict[str,tuple[int*]],"top":int}'),
    (Doc, 'map{"zeta":int,"alpha"?:str}'),
    (Point, 'array{"x":int,"y"?:float}'),
    (Cart, 'map{"items":list[str],"total"?:decimal}'),
]


@pytest.mark.parametrize(("kind", "text"), KNOWN, ids=[text for _, text in KNOWN])
def test_known_texts_stay_as_they_are(kind, text):
    """The text of a type is the same on every Python and in every version."""
    assert wire_text(kind) == text
    msgspec.msgpack.Decoder(kind)  # msgspec accepts each of them


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        (str, "9dfc3b5732f7657f"),
        (Offer, "613e0a9f58ef0a30"),
        (Tree, "3ade42f29b074e12"),
        (Cat | Dog | None, "9326ed0bd03e3452"),
    ],
    ids=["str", "Offer", "Tree", "union"],
)
def test_known_shapes_stay_as_they_are(kind, digest):
    """The digest depends on the text only."""
    assert wire_shape(kind).hex() == digest


def test_the_shape_is_the_same_in_every_process():
    """The shape does not depend on the hash seed."""
    code = (
        "import enum, typing, msgspec\nfrom parbake.values.codecs.wire_shape import wire_text\n"
        "class A(msgspec.Struct, tag=True):\n    x: set[str]\n"
        "class B(msgspec.Struct, tag=True):\n    y: typing.Literal['q', 'p', 3]\n"
        "print(wire_text(A | B | None))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("0", "1", "2")
    }  # fmt: skip
    (text,) = found
    assert '"p","q",3' in text


LEAVES = [int, str, float, bool, bytes, dt.date, decimal.Decimal, Colour, Level, Row, Tree, Literal["a", "b"]]
kinds = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        inner.map(lambda k: list[k]),
        inner.map(lambda k: dict[str, k]),
        inner.map(lambda k: Optional[k]),  # noqa: UP045  # the operator is not defined for every type
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),
    ),
    max_leaves=4,
)
words = st.text("abcdefgh_", min_size=1, max_size=5).map(lambda word: f"f{word}")
fields = st.lists(st.tuples(words, kinds, st.booleans()), min_size=2, max_size=5, unique_by=lambda field: field[0])


def struct(name, rows, **settings):
    """Return a struct of (name, type, is optional) rows, with optional fields last."""
    rows = sorted(rows, key=lambda row: row[2])
    return msgspec.defstruct(
        name, [(word, kind, None) if optional else (word, kind) for word, kind, optional in rows], **settings
    )


@given(fields, words, words)
def test_names_of_classes_and_words_about_them_keep_the_shape(rows, name, other):
    """Class names, descriptions and defaults do not change the shape."""
    one, two = struct(name.title(), rows), struct(other.title() + "2", rows)
    two.__doc__, two.__module__ = "Another text.", "elsewhere"
    assert wire_shape(one) == wire_shape(two)
    assert wire_shape(dict[str, list[one]]) == wire_shape(dict[str, list[two]])
    described = [(word, Annotated[kind, Meta(title="t", description="d")], optional) for word, kind, optional in rows]
    assert wire_shape(struct(name, described)) == wire_shape(one)
    defaults = [msgspec.defstruct("D", [("a", int, default)]) for default in (1, 2)]
    assert wire_shape(defaults[0]) == wire_shape(defaults[1])


@given(fields, st.data())
def test_whatever_changes_the_bytes_changes_the_shape(rows, data):
    """Renaming, retyping, moving, adding or dropping a field, a tag, and an array form change the shape."""
    at = data.draw(st.integers(0, len(rows) - 1), label="which field")
    (word, kind, optional), rest = rows[at], [*rows[:at], *rows[at + 1 :]]

    def changed(*row):
        return struct("A", [*rows[:at], row, *rows[at + 1 :]])

    others = [
        changed(word + "0", kind, optional),
        changed(word, set[int], optional),
        changed(word, kind, not optional),
        struct("A", rest),
        struct("A", [*rows, ("added", int, True)]),
        struct("A", rows, array_like=True),
        struct("A", rows, tag="a"),
        struct("A", rows, tag="b"),
        struct("A", rows, tag="a", tag_field="kind"),
        struct("A", rows, rename="upper"),
    ]
    required = [(name, kind, False) for name, kind, _ in rows]
    shapes = [wire_shape(each) for each in (struct("A", rows), *others)]
    assert len(set(shapes)) == len(shapes)
    assert wire_shape(struct("A", required)) != wire_shape(struct("A", required[::-1]))


@given(st.permutations([Cat, Dog, None, int, str]))
def test_the_order_of_a_union_means_nothing(members):
    """The order of a union's members does not change the shape."""
    union = Union[tuple(members)]  # noqa: UP007  # built from a drawn list
    assert wire_shape(union) == wire_shape(Cat | Dog | None | int | str)


RECURSIVE = """
import msgspec
class {a}(msgspec.Struct, tag="add"):
    left: "{order}"
    right: "{order}"
class {b}(msgspec.Struct, tag="neg"):
    of: "{order}"
class {c}(msgspec.Struct, tag="num"):
    value: {leaf}
"""


def expression(order, leaf="int", names=("A", "B", "C")):
    """Return the text of a union whose members contain the union."""
    space = {"__name__": __name__}
    a, b, c = names
    exec(RECURSIVE.format(a=a, b=b, c=c, order=" | ".join(order), leaf=leaf), space)
    for name in names:
        setattr(sys.modules[__name__], name, space[name])
    kinds = [space[name] for name in names]
    text = wire_text(Union[tuple(kinds)])  # noqa: UP007  # built from a list
    msgspec.msgpack.Decoder(Union[tuple(kinds)])  # noqa: UP007  # (the same)
    return text


def test_types_that_hold_each_other_have_one_text():
    """The text of mutually recursive types depends on their contents, not on names or order."""
    texts = {expression(order) for order in (("A", "B", "C"), ("C", "B", "A"), ("B", "A", "C"))}
    renamed = expression(("Z", "Y", "X"), names=("X", "Y", "Z"))
    assert texts == {renamed}
    assert expression(("A", "B", "C"), leaf="float") not in texts
    assert expression(("A", "B")) not in texts


def test_many_types_that_hold_each_other_are_quick():
    """Each of many mutually recursive types is written once."""
    names = [f"N{n}" for n in range(24)]
    union = " | ".join(names)
    space = {"__name__": __name__}
    exec("import msgspec\n" + "".join(
        f"class {name}(msgspec.Struct, tag=True):\n    one: '{union}'\n    two: '{union} | None' = None\n"
        for name in names
    ), space)  # fmt: skip
    for name in names:
        setattr(sys.modules[__name__], name, space[name])
    text = wire_text(space["N0"])
    assert text.count("tag ") == len(names)


def test_an_alias_is_what_it_stands_for():
    """A type alias has the shape of its type, with variables filled in; it may be recursive."""
    alias = typing_extensions.TypeAliasType("Rows", list[Annotated[int, Meta(ge=0)]])
    of = typing_extensions.TypeAliasType("Of", dict[str, T], type_params=(T,))
    assert wire_text(dict[str, alias]) == "dict[str,list[int(ge=0)]]"
    assert wire_text(of[int]) == "dict[str,int]"
    nest = type("TypeAliasType", (), {})()  # stands for `type Nest = list[Nest] | int`, which Python 3.11 cannot write
    nest.__value__ = list[nest] | int
    assert wire_text(dict[str, nest]) == "dict[str,int|list[recursive]]"


def test_generic_mappings_keep_the_order_of_their_keys():
    """Keys of a generic base come first, with their bound types."""

    class Base(TypedDict, Generic[T]):
        zeta: T

    class More(Base[list[S]], Generic[S]):
        alpha: S

    msgspec.msgpack.Decoder(More[int])
    assert wire_text(More[int]) == 'map{"zeta":list[int],"alpha":int}'


def test_classes_that_look_alike_are_one():
    """Two classes with the same fields have the same shape."""

    class One(msgspec.Struct):
        x: int

    class Two(msgspec.Struct):
        x: int

    assert wire_shape(tuple[One, Two]) == wire_shape(tuple[One, One])


def test_a_default_counts_where_the_bytes_leave_it_out():
    """With ``omit_defaults`` a changed default changes the shape."""
    kinds = [msgspec.defstruct("A", [("n", int, default)], omit_defaults=True) for default in (1, 2)]
    assert wire_shape(kinds[0]) != wire_shape(kinds[1])


def test_names_of_members_count_where_the_numbers_say_nothing():
    """Names of integer members are part of the shape, and names of text members are not."""
    swapped = enum.IntEnum("Level", {"LOW": 2, "HIGH": 1})
    assert wire_shape(swapped) != wire_shape(Level)
    assert wire_shape(enum.Enum("Paint", {"R": "red", "B": "blue"})) == wire_shape(Colour)


def test_a_type_that_cannot_be_read_still_has_a_shape():
    """A class with an undefined annotation has a shape with its name."""

    class Lost(msgspec.Struct):
        x: "Nowhere"  # noqa: F821  # that is the point

    assert "Lost" in wire_text(Lost)
    assert len(wire_shape(Lost)) == 8
