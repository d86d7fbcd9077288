"""What the proxy costs by the prices of a ledger, and what an erasure takes from its store."""

import asyncio
import datetime as dt

import httpx
import msgspec
import pytest
from tests.model_server import ModelServer
from tests.unit.embedders import Words
from tests.unit.test_proxy import Front, fronted

import parbake as pb
from parbake.http import HttpApp
from parbake_planner import Ledger
from parbake_planner.ledger.costs import CostBook, Offer
from parbake_planner.prices import Rate
from parbake_proxy import Proxy


@pytest.mark.parametrize("is_own", [True, False], ids=["of the proxy", "of the ledger"])
@pytest.mark.parametrize("provider", ["contract", "openai"])
async def test_the_proxy_prices_models_as_the_ledger_does(tmp_path, is_own, provider):
    """One cost book prices both statements, by its entry for the generator or by the model; the ledger's will do."""
    rate = Rate(provider=provider, model="small", since=dt.date(2020, 1, 1), input=1.0, output=10.0)
    offers = {"openai/small": Offer(provider="contract", model="small")} if provider == "contract" else {}
    path = tmp_path / "costs.json"
    book = CostBook(as_of=dt.date(2026, 11, 1), rates=(rate,), cpu_hour=0.0, generators=offers)
    path.write_bytes(msgspec.json.encode(book))
    ledger = Ledger(tmp_path / "ledger.db", book=path)
    async with fronted(plugins=[ledger], prices=path if is_own else None) as found:
        await found.chat()
        told = (await found.http.get("/v1/proxy")).json()
        await asyncio.to_thread(found.app.plugins[Ledger].file.settle)
        (cost,) = (await found.http.get("/v1/costs")).json()["costs"]
    (spent,) = told["spent"]
    assert spent["usd"] == pytest.approx(cost["usd"])
    assert spent["unpriced"] == cost["unpriced"]
    assert spent["usd"] > 0


async def test_an_erasure_finds_the_answers_that_name_a_person(tmp_path):
    """``erase`` deletes stored answers whose question holds the person's id, from the file, too, and no others."""
    with ModelServer() as models:
        proxy = Proxy(models.url, embedder=Words(), cosine=0.8)
        app = pb.App(pb.Registry(), store=f"lmdb://{tmp_path}/store", plugins=[proxy], worker="none")
        served = HttpApp(app)
        transport = httpx.ASGITransport(served)
        async with served.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            found = Front(models, app, http)
            for question in ("what did customer-00417 say about topicaa", "how long may topicbb be kept"):
                assert (await found.chat(question)).headers["x-parbake-cache"] != "hit"
                assert (await found.chat(question)).headers["x-parbake-cache"] == "hit"
            assert (await app.ops.erase("customer-00417")).items == 1
            assert (await found.chat("what did customer-00417 say about topicaa")).headers["x-parbake-cache"] != "hit"
            assert (await found.chat("how long may topicbb be kept")).headers["x-parbake-cache"] == "hit"
            await app.ops.erase("customer-00417")
    assert not any(b"customer-00417" in path.read_bytes() for path in (tmp_path / "store").iterdir())
