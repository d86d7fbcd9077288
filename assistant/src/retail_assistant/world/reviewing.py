"""Reviews: ratings that follow taste and quality, and text that follows both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retail_assistant.world import draws
from retail_assistant.world.activity import Events, Frame
from retail_assistant.world.draws import DAY
from retail_assistant.world.texts.texts_read import genres, reviews, themes

_SHARE = 0.11

ReviewRow = tuple[str, int, int, str, float]


def make_reviews(rng: np.random.Generator, frame: Frame, purchases: Events) -> Iterator[ReviewRow]:
    """Yield (asin, shopper's position in its group, rating, body, time) for about a tenth of the purchases."""
    chosen = purchases.take(draws.chances(rng, len(purchases.who), _SHARE))
    ts = np.floor(chosen.ts + rng.gamma(2.0, 2.5, size=len(chosen.ts)) * DAY)
    chosen, ts = chosen.take(ts < frame.end), ts[ts < frame.end]
    line = frame.catalog.item_array("line")[chosen.item]
    quality = frame.market.aspects[line].mean(axis=1)
    score = 3.75 + 0.9 * quality + 0.35 * (chosen.fit - 1.5) + rng.normal(0, 0.75, size=len(ts))
    rating = np.clip(np.rint(score), 1, 5).astype(np.int64)
    for i in range(len(ts)):
        stars = int(rating[i])
        body = _write(rng, frame, int(chosen.item[i]), stars)
        yield frame.catalog.items[chosen.item[i]].asin, int(chosen.who[i]), stars, body, float(ts[i])


def _write(rng: np.random.Generator, frame: Frame, item: int, rating: int) -> str:
    position = frame.catalog.items[item].line
    series = frame.catalog.series[frame.catalog.lines[position].series]
    words = {
        "series": series.title,
        "author": series.author,
        "genre": genres()[series.genre],
        "theme": themes()[draws.pick(rng, series.themes)].name,
    }
    texts = reviews()
    aspects = list(texts.praise)
    sentences = [draws.pick(rng, texts.opening[rating])]
    for aspect in rng.permutation(len(aspects))[: int(rng.integers(1, 4))]:
        liked = frame.market.aspects[position, aspect] + 0.7 * (rating - 3) + rng.normal(0, 0.5) > 0
        pool = texts.praise if liked else texts.blame
        sentences.append(draws.pick(rng, pool[aspects[int(aspect)]]))
    if draws.chance(rng, 0.5):
        sentences.append(draws.pick(rng, texts.closing[rating]))
    return " ".join(sentences).format(**words)
