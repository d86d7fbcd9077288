"""The tasks of the recommendations domain, each with its contract."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import parbake as pb
from parbake.tasks.gates import Generation
from retail_assistant.recs import als, trends
from retail_assistant.recs.als import AlsModel, Candidate
from retail_assistant.recs.context import read_context
from retail_assistant.recs.log import confidence
from retail_assistant.recs.refining import SHORT_S, Moment, merge
from retail_assistant.recs.rerank import RerankerModel
from retail_assistant.recs.shelf import LiveShelf
from retail_assistant.recs.taste_view import History, Taste
from retail_assistant.recs.topk import VECTORS
from retail_assistant.recs.training import fitting, gating
from retail_assistant.recs.training.week import Week

NO_PRODUCT_MATTERS = pb.ignore("product", "each reply leaves out products that the live shelf does not sell any more")
NO_CHANGE_MATTERS = [
    pb.ignore("user", "one purchase hardly changes the trend; a fence would let each purchase outdate everything"),
    NO_PRODUCT_MATTERS,
]
"""For tasks that learn from the whole log."""
COLD_START = "cold_start"
SHOWN = 5
MOST_SHOWN = 50
tasks = pb.Registry()


def all_shoppers(*, shop: pb.Source[History]) -> Iterator[str]:
    """Every shopper that the shop knows."""
    yield from shop.stream_shoppers()


def factors_are_usable(generation: Generation) -> str | None:
    """The gate of the factors: they must be finite, belong to the catalog, and not all be zero."""
    return als.usable(generation.values[0][1])


def all_genres(*, shop: pb.Source[History]) -> list[str]:
    """Every genre, and ``all``."""
    return [trends.ALL, *shop.genres()]


@tasks.model(
    freshness_sla="26h",
    refresh=pb.every("24h", budget="2h", off_peak=True),
    invalidated_by=NO_CHANGE_MATTERS,
    fallback_if_stale=pb.ServeStale("48h"),
    owner="recs",
    gates=pb.Gates(quality=factors_are_usable),
)
def factors(*, shop: pb.Source[History]) -> AlsModel:
    """Item factors from everybody's purchases and views; they change slowly, so a daily run is enough."""
    return als.train(shop.log())


@tasks.artifact(
    freshness_sla="8h",
    refresh=pb.every("6h", budget="45m", off_peak=True),
    invalidated_by=[pb.refresh("user/{user}", debounce="200ms"), NO_PRODUCT_MATTERS],
    fallback_if_stale=pb.ServeStale("2h"),
    owner="recs",
    keys=all_shoppers,
)
def preferences(
    users: pb.Keys[str], *, shop: pb.Source[History], model: AlsModel = pb.Model(factors)
) -> dict[str, list[float] | pb.Absent]:
    """One vector per shopper; a purchase is folded in without new training."""
    found: dict[str, list[float] | pb.Absent] = dict.fromkeys(users, pb.Absent(COLD_START))
    known = _known(model, shop.tastes(users))
    vectors = als.fold_in(model, [_history(model, taste) for taste in known.values()])
    found.update(zip(known, vectors.tolist(), strict=True))
    return found


@tasks.artifact(
    freshness_sla="90m",
    refresh=pb.every("1h"),
    invalidated_by=NO_CHANGE_MATTERS,
    fallback_if_stale=pb.ServeStale("6h"),
    owner="merchandising",
    keys=all_genres,
)
def trending(genre: str, *, shop: pb.Source[History]) -> list[Candidate] | pb.Absent:
    """The trending products, overall (``all``) or in one genre; the same for all shoppers, so computed once an hour."""
    days = trends.WINDOW_DAYS
    found = trends.trending_candidates(shop.purchases_by_day(genre, days=days), shop.views_by_day(genre, days=days))
    return found or pb.Absent("nothing_sold")


