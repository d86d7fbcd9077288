"""Delivery is charged as the policies list it: the cart, the checkout, the order and the chat name the same amounts."""

import pytest

from retail_assistant.shop import records

NOW = 1_790_000_000.0
SHOPPER = "u00003"
CART = f"/shop/carts/{SHOPPER}"
BOOK, EBOOK = "paperback", "digital"


async def filled(desk, *lines):
    """Fill the shopper's cart with lines of (format, copies, cents), without promotions; return its summary."""
    desk.conn.execute("DELETE FROM promotions")
    rows = desk.conn.execute("SELECT asin FROM products WHERE listed = 1 ORDER BY asin").fetchmany(len(lines))
    for (asin,), (form, _, cents) in zip(rows, lines, strict=True):
        desk.conn.execute("UPDATE products SET format = ? WHERE asin = ?", (form, asin))
        records.set_live(desk.conn, asin, cents=cents, quantity=9, now=NOW)
    held = {asin: copies for (asin,), (_, copies, _) in zip(rows, lines, strict=True)}
    records.set_cart(desk.conn, SHOPPER, held, now=NOW)
    return await summary(desk)


async def summary(desk):
    """Return the summary of the shopper's cart."""
    return (await desk.client.get(f"{CART}/summary")).json()


async def ordered(desk, total_cents):
    """Check the cart out at a total; return the order as its page shows it."""
    answer = await desk.client.post(f"{CART}/checkout", json={"total_cents": total_cents})
    assert answer.status_code == 201, answer.text
    return (await desk.client.get(f"/shop/orders/{SHOPPER}")).json()["orders"][0]


@pytest.mark.parametrize(
    ("lines", "books", "delivery"),
    [
        ([(BOOK, 1, 1000)], 1000, 390),
        ([(BOOK, 3, 1000), (EBOOK, 1, 500)], 3500, 390),
        ([(BOOK, 3, 1000), (EBOOK, 1, 501)], 3501, 0),
        ([(EBOOK, 2, 450)], 900, 0),
    ],
)
async def test_the_cart_the_order_and_the_chat_agree(desk, lines, books, delivery):
    """What a cart shows with delivery is said in the chat, is the only total accepted, and is stored in the order."""
    found = await filled(desk, *lines)
    total = books + delivery
    assert (found["books_cents"], found["delivery"]["cents"], found["cents"]) == (books, delivery, total)
    assert found["total"] == f"\u20ac{total / 100:.2f}"
    text, _ = await desk.ask("What is in my cart?", user=SHOPPER)
    assert f"the total is {found['total']}" in text.replace("The total", "the total")
    assert ("and delivery \u20ac3.90" in text) == bool(delivery)
    if delivery:
        refused = await desk.client.post(f"{CART}/checkout", json={"total_cents": books})
        assert (refused.status_code, refused.json()["total_cents"]) == (409, total)
    order = await ordered(desk, total)
    assert (order["cents"], order["delivery_cents"], order["total"]) == (total, delivery, found["total"])
    paid, _ = await desk.ask(f"How much did I pay for order {order['number']}?", user=SHOPPER)
    assert f"You paid {order['total']}" in paid
    assert ("(\u20ac3.90 of it for delivery)" in paid) == bool(delivery)


async def test_digital_editions_need_no_delivery(desk):
    """A cart of digital editions alone is told to need no delivery, and nothing is missing to a free one."""
    found = await filled(desk, (EBOOK, 1, 700))
    assert found["delivery"] == {
        "is_needed": False, "cents": 0, "price": "\u20ac0.00",
        "free_over_cents": None, "free_over": None, "missing_cents": None, "missing": None,
    }  # fmt: skip
    text, _ = await desk.ask("What is in my cart?", user=SHOPPER)
    assert "Digital editions need no delivery." in text
    assert "Another" not in text


async def test_a_changed_policy_changes_what_is_charged(desk):
    """A fee that the policy lists anew is charged at once, and the total from before it is refused with both."""
    before = await filled(desk, (BOOK, 1, 1000))
    await desk.client.put("/shop/policies/shipping", json={"facts": {"standard_fee_eur": 4.5}})
    answer = await desk.client.post(f"{CART}/checkout", json={"total_cents": before["cents"]})
    assert (answer.status_code, answer.json()["sent_cents"], answer.json()["total_cents"]) == (409, 1390, 1450)
    assert (await summary(desk))["delivery"]["price"] == "\u20ac4.50"
    assert (await ordered(desk, 1450))["delivery_cents"] == 450


async def test_what_no_policy_lists_is_not_charged(desk):
    """Without a fee in any policy nothing is charged for delivery, and the cart names no price for it."""
    await filled(desk, (BOOK, 1, 1000))
    records.delete_policy(desk.conn, "shipping")
    found = await summary(desk)
    assert (found["cents"], found["delivery"]) == (1000, None)
    assert (await ordered(desk, 1000))["delivery_cents"] == 0


async def test_delivery_earns_no_points(desk):
    """Points are earned with the books of an order and not with its delivery, as the policy states."""
    before = desk.shop.shoppers.points(SHOPPER)
    found = await filled(desk, (BOOK, 1, 1000))
    order = await ordered(desk, found["cents"])
    assert desk.shop.shoppers.points(SHOPPER) == before + 2 * 10
    text, _ = await desk.ask(f"How many points does order {order['number']} bring?", user=SHOPPER)
    assert "with books for \u20ac10.00 brings 20 points" in text
