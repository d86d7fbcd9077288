"""The tasks that are always live: price, stock, and what a shopper has in the cart, ordered and earned."""

from __future__ import annotations

import parbake as pb
from retail_assistant.live import LiveShop
from retail_assistant.shop.orders import Order

tasks = pb.Registry()


@tasks.live(why="Prices change too frequently; must always be live")
async def price(asin: pb.Live[str], *, shop: pb.Resource[LiveShop] = pb.GIVEN) -> int:
    """The present price of a product, in cents."""
    return shop.cents(asin)


@tasks.live(why="Stock changes with every purchase; must always be live")
async def stock(asin: pb.Live[str], *, shop: pb.Resource[LiveShop] = pb.GIVEN) -> int:
    """The number of copies in stock."""
    return shop.stock(asin)


@tasks.live(why="Cart state changes between queries")
async def cart(shopper: pb.Live[str], *, shop: pb.Resource[LiveShop] = pb.GIVEN) -> dict[str, int]:
    """The quantities in a shopper's cart, by product."""
    return shop.shoppers.cart(shopper)


@tasks.live(why="An order moves on between queries")
async def orders(shopper: pb.Live[str], *, shop: pb.Resource[LiveShop] = pb.GIVEN) -> list[Order]:
    """A shopper's orders, the newest first."""
    return shop.shoppers.orders(shopper)


@tasks.live(why="Points are earned and spent with every order")
async def points(shopper: pb.Live[str], *, shop: pb.Resource[LiveShop] = pb.GIVEN) -> int:
    """A shopper's loyalty points."""
    return shop.shoppers.points(shopper)
