"""Waiting for conditions instead of fixed times; the only time limit is for hangs."""

import asyncio
import inspect
import time

HANGS_S = 300.0
"""What has not happened by then will not happen any more. No test measures with it."""
MANY = 500


def eventually(look):
    """Call ``look`` until its result is truthy, and return it."""
    ends = time.monotonic() + HANGS_S
    while not (found := look()):
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.02)
    return found


async def until(look):
    """Run the event loop until ``look``, which may be asynchronous, returns something truthy, and return that."""
    async with asyncio.timeout(HANGS_S):
        while True:
            found = look()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.005)


async def as_far_as_it_gets():
    """Let every task of the event loop go on until it waits for something that only the test can bring about.

    It counts turns of the loop, and so waits for no thread and no timer.
    """
    for _ in range(MANY):
        await asyncio.sleep(0)
