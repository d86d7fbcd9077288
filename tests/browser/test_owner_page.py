"""The owner's panel changes the shop, and says what answers cost and which are called wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cluster import KEY
from playwright.sync_api import Page, Route, expect
from tests.browser.steps import (
    NARROW,
    SCREENS,
    Opening,
    ask,
    is_sound,
    open_owner,
    shut,
    stored,
    to_the_counter,
)
from tests.waiting import eventually


def test_a_policy_change_on_the_page_is_in_the_next_answer(page: Page) -> None:
    """After a changed text in the owner's panel the next answer quotes it, and names the task and lane it came from."""
    question = "What is the return window?"
    to_the_counter(page)
    before = ask(page, question)
    expect(before.locator("summary .lane")).to_have_text(re.compile("batch|event"))
    before.locator("summary").click()
    expect(before.locator("table")).to_contain_text("faq_answers")
    page.get_by_label("Policy", exact=True).select_option("returns")
    text = page.get_by_label("Text", exact=True)
    expect(text).to_have_value(re.compile("counts as day zero"))
    text.fill(text.input_value().replace("counts as day zero", "is not counted"))
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#ack")).to_contain_text("acknowledged at")
    after = ask(page, question)
    expect(after).to_contain_text("is not counted")
    assert "day zero" not in after.inner_text()


def test_a_refused_policy_is_said_in_the_panel(page: Page) -> None:
    """A text that names a fact which does not exist is refused, the panel says why, and no policy changes."""
    before = stored(page, "policies")
    to_the_counter(page)
    text = page.get_by_label("Text", exact=True)
    expect(text).to_have_value(re.compile("##"))
    text.fill(f"{text.input_value()} {{nothing}}")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#ack.error")).to_contain_text("{nothing} is not a fact of this policy")
    assert stored(page, "policies") == before


def test_a_late_answer_does_not_replace_what_the_owner_chose(page: Page) -> None:
    """A policy or a price that arrives after another was chosen or typed is left out."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(re.compile(r"/shop/policies/"), hold, times=1)
    to_the_counter(page)
    page.get_by_label("Policy", exact=True).select_option("returns")
    expect(page.get_by_label("Text", exact=True)).to_have_value(re.compile("Opened items"))
    let_through(page, held)
    assert "Opened items" in page.get_by_label("Text", exact=True).input_value()
    page.route(re.compile(r"/shop/products/B000003"), hold, times=1)
    page.get_by_label("Product number").fill("B000003")
    page.get_by_label("Price", exact=True).fill("12.34")
    let_through(page, held)
    expect(page.get_by_label("Copies in stock")).to_have_value(str(stored(page, "products/B000003")["quantity"]))
    assert page.get_by_label("Price", exact=True).input_value() == "12.34"


def let_through(page: Page, held: list[Route]) -> None:
    """Let a held request go on, and wait until the page has read its answer."""
    while not held:  # the page has not asked yet
        page.wait_for_timeout(10)
    route = held.pop()
    with page.expect_response(route.request.url) as answered:
        route.continue_()
    answered.value.finished()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_price_stock_and_promotion_follow_the_owner(page: Page) -> None:
    """A new price, a promotion and an empty stock are on a shown card at once, and on the product's page."""
    asin = "B000002"
    page.goto(f"{page.url.partition('#')[0]}#/product/{asin}")
    expect(page.locator(".facts")).to_be_visible()
    card = ask(page, "how much is this?").locator(".card").first
    to_the_counter(page)
    expect(page.get_by_label("Product number")).to_have_value(asin)
    expect(page.get_by_label("Price", exact=True)).to_have_value(re.compile(r"\d"))
    page.get_by_label("Price", exact=True).fill("20.00")
    page.get_by_label("Copies in stock").fill("3")
    page.get_by_role("button", name="Set").click()
    expect(page.locator("#ack")).to_contain_text("live at once")
    expect(card).to_contain_text("€20.00")
    page.get_by_label("Title", exact=True).fill("Ninety sale: 90 % off")
    page.get_by_label("Percent off").fill("90")
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".running")).to_contain_text("Ninety sale")
    expect(card.locator(".now")).to_have_text("€2.00")
    page.go_back()
    expect(page.locator(".facts > .price .now")).to_have_text("€2.00")
    expect(page.locator(".facts")).to_contain_text("Only 3 left")
    to_the_counter(page)
    page.get_by_role("button", name="End Ninety sale").click()
    expect(page.locator(".running")).not_to_contain_text("Ninety sale")
    expect(page.get_by_label("Copies in stock")).to_have_value("3")
    page.get_by_label("Copies in stock").fill("0")
    page.get_by_role("button", name="Set").click()
    expect(card.get_by_role("button", name="Add to cart")).to_be_disabled()
    expect(card).to_contain_text("Out of stock")
    product = stored(page, f"products/{asin}")
    assert (product["cents"], product["quantity"]) == (2_000, 0)


