"""Alerts about complaints to the people on call."""

import asyncio

import pytest
from tests.waiting import HANGS_S

import parbake as pb
from parbake.testing import FakeClock
from retail_assistant.faq.on_call import QUIET_S, OnCall
from retail_assistant.shop.complaints import Complaint


class Sink:
    """A sink that records alerts."""

    def __init__(self):
        self.kinds = []

    async def send(self, alert):
        self.kinds.append((alert.kind, alert.owner))


class Broken:
    """A sink that fails."""

    async def send(self, alert):
        raise OSError(alert.kind)


@pytest.fixture
async def told():
    """Return a function that reports complaints one after the other and returns the alerts that were sent."""
    clock, sink = FakeClock(1e9), Sink()
    app = pb.App(pb.Registry(), store="memory://", alerts=[Broken(), sink], clock=clock)
    on_call = OnCall(app)

    async def hear(*news, after=0.0):
        clock.advance(after)
        for one in news:
            on_call.hear(Complaint(None, "shopper", one), "returns#return-window")
        await asyncio.wait_for(on_call.settle(), HANGS_S)
        sent, sink.kinds = sink.kinds, []
        return sent

    yield hear
    await app.close()


async def test_news_reaches_every_sink_and_a_complaint_without_news_none(told, caplog):
    """A complaint without a change sends no alert; a failing sink is logged, and other sinks get the alert."""
    assert await told("", "complained", "withdrawn") == [("complained", "support"), ("withdrawn", "support")]
    assert "alert sink Broken failed" in caplog.text
    assert await told("withdrawn_again") == [("withdrawn_again", "support")]


async def test_the_breaker_is_told_once_an_hour(told):
    """Complaints that are held back send one alert at once, and then at most one an hour."""
    assert await told(*["held_back"] * 50) == [("held_back", "support")]
    assert await told("held_back", after=QUIET_S - 1) == []
    assert await told("held_back", after=1) == [("held_back", "support")]
