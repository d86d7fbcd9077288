"""Waiting for events and not for seconds: the one bound here is for what hangs, however busy the machine is."""

import asyncio
import inspect
import time

HANGS_S = 300.0
"""What has not happened by then will not happen any more. No test measures with it."""
MANY = 500


def eventually(look):
    """Look until it is truthy, and return what was found."""
    ends = time.monotonic() + HANGS_S
    while not (found := look()):
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.02)
    return found


async def until(look):
    """Let the event loop go on until a look, which may be asynchronous, is truthy; return what was found."""
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