@tasks.artifact(
    freshness_sla="8h",
    refresh=pb.every("6h", budget="45m", off_peak=True),
    invalidated_by=[pb.refresh("user/{user}", debounce="200ms"), NO_PRODUCT_MATTERS],
    fallback_if_stale=pb.Use(trending, key=lambda _: trends.ALL),
    owner="recs",
    keys=all_shoppers,
    chunk=VECTORS,
    prefetch=["session/{user}"],
)
def candidates(
    users: pb.Keys[str], *, shop: pb.Source[History], model: AlsModel = pb.Model(factors)
) -> dict[str, list[Candidate] | pb.Absent]:
    """Fifty products per shopper from the whole catalog. This costly part runs ahead; the request orders them."""
    found: dict[str, list[Candidate] | pb.Absent] = dict.fromkeys(users, pb.Absent(COLD_START))
    known, at = _known(model, shop.tastes(users)), model.positions
    owned = [np.array([at[t.asin] for t in taste if t.purchases], int) for taste in known.values()]
    vectors = als.fold_in(model, [_history(model, taste) for taste in known.values()])
    hidden = np.zeros(len(model.asins), dtype=np.bool_)
    hidden[[at[asin] for asin in shop.delisted() if asin in at]] = True
    lists = als.top_candidates(model, vectors, owned, hidden=hidden)
    if shop.gone(sorted({c.asin for chosen in lists for c in chosen})):  # the model was trained on another catalog
        hidden[[at[asin] for asin in shop.gone(model.asins)]] = True
        lists = als.top_candidates(model, vectors, owned, hidden=hidden)
    found.update(zip(known, lists, strict=True))
    return found


@tasks.model(
    freshness_sla="26h",
    refresh=pb.every("24h", budget="2h", off_peak=True),
    invalidated_by=NO_CHANGE_MATTERS,
    fallback_if_stale=pb.ServeStale("48h"),
    owner="recs",
)
def reranker(*, shop: pb.Source[History]) -> RerankerModel:
    """The model that predicts which candidate is chosen next, trained on the log's last week.

    It learns from what shoppers buy in that week, and from what they look at or buy soon after being on a page or
    asking for something. Its gate is inside the task, because it needs the log: the task fails if the model orders
    worse than no model, or worse with page and words than without, for shoppers that it was not trained on.
    """
    week = Week(shop.log())
    model = fitting.train(week)
    if objection := gating.reranker_usable(model, week):
        raise pb.errors.GateFailed(f"reranker: {objection}", field="reranker")
    return model


@tasks.refine(
    candidates, budget="150ms", why="stock, purchases, the page and the conversation exist only at request time"
)
async def recommendations(
    base: pb.Served[list[Candidate]],
    *,
    shopper: pb.Live[str],
    page: pb.Live[str | None] = None,
    words: pb.Live[str] = "",
    among: pb.Live[tuple[str, ...]] = (),
    count: pb.Live[int] = SHOWN,
    shop: pb.Resource[LiveShelf] = pb.GIVEN,
    model: RerankerModel = pb.Model(reranker),
    popular: pb.Reader[str, list[Candidate]] = pb.Input(trending),
) -> list[Candidate]:
    """The best products that can be bought now and fit the page and the words, filled up with trending ones.

    They come from the base and from what the page and the words suggest. With ``among`` they are chosen out of those
    products alone, which the caller knows to fit the words.
    """
    count = max(1, min(count, MOST_SHOWN))
    context = read_context(model.table, page, words)
    moment = Moment(shopper, shop.events(shopper), page, context, among)
    ranked = moment.choose(shop, model, base.unwrap(), top=count, is_short=pb.remaining_s() < SHORT_S)
    if among:
        return merge(ranked, moment.rest(shop, count))[:count]
    for genre in (*sorted(moment.wishes.genres), trends.ALL):
        if len(ranked) >= count:
            break
        more = (await popular.get(genre)).value
        ranked = merge(ranked, moment.first(shop, moment.unbarred(shop, more or ()), count))
    return ranked[:count]


def _known(model: AlsModel, tastes: dict[str, list[Taste]]) -> dict[str, list[Taste]]:
    """Leave out products that are newer than the model, and shoppers without a recent product that the model knows."""
    at, learned = model.positions, model.index.learned
    known = {shopper: [t for t in taste if t.asin in at] for shopper, taste in tastes.items()}
    return {
        shopper: taste for shopper, taste in known.items() if any(t.is_recent and learned[at[t.asin]] for t in taste)
    }


def _history(model: AlsModel, taste: list[Taste]) -> als.History:
    """A shopper's recent taste, in the form that the fold-in takes."""
    recent = [t for t in taste if t.is_recent]
    purchases, views = np.array([t.purchases for t in recent], int), np.array([t.views for t in recent], int)
    return np.array([model.positions[t.asin] for t in recent], int), np.asarray(confidence(purchases, views), float)
