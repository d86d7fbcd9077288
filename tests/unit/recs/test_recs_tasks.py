"""The recommendation tasks on a small shop: batch results, live filtering and event refreshes."""

import msgspec
import numpy as np
import pytest

import parbake as pb
from retail_assistant.recs import als, rerank
from retail_assistant.recs.recs_tasks import candidates, factors, preferences, recommendations, reranker, trending
from retail_assistant.recs.training import fitting
from retail_assistant.shop import records

from .conftest import NOW


async def shown(floor, shopper, **live):
    """Return the asins recommended to a shopper."""
    return [c.asin for c in (await floor.app.serve(recommendations, shopper, shopper=shopper, **live)).unwrap()]


async def listed_for(floor, shopper):
    """Return the asins of a shopper's candidates."""
    return [c.asin for c in (await floor.app.serve(candidates, shopper)).unwrap()]


async def settle(floor):
    """Acknowledge the commits, then step the event lane until it is idle."""
    ack = await floor.app.drain()
    for _ in range(10):
        if not await floor.app.engine.events.step():
            break
    return ack


async def test_owned_and_delisted_are_never_candidates(floor):
    """No candidates include owned or delisted products."""
    owned, listed = floor.owned(), floor.column("listed")
    for shopper in floor.shoppers():
        found = (await floor.app.serve(candidates, shopper)).value or []
        assert not {(shopper, c.asin) for c in found} & owned
        assert all(listed[c.asin] for c in found)
    assert not all(listed.values())


async def test_candidates_are_fifty_in_order(floor):
    """A known shopper has fifty distinct candidates, best first, from the batch lane."""
    served = await floor.app.serve(candidates, floor.keen())
    scores = [c.score for c in served.unwrap()]
    assert (served.verdict, served.lane) == (pb.Verdict.FRESH, "batch")
    assert scores == sorted(scores, reverse=True)
    assert len({c.asin for c in served.unwrap()}) == als.TOP


async def test_building_again_gives_the_same(floor):
    """A second run gives the same candidates, vectors and recommendations."""
    shoppers = floor.shoppers()[:20]

    async def everything():
        return [
            ((await floor.app.serve(candidates, s)).value, (await floor.app.serve(preferences, s)).value)
            for s in shoppers
        ], [await shown(floor, s) for s in shoppers]

    before = await everything()
    for task in (factors, reranker):
        await floor.app.materialize(task)
    assert await everything() == before


async def test_preferences_are_vectors(floor):
    """A shopper with a history has a vector of 64 numbers; one without is a cold start."""
    assert len((await floor.app.serve(preferences, floor.keen())).unwrap()) == als.FACTORS
    unknown = await floor.app.serve(preferences, "nobody")
    assert (unknown.value, unknown.reason) == (None, "cold_start")


async def test_a_session_makes_the_candidates_of_a_newcomer(floor):
    """The event lane computes a newcomer's candidates when a session starts."""
    shopper = "newcomer"
    records.add_view(floor.conn, shopper=shopper, asin=next(iter(floor.column("listed"))), now=NOW + 60)
    await settle(floor)
    await floor.app.touch("session/newcomer")
    await settle(floor)
    served = await floor.app.serve(candidates, shopper)
    assert (served.lane, len(served.unwrap())) == ("event", als.TOP)


async def test_factors_that_are_no_numbers_are_not_promoted(floor, monkeypatch):
    """Factors that are not finite are not promoted, and the history has the reason."""
    before = await listed_for(floor, floor.keen())
    train = als.train

    def diverged(log):
        model = train(log)
        broken = model.matrix.copy()
        broken[3, 5] = np.nan
        return msgspec.structs.replace(model, factors=memoryview(broken.tobytes()))

    monkeypatch.setattr(als, "train", diverged)
    with pytest.raises(pb.errors.GateFailed, match="factors: factors are not finite; the previous generation stays"):
        await floor.app.materialize(factors)
    assert await listed_for(floor, floor.keen()) == before
    assert "not finite" in (await floor.app.ops.runs(factors)).ended[0].outcome


async def test_a_reranker_that_is_worse_than_none_is_not_promoted(floor, monkeypatch):
    """A reranker that orders worse than the base is not promoted."""
    generation = await floor.app.ops.generation(reranker)
    train = fitting.train

    def inverted(week):
        model = train(week)
        return msgspec.structs.replace(model, weights=[-w for w in model.weights])

    monkeypatch.setattr(fitting, "train", inverted)
    with pytest.raises(pb.errors.GateFailed, match="the linear scorer orders worse than the candidates' own order"):
        await floor.app.materialize(reranker)
    assert await floor.app.ops.generation(reranker) == generation


