"""A store whose server does not answer fails at once, and is tried again once a second."""

import asyncio

import pytest

from parbake.errors import DamagedStore, OutdatedStore, StoreError, StoreUnreachable
from parbake.stores.steps import answering_items
from parbake.stores.steps.answering_items import AnsweringItems
from parbake.stores.steps.item_steps import Commit

ASKED = {
    "open": lambda items: items.open(),
    "fetch": lambda items: items.fetch([b"a"]),
    "commit": lambda items: items.commit(Commit({}, {})),
    "put": lambda items: items.put([(b"a", b"1")]),
    "remove": lambda items: items.remove([b"a"]),
    "range": lambda items: items.range(b"a", b"a", 1),
    "count": lambda items: items.count(b"a"),
}


class Driver:
    """A driver whose calls fail with an error, if it has one; ``calls`` counts them."""

    is_snapshot, commit_limit, host = True, 10, "one"

    def __init__(self):
        """Answer at first."""
        self.error, self.calls, self.takes_s = None, 0, 0.0

    async def _called(self, *_):
        self.calls += 1
        await asyncio.sleep(self.takes_s)
        if self.error is not None:
            raise self.error

    open = fetch = commit = put = remove = range = count = _called

    async def close(self):
        """Hold nothing."""


@pytest.fixture
def items():
    """Return a driver, and its items as a store uses them."""
    driver = Driver()
    return driver, AnsweringItems(driver)


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
async def test_after_two_failures_calls_fail_at_once(items, ask):
    """Reads and writes do not reach a server that has failed twice, and say why; one probe looks for it."""
    driver, answering = items
    driver.error = StoreUnreachable("no answer", field="store")
    for _ in range(2):
        with pytest.raises(StoreUnreachable):
            await ask(answering)
    driver.calls = 0
    for _ in range(20):
        with pytest.raises(StoreUnreachable, match="no answer; it is tried again every second"):
            await ask(answering)
        await asyncio.sleep(0)
    assert driver.calls == 1
    await answering.close()


async def test_a_failure_that_took_long_is_enough(items, monkeypatch):
    """A server that hangs costs the first who ask a wait, and nobody else."""
    monkeypatch.setattr(answering_items, "FETCH_S", 0.02)
    driver, answering = items
    driver.error, driver.takes_s = StoreUnreachable("no answer", field="store"), 0.02
    with pytest.raises(StoreUnreachable, match=r"^no answer$"):
        await answering.fetch([b"a"])
    with pytest.raises(StoreUnreachable, match="tried again"):
        await answering.fetch([b"a"])
    await answering.close()


@pytest.mark.parametrize("refusal", [None, StoreError("refused", field="store")], ids=["well", "refusing"])
async def test_a_server_that_is_back_is_used_after_the_next_probe(items, monkeypatch, refusal):
    """No call waits for the probe; once it was answered, calls reach the server, whatever that says."""
    monkeypatch.setattr(answering_items, "TRY_AGAIN_S", 0.05)
    driver, answering = items
    driver.error = StoreUnreachable("no answer", field="store")
    for _ in range(3):
        with pytest.raises(StoreUnreachable):
            await answering.fetch([b"a"])
    await asyncio.sleep(0.06)
    driver.error = refusal
    with pytest.raises(StoreUnreachable):
        await answering.fetch([b"a"])
    await asyncio.sleep(0.01)
    driver.error = None
    await answering.fetch([b"a"])


@pytest.mark.parametrize("kind", [StoreError, DamagedStore, OutdatedStore])
async def test_other_errors_are_answers(items, kind):
    """A server that refuses a call, or has met a damaged page, has answered: nothing is held back."""
    driver, answering = items
    driver.error = kind("refused", field="store")
    for _ in range(5):
        with pytest.raises(StoreError):
            await answering.fetch([b"a"])
    assert driver.calls == 5


async def test_a_process_that_was_late_itself_asks_again(items, monkeypatch):
    """An answer that this process was too busy to see in time says nothing of the server."""
    monkeypatch.setattr(answering_items, "FETCH_S", 0.02)
    driver, answering = items

    async def late(names):
        driver.calls += 1
        if driver.calls == 1:
            await asyncio.sleep(0.05)
            raise StoreUnreachable("no answer", field="store")
        return names

    driver.fetch = late
    assert await answering.fetch([b"a"]) == [b"a"]
    assert driver.calls == 2
