"""The retail domain of tau-bench (MIT licence) as rows: variants become items, the policy page becomes one policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parbake as pb
from retail_assistant.importing import read
from retail_assistant.importing.load_rows import Rows

_STATES = {"pending": "placed", "processed": "shipped", "delivered": "delivered", "cancelled": "cancelled"}
FILES = ("products.json", "orders.json", "users.json", "wiki.md")


def is_tau(folder: Path) -> bool:
    """Whether a folder holds this data set rather than table files."""
    return all((folder / name).is_file() for name in FILES)


def tables_of(folder: Path) -> Rows:
    """Products, shoppers, orders with their lines, purchases and the policy; the orders carry no times."""
    try:
        texts = {name: (folder / name).read_text(encoding="utf-8") for name in FILES}
    except (OSError, UnicodeDecodeError) as error:
        raise pb.BadInput(f"{folder} cannot be read: {error}", field="from") from error
    products, orders, users = (read.parsed(texts[name], name) for name in FILES[:3])
    return {
        "products": _items(products),
        "policies": [_policy(texts["wiki.md"])],
        "shoppers": ({"id": user} for user in users),
        "orders": _orders(users, orders),
        "order_lines": _order_lines(orders),
        "purchases": _purchases(orders),
    }


def _items(products: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for product in products.values():
        for item in product["variants"].values():
            options = ", ".join(f"{name} {value}" for name, value in item["options"].items())
            yield {
                "asin": item["item_id"],
                "title": f"{product['name']} ({options})",
                "series": product["name"],
                "genre": product["name"],
                "description": f"{product['name']}: {options}.",
                "price": item["price"],
                "quantity": 10 if item["available"] else 0,
            }


def _orders(users: dict[str, Any], orders: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The orders of each user in the order in which the user's page lists them, the newest last."""
    listed = [number for user in users.values() for number in user["orders"] if number in orders]
    for number in dict.fromkeys([*listed, *orders]):
        order = orders[number]
        tracking = ", ".join(t for done in order.get("fulfillments", ()) for t in done["tracking_id"])
        place = order.get("address", {})
        yield {
            "number": number,
            "shopper": order["user_id"],
            "state": _STATES.get(order["status"].partition(" ")[0], "placed"),
            "tracking": tracking,
            "address": ", ".join(place[part] for part in ("address1", "address2", "city", "zip") if place.get(part)),
        }


def _order_lines(orders: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number, order in orders.items():
        for item in order["items"]:
            yield {"number": number, "asin": item["item_id"], "price": item["price"]}


def _purchases(orders: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for order in orders.values():
        if order["status"] != "cancelled":
            for item in order["items"]:
                yield {"shopper": order["user_id"], "asin": item["item_id"], "price": item["price"]}


def _policy(page: str) -> dict[str, Any]:
    """Make a policy of the page: subsections become sections; list marks and the page's own title are removed."""
    lines = [re.sub(r"^#{3,}\s", "## ", line) for line in page.splitlines()]
    title = lines[0].lstrip("# ").strip() or "Policy"
    body = "\n".join(re.sub(r"^-\s+", "", line) for line in lines[1:]).replace("{", "(").replace("}", ")")
    return {"id": "retail", "title": title, "body": body}
