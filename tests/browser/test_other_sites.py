"""What a page of another site can do, in a real browser, to a shop on its visitor's machine."""

from __future__ import annotations

import contextlib
import http.server
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cluster import Server
from playwright.sync_api import Browser, Page

POLICY = "/shop/policies/returns"
CHANGE = '{"facts": {"window_days": 99}}'
SEND = """async ([url, method, kind, body, mode]) => {
  try {
    const answer = await fetch(url, { method, mode, body, headers: kind ? { "content-type": kind } : {} });
    return answer.type === "opaque" ? "opaque" : `${answer.status} ${await answer.text()}`;
  } catch (error) { return "blocked"; }
}"""


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Another site with one empty page."""

    def do_GET(self) -> None:
        """Return the page."""
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body></body>")

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Yield the URL of another site, on another port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/"
        served.shutdown()
        thread.join()


@pytest.fixture
def foreign(browser: Browser, elsewhere: str) -> Page:
    """Return an opened page of the other site."""
    page = browser.new_page()
    page.goto(elsewhere)
    return page


def told(home: Path) -> int:
    """Return the number of events in the shop's outbox."""
    with contextlib.closing(sqlite3.connect(home / "shop.db")) as connection:
        found: int = connection.execute("SELECT max(position) FROM parbake_outbox").fetchone()[0]
    return found


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/json"])
@pytest.mark.parametrize("mode", ["no-cors", "cors"])
def test_a_script_of_another_site_writes_nothing(
    server: Server, foreign: Page, home: Path, kind: str, mode: str
) -> None:
    """A script cannot buy a book, with a content type that needs a CORS preflight or with one that does not."""
    before = told(home)
    body = '{"shopper": "u00007", "asin": "B000001"}'
    seen = foreign.evaluate(SEND, [f"{server.url}/shop/purchases", "POST", kind, body, mode])
    assert seen in ("opaque", "blocked")
    assert told(home) == before


def test_a_form_of_another_site_writes_nothing(server: Server, foreign: Page, home: Path) -> None:
    """A form whose text is JSON gets 403 or 415, and nothing is written."""
    before = told(home)
    foreign.set_content(
        f'<form method="post" enctype="text/plain" action="{server.url}/shop/purchases">'
        """<input name='{"shopper": "u00007", "asin": "B000001", "x": "' value='"}'><button>win</button></form>"""
    )
    with foreign.expect_response(lambda answer: answer.url.endswith("/purchases")) as caught:
        foreign.get_by_role("button").click()
    assert caught.value.status in (403, 415)
    assert told(home) == before


def test_a_name_that_is_pointed_at_this_machine_reads_and_writes_nothing(
    server: Server, browser: Browser, home: Path
) -> None:
    """After DNS rebinding the requests are same-origin for the browser, and the server answers them with 421."""
    before, page = told(home), browser.new_page()
    url = f"http://evil.example:{urlsplit(server.url).port}"
    page.route(f"{url}/", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto(f"{url}/")
    for method, path, body in (("GET", POLICY, None), ("PUT", POLICY, CHANGE), ("GET", "/v1/costs", None)):
        seen = page.evaluate(SEND, [f"{url}{path}", method, "application/json" if body else "", body, "same-origin"])
        assert seen.startswith("421 ")
        assert "window_days" not in seen
    assert told(home) == before


def test_the_page_stands_in_no_frame_of_another_site(server: Server, foreign: Page) -> None:
    """Another site cannot show the page in a frame, which prevents clickjacking."""
    foreign.set_content(f'<iframe src="{server.url}/"></iframe>')
    foreign.wait_for_function("() => document.querySelector('iframe').contentDocument === null")
    frame = foreign.frames[1]
    assert "Shopping assistant" not in frame.content()


def test_the_page_runs_no_script_that_stands_in_it(server: Server, browser: Browser) -> None:
    """The page does not run an inline script."""
    page = browser.new_page()
    page.goto(server.url)
    page.evaluate(
        """() => { const script = document.createElement("script");
                   script.textContent = "window.ran = true"; document.body.append(script); }"""
    )
    assert page.evaluate("() => window.ran === undefined")
