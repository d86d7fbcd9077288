"""The page in a real browser: Debian's Chromium, driven by Playwright, against a running server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from tests.waiting import HANGS_S

sys.path.insert(0, str(Path(__file__).parents[1] / "acceptance"))

from cluster import Cluster, Server  # needs the path above

expect.set_options(timeout=1000 * HANGS_S)
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
    "--disable-features=LocalNetworkAccessChecks",
]
"""A name of somebody else's is pointed at this machine, as its owner could do, and the browser does not mind."""


def is_error(message: ConsoleMessage) -> bool:
    """Return whether a console message is an error of the page; failed requests are logged as well and do not count."""
    return message.type == "error" and "Failed to load resource" not in message.text


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the shop's folder."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    """Yield the server of a small shop, which also has a worker."""
    sizes = {"RETAIL_PRODUCTS": "200", "RETAIL_SHOPPERS": "300", "RETAIL_HOME": str(home)}
    command = [sys.executable, "-m", "retail_assistant", "prepare"]
    subprocess.run(command, env={**os.environ, **sizes}, check=True, capture_output=True, timeout=3 * HANGS_S)
    cluster = Cluster(home)
    cluster.worker()
    yield cluster.server()
    cluster.stop()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Yield a browser without a page."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS, timeout=1000 * HANGS_S)
        yield opened
        opened.close()


@pytest.fixture
def opened(server: Server, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Yield a function that opens the page; an error on its console, or a request to elsewhere, fails the test."""
    errors: list[str] = []

    def opening(width: int = 1280, height: int = 800, **options: Any) -> Page:
        found = browser.new_page(viewport={"width": width, "height": height}, **options)
        found.set_default_timeout(1000 * HANGS_S)
        found.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
        found.on("pageerror", lambda error: errors.append(str(error)))
        found.on("request", lambda sent: None if is_own(sent.url, server.url) else errors.append(sent.url))
        found.goto(server.url)
        return found

    yield opening
    assert not errors, errors


def is_own(url: str, server: str) -> bool:
    """Return whether a request stays on the page's own server."""
    return url.startswith((f"{server}/", "data:"))


@pytest.fixture
def page(opened: Callable[..., Page]) -> Page:
    """Return the opened page."""
    return opened()
