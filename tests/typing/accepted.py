"""Correct uses of the public interface: neither type checker has anything to say about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NewType, assert_type

import parbake as pb
from parbake.values.codecs import Codec
from parbake_semantic.cache.semantic_cache import SemanticCache
from parbake_semantic.embedder import Embedder

UserId = NewType("UserId", str)
Asin = NewType("Asin", str)


class History(pb.View):
    """A view of purchases."""

    families = ("user",)

    def bought(self, user: UserId) -> list[Asin]:
        self.entity(f"user/{user}")
        return [row[0] for row in self.rows("SELECT asin FROM purchase WHERE user = :user", user=user)]


class Factors:
    """A trained model."""

    def near(self, asins: list[Asin]) -> list[Asin]:
        return asins


class FactorsCodec:
    """A codec: how values of a class are stored that msgspec does not know."""

    def handles(self, kind: type) -> bool:
        return kind is Factors

    def to_plain(self, value: Factors) -> list[str]:
        return list(value.near([]))

    def from_plain(self, kind: type[Factors], plain: list[str]) -> Factors:
        return kind()

    def shape(self, kind: type) -> str:
        return "factors"


codec: Codec = FactorsCodec()
tasks = pb.Registry(codecs=[codec, FactorsCodec()])


@tasks.model(
    freshness_sla="48h",
    refresh=pb.every("24h", off_peak=True),
    invalidated_by=[],
    fallback_if_stale=pb.ServeStale(within="24h"),
    owner="recs",
)
def factors(*, history: pb.Source[History]) -> Factors:
    """Trained daily."""
    return Factors()


@tasks.artifact(
    freshness_sla="26h",
    refresh=pb.every("12h", budget="45m"),
    invalidated_by=[pb.refresh("user/{user}", debounce="200ms")],
    fallback_if_stale=pb.ServeStale(within="2h"),
    owner="recs",
)
def candidates(
    users: pb.Keys[UserId], *, history: pb.Source[History], model: Factors = pb.Model(factors)
) -> dict[UserId, list[Asin]]:
    """A batched function: many keys in one call."""
    return {user: model.near(history.bought(user)) for user in users}


@tasks.artifact(
    freshness_sla="1h", invalidated_by=[pb.fence("policy/{policy}")], fallback_if_stale=pb.Refuse(), owner="support"
)
def evidence(policy: str) -> str:
    """One key at a time, in a worker thread."""
    return policy.upper()


@tasks.artifact(
    freshness_sla="1h", invalidated_by=[pb.fence("policy")], fallback_if_stale=pb.Use(evidence), owner="support"
)
async def answer(question: str, *, blocks: pb.Reader[str, str] = pb.Input(evidence)) -> pb.Value[int] | pb.Absent:
    """Wrapped results: ``Value`` and ``Absent`` are unwrapped."""
    block = await blocks.get(question)
    assert_type(block, pb.Served[str])
    if block.value is None:
        return pb.Absent("no such policy")
    return pb.Value(len(block.value), valid_until=None)


@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="content")
def summary(asin: Asin) -> pb.Value[str]:
    """A value with tags of its own."""
    return pb.Value(asin, tags=(f"product/{asin}",))


@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="content")
def maybe(asin: Asin) -> str | pb.Absent:
    """Absence is an answer."""
    return asin or pb.Absent("cold_start")


@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="content")
async def later(asin: Asin) -> list[str]:
    """On the event loop."""
    return [asin]


@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="content")
async def many(asins: pb.Keys[Asin]) -> Mapping[Asin, pb.Value[str] | pb.Absent]:
    """Batched, on the event loop, wrapped."""
    return {asin: pb.Value(asin) for asin in asins}


@tasks.live(why="must classify the actual message")
async def intent(message: pb.Live[str]) -> int:
    """A live task."""
    return len(message)


@tasks.live(why="reads the cart")
def basket(*, cart: pb.Live[list[str]], kind: int = pb.Input(intent)) -> float:
    """A live task in a thread that reads another live task."""
    return float(len(cart) + kind)


@tasks.live(why="writes a reply to the message")
async def reply(
    message: pb.Live[str], *, llm: pb.Resource[Factors] = pb.GIVEN, history: pb.Source[History] = pb.GIVEN
) -> str:
    """What parbake passes, callers do not."""
    return f"{message}{llm.near(history.bought(UserId('u1')))}"


@tasks.refine(candidates, budget="150ms")
async def recommendations(base: pb.Served[list[Asin]], *, page: pb.Live[Asin], count: pb.Live[int] = 5) -> list[Asin]:
    """A refine keeps the types of its live values and of its base."""
    return [asin for asin in base.unwrap() if asin != page][:count]


async def serve(app: pb.App, user: UserId, asin: Asin) -> None:
    """Reads keep key and value types, in async and in sync code."""
    assert_type(await app.serve(candidates, user), pb.Served[list[Asin]])
    assert_type(await app.serve(answer, "returns"), pb.Served[int])
    assert_type(await app.serve(summary, asin), pb.Served[str])
    assert_type(await app.serve(maybe, asin), pb.Served[str])
    assert_type(await app.serve(later, asin), pb.Served[list[str]])
    assert_type(await app.serve(many, asin), pb.Served[str])
    assert_type(await app.serve(recommendations, user, page=asin), pb.Served[list[Asin]])
    assert_type(await app.serve(recommendations, user, page=asin, count=3), pb.Served[list[Asin]])
    assert_type(await app.serve(intent, "where is my order?"), pb.Served[int])
    assert_type(await app.serve(reply, message="hello"), pb.Served[str])
    assert_type(await app.serve(basket, cart=["B001"]), pb.Served[float])
    assert_type(app.sync.serve(candidates, user), pb.Served[list[Asin]])
    assert_type(app.sync.serve(recommendations, user, page=asin), pb.Served[list[Asin]])


async def use(app: pb.App) -> int:
    """A value is used once it is known to be there."""
    served = await app.serve(answer, "returns")
    if served.value is not None:
        return served.value + 1
    await app.touch("policy/returns")
    async with app.request(timeout="2s") as request:
        request.live["message"] = "hello"
    return (await app.serve(answer, "returns")).unwrap()


def cache(app: pb.App, embedder: Embedder) -> SemanticCache[str]:
    """A semantic cache keeps the promise of an app, whatever it answers with."""
    answers: SemanticCache[str] = SemanticCache(embedder, app=app)
    assert_type(answers.ask("Where is it?", str.upper).value, str)
    return answers
