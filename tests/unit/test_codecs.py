"""Values of types that msgspec does not know: pydantic models, numpy arrays, and types of custom codecs."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import ipaddress
import pathlib
import subprocess
import sys
import typing
import uuid
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from parbake.values.codecs.type_text import others
from parbake.values.codecs.value_types import _classes, form_of
from parbake.values.codecs.wire_shape import wire_text

T = TypeVar("T")


class Kind(enum.Enum):
    """An enumeration in a model."""

    BOOK = "book"


class Line(pydantic.BaseModel):
    """A nested model."""

    tags: set[str]
    at: tuple[int, str]


class Order(pydantic.BaseModel):
    """A strict model with field types that plain JSON cannot restore."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid")

    day: dt.date
    when: dt.datetime
    price: decimal.Decimal
    kind: Kind
    blob: bytes
    id: uuid.UUID
    took: dt.timedelta
    lines: list[Line]
    ratio: float
    path: pathlib.Path
    host: ipaddress.IPv4Address
    url: pydantic.HttpUrl
    last: collections.deque[int]
    by_day: dict[dt.date, int]
    shop: int = pydantic.Field(alias="shopId")

    @pydantic.computed_field
    @property
    def twice(self) -> int:
        """A computed field, which is not stored."""
        return 2 * self.shop


