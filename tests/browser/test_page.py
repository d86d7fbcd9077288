"""The page is a small shop with the assistant beside it, and does what the README's tour says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cluster import Server
from playwright.sync_api import Page, Route, expect
from tests.browser.steps import (
    NARROW,
    SCREENS,
    Opening,
    ask,
    become,
    go,
    is_sound,
    reply,
    shut,
    stored,
    to_the_counter,
)

from retail_assistant.shop.accounts import put_account
from retail_assistant.shop.schema import connect

RETURNS = "How many days do I have to send a book back?"


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_the_shop_is_used_from_the_shelf_to_a_changed_policy(
    opened: Opening, tmp_path: Path, width: int, scheme: str
) -> None:
    """A shopper finds a book, asks its price, fills the cart and asks for it; then a policy changes with its answer."""
    page = opened(width, 844 if width < NARROW else 860, color_scheme=scheme)

    def looked(name: str) -> None:
        page.screenshot(path=tmp_path / f"{name}.png")
        is_sound(page)

    become(page, f"story-{width}-{scheme}")
    expect(page.locator(".book").first).to_be_visible()
    looked("1-browse")
    author = page.locator(".book .byline").first.inner_text()
    page.get_by_label("Search books").fill(author)
    page.get_by_label("Search books").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Results for “{author}”")
    book = page.locator(".book").first
    expect(book.locator(".byline")).to_have_text(author)
    looked("2-search")
    book.get_by_role("link").click()
    expect(page.locator(".facts .description")).to_be_visible()
    title = page.get_by_role("heading", level=1).inner_text()
    price = page.locator(".facts > .price .now").inner_text()
    looked("3-product")

    told = ask(page, "how much is this?")
    expect(told).to_contain_text(title)
    expect(told).to_contain_text(price)
    expect(told.locator(".card .price .now")).to_have_text(price)
    expect(told.locator(".why")).to_be_hidden()
    looked("4-answer")
    told.get_by_role("button", name=f"Add to cart: {title}").click()
    expect(page.locator("#toast")).to_contain_text(f"{title} is in your cart")
    expect(page.locator("#cart-count")).to_have_text("1")
    shut(page)
    go(page, "Cart")
    expect(page.locator(".line")).to_contain_text(title)
    cart = stored(page, f"carts/story-{width}-{scheme}/summary")
    needs_delivery = cart["delivery"]["is_needed"]  # a digital edition does not
    expect(page.locator(".summary")).to_contain_text("delivery is free" if needs_delivery else "Not needed")
    assert [(line["product"]["title"], line["quantity"]) for line in cart["lines"]] == [(title, 1)]
    assert page.locator("#total").inner_text() == cart["total"]
    looked("5-cart")
    told = ask(page, "What is in my cart?")
    expect(told).to_contain_text(title)
    expect(told).to_contain_text(page.locator("#total").inner_text())
    looked("6-asked")

    change_the_policy(page, looked)


def change_the_policy(page: Page, looked: Callable[[str], None]) -> None:
    """Change the days of a return in the owner's panel between two times of the same question."""
    place = page.locator("#log .turn.user").count()
    first = ask(page, RETURNS)
    shut(page)
    to_the_counter(page)
    page.get_by_label("Policy", exact=True).select_option("returns")
    fact = page.get_by_label("Window days", exact=True)
    expect(fact).to_have_value(re.compile(r"\d+"))
    old = int(fact.input_value())
    expect(first).to_contain_text(f"{old} days")
    fact.fill(str(old + 1))
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#ack")).to_contain_text("acknowledged at")
    looked("7-owner")
    page.get_by_role("button", name=f"Ask again: {RETURNS}").click()
    second = reply(page, place + 1)
    expect(second).to_contain_text(f"{old + 1} days")
    assert f"{old} days" not in second.inner_text()
    assert stored(page, "policies/returns")["facts"]["window_days"] == old + 1
    second.locator("summary").click()  # with the operators' key the page shows what an answer was made of
    expect(second.locator("table")).to_contain_text("faq_answers")
    expect(second.locator(".why dl")).to_contain_text("Cost")
    looked("8-followed")


def test_recommendations_are_cards_and_a_sold_one_is_gone(page: Page) -> None:
    """Recommendations are cards with live prices, and a product that was sold is not in the next ones."""
    become(page, "u00003")
    question = "Can you recommend me something to read?"
    cards = ask(page, question).locator(".card")
    expect(cards.first).to_contain_text("€")
    asin = cards.first.get_attribute("data-asin") or ""
    to_the_counter(page)
    page.get_by_label("Product to sell").fill(asin)
    page.get_by_role("button", name="Sell one copy").click()
    expect(page.locator("#ack")).to_contain_text("acknowledged at")
    second = ask(page, question)
    expect(second.locator(".card").first).to_be_visible()
    assert asin not in [card.get_attribute("data-asin") for card in second.locator(".card").all()]


