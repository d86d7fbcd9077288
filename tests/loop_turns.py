"""How long an event loop is held: the CPU time of its thread in the longest turn, while requests are answered."""

import asyncio
import contextlib
import time
from unittest import mock


@contextlib.contextmanager
def longest_turn():
    """Yield a list whose one number is the CPU time of the longest turn of the loop so far, in seconds."""
    longest, run = [0.0], asyncio.Handle._run

    def timed(handle):
        began = time.thread_time()
        run(handle)
        longest[0] = max(longest[0], time.thread_time() - began)

    with mock.patch.object(asyncio.Handle, "_run", timed):
        yield longest


def unit_s():
    """Return the CPU time of a fixed piece of work, about 25 ms on an idle machine: the least of three times."""
    taken = []
    for _ in range(3):
        began = time.thread_time()
        for _ in range(3_000_000):
            pass
        taken.append(time.thread_time() - began)
    return min(taken)


async def send(app, method, path, *, query="", headers=(), body=b""):
    """Send a request to an application, past any server and its limits; return the status."""
    statuses, pieces = [], [body[at : at + 65_536] for at in range(0, len(body), 65_536)] or [b""]
    named = {"host": "localhost", "content-type": "application/json", "content-length": str(len(body))} | dict(headers)

    async def receive():
        if not pieces:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def collect(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("utf-8", "surrogatepass")) for name, value in named.items()],
        "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await asyncio.create_task(app(scope, receive, collect))
    return statuses[0]
