"""Models, arrays and custom types in an app: stored, served, shown over HTTP, and missing after a codec change."""

import httpx
import msgspec
import numpy as np
import pydantic
import pytest
from numpy.typing import NDArray
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.http import HttpApp, json_response


class Offer(pydantic.BaseModel):
    """A model with an alias and a computed field."""

    shop: str
    cents: int = pydantic.Field(alias="priceCents")

    @pydantic.computed_field
    @property
    def euros(self) -> float:
        """A computed field."""
        return self.cents / 100


class Money:
    """A class that only a custom codec can store."""

    def __init__(self, cents):
        self.cents = cents


class Coins:
    """A codec of ``Money``."""

    def __init__(self, shape="cents"):
        self.text = shape

    def handles(self, kind):
        return kind is Money

    def to_plain(self, value):
        return {"cents": value.cents} if self.text == "map" else value.cents

    def from_plain(self, kind, plain):
        return kind(plain["cents"] if self.text == "map" else plain)

    def shape(self, kind):
        return self.text


class Ranked(msgspec.Struct):
    """A struct with arrays."""

    scores: NDArray[np.float32]
    best: np.float32
    offer: Offer | None = None


class Calls:
    """An app whose tasks record each call."""

    def __init__(self, world, codec, **options):
        self.made = []
        tasks = pb.Registry(codecs=[codec])
        plain = pb.Registry()
        free = contract(invalidated_by=[])

        @plain.artifact(**free)
        def offer(key: str) -> Offer | pb.Absent:
            self.made.append("offer")
            return Offer(shop=key, priceCents=150) if key != "none" else pb.Absent("no offer")

        @plain.artifact(**free)
        def ranked(keys: pb.Keys[str]) -> dict[str, pb.Value[Ranked]]:
            self.made.append("ranked")
            return {key: pb.Value(Ranked(np.arange(2, dtype=np.float32), np.float32(0.5))) for key in keys}

        @tasks.artifact(**free)
        def money(key: str) -> dict[str, Money]:
            self.made.append("money")
            return {key: Money(150)}

        @plain.artifact(**contract(invalidated_by=[], fallback_if_stale=pb.Use(money)))
        def cheap(key: str) -> list[int] | pb.Absent:
            return pb.Absent("nothing")

        @plain.live(why="an array of the moment")
        async def moment(n: pb.Live[int]) -> NDArray[np.float64]:
            return np.arange(n) / 2

        @plain.refine(offer, budget="1s")
        async def dearer(base: pb.Served[Offer], *, by: pb.Live[int]) -> Offer:
            return base.unwrap().model_copy(update={"cents": base.unwrap().cents + by})

        def keys() -> list[str]:
            return ["a", "b"]

        @plain.model(**contract(invalidated_by=[], refresh=pb.every("20m")))
        def factors() -> Ranked:
            return Ranked(np.ones(2, np.float32), np.float32(1), Offer(shop="s", priceCents=1))

        @plain.artifact(**contract(invalidated_by=[], refresh=pb.every("20m")), keys=keys)
        def guess(key: str, *, model: Ranked = pb.Model(factors)) -> NDArray[np.float32]:
            return model.scores * 2

        self.app = world.app(tasks.merge(plain), **options)

    async def serve(self, name, key="a"):
        """Return the value of a task."""
        return (await self.app.serve(self.app.tasks[name], key)).value


@pytest.fixture
async def calls(world, tmp_path):
    """Return an app with its store in files."""
    made = Calls(world, Coins(), store=f"lmdb://{tmp_path}/data")
    await made.app.drain()
    yield made
    await made.app.close()


@pytest.mark.parametrize("name", ["offer", "ranked", "money"])
async def test_a_value_is_stored_and_served_again(calls, name):
    """The second read returns the stored value in its declared type, and the function ran once."""
    first, second = await calls.serve(name), await calls.serve(name)
    assert calls.made == [name]
    if name == "offer":
        assert (first, type(second)) == (second, Offer)
    elif name == "ranked":
        assert second.scores.tolist() == first.scores.tolist() == [0, 1]
        assert (type(second.best), second.best) == (np.float32, 0.5)
        assert not second.scores.flags.writeable
    else:
        assert second["a"].cents == 150


async def test_an_absence_needs_no_codec(calls):
    """A task whose type is a model may return ``Absent``."""
    served = await calls.app.serve(calls.app.tasks["offer"], "none")
    assert (served.value, served.reason) == (None, "no offer")


async def test_a_value_that_its_codec_cannot_read_any_more_is_missing(world, tmp_path):
    """A stored value that the codec cannot decode any more is computed again."""
    for codec, made in [(Coins(), 1), (Coins(), 0), (Coins("map"), 1)]:
        calls = Calls(world, codec, store=f"lmdb://{tmp_path}/data")
        await calls.app.drain()
        assert (await calls.serve("money"))["a"].cents == 150
        assert len(calls.made) == made
        await calls.app.close()


async def test_a_model_of_arrays_is_trained_and_read(calls):
    """A batch run stores a model that holds arrays, and rows that are built from it."""
    await calls.app.materialize(calls.app.tasks["factors"])
    await calls.app.materialize(calls.app.tasks["guess"])
    assert (await calls.serve("guess", "b")).tolist() == [2, 2]


async def test_values_are_shown_as_json(calls):
    """Models are shown in their own JSON, arrays as lists, and custom types in their plain form."""
    transport = httpx.ASGITransport(HttpApp(calls.app), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:

        async def shown(name, key="a", **live):
            answer = await client.post(f"/v1/serve/{name}", json={"key": key, "live": live})
            assert answer.status_code == 200, answer.text
            return answer.json()["value"]

        assert await shown("offer") == {"shop": "a", "priceCents": 150, "euros": 1.5}
        assert await shown("dearer", by=50) == {"shop": "a", "priceCents": 200, "euros": 2.0}
        assert await shown("ranked") == {"scores": [0.0, 1.0], "best": 0.5, "offer": None}
        assert await shown("moment", None, n=3) == [0.0, 0.5, 1.0]
        assert await shown("money") == {"a": 150}
        assert await shown("cheap") == {"a": 150}


def test_a_response_may_hold_a_model_or_an_array():
    """``json_response`` encodes models, arrays and numpy numbers, and refuses unknown types."""
    body = json_response({"offer": Offer(shop="s", priceCents=1), "at": np.eye(2), "n": np.int64(3)}).body
    assert msgspec.json.decode(body) == {
        "offer": {"shop": "s", "priceCents": 1, "euros": 0.01},
        "at": [[1.0, 0.0], [0.0, 1.0]],
        "n": 3,
    }
    with pytest.raises(TypeError, match=r"Encoding objects of type .*Money is unsupported"):
        json_response(Money(1))
