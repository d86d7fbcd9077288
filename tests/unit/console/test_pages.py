"""Who may see the pages, where they send somebody else, and what they let a browser do."""

import re

import httpx
import pytest
from tests.unit.console.conftest import TOKEN

import parbake as pb
from parbake.http import HttpApp
from parbake_console import Console

PAGES = [f"/console/{name}" for name in ("freshness", "economics", "answers", "bank", "events", "tasks", "triggers")]


@pytest.mark.parametrize("path", [*PAGES, "/console/answers?word=c"])
async def test_a_stranger_is_sent_to_the_sign_in(shop, path):
    """With a token set, a page shows nothing before the sign-in, and everything after it."""
    async with shop.browser(token=TOKEN) as browser:
        answer = await browser.get(path)
        assert (answer.status_code, answer.headers["location"], answer.text) == (303, "/console/sign-in", "")
        assert "Operator token, or a key" in (await browser.get("/console/sign-in")).text
        await browser.post("/v1/session", json={"token": TOKEN})
        assert (await browser.get(path)).status_code == 200
        assert "You are signed in" in (await browser.get("/console/sign-in")).text


async def test_the_console_begins_with_freshness(shop):
    """``/console`` alone leads to the first page, also below the path under which it is mounted."""
    async with shop.browser() as browser:
        assert (await browser.get("/console")).headers["location"] == "/console/freshness"
    mounted = httpx.ASGITransport(HttpApp(shop.app), root_path="/shop")
    async with httpx.AsyncClient(transport=mounted, base_url="http://localhost") as browser:
        assert (await browser.get("/shop/console")).headers["location"] == "/shop/console/freshness"
        page = (await browser.get("/shop/console/freshness")).text
    assert re.findall(r'(?:href|src|action)="(/(?!shop/console/)[^"]*)"', page) == []


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_all_that_it_needs(shop, path):
    """Each file that a page names is served here; nothing comes from elsewhere, and no other page may frame it."""
    async with shop.browser() as browser:
        answer = await browser.get(path)
        named = re.findall(r'(?:href|src)="([^"#]+)"', answer.text)
        files = [name for name in named if "/static/" in name]
        assert {name.rpartition(".")[2] for name in files} == {"css", "js"}
        assert all([(await browser.get(name)).status_code == 200 for name in files])
        assert all(name.startswith(("/console/", "data:,")) for name in named)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert not re.search(r"<[^>]+ on\w+=", answer.text)


@pytest.mark.parametrize("name", ["console.py", "..%2fpages.py", "pages.py", "", "console.css%00"])
async def test_no_other_file_is_served(shop, name):
    """A name that is not a style sheet or script of the console leads nowhere."""
    async with shop.browser() as browser:
        assert (await browser.get(f"/console/static/{name}")).status_code == 404


@pytest.mark.parametrize(("path", "missing"), [("economics", "Ledger"), ("answers", "Ledger"), ("triggers", "Planner")])
async def test_an_app_without_a_plugin_says_which_is_missing(world, path, missing):
    """The page then shows the line to write; the other pages work."""
    app = world.app(pb.Registry(), plugins=[Console()])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(HttpApp(app)), base_url="http://localhost") as browser:
        assert f"parbake_planner.{missing}(" in (await browser.get(f"/console/{path}")).text
        assert "of 0 stored tasks" in (await browser.get(PAGES[0])).text
    await app.close()


@pytest.mark.parametrize(
    ("path", "field"), [("/console/economics?since=soon", "since"), ("/console/answers?wort=x", "wort")]
)
async def test_a_bad_argument_is_named(shop, path, field):
    """It is answered with a problem document, and not with a page."""
    async with shop.browser() as browser:
        answer = await browser.get(path)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
