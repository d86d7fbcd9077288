"""The console of the demo in a browser: signing in, looking an answer up, and whether everybody can use it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from cluster import KEY, Server
from playwright.sync_api import Page, expect
from tests.browser.steps import NAMELESS, NARROW, SCREENS, TOO_WIDE, TWICE, Opening

PAGES = ["freshness", "economics", "answers", "bank", "events", "tasks", "triggers"]
TITLES = {name: name.capitalize() for name in PAGES} | {"bank": "Bank and cache"}
BY_KEYBOARD = ["Skip to the content", *TITLES.values(), "Sign out"]


def sign_in(page: Page, key: str = KEY) -> None:
    """Open the console and give the token."""
    page.goto(f"{page.url.rstrip('/')}/console")
    page.get_by_label("Operator token").fill(key)
    page.get_by_role("button", name="Sign in").click()


@pytest.fixture
def console(opened: Opening) -> Callable[..., Page]:
    """Return a function that opens the console and signs in."""

    def opening(width: int = 1280, **options: str) -> Page:
        page = opened(width, 844 if width < NARROW else 860, **options)
        sign_in(page)
        expect(page.get_by_role("heading", level=1)).to_have_text("Freshness")
        return page

    return opening


def to(page: Page, name: str) -> None:
    """Follow the menu to a page."""
    page.get_by_role("navigation").get_by_role("link", name=TITLES[name]).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[name])


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_everybody_can_use_each_page(console: Callable[..., Page], width: int, scheme: str) -> None:
    """In no page and no size axe finds anything, nothing is wider than the screen, and everything has a name."""
    page = console(width, color_scheme=scheme)
    for name in PAGES:
        to(page, name)
        found = Axe().run(page).response["violations"]
        assert [(each["id"], node["html"]) for each in found for node in each["nodes"]] == [], name
        assert page.evaluate(TOO_WIDE) <= 0, name
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(TWICE) == []


def test_a_wrong_token_is_said(opened: Opening) -> None:
    """The page stays, says that this is not the token, and lets one try again."""
    page = opened()
    sign_in(page, "not-the-key-of-the-tests")
    expect(page.get_by_role("status")).to_have_text("this is neither the operator token nor a key that holds")
    assert page.url.endswith("/console/sign-in")
    page.get_by_label("Operator token").fill(KEY)
    page.get_by_label("Operator token").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Freshness")
    assert page.url.endswith("/console/freshness")


def test_who_signs_out_sees_nothing_any_more(console: Callable[..., Page]) -> None:
    """After it, every page leads to the sign-in."""
    page = console()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    for name in PAGES:
        page.goto(page.url.replace("sign-in", name))
        assert page.url.endswith("/console/sign-in"), name


def test_an_answer_is_looked_up_and_marked_as_stale(console: Callable[..., Page], server: Server) -> None:
    """From the newest answers to one, what it states, and a complaint with its effect."""
    server.chat("What is the return window?")
    page = console()
    to(page, "answers")
    page.get_by_role("searchbox").fill("policy/returns")
    page.get_by_role("button", name="Look up").click()
    page.get_by_role("table").get_by_role("link").first.click()
    expect(page.locator(".summary")).to_contain_text("it states policy/returns")
    expect(page.get_by_role("region", name="What it was made of")).to_contain_text("faq_answers")
    page.get_by_label("What is wrong").fill("the window is longer now")
    page.get_by_role("button", name="Mark as stale").click()
    told = page.get_by_role("status")
    expect(told).to_have_text(re.compile("computed again: "))
    assert "policy/returns" in told.inner_text()


def test_a_refusal_leads_to_an_answer(console: Callable[..., Page], server: Server) -> None:
    """The page of the bank shows coverage, its picture and the reasons, and a reason leads to an answer with it."""
    server.chat("What is the return window?")
    server.chat("do you sell ebooks")
    page = console()
    to(page, "bank")
    expect(page.get_by_role("main")).to_contain_text("newest questions that it was asked")
    expect(page.get_by_role("img", name=re.compile("^faq_bank: the share of wrong answers"))).to_be_visible()
    reasons = page.get_by_role("region", name="Why questions were not answered from it")
    reasons.get_by_role("link", name="the newest with unsure").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Answers")
    assert "unsure" in page.get_by_role("main").inner_text()


def test_a_button_asks_and_does(console: Callable[..., Page], server: Server) -> None:
    """Quarantine from the page asks for a reason; with one it is done and shown, and without one nothing is sent."""
    page = console()
    to(page, "tasks")
    put_in = page.get_by_role("button", name="Put review_summaries in quarantine")
    page.once("dialog", lambda dialog: dialog.dismiss())
    put_in.click()
    expect(put_in).to_be_visible()
    assert in_quarantine(server) == []
    page.once("dialog", lambda dialog: dialog.accept("a star too many"))
    put_in.click()
    expect(page.get_by_role("main")).to_contain_text("quarantined a star too many")
    assert in_quarantine(server) == ["review_summaries"]
    page.get_by_role("button", name="Clear the quarantine of review_summaries").click()
    expect(put_in).to_be_visible()
    assert in_quarantine(server) == []


def in_quarantine(server: Server) -> list[str]:
    """Return the tasks that the server has in quarantine."""
    return [entry["task"] for entry in server.client.get("/v1/feedback").json()["quarantined"]]


def test_it_is_used_without_a_mouse(console: Callable[..., Page]) -> None:
    """The tabulator passes the menu in its order, and the first stop leads past it."""
    page = console()
    for name in BY_KEYBOARD:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == name
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Triggers")


def test_a_page_comes_up_to_date_by_itself(console: Callable[..., Page], server: Server) -> None:
    """A task that an operator puts in quarantine appears as such without a reload; the place of the scroll stays."""
    page = console()
    page.evaluate("window.isTheSame = true")
    body = {"task": "review_summaries", "reason": "a star too many"}
    assert server.client.post("/v1/feedback", json=body).status_code == 202
    try:
        expect(page.get_by_role("main")).to_contain_text("review_summaries is in quarantine: a star too many")
        assert page.evaluate("window.isTheSame")
    finally:
        server.client.delete("/v1/feedback/review_summaries")
