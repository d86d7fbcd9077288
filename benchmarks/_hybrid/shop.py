"""The generated shop as data for the benchmark: every look and purchase, with genre, format, author and series."""

from __future__ import annotations

import tempfile
from pathlib import Path

from _log import read_log

from retail_assistant.recs.log import Log
from retail_assistant.world import generate

from .data import Data, make_data

NOW = 1_790_000_000.0


def shop(*, products: int, shoppers: int) -> Data:
    """Generate a shop and read its log."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shop.db")
        generate(path, now=NOW, products=products, shoppers=shoppers, messages=0)
        log = read_log(path)
    rows = [
        (log.shoppers[who], log.catalog.asins[item], ts, 0.0)
        for who, item, ts in zip(log.who.tolist(), log.item.tolist(), log.ts.tolist(), strict=True)
    ]
    return make_data(f"generated shop, {shoppers:,} shoppers", rows, tags=_tags(log), left_out={"bad rows": 0})


def _tags(log: Log) -> dict[str, list[str]]:
    catalog = log.catalog
    kinds = (catalog.genres, catalog.formats, catalog.authors, catalog.series)
    return {asin: [tag for tag in found if tag] for asin, *found in zip(catalog.asins, *kinds, strict=True)}
