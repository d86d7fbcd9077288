"""A cart is ordered on the page, and a product's page suggests what else may please."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from pathlib import Path

import pytest
from cluster import Server
from playwright.sync_api import Page, Route, expect
from tests.browser.steps import NARROW, SCREENS, Opening, become, go, is_sound, shut, stored

from retail_assistant.shop.schema import connect

BOOK, OTHER = "B000021", "B000022"
PLACE = re.compile("Place the order for €")


@pytest.fixture
def shelf(server: Server) -> Server:
    """Return the server without promotions, and with copies of two paperbacks in stock at €10 and €4.50."""
    for running in server.client.get("/shop/promotions").json()["promotions"]:
        server.client.delete(f"/shop/promotions/{running['id']}").raise_for_status()
    for asin, cents in ((BOOK, 1000), (OTHER, 450)):
        server.put(f"/shop/products/{asin}", {"listed": True, "format": "paperback", "cents": cents, "quantity": 9})
    return server


def fill(server: Server, shopper: str, *asins: str) -> None:
    """Put a copy of each book into a shopper's cart."""
    server.put(f"/shop/carts/{shopper}", {"lines": dict.fromkeys(asins, 1)})


def review(page: Page, shopper: str) -> None:
    """Open a shopper's cart and go on to its review."""
    become(page, shopper)
    go(page, "Cart")
    page.get_by_role("button", name="Checkout").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Review your order")
    addressed(page)


def addressed(page: Page, address: str = "1 Quiet Lane, Greenford") -> None:
    """Type where the parcel goes."""
    page.get_by_label("Delivery address").fill(address)


def is_up_to_date(page: Page, shopper: str) -> None:
    """Assert that nothing is left in a cart, here or in the shop."""
    expect(page.locator("#cart-count")).to_be_hidden()
    assert stored(page, f"carts/{shopper}/summary")["lines"] == []


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_cart_is_reviewed_ordered_and_found_among_the_orders(
    opened: Opening, shelf: Server, tmp_path: Path, width: int, scheme: str
) -> None:
    """A shopper orders a cart at the total shown and finds the order by its number; each step has the focus."""
    page, shopper = opened(width, 844 if width < NARROW else 860, color_scheme=scheme), f"checkout-{width}-{scheme}"

    def looked(name: str) -> None:
        page.screenshot(path=tmp_path / f"{name}.png")
        is_sound(page)
        expect(page.get_by_role("heading", level=1)).to_be_focused()

    fill(shelf, shopper, BOOK, OTHER)
    become(page, shopper)
    shut(page)
    go(page, "Cart")
    expect(page.locator(".summary")).to_contain_text("€3.90")
    expect(page.locator("#total")).to_have_text("€18.40")
    looked("1-cart")
    page.get_by_role("button", name="Checkout").click()
    expect(page.get_by_role("button", name=PLACE)).to_have_text("Place the order for €18.40")
    expect(page.locator("#distance")).to_contain_text("delivery is free")
    expect(page.locator(".checkout")).to_contain_text("it takes no payment")
    expect(page.get_by_role("list", name="Books in this order").locator("li")).to_have_count(2)
    looked("2-review")
    addressed(page)
    page.get_by_label("Express").check()
    expect(page.get_by_role("button", name=PLACE)).to_have_text("Place the order for €22.00")
    page.screenshot(path=tmp_path / "2-express.png")
    page.get_by_label("Standard delivery").check()
    expect(page.get_by_role("button", name=PLACE)).to_have_text("Place the order for €18.40")
    page.get_by_role("button", name=PLACE).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
    number = re.search(r"W\d+", page.locator(".notice h2").inner_text())
    assert number
    looked("3-placed")
    is_up_to_date(page, shopper)
    page.get_by_role("link", name="See your orders").click()
    expect(page.get_by_role("heading", name=f"Order {number[0]}")).to_be_visible()
    expect(page.locator(".order .state")).to_have_text("Placed")
    expect(page.locator(".order footer")).to_contain_text("€18.40 · Delivery €3.90")
    expect(page.locator(".order footer")).to_contain_text("Standard delivery · 1 Quiet Lane, Greenford")
    looked("4-orders")