ORDER = Order(
    day=dt.date(2020, 1, 2),
    when=dt.datetime(2020, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    price=decimal.Decimal("1.10"),
    kind=Kind.BOOK,
    blob=b"\xff\x00",
    id=uuid.UUID(int=7),
    took=dt.timedelta(seconds=1.5),
    lines=[Line(tags={"a"}, at=(1, "x"))],
    ratio=float("inf"),
    path=pathlib.Path("/x"),
    host=ipaddress.IPv4Address("1.2.3.4"),
    url=pydantic.HttpUrl("http://a.b/c"),
    last=collections.deque([1, 2]),
    by_day={dt.date(2020, 1, 1): 1},
    shopId=5,
)


class Scores(msgspec.Struct):
    """A struct with an array and a model."""

    vector: NDArray[np.float32]
    order: Order | None = None


@dataclasses.dataclass
class Rows:
    """A dataclass with arrays."""

    by_name: dict[str, np.ndarray]


class Box(msgspec.Struct, Generic[T]):
    """A generic struct."""

    inner: T


class Money:
    """A class that only a custom codec can store."""

    def __init__(self, cents):
        self.cents = cents

    def __eq__(self, other):
        return isinstance(other, Money) and self.cents == other.cents

    __hash__ = None


class Coins:
    """A codec of ``Money``."""

    def handles(self, kind):
        return kind is Money

    def to_plain(self, value):
        return value.cents

    def from_plain(self, kind, plain):
        return kind({"cents": plain}["cents"] + 0)

    def shape(self, kind):
        return "cents"


class Euros(Coins):
    """Another codec of ``Money``, which also has a JSON form."""

    def to_plain(self, value):
        return {"cents": value.cents}

    def from_plain(self, kind, plain):
        return kind(plain["cents"])

    def shape(self, kind):
        return "euros"

    def to_json(self, value):
        return f"{value.cents / 100:.2f} EUR"


def again(kind, value, codecs=()):
    """Encode a value, and return the decoded result."""
    form = form_of(kind, codecs)
    return form.decode(form.encode(value))


def test_a_model_comes_back_as_it_was():
    """A strict model with dates, decimals, enumerations, bytes, infinities and aliases is restored equal."""
    back = again(Order, ORDER)
    assert back == ORDER
    assert back.when.utcoffset() == dt.timedelta(hours=2)
    assert again(list[Order], [ORDER, ORDER]) == [ORDER, ORDER]
    assert again(dict[str, Order | None], {"a": ORDER, "b": None}) == {"a": ORDER, "b": None}


def test_a_model_is_stored_by_the_names_of_its_fields():
    """Computed fields are not stored, and fields are stored by their names and not by their aliases."""
    plain = msgspec.msgpack.decode(form_of(Order, ()).encode(ORDER))
    assert plain.keys() == set(Order.model_fields)


def test_a_root_model_and_a_generic_one_are_models():
    """A generic root model is stored like any other model."""
    root = pydantic.RootModel[list[int]]
    assert again(root, root([1, 2])) == root([1, 2])


def test_a_model_that_no_longer_fits_is_not_read():
    """The error is msgspec's, in one line; it names the place and does not show the value."""
    form = form_of(list[Line], ())
    with pytest.raises(msgspec.ValidationError) as caught:
        form.decode(msgspec.msgpack.encode([{"tags": ["secret"], "at": [1, 2]}]))
    assert str(caught.value).startswith("at.1: Input should be a valid string")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_is_not_stored():
    """A secret field is refused, because pydantic would store it as stars."""

    class Login(pydantic.BaseModel):
        word: pydantic.SecretStr

    with pytest.raises(TypeError, match="secret"):
        again(Login, Login(word=pydantic.SecretStr("x")))


def test_a_model_that_holds_what_pydantic_does_not_store_is_refused():
    """A model with an array field is refused, because the array would be restored as another type."""

    class Loose(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        vector: np.ndarray

    with pytest.raises(TypeError, match="ndarray in a pydantic model cannot be stored"):
        again(Loose, Loose(vector=np.zeros(2)))


@given(arrays.arrays(arrays.array_dtypes(
    st.one_of(
        arrays.boolean_dtypes(), arrays.integer_dtypes(), arrays.unsigned_integer_dtypes(), arrays.floating_dtypes(),
        arrays.complex_number_dtypes(), arrays.datetime64_dtypes(), arrays.unicode_string_dtypes(),
    ), max_size=1).map(lambda record: record[0]), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)))  # fmt: skip
def test_an_array_comes_back_as_it_was(array):
    """Type, shape and every bit are restored, whatever the memory order; the restored array is read-only."""
    for value in (array, np.asfortranarray(array), array[::-1] if array.ndim else array):
        back = again(np.ndarray, value)
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert back.tobytes() == value.tobytes()
        assert back.flags.c_contiguous
        assert back.flags.aligned
        assert not back.flags.writeable


def test_arrays_may_be_nested():
    """Arrays are stored in structs, dataclasses and mappings, also beside a model."""
    scores = again(Scores, Scores(np.arange(3, dtype=np.float32), ORDER))
    assert scores.vector.tolist() == [0, 1, 2]
    assert scores.order == ORDER
    assert again(Rows, Rows({"a": np.eye(2)})).by_name["a"].tolist() == [[1, 0], [0, 1]]
    assert again(dict[str, NDArray[np.int64]], {"a": np.arange(2)})["a"].tolist() == [0, 1]


@pytest.mark.parametrize(
    "array",
    [np.array([object()]), np.zeros(2, dtype=[("a", "i4")]), np.ma.masked_array([1, 2], [True, False])],
    ids=["object", "record", "masked"],
)
def test_an_array_that_would_lose_something_is_refused(array):
    """Arrays of objects, record arrays and masked arrays cannot be stored, and the error says so."""
    with pytest.raises(TypeError, match="cannot be stored"):
        again(np.ndarray, array)


def test_an_array_of_another_type_than_the_declared_one_is_not_read():
    """An array whose element type is not the annotated one is refused when it is decoded."""
    with pytest.raises(msgspec.ValidationError, match="expected an array of float32, got one of float64"):
        again(Scores, Scores(np.zeros(2)))
    assert again(NDArray[np.floating[Any]], np.zeros(2)).tolist() == [0, 0]
    assert again(NDArray[np.longlong], np.zeros(2, np.int64)).tolist() == [0, 0]
    with pytest.raises(msgspec.ValidationError, match="expected an array of floating, got one of int64"):
        again(NDArray[np.floating[Any]], np.arange(2))


@pytest.mark.parametrize(
    "data", [b"", b"<f4 2\n1234", b"|O 1\n12345678", b"<f4 -1\n", b"<f4 x\n", b"nothing\n", b"<f4 1 \n1234", "text"]
)
def test_bytes_that_are_not_an_array_are_not_read(data):
    """Invalid bytes of an array raise ``ValidationError``."""
    raw = msgspec.msgpack.encode(data if isinstance(data, str) else msgspec.msgpack.Ext(78, data))
    with pytest.raises(msgspec.ValidationError):
        form_of(np.ndarray, ()).decode(raw)


@pytest.mark.parametrize(
    "value", [np.float32(1.1), np.float64("nan"), np.float16(2), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_number_of_numpy_comes_back_as_it_was(value):
    """A numpy number is restored with its own type and bits."""
    back = again(list[type(value)], [value])[0]
    assert type(back) is type(value)
    assert back.tobytes() == value.tobytes()


@pytest.mark.parametrize(
    ("kind", "plain"),
    [(np.int8, 300), (np.uint8, -1), (np.int32, 2.5), (np.float32, 1e300), (np.bool_, 1), (np.float32, "1")],
)
def test_a_number_that_does_not_fit_is_not_read(kind, plain):
    """A number that does not fit its numpy type is refused, and not truncated or converted."""
    with pytest.raises(msgspec.ValidationError):
        form_of(kind, ()).decode(msgspec.msgpack.encode(plain))


def test_a_codec_of_ones_own_stores_what_it_knows():
    """A custom codec has priority over built-in ones, and any exception in it is a ``ValidationError``."""
    assert again(dict[str, list[Money]], {"a": [Money(3)]}, [Coins()]) == {"a": [Money(3)]}
    with pytest.raises(msgspec.ValidationError, match="KeyError"):
        form_of(Money, [Euros()]).decode(msgspec.msgpack.encode({}))

    class Ours(Coins):
        def handles(self, kind):
            return kind is Line

        def to_plain(self, value):
            return sorted(value.tags)

        def from_plain(self, kind, plain):
            return kind(tags=plain, at=(0, ""))

    assert again(Line, Line(tags={"b"}, at=(1, "")), [Ours()]) == Line(tags={"b"}, at=(0, ""))


def test_a_value_that_was_not_declared_is_not_stored():
    """A codec stores values only where the annotation names its type."""

    class Loose(msgspec.Struct):
        money: Money
        more: Any = None

    assert again(Loose, Loose(Money(1), [2]), [Coins()]).more == [2]
    with pytest.raises(TypeError, match="ndarray is unsupported"):
        again(Loose, Loose(Money(1), np.zeros(2)), [Coins()])


ODD = [
    Order, list[Order], Scores, Rows, dict[str, NDArray[np.float32] | None], np.float32, Annotated[Money, 1],
    collections.deque[int], collections.abc.Iterable[int], object, tuple[Money, ...], frozenset[Money], Box[Money],
    Box[NDArray[np.int8]], complex, type, int, list[int | None], tuple[int, Money], msgspec.Raw, Kind, dt.date,
]  # fmt: skip


@pytest.mark.parametrize("kind", ODD, ids=str)
def test_what_msgspec_does_not_know_is_found_with_its_annotation(kind):
    """The search for types that need a codec finds the same classes in an annotation as msgspec does."""
    found = {typing.get_origin(part) or part for part in others(kind)}
    assert found == set(_classes(kind))


@pytest.mark.parametrize("kind", [int, list[str], Any, object, collections.abc.Iterable[int], dict[str, float]])
def test_a_type_that_msgspec_knows_is_stored_by_msgspec_alone(kind):
    """A type that needs no codec is encoded by msgspec without hooks."""
    form = form_of(kind, ())
    assert type(form.encode.__self__) is msgspec.msgpack.Encoder
    assert form.encode.__self__.enc_hook is None
    assert form.decode.__self__.dec_hook is None


def test_neither_library_is_imported_for_its_sake():
    """A program that uses neither pydantic nor numpy does not import them."""
    code = (
        "import sys, msgspec, parbake as pb\n"
        "from parbake.http import json_response\n"
        "class Row(msgspec.Struct):\n    x: object\n"
        "@pb.Registry().artifact(freshness_sla='1h', invalidated_by=[], fallback_if_stale=pb.Recompute(), owner='o')\n"
        "def row(key: str) -> Row: ...\n"
        "json_response({'a': 1})\n"
        "print(sorted({'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shapes_of_codecs_are_in_the_shape_of_the_type():
    """An array's shape has its annotated element type, and a custom codec supplies its own shape."""
    assert wire_text(np.ndarray) == 'codec("ndarray")'
    assert wire_text(dict[str, NDArray[np.float32]]) == 'dict[str,codec("ndarray f4")]'
    assert wire_text(np.int16) == 'codec("i2")'
    assert wire_text(list[Money], [Euros()]) == 'list[codec("euros")]'
    assert wire_text(Money, [Coins(), Euros()]) == 'codec("cents")'


class Person(pydantic.BaseModel):
    """A recursive model with titles, descriptions and limits."""

    name: Annotated[str, pydantic.Field(min_length=1, title="The name", description="long")]
    age: int = pydantic.Field(default=3, ge=0, alias="years")
    friends: "list[Person]" = []
    born: dt.date | None = None


def shape(**fields):
    """Return the shape of a model with these fields."""
    return wire_text(pydantic.create_model("Some", **fields))


def test_the_shape_of_a_model_is_that_of_its_fields():
    """A shape has names, types, order, limits and required fields; aliases, titles and defaults are ignored."""
    text = 'map{"name":str(min_length=1),"age"?:int(ge=0),"friends"?:list[#0],"born"?:date|none}'
    assert wire_text(Person) == f"codec({msgspec.json.encode(text).decode()})"
    one = shape(a=(int, ...), b=(str, "x"))
    assert one == shape(a=(int, ...), b=(str, "y"))
    assert one == shape(a=(int, pydantic.Field(title="t", alias="z")), b=(str, "x"))
    others = [
        shape(a=(int, ...)),
        shape(b=(str, "x"), a=(int, ...)),
        shape(a=(int, 1), b=(str, "x")),
        shape(a=(float, ...), b=(str, "x")),
        shape(c=(int, ...), b=(str, "x")),
        shape(a=(int, pydantic.Field(gt=1)), b=(str, "x")),
        shape(a=(list[Annotated[int, pydantic.Field(gt=1)]], ...), b=(str, "x")),
        shape(a=(pydantic.HttpUrl | None, ...), b=(str, "x")),
        shape(a=(pydantic.RootModel[int], ...), b=(str, "x")),
    ]
    assert len({one, *others}) == len(others) + 1
