"""Plays a conversation against a server, over a shop file whose shoppers get what each conversation assumes."""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from _shop import Client

from _answers.rubric import Item, Products, Shown, Verdict, broken, judge
from retail_assistant.shop import orders, queries, records

DAY = 86_400.0


class Judged(msgspec.Struct, frozen=True):
    """A judged reply.

    ``made_by`` is what made it, ``worded`` says whether a model worded any of it, ``units`` what became of the model's
    units, and ``breaks`` are wishes that a shown product does not keep.
    """

    item: str
    kind: str
    pair: str | None
    turn: int
    of: int
    say: str
    expect: str
    reply: str
    verdict: Verdict
    made_by: str
    breaks: tuple[str, ...]
    ms: float
    worded: bool = False
    units: dict[str, int] = {}


class Player:
    """Replays conversations; ``conn`` is the server's own shop file."""

    def __init__(self, client: Client, conn: sqlite3.Connection) -> None:
        """Keep both."""
        self._client, self._conn = client, conn

    def play(self, item: Item) -> list[Judged]:
        """Play every turn in order, each with the true replies before it; returns the judged ones."""
        shopper = f"reader-{item.id}" if item.given else None
        if shopper:
            self._give(shopper, item)
        messages: list[dict[str, str]] = []
        judged: list[Judged] = []
        for at, turn in enumerate(item.turns):
            messages.append({"role": "user", "content": turn.say})
            reply, made, ms = self._ask(messages, shopper, item.page, session=f"session-{item.id}")
            messages.append({"role": "assistant", "content": reply})
            if turn.expect:
                judged.append(self._judged(item, at, reply, made, ms=ms))
        return judged

    def _ask(
        self, messages: list[dict[str, str]], shopper: str | None, page: str | None, *, session: str
    ) -> tuple[str, dict[str, Any], float]:
        body: dict[str, Any] = {"messages": messages, "metadata": {"session": session}}
        if shopper:
            body["user"] = shopper
        if page:
            body["metadata"]["page"] = page
        started = time.perf_counter()
        try:
            answer = self._client.send("POST", "/v1/chat/completions", body)
        except RuntimeError as error:  # a server error is a reply that says nothing
            return str(error), {"intent": "error", "lane": "error", "cards": []}, 0.0
        ms = (time.perf_counter() - started) * 1e3
        return answer["choices"][0]["message"]["content"], answer["parbake"], ms

    def _judged(self, item: Item, at: int, reply: str, made: dict[str, Any], *, ms: float) -> Judged:
        turn = item.turns[at]
        segment = item.given.segment if item.given else "new"
        shown = [self._shown(card["asin"], segment) for card in made["cards"]]
        verdict = judge(turn, reply, shown, lambda name: self._value(name, item))
        made_by = "faq bank" if made.get("faq") else str(made["intent"])
        breaks = tuple(broken(turn.products or Products(), shown))
        return Judged(
            item.id, item.kind, item.pair, at, len(item.turns), turn.say, turn.expect or "", reply, verdict,
            made_by, breaks, ms, made.get("worded", False), made.get("units", {}),
        )  # fmt: skip

    def _shown(self, asin: str, segment: str) -> Shown:
        """A shown product; its price is what a shopper of that segment pays, with the promotions that run now."""
        product = queries.get_product(self._conn, asin)
        cents, listed = self._reduced_cents(asin, segment), queries.get_price(self._conn, asin).cents
        quantity = queries.get_stock(self._conn, asin).quantity
        text = f"{product.title} {product.description}"
        return Shown(
            asin,
            cents,
            listed,
            quantity,
            product.genre,
            product.format,
            product.author,
            product.series,
            product.volume,
            text,
        )

    def _give(self, shopper: str, item: Item) -> None:
        given, now = item.given, time.time()
        if given is None:
            return
        self._conn.execute("INSERT OR REPLACE INTO shoppers (id, segment, created_at, points) VALUES (?, ?, ?, ?)",
                           (shopper, given.segment, now - 90 * DAY, given.points))  # fmt: skip
        if given.cart:
            records.set_cart(self._conn, shopper, given.cart, now=now)
        for order in given.orders:  # numbers are written into the messages, so they are taken from who had them
            self._conn.execute("DELETE FROM order_lines WHERE number = ?", (order.number,))
            self._conn.execute("DELETE FROM orders WHERE number = ?", (order.number,))
            lines = {asin: (n, queries.get_price(self._conn, asin).cents) for asin, n in order.lines.items()}
            orders.put_order(
                self._conn, order.number, shopper=shopper, placed_at=now - order.days_ago * DAY,
                state=order.state, tracking=order.tracking, lines=lines,
                now=now - order.days_ago * DAY,
            )  # fmt: skip

    def _value(self, name: str, item: Item) -> str:
        kind, _, what = name.partition(":")
        if kind == "price":
            return _money(queries.get_price(self._conn, what).cents)
        if kind == "stock":
            return "in stock" if queries.get_stock(self._conn, what).quantity else "out of stock"
        if kind == "title":
            return queries.get_product(self._conn, what).title
        if kind == "off":
            return self._reduced(*what.split(":"))
        orders = {o.number: o for o in item.given.orders} if item.given else {}
        if kind == "date":
            placed = dt.datetime.fromtimestamp(time.time() - orders[what].days_ago * DAY, dt.UTC)
            return f"{placed.day} {placed:%B}"
        if kind == "total":
            return _money(self._cost(orders[what].lines))
        cart = self._charged(item.given.cart, item.given.segment) if item.given else 0
        free_over = queries.get_policy(self._conn, "shipping").facts["free_over_eur"]
        missing = max(0, round(float(free_over) * 100) + 1 - cart)  # delivery is free over that sum
        return _money(cart if kind == "cart_total" else missing)

    def _reduced(self, asin: str, segment: str) -> str:
        return _money(self._reduced_cents(asin, segment))

    def _reduced_cents(self, asin: str, segment: str) -> int:
        genre, cents = queries.get_product(self._conn, asin).genre, queries.get_price(self._conn, asin).cents
        running = queries.list_promotions(self._conn, at=time.time())
        fitting = [p.percent for p in running if p.category in ("*", genre) and p.segment in ("all", segment)]
        return round(cents * (100 - max(fitting, default=0)) / 100)

    def _charged(self, lines: dict[str, int], segment: str) -> int:
        """What a cart costs, with the promotions that run now taken off."""
        return sum(self._reduced_cents(asin, segment) * n for asin, n in lines.items())

    def _cost(self, lines: dict[str, int]) -> int:
        return sum(queries.get_price(self._conn, asin).cents * n for asin, n in lines.items())


def share(judged: Sequence[Judged], *verdicts: Verdict) -> float:
    """The share of some verdicts, in percent."""
    return 100 * sum(j.verdict in verdicts for j in judged) / len(judged) if judged else 0.0


def _money(cents: int) -> str:
    return f"\u20ac{cents / 100:.2f}"
