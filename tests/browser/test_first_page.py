"""What a customer sees first, searches, reads and doubts, and that everybody can use the pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from cluster import Server
from playwright.sync_api import Page, expect
from tests.browser.steps import NARROW, SCREENS, Opening, ask, become, is_sound, shut, stored, to_the_counter

RETURNS = "How many days do I have to send a book back?"
VIEWS = ("", "nowhere", "?search=dragoms", "product/B000001", "cart", "orders", "help/returns", "sign-in", "owner")
SERIOUS = ("serious", "critical")


def open_view(page: Page, address: str) -> None:
    """Open a view of the page, and wait for its content."""
    page.goto(f"{page.url.partition('#')[0]}#/{address}")
    expect(page.locator("#main h1")).to_have_count(1)
    expect(page.locator("#main [aria-busy=true]")).to_have_count(0)


def test_the_first_page_shows_what_sells_and_what_a_shopper_may_like(page: Page) -> None:
    """Everybody sees what sells; who signs in sees recommendations above it, the same as the shop recommends."""
    popular = page.get_by_role("region", name="Popular right now")
    expect(popular.locator(".book")).to_have_count(5)
    selling = [each["title"] for each in stored(page, "trending")["products"]]
    assert popular.locator("h3").all_inner_texts() == selling
    expect(page.get_by_role("region", name="For you")).to_have_count(0)
    become(page, "u00003")
    mine = page.get_by_role("region", name="For you")
    expect(mine.locator(".book")).to_have_count(5)
    chosen = [each["title"] for each in stored(page, "suggestions?user=u00003")["products"]]
    assert mine.locator("h3").all_inner_texts() == chosen
    is_sound(page)


def test_a_search_forgives_a_typing_error_and_says_so(page: Page) -> None:
    """A misspelled word is searched for as it is spelled, and a wish in own words shows what comes nearest."""
    title = stored(page, "products/B000001")["title"]
    word = max(title.replace(",", "").split(), key=len)
    search = page.get_by_label("Search books")
    search.fill(word[:2] + word[3:])
    search.press("Enter")
    told = page.locator(".list-head .told")
    expect(told).to_contain_text(f"For “{word.lower()}”:")
    expect(page.locator(".results .book").first).to_be_visible()
    found = [each["title"] for each in stored(page, f"products?search={word}")["products"]]
    assert page.locator(".results h2").all_inner_texts() == found
    search.fill("something gentle with a bakery, please")
    search.press("Enter")
    expect(told).to_contain_text("The closest:")
    expect(page.locator(".results .book").first).to_be_visible()
    assert page.locator(".results h2").all_inner_texts() != found
    is_sound(page)


def test_every_policy_is_a_page_that_answers_lead_to(page: Page) -> None:
    """The foot of the page links to each policy, and an answer links to the section that it states."""
    policies = stored(page, "policies")["policies"]
    links = page.get_by_role("navigation", name="Help and policies").get_by_role("link")
    expect(links).to_have_text([policy["title"] for policy in policies])
    links.filter(has_text="Returns").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Returns")
    sections = stored(page, "policies/returns")["sections"]
    expect(page.locator(".policy h2")).to_have_text([section["title"] for section in sections])
    shown = page.locator(".policy").inner_text()
    assert all(section["text"].split("\n")[0] in shown for section in sections)
    is_sound(page)
    told = ask(page, RETURNS)
    told.get_by_role("link", name="Read the whole policy").click()
    expect(page.locator(".policy h2:focus")).to_have_text("Return window")


def test_an_answer_that_a_customer_calls_wrong_is_checked_by_the_owner(page: Page) -> None:
    """The bank does not answer that customer with it, until the owner sees the complaint and lets it be given again."""
    become(page, "doubts-an-answer")
    told = ask(page, RETURNS)
    told.get_by_role("button", name="Was this wrong?").click()
    expect(told.get_by_role("status")).to_contain_text("Somebody will check this answer")
    to_the_counter(page)
    again = ask(page, RETURNS)
    again.locator("summary").click()
    expect(again.locator(".refusals")).to_contain_text("the shopper has complained")
    shut(page)
    page.get_by_role("button", name="Show the complaints").click()
    page.get_by_role("button", name="Give returns#return-window again").click()
    expect(page.locator("#ack")).to_contain_text("acknowledged")
    expect(page.get_by_text("Nobody calls an answer wrong.")).to_be_visible()


def test_what_an_answer_was_made_of_is_for_owners(page: Page) -> None:
    """Lanes and milliseconds are hidden from customers, and shown to whoever has typed the operators' key."""
    told = ask(page, RETURNS)
    expect(told.locator(".why")).to_be_hidden()
    expect(page.locator(".made .lane").first).to_be_hidden()
    assert "ms" not in told.inner_text()
    to_the_counter(page)
    expect(told.locator(".why")).to_be_visible()
    assert "ms" in told.locator(".why summary").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_question_stays_in_sight_above_a_long_answer(opened: Opening, width: int) -> None:
    """An answer that is longer than the screen begins under its question, and its cards have the price to pay."""
    page = opened(width, 844 if width < NARROW else 700)
    become(page, "u00003")
    told = ask(page, "Can you recommend me something?")
    question = page.locator("#log .turn.user").last
    expect(question).to_be_in_viewport()
    expect(told.locator(".card .now").first).to_contain_text("€")
    expect(told.locator(".text")).not_to_contain_text("€")  # the cards say it
    log = page.locator("#log").bounding_box()
    asked = question.bounding_box()
    assert log
    assert asked
    assert asked["y"] >= log["y"]
    shut(page)
    is_sound(page)


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_everybody_can_use_each_view(opened: Opening, width: int, scheme: str) -> None:
    """In no view, with an answer in the chat, axe finds anything serious."""
    page = opened(width, 844 if width < NARROW else 860, color_scheme=scheme)
    become(page, "u00003")
    ask(page, "Can you recommend me something?")
    for view in VIEWS:
        open_view(page, view)
        found = Axe().run(page).response["violations"]
        bad = [(each["id"], node["html"]) for each in found if each["impact"] in SERIOUS for node in each["nodes"]]
        assert bad == [], view


def test_an_address_that_leads_nowhere_says_so(page: Page) -> None:
    """An unknown address shows that there is no such page, with a link to the first page."""
    open_view(page, "nowhere")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    assert page.title().startswith("No such page")
    page.get_by_role("link", name="Show all books").click()
    expect(page.get_by_role("region", name="Popular right now")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_a_correction_is_shown_until_it_was_read(
    opened: Opening, server: Server, tmp_path: Path, width: int, scheme: str
) -> None:
    """It names when and about what, states what holds now, and is gone for good once it was read."""
    name = f"told-{width}-{scheme}"
    page = opened(width, 844 if width < NARROW else 860, color_scheme=scheme)
    become(page, name)
    recalled = {"answer_id": "0" * 32, "tag": "policy/returns", "at": 1_790_000_000.0, "recipient": name}
    assert server.client.post("/shop/notices", json=recalled).json() == {"is_new": True}
    page.reload()
    notice = page.get_by_role("region", name="Correction")
    expect(notice).to_contain_text("Something that we told you may not be right.")
    expect(notice).to_contain_text("September 21")
    expect(notice.locator("blockquote")).to_contain_text("30 days")
    page.screenshot(path=tmp_path / "notice.png")
    is_sound(page)
    notice.get_by_role("button", name="I have read this").click()
    expect(notice).to_have_count(0)
    page.reload()
    expect(page.locator(".book").first).to_be_visible()
    expect(notice).to_have_count(0)
