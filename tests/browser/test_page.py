"""The chat page does what the README's tour says."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, expect

RETURNS = "How many days do I have to send a book back?"


def ask(page: Page, message: str) -> None:
    """Type a message and send it."""
    page.get_by_label("Message").fill(message)
    page.get_by_role("button", name="Ask").click()


def test_a_policy_change_on_the_page_is_in_the_next_answer(page: Page) -> None:
    """After a policy change in the shop panel the next answer has the new number and shows its lane."""
    ask(page, RETURNS)
    answers = page.locator("#log .turn:not(.user)")
    expect(answers.nth(0)).to_contain_text("30 days")
    expect(answers.nth(0).locator(".lane")).to_have_text("batch")
    page.get_by_label("Policy", exact=True).select_option("returns")
    facts = page.get_by_label("Facts")
    expect(facts).to_have_value(re.compile("window_days"))
    changed = json.loads(facts.input_value()) | {"window_days": 14}
    facts.fill(json.dumps(changed))
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#ack")).to_contain_text("acknowledged at")
    ask(page, RETURNS)
    expect(answers.nth(1)).to_contain_text("14 days")
    answers.nth(1).locator("summary").click()
    assert "faq_answers" in answers.nth(1).locator("table").inner_text()
    assert "30 days" not in answers.nth(1).inner_text()


def test_recommendations_are_cards_that_can_be_bought(page: Page) -> None:
    """Recommendations are cards with live prices, and a bought product is not in the next ones."""
    ask(page, "Can you recommend me something to read?")
    cards = page.locator("#log .card")
    expect(cards.first).to_contain_text("€")
    title = cards.first.locator("small").inner_text()
    cards.first.get_by_role("button", name="Buy").click()
    expect(page.locator("#ack")).to_contain_text("acknowledged at")
    ask(page, "Can you recommend me something to read?")
    second = page.locator("#log .turn:not(.user)").nth(1)
    expect(second.locator(".card").first).to_be_visible()
    assert title not in second.inner_text()


def test_a_bad_page_is_said_in_plain_words(page: Page) -> None:
    """An unknown product in the page field shows the problem's text, and the chat goes on."""
    page.get_by_label("Page").fill("NOPE")
    with page.expect_response(lambda r: r.status == 404):
        ask(page, "is this in stock?")
    expect(page.locator("#log .error")).to_contain_text("no product has the asin")
    page.get_by_label("Page").fill("")
    ask(page, "hello")
    answer = page.locator("#log .turn:not(.user)").nth(1)
    expect(answer).to_contain_text("Ask me about")
    assert page.locator("#log .error").count() == 1
