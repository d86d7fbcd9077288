"""What the tests of the page do and look at, one step each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cluster import KEY
from playwright.sync_api import Locator, Page, expect

Opening = Callable[..., Page]
SCREENS = [pytest.param(width, scheme, id=f"{width}-{scheme}") for width in (1280, 390) for scheme in ("light", "dark")]
NARROW = 600
NAMELESS = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary, [role=img]")]
  .filter((node) => node.checkVisibility() && !node.closest("[aria-hidden=true]"))
  .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim()
                      || [...(node.labels ?? [])].some((label) => label.textContent.trim())))
  .map((node) => node.outerHTML)"""
TWICE = """() => { const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
                   return ids.filter((id, i) => ids.indexOf(id) !== i); }"""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def ask(page: Page, message: str) -> Locator:
    """Type a message, send it, and return its reply once it is complete."""
    before = page.locator("#log .turn.user").count()
    page.get_by_label("Message").fill(message)
    page.get_by_role("button", name="Ask", exact=True).click()
    return reply(page, before)


def reply(page: Page, place: int) -> Locator:
    """Return the reply at a place once it is complete."""
    found = page.locator("#log .turn:not(.user)").nth(place)
    expect(found.locator(".why")).to_be_attached()
    expect(page.locator("#log")).to_have_attribute("aria-busy", "false")
    return found


def stored(page: Page, path: str) -> dict[str, Any]:
    """Return what the shop has under a path, read past the page."""
    response = page.request.get(f"{page.url.partition('#')[0]}shop/{path}")
    assert response.ok, response.text()
    return dict(response.json())


def go(page: Page, name: str) -> None:
    """Follow a link of the shop's navigation."""
    page.get_by_role("navigation", name="Shop").get_by_role("link", name=name).click()


def open_owner(page: Page) -> None:
    """Open the owner's panel."""
    page.get_by_role("link", name="owner").click()


def to_the_counter(page: Page) -> None:
    """Open the owner's panel with the operators' key."""
    open_owner(page)
    page.get_by_label("Operator token").fill(KEY)


def become(page: Page, name: str) -> None:
    """Follow a sign-in link, which the shop's backend makes for a shopper, and come back."""
    own = {"authorization": f"Bearer {KEY}"}
    made = page.request.post(f"{page.url.partition('#')[0]}shop/sessions", data={"shopper": name}, headers=own)
    before = page.evaluate("() => location.hash")
    page.evaluate("(session) => { location.hash = `#/sign-in/${session}`; }", made.json()["session"])
    page.get_by_role("button", name=f"Sign in as {name}").click()
    expect(page.locator("#shopper-name")).to_have_text(name)
    expect(page.locator("#log .welcome")).to_have_count(1)
    page.evaluate("(before) => { location.hash = before || '#/'; }", before)


def shut(page: Page) -> None:
    """Close the assistant's sheet, where it covers the shop."""
    toggle = page.locator("#chat-toggle")
    if toggle.is_visible() and toggle.get_attribute("aria-expanded") == "true":
        toggle.click()


def is_sound(page: Page) -> None:
    """Assert that all controls have names, no id is there twice, and nothing is wider than the screen."""
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(TWICE) == []
    assert page.evaluate(TOO_WIDE) <= 0
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
