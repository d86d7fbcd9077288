"""The pace of the polls: short pauses after news, longer ones without, and no heartbeat more often than needed."""

import asyncio

from tests.skipping_loop import SkippingLoop

from parbake.lanes.event.polling import Polling


class Quick:
    """A source that may be polled often."""

    name = "quick"
    pause_s = (0.001, 0.02)


class Plain:
    """A source that does not say how often it may be polled."""

    name = "plain"


def polled(source, every_s, *, news=lambda _: False, for_s=4.0, is_behind=lambda _: False):
    """Poll a source for a while, without waiting; return the times of the polls, and of those with a heartbeat."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(_polled(source, every_s, news, for_s, is_behind))


async def _polled(source, every_s, news, for_s, is_behind):
    """Poll a source by the running loop's clock."""
    now = asyncio.get_running_loop().time
    polls, beats_at = [], []

    async def drain(_, *, beats):
        polls.append(now())
        if beats:
            beats_at.append(now())
        return news(len(polls))

    async def distrust(_):
        raise AssertionError

    running = asyncio.create_task(Polling(drain, lambda: [source], every_s, distrust, is_behind).run())
    await asyncio.sleep(for_s)
    running.cancel()
    return polls, beats_at


def test_a_source_that_allows_it_is_polled_more_often_than_it_beats():
    """Polls without news write a heartbeat at the regular interval only."""
    polls, beats = polled(Quick(), 0.1)
    assert len(polls) > 2 * len(beats)
    assert 36 <= len(beats) <= 41


def test_a_plain_source_is_polled_at_the_regular_interval():
    """Each of its polls writes a heartbeat."""
    polls, beats = polled(Plain(), 0.1)
    assert len(polls) == len(beats)
    assert 40 <= len(polls) <= 41


def test_news_bring_the_shortest_pause():
    """A source with something to tell each time is polled more often than one without."""
    busy, _ = polled(Quick(), 0.1, news=lambda _: True)
    idle, _ = polled(Quick(), 0.1)
    assert len(busy) > 1.5 * len(idle)


def test_a_source_that_stored_values_wait_for_is_polled_soon():
    """After an outage of the store a source is polled again within a tenth of a second, without more heartbeats."""
    polls, beats = polled(Plain(), 1.0, is_behind=lambda source: source == "plain")
    assert len(polls) >= 39
    assert len(beats) <= 9
