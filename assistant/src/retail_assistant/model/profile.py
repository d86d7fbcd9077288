"""What a shopper has bought, in a few lines for the model that recommends: one fenced artifact for each shopper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

import parbake as pb

tasks = pb.Registry()
MOST_NAMED, MOST_LIKED = 8, 3
_NEWEST = """
SELECT p.asin, p.title, p.author, p.genre FROM purchases b JOIN products p ON p.asin = b.asin
WHERE b.shopper = :shopper GROUP BY p.asin ORDER BY MAX(b.ts) DESC, p.asin LIMIT 200
"""


class Bought(msgspec.Struct, frozen=True):
    """A product that a shopper bought."""

    asin: str
    title: str
    author: str
    genre: str


class Purchases(pb.View):
    """What each shopper bought."""

    families = ("user", "product")

    def newest(self, shopper: str) -> list[Bought]:
        """A shopper's products, the newest purchase first."""
        self.entity(f"user/{shopper}")
        return [Bought(*row) for row in self.rows(_NEWEST, shopper=shopper)]


@tasks.artifact(
    freshness_sla="26h",
    invalidated_by=[
        pb.fence("user/{shopper}"),
        pb.ignore("product", "it names what was bought, not what is sold; titles in replies are read live"),
    ],
    fallback_if_stale=pb.Recompute(),
    owner="recs",
    prefetch=["session/{shopper}"],
    why="A purchase changes it, a request does not; it stands behind the prompt's shared prefix, which providers keep",
)
def shopper_profile(shopper: str, *, purchases: pb.Source[Purchases]) -> str | pb.Absent:
    """What a shopper bought last, and which genres and authors most often."""
    bought = purchases.newest(shopper)
    return profile(bought) if bought else pb.Absent("nothing bought")


def profile(bought: Sequence[Bought]) -> str:
    """Describe purchases, the newest first, in lines for a prompt."""
    named = [f"{one.title}{f' by {one.author}' if one.author else ''} ({one.genre})" for one in bought[:MOST_NAMED]]
    lines = [f"They bought, the newest first: {'; '.join(named)}."]
    for what, liked in (("genres", _often(o.genre for o in bought)), ("authors", _often(o.author for o in bought))):
        lines += [f"{what.capitalize()} that they buy most: {', '.join(liked)}."] if liked else []
    return "\n".join(lines)


def _often(names: Iterable[str]) -> list[str]:
    """The names that occur most often, and more than once."""
    return [name for name, count in Counter(filter(None, names)).most_common(MOST_LIKED) if count > 1]
