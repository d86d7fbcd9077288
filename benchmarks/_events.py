"""Commits events to a store at an even pace, as another process: ``python _events.py STORE RATE SECONDS``.

Prints a line once it is under way, and how many it committed when it is told to end or its time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import parbake as pb


@contextlib.contextmanager
def paced(store: str, rate: int, seconds: float) -> Iterator[list[float]]:
    """Run this file beside the body; the list holds the rate that was reached, once the body has ended."""
    words = [sys.executable, str(Path(__file__)), store, str(rate), str(seconds)]
    reached: list[float] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout
        assert output is not None
        output.readline()
        try:
            yield reached
        finally:
            process.send_signal(signal.SIGTERM)
            reached.append(float(output.readline() or "nan"))


async def commit(store: str, rate: int, seconds: float) -> None:
    """Commit until told to end; an event that is late is followed by the next at once."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    app = pb.App(pb.Registry(), store=store, open=["noise"])
    print("under way", flush=True)
    started, done = time.monotonic(), 0
    while not ended.is_set() and time.monotonic() - started < seconds:
        await app.touch(f"noise/{done % 100}")
        done += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), max(0.0, started + done / rate - time.monotonic()))
    print(done / (time.monotonic() - started), flush=True)
    await app.close()


if __name__ == "__main__":
    asyncio.run(commit(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