def test_the_operators_token_is_sent_by_the_panel_only(page: Page) -> None:
    """The token typed in the owner's panel goes with what the panel sends, and with nothing that shoppers do."""
    open_owner(page)
    page.get_by_label("Operator token").fill(KEY)
    page.get_by_label("Product number").fill("B000001")
    page.get_by_label("Copies in stock").fill("9")
    with page.expect_request("**/shop/products/B000001") as caught:
        page.get_by_role("button", name="Set").click()
        expect(page.locator("#ack")).to_contain_text("live at once")
    with page.expect_request(lambda r: r.method == "PUT") as caught:
        page.get_by_role("button", name="Set").click()
    assert caught.value.headers["authorization"] == f"Bearer {KEY}"
    with page.expect_request("**/v1/chat/completions") as caught:
        ask(page, "hello")
    assert "authorization" not in caught.value.headers


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_the_owner_sees_what_answers_cost(opened: Opening, tmp_path: Path, width: int, scheme: str) -> None:
    """After a chat turn the owner's page shows its dollars, and from how many reads on computing ahead is cheaper."""
    page = opened(width, 844 if width < NARROW else 860, color_scheme=scheme)
    here, own = page.url.partition("#")[0], {"authorization": f"Bearer {KEY}"}
    ask(page, "What is your return window?")
    page.request.post(f"{here}v1/serve/candidates", data={"key": f"cost-{width}-{scheme}"}, headers=own)

    def is_booked() -> bool:
        found = page.request.get(f"{here}v1/costs", headers=own).json()["costs"]
        return {"candidates", "policy_sections"} <= {row["task"] for row in found if row["lane"] == "realtime"}

    eventually(is_booked)
    shut(page)
    open_owner(page)
    panel = page.locator(".costs")
    expect(panel).to_contain_text("enter the operator token first")
    page.get_by_label("Operator token").fill(KEY)
    panel.get_by_role("button", name="Show the costs").click()
    expect(panel).to_contain_text(re.compile(r"All together \$\d"))
    expect(panel.locator(".cost-rows li").first).to_contain_text(re.compile(r"\$0\.\d"))
    sentence = re.compile(
        r"^\w+ is cheaper ahead from [\d.,]+ reads per \d+ h on, which is [\d.,]+ a day; the last day had \d"
    )
    assert sentence.search(panel.locator(".break-even").inner_text())
    panel.scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "costs.png")
    is_sound(page)


def test_costs_that_are_not_known_are_said_to_the_owner(page: Page) -> None:
    """A wrong key is refused in the panel, and what has no price is named and not shown as nothing."""
    open_owner(page)
    panel = page.locator(".costs")
    page.get_by_label("Operator token").fill("not-the-key-of-the-tests")
    panel.get_by_role("button", name="Show the costs").click()
    expect(panel.locator(".refused")).to_be_visible()
    page.get_by_label("Operator token").fill(KEY)
    row = {"lane": "realtime", "usd": 0.0, "unpriced": ""}
    priced = [{"task": f"task_{n}", **row, "usd": 1.0 / (1 + n)} for n in range(9)]
    lost = {"task": "said", **row, "unpriced": "tokens of openai:another"}
    page.route("**/v1/costs", lambda route: route.fulfill(json={"costs": [*priced, lost]}))
    page.route("**/v1/costs/break-even", lambda route: route.fulfill(json={"break_evens": []}))
    panel.get_by_role("button", name="Show the costs").click()
    expect(panel).to_contain_text("nothing can be compared yet")
    expect(panel).to_contain_text("All together $2.8, without what has no price.")
    expect(panel.locator(".cost-rows li")).to_have_count(9)
    unpriced = panel.locator(".cost-rows li").last.text_content() or ""
    assert "said on requestnot known" in unpriced
    assert "No price for tokens of openai:another" in unpriced
    assert "1 more: $0.11 together." in panel.inner_text()
