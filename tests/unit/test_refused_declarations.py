"""Invalid declarations are refused at once, with an error that shows the right form."""

import datetime as dt
import typing

import msgspec
import numpy as np
import pydantic
import pytest
from numpy.typing import NDArray
from tests.unit.shopfloor import contract

import parbake as pb


def declare(**changes):
    """Declare an artifact with changed settings."""

    @pb.Registry().artifact(**contract(**changes))
    def row(key: str) -> str:
        return key

    return row


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("fallback_if_stale", pb.Recompute, "fallback_if_stale=pb.Recompute is a class: write pb.Recompute()"),
        ("fallback_if_stale", pb.ServeStale, "write pb.ServeStale(within='1h')"),
        ("fallback_if_stale", pb.Use, "write pb.Use(other_task)"),
        ("fallback_if_stale", "refuse", "fallback_if_stale='refuse': expected pb.Recompute(), pb.ServeStale"),
        ("fallback_if_stale", None, "fallback_if_stale=None: expected pb.Recompute(), pb.ServeStale"),
        (
            "invalidated_by",
            ["policy"],
            "invalidated_by holds 'policy': write pb.fence('policy') or pb.refresh('policy')",
        ),
        ("invalidated_by", "policy", "invalidated_by='policy': expected a list, such as [pb.fence('policy')]"),
        ("invalidated_by", pb.fence("policy"), "write a list, [pb.fence('policy')]"),
        ("invalidated_by", [7], "invalidated_by holds 7: write pb.fence('policy')"),
        ("invalidated_by", None, "[] when nothing kills it"),
        ("refresh", "1h", "refresh='1h': write pb.every('1h')"),
        ("refresh", 3600, "refresh=3600: write pb.every('6h')"),
        ("refresh", pb.refresh("policy"), "write pb.every('6h')"),
        ("refresh", pb.every("20m"), "row: refresh=pb.every(...) needs keys=, a function that lists the keys"),
        ("owner", None, "owner=None: expected the name of a team"),
        ("confidence", 0.5, "confidence=0.5: expected a curve"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(field, value, says):
    """The error names the setting and its value, and shows what to write instead."""
    with pytest.raises(pb.errors.ContractError) as caught:
        declare(**{field: value})
    assert says in str(caught.value)
    assert caught.value.field == ("keys" if "needs keys=" in says else field)


def test_a_model_is_checked_alike():
    """A model's schedule and fallback are checked by the same rules."""
    for changes, says in [({"refresh": "1h"}, "write pb.every"), ({"fallback_if_stale": pb.Refuse}, "pb.Refuse()")]:
        with pytest.raises(pb.errors.ContractError, match=says.replace("(", r"\(").replace(")", r"\)")):
            pb.Registry().model(**contract(**({"refresh": pb.every("20m")} | changes)))


@pytest.fixture
def app():
    """Return an app with an artifact, a refine and a live task."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def row(key: str) -> str:
        return key

    @tasks.refine(row, budget="10s")
    async def finer(base: pb.Served[str], *, page: pb.Live[int]) -> str:
        return f"{base.value}{page}"

    @tasks.live(why="needs the words")
    async def length(words: pb.Live[str], twice: pb.Live[bool] = False) -> int:
        return len(words) * (2 if twice else 1)

    return pb.App(tasks)


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "says"),
    [
        ("row", (), {}, "row needs a key: serve(row, key)"),
        ("row", ("a", "b"), {}, "row takes a key and nothing else, not 'b'"),
        ("row", ("a",), {"page": 1}, "row takes a key and nothing else, not page"),
        ("finer", (), {"page": 1}, "finer needs a key"),
        ("finer", ("a", 1, 2), {}, "finer takes 1 live values, not 2"),
        ("finer", ("a", 1), {"page": 1}, "finer: page is given twice"),
        ("length", ("a", True, 3), {}, "length takes 2 live values, not 3"),
        ("length", ("a",), {"words": "b"}, "length: words is given twice"),
    ],
)
async def test_too_few_and_too_many_arguments_are_refused(app, task, args, kwargs, says):
    """``serve`` refuses missing, extra and repeated arguments by name."""
    with pytest.raises(pb.BadInput) as caught:
        await app.serve(app.tasks[task], *args, **kwargs)
    assert says in str(caught.value)


async def test_the_name_of_a_task_is_no_task(app):
    """``serve`` refuses a task's name, and the error asks for the task itself."""
    with pytest.raises(pb.BadInput, match="the first argument is the task itself, not its name"):
        await app.serve("row", "a")


async def test_positions_and_names_mix(app):
    """Live values may be given by position and by name."""
    assert (await app.serve(app.tasks["length"], "abc", twice=True)).value == 6
    assert (await app.serve(app.tasks["finer"], "a", 1)).value == "a1"


@pytest.mark.parametrize(
    ("items", "form"),
    [
        ([pb.ignore("user/{key}", "why")], "pb.ignore('user', "),
        ([pb.ignore("user", " ")], "has no reason"),
        ([pb.ignore("user", "why"), pb.fence("user/{key}")], "both ignores 'user' and holds pb.fence('user/{key}')"),
    ],
)
def test_an_ignored_family_is_whole_reasoned_and_not_minded(items, form):
    """``ignore`` refuses an entity, an empty reason, and a family that is also fenced."""
    with pytest.raises(pb.errors.ContractError) as caught:
        pb.Registry().artifact(freshness_sla="1h", invalidated_by=items, fallback_if_stale=pb.Recompute(), owner="team")
    assert form in str(caught.value)
    assert caught.value.field == "invalidated_by"


class Card:
    """A class that cannot be stored."""


class Deck(msgspec.Struct):
    """A struct that holds cards."""

    cards: dict[str, list[Card]]


class Late(msgspec.Struct):
    """A struct with an undefined name in an annotation."""

    leaf: "NotWrittenYet"  # noqa: F821  # that is the point


class One(pydantic.BaseModel):
    """A model."""


class Two(pydantic.BaseModel):
    """Another model."""


class Forgetful(pydantic.BaseModel):
    """A model with an excluded field, which would be restored as its default."""

    kept: int = pydantic.Field(default=0, exclude=True)


class Left(msgspec.Struct):
    """A struct without a tag."""


class Right(msgspec.Struct):
    """Another struct without a tag."""


FORM = "make it a msgspec.Struct or a dataclass, or give a codec: pb.Registry(codecs=[...])"
UNSTORABLE = [
    (Card, f"row returns Card, which parbake cannot store: {FORM}"),
    (list[Card], f"row returns list[Card], and parbake cannot store Card: {FORM}"),
    (Card | None, f"row returns Card | None, and parbake cannot store Card: {FORM}"),
    (Deck, f"row returns Deck, and parbake cannot store Card: {FORM}"),
    (pb.Value[Card], f"row returns Card, which parbake cannot store: {FORM}"),
    (Card | pb.Absent, f"row returns Card, which parbake cannot store: {FORM}"),
    (complex, f"row returns complex, which parbake cannot store: {FORM}"),
    (np.ma.MaskedArray, f"row returns MaskedArray, which parbake cannot store: {FORM}"),
    (typing.OrderedDict[str, int], f"row returns OrderedDict[str, int], and parbake cannot store OrderedDict: {FORM}"),
    (NDArray[np.object_], "an array of object cannot be stored: use an array of numbers"),
    (One | Two, "; tag the members, class A(msgspec.Struct, tag=True), or put them into one struct"),
    (Left | Right, "; tag the members, class A(msgspec.Struct, tag=True), or put them into one struct"),
    (list[Forgetful], "the field 'kept' of Forgetful has exclude=True"),
    (dt.date | dt.datetime, "; tag the members"),
    (Late, "row returns Late, and name 'NotWrittenYet' is not defined: declare the task after everything"),
]


@pytest.mark.parametrize(("kind", "says"), UNSTORABLE, ids=[str(kind) for kind, _ in UNSTORABLE])
def test_a_value_that_cannot_be_stored_is_refused_where_it_is_declared(kind, says):
    """A return type that cannot be stored is refused for artifacts, batched artifacts and models."""

    def row(key: str) -> kind: ...

    def rows(keys: pb.Keys[str]) -> dict[str, kind]: ...

    def model() -> kind: ...

    tasks, every = pb.Registry(), pb.every("20m")
    for fn, declare in [(row, tasks.artifact(**contract())), (rows, tasks.artifact(**contract()))]:
        with pytest.raises(pb.errors.DeclarationError) as caught:
            declare(fn)
        assert says.replace("row returns", f"{fn.__name__} returns") in str(caught.value)
        assert caught.value.field == "return"
    if kind not in (pb.Value[Card], Card | pb.Absent):
        with pytest.raises(pb.errors.DeclarationError, match=r"^model returns "):
            tasks.model(**contract(refresh=every))(model)
    assert list(tasks) == []


@pytest.mark.parametrize(
    "kind",
    [typing.Any, object, None, typing.Iterable[int], One, One | None, list[One], np.ndarray, np.float32, Left | None],
)
def test_a_value_that_can_be_stored_is_accepted(kind):
    """``Any``, models, arrays and the other types here are accepted as return types."""

    def row(key: str) -> kind: ...

    assert pb.Registry().artifact(**contract())(row).value_type == (type(None) if kind is None else kind)


class Cards:
    """A codec of ``Card``."""

    def handles(self, kind):
        return kind is Card

    def to_plain(self, value):
        return None

    def from_plain(self, kind, plain):
        return Card()

    def shape(self, kind):
        return "a card"


class Mute(Cards):
    """A codec whose shape is not a text."""

    def shape(self, kind):
        return None


@pytest.mark.parametrize(
    ("codecs", "says"),
    [
        (Cards(), "must be a list, such as [MyCodec()]"),
        ([Cards], "codecs contains the class Cards; write Cards()"),
        ([Card()], "which has no handles; a codec must have handles, to_plain, from_plain, shape"),
        (["cards"], "codecs contains 'cards', which has no handles"),
    ],
)
def test_what_cannot_be_a_codec_is_refused(codecs, says):
    """An invalid ``codecs=`` is refused, and the error lists the methods of a codec."""
    with pytest.raises(pb.errors.DeclarationError) as caught:
        pb.Registry(codecs=codecs)
    assert says in str(caught.value)
    assert caught.value.field == "codecs"


def test_a_codec_that_says_nothing_of_the_shape_is_refused():
    """A codec whose ``shape`` returns no text is refused when a task is declared."""

    def row(key: str) -> Card: ...

    with pytest.raises(
        pb.errors.DeclarationError, match=r"row returns Card, which cannot be stored: Mute\.shape must return a text"
    ):
        pb.Registry(codecs=[Mute()]).artifact(**contract())(row)


def test_each_task_keeps_the_codecs_that_it_was_declared_with():
    """Merging keeps each task's codecs; tasks declared in the merged registry have the codecs of all."""

    def card(key: str) -> Card: ...

    def other(key: str) -> str: ...

    def third(key: str) -> Card: ...

    codec = Cards()
    one, two = pb.Registry(codecs=[codec]), pb.Registry()
    one.artifact(**contract())(card)
    two.artifact(**contract())(other)
    merged = two.merge(one)
    assert (merged["card"].codecs, merged["other"].codecs) == ((codec,), ())
    assert merged.artifact(**contract())(third).codecs == (codec,)
