"""A small shop with a ledger and a console, and a browser without a screen: it keeps cookies and follows nothing."""

import asyncio
import datetime as dt
import html
import re

import httpx
import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.http import HttpApp
from parbake_console import Console
from parbake_planner import CostBook, Ledger, Planner

TOKEN = "correct-horse-battery"
BOOK = CostBook(as_of=dt.date(2026, 1, 1), cpu_hour=3600.0, source="a price list")


class Shop:
    """An app over a world, with its pages."""

    def __init__(self, world, folder, *, store="memory://"):
        """Declare a task that is computed ahead, one that is computed on request, and a live one."""
        tasks = pb.Registry()

        def names() -> list[str]:
            return ["<b>a</b>", "c"]

        @tasks.artifact(**contract(owner="catalog", keys=names, refresh=pb.every("10m")))
        def ahead(key: str, *, facts: pb.Source[Facts]) -> str:
            if facts.get(key) == "broken":
                raise ValueError("<i>the model file is missing</i>")
            return str(facts.get(key))

        @tasks.artifact(**contract(owner="search"))
        def asked(key: str, *, facts: pb.Source[Facts]) -> str:
            return str(facts.get(key))

        self.world, self.ahead, self.asked = world, ahead, asked
        self.app = world.app(
            tasks, plugins=[Ledger(folder / "ledger.db", book=BOOK), Planner(), Console()], store=store
        )

    @property
    def ledger(self):
        """What the ledger offers."""
        return self.app.plugins[Ledger]

    @property
    def history(self):
        """What the console has seen."""
        return self.app.plugins[Console]

    async def after(self, seconds):
        """Look again after a time in which nothing is heard."""
        self.world.clock.advance(seconds)
        await self.app.drain()
        await self.history.look()

    def browser(self, **options):
        """Return a client of a server of the app."""
        served = HttpApp(self.app, **options)
        return httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost")

    async def seen(self, path):
        """Return a page as text: without tags, and with plain spaces."""
        async with self.browser() as browser:
            answer = await browser.get(path)
        assert answer.status_code == 200, answer.text
        return text_of(answer.text)


def text_of(page):
    """Return what a page says."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.fixture
async def shop(world, tmp_path):
    """Yield a shop whose sources were read."""
    found = Shop(world, tmp_path)
    world.put("c", "one")
    await found.app.drain()
    yield found
    await found.app.close()


@pytest.fixture
def settled(shop):
    """Return a function that waits until the ledger holds what has happened."""
    return lambda: asyncio.to_thread(shop.ledger.file.settle)