async def test_unknown_shopper_gets_trending(floor):
    """A shopper without history gets trending products with the reason ``cold_start`` from both tasks."""
    trend = (await floor.app.serve(trending, "all")).unwrap()
    base = await floor.app.serve(candidates, "nobody")
    assert (base.value, base.reason) == (trend, "cold_start")
    refined = await floor.app.serve(recommendations, "nobody", shopper="nobody")
    stock = floor.column("quantity", "inventory")
    assert [c.asin for c in refined.unwrap()] == [c.asin for c in trend if stock[c.asin]][:5]
    assert refined.reason == "cold_start"


async def test_trending_is_per_genre_and_on_sale(floor):
    """Trending has only listed products of the genre, best first; an unknown genre has none."""
    genre, listed = floor.column("genre"), floor.column("listed")
    for name in {"all", *genre.values()}:
        found = (await floor.app.serve(trending, name)).unwrap()
        assert found == sorted(found, key=lambda c: (-c.score, c.asin))
        assert all(listed[c.asin] and name in ("all", genre[c.asin]) for c in found)
    assert (await floor.app.serve(trending, "no such genre")).value is None


async def test_a_purchase_is_gone_at_once(floor):
    """A bought product is not in the next recommendations, before any event is applied."""
    shopper = floor.keen()
    first = await shown(floor, shopper)
    floor.buy(shopper, first[0])
    assert first[0] in await listed_for(floor, shopper)
    again = await shown(floor, shopper)
    assert first[0] not in again
    assert len(again) == 5


async def test_a_first_purchase_helps_at_once(floor):
    """After a first purchase a new shopper gets trending products without the bought one."""
    (first, *_) = await shown(floor, "newcomer")
    floor.buy("newcomer", first)
    served = await floor.app.serve(recommendations, "newcomer", shopper="newcomer")
    assert first not in [c.asin for c in served.unwrap()]
    assert served.reason == "cold_start"


async def test_an_event_refreshes_the_candidates(floor):
    """After a purchase's event the candidates are from the event lane, with a newer stamp."""
    shopper = floor.keen()
    before = await floor.app.serve(candidates, shopper)
    bought = next(asin for asin in await shown(floor, shopper) if asin in {c.asin for c in before.unwrap()})
    floor.buy(shopper, bought)
    ack = await settle(floor)
    after = await floor.app.serve(candidates, shopper)
    assert after.lane == "event"
    assert after.stamp.sequence >= ack.raised[f"user/{shopper}"] > before.stamp.sequence
    assert bought not in [c.asin for c in after.unwrap()]
    assert (await floor.app.serve(preferences, shopper)).lane == "event"


async def test_an_event_leaves_others_alone(floor):
    """One shopper's purchase does not refresh or degrade another's candidates."""
    one, other = floor.shoppers()[:2]
    before = await floor.app.serve(candidates, other)
    floor.buy(one, (await shown(floor, one))[0])
    await settle(floor)
    after = await floor.app.serve(candidates, other)
    assert (after.lane, after.verdict, after.stamp) == ("batch", pb.Verdict.FRESH, before.stamp)


async def test_stock_and_listing_are_live(floor):
    """A sold-out or delisted product is not in the next recommendations."""
    shopper = floor.keen()
    first, second, *_ = await shown(floor, shopper)
    records.set_inventory(floor.conn, first, 0)
    records.delist(floor.conn, second)
    assert not {first, second} & set(await shown(floor, shopper))


async def test_the_page_is_not_recommended(floor):
    """The product of the current page is left out."""
    shopper = floor.keen()
    first = await shown(floor, shopper)
    assert first[0] not in await shown(floor, shopper, page=first[0])


@pytest.mark.parametrize("format_", ["paperback", "digital", "hardcover"])
async def test_a_format_in_the_words_is_kept(floor, format_):
    """Only products of the named format are shown."""
    found, formats = await shown(floor, floor.keen(), words=f"what next, in {format_}?"), floor.column("format")
    assert found
    assert {formats[asin] for asin in found} == {format_}


