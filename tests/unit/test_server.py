"""Binding a port, and starting and stopping the server."""

import asyncio

import httpx
import pytest

import parbake as pb
from parbake.http import HttpApp, listen
from parbake.stores.memory import MemoryStore
from parbake.testing import FileClock


def test_a_taken_port_is_said_in_plain_words():
    """If the port is in use, the error names it."""
    with listen("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(pb.ParbakeError, match=f"port {port} .* choose another") as caught:
            listen("127.0.0.1", port)
    assert caught.value.field == "port"


async def lifespan(application):
    """Start and stop an ASGI application; return the messages that it sent."""
    asked, sent = asyncio.Queue(), []
    for kind in ("startup", "shutdown"):
        asked.put_nowait({"type": f"lifespan.{kind}"})

    async def send(message):
        sent.append(message)

    await application({"type": "lifespan"}, asked.get, send)
    return sent


async def test_startup_and_shutdown_are_told(world):
    """The application confirms startup and shutdown."""
    sent = await lifespan(HttpApp(world.app(pb.Registry())))
    assert [m["type"] for m in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_an_app_that_is_served_without_its_lifespan_says_so_once(world, caplog):
    """An app that is served without its lifespan logs once that its sources are not polled."""
    app = world.app(pb.Registry())
    served = HttpApp(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost") as client:
        for _ in range(2):
            await client.get("/healthz")
    assert caplog.text.count("the lifespan was not started, so this app's sources are not polled") == 1
    caplog.clear()
    async with (
        served.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost") as client,
    ):
        assert (await client.get("/healthz")).status_code == 200
    assert "lifespan was not started" not in caplog.text


async def test_a_foreign_store_stops_the_start(tmp_path):
    """If the store cannot be opened, startup fails with the reason."""
    (tmp_path / "file").write_text("x")
    sent = await lifespan(HttpApp(pb.App(pb.Registry(), store=f"lmdb://{tmp_path}/file")))
    assert [m["type"] for m in sent] == ["lifespan.startup.failed"]
    assert "cannot be opened" in sent[0]["message"]


async def test_a_store_that_cannot_be_reached_stops_the_start(monkeypatch):
    """If the store does not answer, startup fails with the reason."""
    store = MemoryStore()

    async def gone():
        raise pb.errors.StoreError("the store did not answer", field="store")

    monkeypatch.setattr(store, "stamp", gone)
    sent = await lifespan(HttpApp(pb.App(pb.Registry(), store=store)))
    assert [m["type"] for m in sent] == ["lifespan.startup.failed"]
    assert "did not answer" in sent[0]["message"]


def test_a_file_clock_moves_every_process_that_reads_it(tmp_path):
    """The clock's offset is in its file, so all clocks on the file share it."""
    one, two = FileClock(tmp_path / "clock"), FileClock(tmp_path / "clock")
    before = two.now()
    one.advance(3600)
    assert 3600 <= two.now() - before < 7200
