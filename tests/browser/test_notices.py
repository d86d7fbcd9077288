"""A shopper who was told something wrong sees it above the page, with what holds now, until it was read."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster import Server
from playwright.sync_api import expect
from tests.browser.steps import NARROW, SCREENS, Opening, become, is_sound


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
    expect(notice).to_contain_text("We told you something that was not right.")
    expect(notice).to_contain_text("September 21")
    expect(notice.locator("blockquote")).to_contain_text("30 days")
    page.screenshot(path=tmp_path / "notice.png")
    is_sound(page)
    notice.get_by_role("button", name="I have read this").click()
    expect(notice).to_have_count(0)
    page.reload()
    expect(page.locator(".book").first).to_be_visible()
    expect(notice).to_have_count(0)