def test_the_list_is_narrowed_by_genre_format_and_price(page: Page) -> None:
    """Each filter narrows the list, is in the address, and the browser's way back widens it again."""
    page.locator(".choices").get_by_role("link", name="Horror").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Horror")
    all_of_genre = page.locator(".list-head .told").inner_text()
    page.locator(".choices").get_by_role("link", name="Digital").click()
    expect(page.locator(".list-head .told")).not_to_have_text(all_of_genre)
    expect(page.locator(".book").first).to_contain_text("Digital")
    assert set(page.locator(".book .kind").all_inner_texts()) == {"Digital · Horror"}
    page.get_by_label("Price", exact=True).focus()
    page.keyboard.press("Home")
    page.get_by_label("Price", exact=True).dispatch_event("change")
    expect(page).to_have_url(re.compile("max="))
    page.go_back()
    page.go_back()
    expect(page.locator(".list-head .told")).to_have_text(all_of_genre)
    page.goto(f"{page.url.partition('#')[0]}#/?search=zzzzqq")
    expect(page.locator(".notice")).to_contain_text("No book fits")
    page.get_by_role("link", name="Show all books").click()
    expect(page.locator(".book").first).to_be_visible()


def test_an_action_of_the_chat_is_in_the_cart_after_a_yes(page: Page) -> None:
    """What the assistant proposes is confirmed with a suggestion, and the cart's number follows."""
    become(page, "story-action")
    page.locator(".book .book-link").first.click()
    expect(page.locator("#context")).to_contain_text("About:")
    page.locator("#suggestions").get_by_role("button", name="Add this to my cart").click()
    expect(reply(page, 0)).to_contain_text("Shall I add")
    page.locator("#suggestions").get_by_role("button", name="Yes").click()
    expect(reply(page, 1)).to_contain_text("Done")
    expect(page.locator("#cart-count")).to_have_text("1")
    go(page, "Cart")
    page.get_by_role("button", name="One more of").click()
    expect(page.locator("#cart-count")).to_have_text("2")
    assert stored(page, "carts/story-action/summary")["copies"] == 2
    page.get_by_role("button", name="Remove").click()
    expect(page.locator(".notice")).to_contain_text("Your cart is empty")
    assert stored(page, "carts/story-action/summary")["lines"] == []


def test_orders_are_shown_with_state_and_lines(page: Page) -> None:
    """The orders of a shopper have states and lines, and a question about one goes to the assistant."""
    become(page, "u00047")
    go(page, "Orders")
    order = page.locator(".order").first
    expect(order.locator(".state")).to_be_visible()
    expect(order.locator("li a").first).to_be_visible()
    asking = page.get_by_role("button", name=re.compile(r"Where is it\?: order")).first
    number = (asking.get_attribute("aria-label") or "").rpartition(" ")[2]
    orders = stored(page, "orders/u00047")["orders"]
    assert number in [one["number"] for one in orders]
    assert page.locator(".order").count() == len(orders)
    asking.click()
    expect(reply(page, 0)).to_contain_text(number)
    is_sound(page)


def test_nobody_writes_into_the_shop_and_is_asked_for_a_name(page: Page) -> None:
    """Without a session a cart stays in the browser, its checkout asks to sign in, and the orders ask who shops."""
    written: list[str] = []
    page.on("request", lambda sent: written.append(sent.url) if sent.method != "GET" else None)
    page.locator(".book button").first.click()
    expect(page.locator("#cart-count")).to_have_text("1")
    go(page, "Cart")
    page.get_by_role("button", name="Sign in to check out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert written == []
    go(page, "Orders")
    expect(page.locator(".notice")).to_contain_text("Who is shopping?")
    expect(ask(page, "What is in my cart?")).to_contain_text("signed in")


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_test_account_signs_in_with_its_passphrase(
    server: Server, home: Path, opened: Opening, width: int, scheme: str
) -> None:
    """A wrong passphrase is refused in words; the right one signs in, over a reload as well, until signing out."""
    passphrase, name = "eleven quiet herons", f"tester-{width}-{scheme}"
    with closing(connect(home / "shop.db")) as shop:
        put_account(shop, name, passphrase, now=1.0, is_test=True)
    page = opened(width, 844 if width < NARROW else 860, color_scheme=scheme)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Account").select_option(name)
    page.get_by_label("Passphrase").fill("some other words")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    is_sound(page)
    page.get_by_label("Passphrase").fill(passphrase)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("#shopper-name")).to_have_text(name)
    page.reload()
    expect(page.locator("#shopper-name")).to_have_text(name)
    assert page.evaluate("() => document.cookie") == ""
    assert stored(page, f"carts/{name}/summary")["shopper"] == name
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#shopper-name")).to_have_text("Sign in")
    assert page.request.get(f"{server.url}/shop/carts/{name}/summary").status == 401