async def test_an_excluded_genre_is_left_out(floor):
    """An excluded genre is not shown, and with a requested genre only that is shown."""
    shopper, genre = floor.keen(), floor.column("genre")
    usual = {genre[asin] for asin in await shown(floor, shopper, count=20)}
    for name in usual:
        assert name not in {genre[asin] for asin in await shown(floor, shopper, words=f"but no {name}", count=20)}
        assert {genre[asin] for asin in await shown(floor, shopper, words=f"something {name}", count=3)} == {name}


async def test_a_price_in_the_words_is_kept(floor):
    """No product above the named price is shown, at current prices."""
    shopper = floor.keen()
    found = await shown(floor, shopper, words="under $8")
    assert found
    records.set_price(floor.conn, found[0], 801, now=NOW)
    again, cents = await shown(floor, shopper, words="under $8"), floor.column("cents", "prices")
    assert found[0] not in again
    assert all(cents[asin] <= 800 for asin in again)


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (8, 8), (0, 1), (-3, 1)])
async def test_as_many_as_asked_for(floor, count, expected):
    """``count`` products are shown, and at least one."""
    assert len(await shown(floor, floor.keen(), count=count)) == expected


@pytest.mark.parametrize(("left", "is_short"), [(0.150, False), (0.019, True)])
async def test_a_tight_budget_takes_the_linear_scorer(floor, monkeypatch, left, is_short):
    """With less than 20 ms left the list is ordered by the linear scorer, otherwise by the trees."""
    calls, score = [], rerank.RerankerModel.score

    def spy(self, rows, *, is_short=False):
        calls.append(is_short)
        return score(self, rows, is_short=is_short)

    monkeypatch.setattr(rerank.RerankerModel, "score", spy)
    monkeypatch.setattr(pb, "remaining_s", lambda: left)
    assert len(await shown(floor, floor.keen())) == 5
    assert calls == [is_short]


async def test_every_task_states_its_contract(floor):
    """The classification has the expected mode for each task."""
    rows = {row.task: row for row in floor.app.classify()}
    assert {name: row.mode for name, row in rows.items()} == {
        "factors": "batch",
        "preferences": "batch",
        "trending": "batch",
        "candidates": "batch",
        "reranker": "batch",
        "recommendations": "near-real-time",
    }


async def test_a_page_leads_a_new_shopper_to_what_is_like_it(floor):
    """A shopper without a past gets more of the page's genre and series than without the page, and never the page."""
    genre, series = floor.column("genre"), floor.column("series")
    alike = {True: 0, False: 0}
    for page in sorted(genre)[::20]:
        for has_page in alike:
            found = await shown(floor, "nobody", page=page if has_page else None)
            alike[has_page] += sum(genre[asin] == genre[page] or series[asin] == series[page] for asin in found)
            assert not has_page or page not in found
    assert alike[True] > 2 * alike[False]


async def test_words_bring_products_that_no_list_has(floor):
    """What a message names is found in the whole catalog, although the shopper's list was made without it."""
    series = floor.column("series")
    without = {series[asin] for asin in await shown(floor, "nobody")}
    others = sorted(set(series.values()) - without)
    found = [await shown(floor, "nobody", words=f"something like {name}") for name in others]
    hits = [name in {series[asin] for asin in asins} for name, asins in zip(others, found, strict=True)]
    assert sum(hits) > len(hits) / 3


async def test_among_bounds_and_orders_a_choice(floor):
    """Of products that the caller has chosen all that are in stock are returned, and no others."""
    asins = sorted(floor.column("genre"))[::9]
    available = floor.shelf.available(asins)
    found = await shown(floor, floor.keen(), among=asins, count=50)
    owned = {asin for shopper, asin in floor.owned() if shopper == floor.keen()}
    assert set(found) == available - owned
    assert found != sorted(found)


async def test_a_choice_is_returned_whole(floor, monkeypatch):
    """Products that the model does not know, or that it does not rank, follow those that it ranks."""
    monkeypatch.setattr("retail_assistant.recs.context.CHOSEN", 3)
    records.put_product(floor.conn, "NEW", now=NOW, cents=500, quantity=5, title="New", author="A", genre="horror")
    asins = sorted(floor.column("genre"))[:12]
    available = floor.shelf.available([*asins, "NEW"])
    assert "NEW" in available
    found = await shown(floor, "nobody", among=[*asins, "NEW"], count=50)
    assert set(found) == available
    assert found[-1] == "NEW"
