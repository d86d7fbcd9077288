"""What is always looked up live: price, stock and cart. They exist only now, and raise no tag."""

from __future__ import annotations

import parbake as pb
from retail_assistant.live import LiveShop

tasks = pb.Registry()


@tasks.live(why="Prices change too frequently; must always be live")
async def price(asin: pb.Live[str], *, shop: pb.Resource[LiveShop] = pb.GIVEN) -> int:
    """What a product costs now, in cents."""
    return shop.cents(asin)


@tasks.live(why="Stock changes with every purchase; must always be live")
async def stock(asin: pb.Live[str], *, shop: pb.Resource[LiveShop] = pb.GIVEN) -> int:
    """Copies left."""
    return shop.stock(asin)


@tasks.live(why="Cart state changes between queries")
async def cart(shopper: pb.Live[str], *, shop: pb.Resource[LiveShop] = pb.GIVEN) -> dict[str, int]:
    """What is in a shopper's cart, quantities by product."""
    return shop.cart(shopper)