def test_a_checkout_is_made_with_the_keyboard(opened: Opening, shelf: Server) -> None:
    """Checkout and order are reached with the tab key and pressed with Enter."""
    page, shopper = opened(), "checkout-keys"
    fill(shelf, shopper, BOOK)
    become(page, shopper)
    go(page, "Cart")

    def press(described: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if described in page.locator(":focus").inner_text():
                page.keyboard.press("Enter")
                return
        raise AssertionError(f"{described} is not reached")

    expect(page.locator(".summary")).to_be_visible()
    press("Checkout")
    expect(page.get_by_role("button", name=PLACE)).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("1 Quiet Lane")
    press("Place the order")
    expect(page.locator(".notice h2")).to_contain_text("is placed")
    press("See your orders")
    expect(page.locator(".order")).to_have_count(1)


def test_a_price_that_changed_is_shown_before_it_is_ordered(page: Page, shelf: Server) -> None:
    """A total that changed during the review is said with both amounts, and only the new one is ordered then."""
    fill(shelf, "checkout-price", BOOK)
    review(page, "checkout-price")
    expect(page.get_by_role("button", name=PLACE)).to_be_visible()
    shelf.put(f"/shop/prices/{BOOK}", {"cents": 1250})
    page.get_by_role("button", name=PLACE).click()
    problem = page.get_by_role("alert")
    expect(problem).to_have_text("The total was €13.90, and is €16.40 now. Nothing was ordered yet.")
    expect(problem).to_be_focused()
    assert stored(page, "orders/checkout-price")["orders"] == []
    addressed(page)
    page.get_by_role("button", name="Place the order for €16.40").click()
    expect(page.locator(".notice")).to_contain_text("1 book for €16.40")


def test_the_reduced_price_is_shown_and_ordered(page: Page, shelf: Server) -> None:
    """The product's card, the cart, its review, the button and the order have one price, the promotion's."""
    genre, now = stored(page, f"products/{BOOK}")["genre"], time.time()
    sale = {"title": "Page weekend: 40 % off", "category": genre, "segment": "all", "percent": 40}
    shelf.put("/shop/promotions/page-sale", {**sale, "starts_at": now - 60, "ends_at": now + 3600})
    shelf.put("/shop/carts/checkout-sale", {"lines": {BOOK: 2}})
    become(page, "checkout-sale")
    open_product(page, BOOK)
    expect(page.locator(".facts > .price .now")).to_have_text("€6.00")
    go(page, "Cart")
    expect(page.locator(".line-price")).to_contain_text("€12.00")
    expect(page.locator(".line-price")).to_contain_text("€6.00 each")
    expect(page.locator(".line .promotion")).to_contain_text("€6.00 each instead of €10.00")
    expect(page.locator("#total")).to_have_text("€15.90")
    is_sound(page)
    page.get_by_role("button", name="Checkout").click()
    expect(page.get_by_role("list", name="Books in this order")).to_contain_text("€6.00 each (\u221240 %)")
    expect(page.locator(".checkout")).to_contain_text("The promotions that run now are taken off.")
    expect(page.locator(".checkout")).not_to_contain_text("list prices")
    addressed(page)
    page.get_by_role("button", name="Place the order for €15.90").click()
    expect(page.locator(".notice")).to_contain_text("2 books for €15.90")
    assert stored(page, "orders/checkout-sale")["orders"][0]["cents"] == 1590


def test_a_book_that_was_sold_out_is_named_and_can_be_taken_out(page: Page, shelf: Server) -> None:
    """A book that is gone during the review is named; the shopper removes it from the cart and orders the rest."""
    fill(shelf, "checkout-gone", BOOK, OTHER)
    review(page, "checkout-gone")
    expect(page.get_by_role("button", name=PLACE)).to_be_visible()
    title = stored(page, f"products/{BOOK}")["title"]
    shelf.client.delete(f"/shop/products/{BOOK}").raise_for_status()
    page.get_by_role("button", name=PLACE).click()
    expect(page.get_by_role("alert")).to_have_text(
        f"The shop has stopped selling {title}; remove it from the cart to order the rest."
    )
    page.get_by_role("link", name="Back to the cart").click()
    expect(page.locator(".line.is-gone")).to_contain_text("No longer sold")
    expect(page.get_by_role("button", name="Checkout")).to_have_count(0)
    is_sound(page)
    page.get_by_role("button", name=f"Remove {title}").click()
    expect(page.locator(".line.is-gone")).to_have_count(0)
    page.get_by_role("button", name="Checkout").click()
    addressed(page)
    page.get_by_role("button", name="Place the order for €8.40").click()
    expect(page.locator(".notice h2")).to_contain_text("is placed")


def test_an_answer_that_is_lost_is_asked_for_again_and_orders_once(page: Page, shelf: Server) -> None:
    """If the answer to an order is lost, the same button sends the order again with its key, and there is one."""
    fill(shelf, "checkout-lost", BOOK)
    review(page, "checkout-lost")

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/checkout", lose, times=1)
    page.get_by_role("button", name=PLACE).click()
    expect(page.get_by_role("alert")).to_contain_text("The shop cannot be reached")
    page.get_by_role("button", name=PLACE).click()
    expect(page.locator(".notice h2")).to_contain_text("is placed")
    assert len(stored(page, "orders/checkout-lost")["orders"]) == 1
    is_up_to_date(page, "checkout-lost")


def test_a_review_without_anything_to_order_shows_the_cart(page: Page) -> None:
    """The review's address leads to the cart if it is empty or nobody is signed in."""
    home = page.url.partition("#")[0]
    become(page, "checkout-empty")
    page.goto(f"{home}#/checkout")
    expect(page.locator(".notice")).to_contain_text("Your cart is empty")
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{home}#/checkout")
    expect(page.locator(".notice")).to_contain_text("Your cart is empty")
    expect(page).to_have_url(re.compile("#/cart$"))
    assert page.get_by_role("button", name=PLACE).count() == 0


def test_a_cart_without_a_session_waits_for_its_shopper(page: Page, shelf: Server) -> None:
    """A cart filled before signing in stays over a reload, has its total, and belongs to who signs in then."""
    open_product(page, BOOK)
    page.locator(".facts").get_by_role("button", name="Add to cart").click()
    expect(page.locator("#cart-count")).to_have_text("1")
    page.reload()
    expect(page.locator("#cart-count")).to_have_text("1")
    go(page, "Cart")
    page.get_by_role("button", name="One more").click()
    expect(page.locator("#total")).to_have_text("€23.90")
    expect(page.get_by_role("button", name="Sign in to check out")).to_be_visible()
    is_sound(page)
    become(page, "checkout-guest")
    expect(page.locator("#cart-count")).to_have_text("2")
    held = stored(page, "carts/checkout-guest/summary")
    assert [(line["product"]["asin"], line["quantity"]) for line in held["lines"]] == [(BOOK, 2)]
    assert page.evaluate("() => localStorage.getItem('cart')") is None


def test_an_address_is_changed_and_a_return_gets_its_label(page: Page, shelf: Server, home: Path) -> None:
    """Until it is packed an order goes elsewhere; one that comes back has a label, and a new copy can be asked for."""
    shopper = "checkout-later"
    fill(shelf, shopper, BOOK)
    review(page, shopper)
    page.get_by_role("button", name=PLACE).click()
    page.get_by_role("link", name="See your orders").click()
    page.get_by_text("Change the address").click()
    page.get_by_label("New address").fill("2 Other Road")
    page.get_by_role("button", name="Save the address").click()
    expect(page.locator(".order .where")).to_contain_text("2 Other Road")
    number = stored(page, f"orders/{shopper}")["orders"][0]["number"]
    with closing(connect(home / "shop.db")) as shop, shop:
        shop.execute("UPDATE orders SET state = 'returning' WHERE number = ?", (number,))
    page.reload()
    page.get_by_label("A new copy").check()
    page.evaluate("() => { window.print = () => { window.printed = document.getElementById('label').textContent; }; }")
    page.get_by_role("button", name="Print the return label").click()
    printed = page.evaluate("() => window.printed")
    assert number in printed
    assert "2 Other Road" in printed
    is_sound(page)
    assert stored(page, f"orders/{shopper}")["orders"][0]["in_return"] == "exchange"


def open_product(page: Page, asin: str) -> None:
    """Open a product's page."""
    page.goto(f"{page.url.partition('#')[0]}#/product/{asin}")
    expect(page.locator(".facts .description")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_products_page_suggests_others(opened: Opening, tmp_path: Path, width: int, scheme: str) -> None:
    """Five cards with live price and stock are suggested, with lane and age, and one of them opens and goes on."""
    page = opened(width, 844 if width < NARROW else 860, color_scheme=scheme)
    become(page, "u00003")
    open_product(page, BOOK)
    also = page.get_by_role("region", name="You may also like")
    expect(also.locator(".book")).to_have_count(5)
    expect(also.locator(".book .now").first).to_contain_text("€")
    expect(also.locator(".lane")).to_have_text(re.compile("batch|event"))
    expect(also.locator(".made")).to_contain_text(re.compile(r"Prepared .*(ago|just now)"))
    also.locator(".made").scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "also.png")
    is_sound(page)
    suggested = stored(page, f"products/{BOOK}/suggestions?user=u00003")["products"]
    assert also.locator(".book h3").all_inner_texts() == [each["title"] for each in suggested]
    also.get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(suggested[0]["title"])
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_a_page_is_whole_without_suggestions(page: Page) -> None:
    """If the suggestions are refused, their section says so and the rest of the page is used as before."""
    problem = json.dumps({"title": "Store error", "detail": "it does not answer", "status": 503})
    kind = "application/problem+json"
    page.route("**/suggestions?**", lambda route: route.fulfill(status=503, content_type=kind, body=problem))
    become(page, "checkout-alone")
    open_product(page, BOOK)
    expect(page.get_by_role("region", name="You may also like")).to_contain_text("no suggestions right now")
    page.locator(".facts").get_by_role("button", name="Add to cart").click()
    expect(page.locator("#cart-count")).to_have_text("1")
    is_sound(page)
