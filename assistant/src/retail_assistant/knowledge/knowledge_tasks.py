"""Evidence, product embeddings, promotions and review summaries, each with its contract."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

import parbake as pb
from parbake.ports.clock import Clock
from parbake.tasks.contract import Exponential
from parbake_semantic.embedder import Embedder
from retail_assistant.knowledge.blocks import Block, policy_blocks, product_blocks, product_text
from retail_assistant.knowledge.review_summary import Summary, summarize
from retail_assistant.knowledge.shop_views import Catalog, Policies, Promotions, Reviews
from retail_assistant.shop.queries import best_first
from retail_assistant.shop.schema import SEGMENTS

tasks = pb.Registry()


class WallClock:
    """The clock as a resource, so that tasks declare that they depend on the time."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Wall time unless a clock is given."""
        self.now = clock.now if clock else time.time


def _evidence_keys(*, policies: pb.Source[Policies], catalog: pb.Source[Catalog]) -> Sequence[str]:
    return [f"policy/{i}" for i in policies.ids()] + [f"product/{a}" for a in catalog.asins()]


def _asins(*, catalog: pb.Source[Catalog]) -> Sequence[str]:
    return catalog.asins()


@tasks.artifact(
    freshness_sla="26h",
    refresh=pb.every("24h", budget="2h", off_peak=True),
    invalidated_by=[pb.fence("policy"), pb.fence("product")],
    fallback_if_stale=pb.Recompute(),
    owner="content",
    keys=_evidence_keys,
    version="2",  # since then a block has the vectors of its sentences
    why="Policies and products change by events; their grounded statements are reused by FAQ, prompts and replies",
)
def evidence(
    entity: str,
    *,
    policies: pb.Source[Policies],
    catalog: pb.Source[Catalog],
    embedder: pb.Resource[Embedder],
) -> list[Block] | pb.Absent:
    """The evidence blocks of ``policy/<id>`` or ``product/<asin>``."""
    family, _, name = entity.partition("/")
    if family == "policy":
        policy = policies.get(name)
        return policy_blocks(policy, embedder) if policy else pb.Absent("no such policy")
    product = catalog.get(name)
    return product_blocks(product) if product else pb.Absent("not sold")


@tasks.artifact(
    freshness_sla="8h",
    refresh=pb.every("6h"),
    invalidated_by=[pb.fence("product/{asin}")],
    fallback_if_stale=pb.Recompute(),
    owner="catalog",
    keys=_asins,
    chunk=64,
    why="Product data changes infrequently; one product is embedded again on its event",
)
def product_embeddings(
    asins: pb.Keys[str], *, catalog: pb.Source[Catalog], embedder: pb.Resource[Embedder]
) -> dict[str, bytes | pb.Absent]:
    """The float32 unit vector of each product's text."""
    found = catalog.many(asins)
    known = [asin for asin in asins if asin in found]
    vectors = embedder.embed([product_text(found[asin]) for asin in known])
    embedded: dict[str, bytes | pb.Absent] = {asin: v.tobytes() for asin, v in zip(known, vectors, strict=True)}
    return {asin: embedded.get(asin, pb.Absent("not sold")) for asin in asins}


class Offer(msgspec.Struct, frozen=True):
    """A promotion that is valid now, in the form that replies show; times in epoch seconds."""

    id: str
    title: str
    category: str
    percent: int
    ends_at: float


def _segments(*, catalog: pb.Source[Catalog]) -> Sequence[str]:
    return [f"{genre}|{segment}" for genre in ("*", *catalog.genres()) for segment in SEGMENTS]


@tasks.artifact(
    freshness_sla="20m",
    refresh=pb.every("15m"),
    invalidated_by=[pb.fence("promotion")],
    fallback_if_stale=pb.Recompute(),
    owner="marketing",
    keys=_segments,
    why="Promotions change infrequently, start and end by the clock, and must be right when they do",
)
def promotions_for(
    audience: str, *, promotions: pb.Source[Promotions], clock: pb.Resource[WallClock]
) -> pb.Value[list[Offer]]:
    """The offers valid now for ``genre|segment``, until the next start or end of any."""
    category, _, segment = audience.partition("|")
    now = clock.now()
    matching = best_first(promotions.all(), category, segment)
    valid = [p for p in matching if p.starts_at <= now < p.ends_at]
    turns = [t for p in matching for t in (p.starts_at, p.ends_at) if t > now]
    offers = [Offer(p.id, p.title, p.category, p.percent, p.ends_at) for p in valid]
    return pb.Value(offers, valid_until=min(turns, default=None))


@tasks.artifact(
    freshness_sla="30h",
    refresh=pb.every("24h"),
    invalidated_by=[pb.refresh("reviews/{asin}")],
    fallback_if_stale=pb.ServeStale(within="48h"),
    confidence=Exponential(half_life="30h"),
    owner="content",
    keys=_asins,
    why="Reviews change slowly; confidence fades with age",
)
def review_summaries(asin: str, *, reviews: pb.Source[Reviews]) -> Summary | pb.Absent:
    """An extractive summary of a product's reviews."""
    found = reviews.of(asin)
    return summarize(found) if found else pb.Absent("no reviews")