def test_the_shop_is_used_with_the_keyboard_alone(opened: Opening) -> None:
    """Search, a product, the cart and a question are reached by keys, with a visible focus all the way."""
    page = opened()
    become(page, "story-keys")
    expect(page.locator(".book").first).to_be_visible()
    page.evaluate("() => document.activeElement.blur()")

    def until(described: str, key: str = "Tab") -> None:
        for _ in range(80):
            page.keyboard.press(key)
            focused = page.locator(":focus")
            if not focused.count():  # past the last element the browser's own buttons have the focus
                continue
            name = focused.evaluate(
                "(node) => node.getAttribute('aria-label') || node.labels?.[0]?.textContent || node.textContent"
            )
            if described in name:
                assert focused.evaluate("(node) => getComputedStyle(node).outlineStyle") != "none"
                return
        raise AssertionError(f"{described} is not reached")

    until("Skip to the books")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    until("Search books", "Shift+Tab")
    page.keyboard.type("rally")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("rally")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    until("Rally")
    page.keyboard.press("Enter")
    expect(page.locator(".facts .description")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    until("Add to cart")
    page.keyboard.press("Enter")
    expect(page.locator("#cart-count")).to_have_text("1")
    until("Message")
    page.keyboard.type("how much is this?")
    page.keyboard.press("Enter")
    reply(page, 0)
    until("Add to cart", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#cart-count")).to_have_text("2")


def test_landmarks_and_live_regions_are_there(page: Page) -> None:
    """Banner, search, navigation, main and the assistant are landmarks, and replies are announced."""
    for role in ("banner", "search", "main", "complementary"):
        expect(page.get_by_role(role)).to_have_count(1)  # type: ignore[arg-type]  # roles are literals there
    expect(page.get_by_role("navigation", name="Shop")).to_be_visible()
    expect(page.get_by_role("log")).to_have_attribute("aria-live", "polite")
    assert page.locator("html").get_attribute("lang") == "en"
    is_sound(page)


def test_a_product_that_is_not_sold_is_said_in_plain_words(page: Page) -> None:
    """An unknown product's page says that no book has the number, and a question is not sent as one about it."""
    with page.expect_response(lambda r: r.status == 404):
        page.goto(f"{page.url.partition('#')[0]}#/product/NOPE")
    expect(page.get_by_role("alert")).to_contain_text("No book has the number NOPE")
    expect(page.locator("#context")).to_be_hidden()
    with page.expect_request("**/v1/chat/completions") as caught:
        expect(ask(page, "hello")).to_contain_text("Ask me about")
    assert "NOPE" not in (caught.value.post_data or "")


def test_what_fails_is_said_and_can_be_tried_again(page: Page) -> None:
    """A refused list and a refused question show the problem's text and a button, which then succeeds."""
    problem = {"title": "The shop is busy", "detail": "the shop's file is locked; try again", "status": 503}

    def refuse(route: Route) -> None:
        route.fulfill(status=503, content_type="application/problem+json", body=json.dumps(problem))

    expect(page.locator(".book").first).to_be_visible()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url.rpartition("/")[2].partition("?")[0]))
    page.route(re.compile(r"/shop/products\?"), refuse, times=1)
    page.locator(".choices").get_by_role("link", name="Cooking").click()
    expect(page.get_by_role("alert")).to_contain_text("the shop's file is locked")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".book").first).to_be_visible()
    page.route("**/v1/chat/completions", refuse, times=1)
    page.get_by_label("Message").fill("hello")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#log .turn.error")).to_contain_text("the shop's file is locked")
    page.get_by_role("button", name="Ask again").click()
    expect(reply(page, 1)).to_contain_text("Ask me about")
    page.route("**/v1/chat/completions", lambda route: route.abort())
    page.get_by_label("Message").fill("hello")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#log .turn.error").last).to_contain_text("cannot be reached")
    assert (sent.count("products"), sent.count("completions")) == (2, 3), "nothing is sent again unless it is asked for"


def test_a_new_chat_leaves_an_answer_that_does_not_come(page: Page) -> None:
    """A new conversation, or another shopper, gives up a question that hangs, and the next one is sent without it."""
    for leave in (lambda: page.get_by_role("button", name="New chat").click(), lambda: become(page, "story-next")):
        page.route("**/v1/chat/completions", lambda _: None, times=1)
        page.get_by_label("Message").fill("hello")
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.locator("#log .dots")).to_be_visible()
        leave()
        expect(page.locator("#log .turn")).to_have_count(0)
        with page.expect_request("**/v1/chat/completions") as caught:
            expect(ask(page, "hello")).to_contain_text("Ask me about")
        assert [one["content"] for one in caught.value.post_data_json["messages"]] == ["hello"]


def test_motion_is_reduced_when_it_is_asked_for(opened: Opening) -> None:
    """With reduced motion no animation runs."""
    page = opened(reduced_motion="reduce")
    expect(page.locator(".book").first).to_be_visible()
    page.evaluate("() => document.querySelector('main').append(Object.assign(document.createElement('div'), "
                  "{ className: 'skeleton' }))")  # fmt: skip
    assert page.evaluate("() => document.getAnimations().length") == 0
