"""A bad day for the assistant's server: a hostile page, a hostile client, a locked file, a lost store, and its own end.

The server is the product's own over a generated shop. ``--only`` runs some of the parts:

attacks   a page of another site, a name pointed here, complaints without a token, forged tickets, a header flood
locked    another program keeps the shop's file locked for 30 seconds: writers are told, readers and probes do not wait
again     the store is gone after the shop has committed; a client sends its purchase three times (needs valkey-server)
ending    SIGTERM with 150 requests under way
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import _valkey
import httpx
from _report import Goal, percentile, report
from _shop import KEY, prepare, serving

LOCKED_S, SOON_S, AT_ONCE_S = 30.0, 2.0, 0.1
FLOOD = 5_100_000
"""Bytes of headers of one name, as many as stopped a server for half a minute."""
UNDER_WAY, WRITERS, TRIES = 150, 30, 3
Rows = list[tuple[str, object, str]]
Part = tuple[Rows, list[Goal]]


def main() -> None:
    """Measure and report."""
    parts: dict[str, Callable[[], Part]] = {"attacks": attacks, "locked": locked, "again": again, "ending": ending}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=parts, help="run this part; repeat for more")
    rows: Rows = []
    goals: list[Goal] = []
    for name in parser.parse_args().only or parts:
        found, judged = parts[name]()
        rows, goals = rows + found, goals + judged
    figures = {goal.what.replace(" ", "_").replace(",", ""): goal.value for goal in goals}
    report("bad_day", ("what", "seen", "unit"), rows, figures=figures, goals=goals)


@contextlib.contextmanager
def shop(**environment: str) -> Iterator[tuple[int, str, Path]]:
    """A server over a shop of its own: its process, its address and its folder."""
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(environment)
        prepare(home)
        with serving(home) as (pid, address):
            until = time.perf_counter() + 120.0
            while httpx.get(f"{address}/readyz").status_code != httpx.codes.OK and time.perf_counter() < until:
                time.sleep(0.2)
            yield pid, address, Path(home)


def purchases(home: Path) -> int:
    """How many books were bought."""
    with contextlib.closing(sqlite3.connect(home / "shop.db")) as connection:
        count: int = connection.execute("SELECT count(*) FROM purchases").fetchone()[0]
    return count


def product(home: Path) -> str:
    """A book that is in stock."""
    with contextlib.closing(sqlite3.connect(home / "shop.db")) as connection:
        found = connection.execute(
            "SELECT asin FROM products JOIN inventory USING (asin) WHERE listed = 1 AND quantity > 99 LIMIT 1"
        )
        asin: str = found.fetchone()[0]
    return asin


def attacks() -> Part:
    """What was let in of what must not be."""
    with shop() as (_, address, home), httpx.Client(base_url=address, timeout=60.0) as client:
        before = purchases(home)
        tried = {name: answer.status_code for name, answer in intrusions(client, product(home))}
        let_in = sum(status < 400 for status in tried.values())
        bought = purchases(home) - before
        rate, forged = rate_of(client, {}), rate_of(client, {"parbake-after": "forged"})
        out_of_use = complained_of(client)
        slowest_s = asyncio.run(flooded(address))
    rows: Rows = [*((name, status, "status") for name, status in tried.items())]
    rows += [("reads", rate, "1/s"), ("reads with forged tickets", forged, "1/s")]
    return rows, [
        at_most("attacks let in", let_in, 0),
        at_most("books that attacks bought", bought, 0),
        at_most("tasks out of use after complaints of 40 answers", out_of_use, 0),
        at_most("healthz during a header flood", slowest_s * 1000, AT_ONCE_S * 1000, "ms"),
    ]


def intrusions(client: httpx.Client, asin: str) -> Iterator[tuple[str, httpx.Response]]:
    """Send what must be refused."""
    book, foreign = {"shopper": "u00001", "asin": asin}, {"origin": "http://evil.example"}
    as_text, rebound = {"content-type": "text/plain", **foreign}, {"host": "evil.example"}
    yield "form of another site", client.post("/shop/purchases", content=json.dumps(book), headers=as_text)
    yield "script of another site", client.post("/shop/purchases", json=book, headers=foreign)
    days = {"facts": {"window_days": 1}}
    yield "name that was pointed here", client.put("/shop/policies/returns", json=days, headers=rebound)
    yield "complaint of a whole task", client.post("/v1/feedback", json={"task": "faq_answers"})
    yield "forged ticket", client.get("/shop/policies/returns", headers={"parbake-after": "forged"})


def rate_of(client: httpx.Client, headers: dict[str, str], seconds: float = 3.0) -> float:
    """Requests per second, one after the other."""
    done, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        client.get("/shop/policies/returns", headers=headers)
        done += 1
    return done / seconds


def complained_of(client: httpx.Client) -> int:
    """Ask, and complain of each answer as an operator; how many tasks are out of use then."""
    own = {"authorization": f"Bearer {KEY}"}
    for _ in range(40):
        asked = {"messages": [{"role": "user", "content": "What is your return window?"}]}
        answer_id = client.post("/v1/chat/completions", json=asked).json()["parbake"]["answer_id"]
        client.post("/v1/feedback", json={"answer_id": answer_id, "reason": "wrong"}, headers=own).raise_for_status()
    return len(client.get("/v1/feedback", headers=own).json()["quarantined"])


async def flooded(address: str) -> float:
    """Send headers without end, and ask for a sign of life meanwhile; the seconds of the slowest one."""
    port = int(address.rpartition(":")[2])

    async def flood() -> None:
        line = b"x-same: " + b"a" * 42 + b"\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(OSError):
            writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n" + line * (FLOOD // len(line)))
            await writer.drain()
        writer.close()

    flooding = [asyncio.create_task(flood()) for _ in range(4)]
    took = await latencies(address, ("/healthz",), lambda: all(one.done() for one in flooding), least=40)
    await asyncio.gather(*flooding)
    return max(took["/healthz"])


async def latencies(
    address: str, paths: tuple[str, ...], is_over: Callable[[], bool], *, least: int = 1
) -> dict[str, list[float]]:
    """Ask for each path 20 times a second until it is over; the seconds of each answer."""
    took: dict[str, list[float]] = {path: [] for path in paths}
    async with httpx.AsyncClient(base_url=address, timeout=60.0) as client:
        while not is_over() or len(took[paths[0]]) < least:
            for path in paths:
                began = time.perf_counter()
                (await client.get(path)).raise_for_status()
                took[path].append(time.perf_counter() - began)
            await asyncio.sleep(0.05)
    return took


def locked() -> Part:
    """How long readers, probes and writers wait for a file that another program keeps locked."""
    with shop() as (_, address, home):
        return asyncio.run(_locked(address, home))


async def _locked(address: str, home: Path) -> Part:
    asin = product(home)
    reads = ("/shop/policies/returns", f"/shop/products/{asin}", "/readyz")
    free = await latencies(address, reads, lambda: True, least=60)
    until = time.perf_counter() + LOCKED_S
    statuses: collections.Counter[int] = collections.Counter()
    waited: list[float] = []

    async def write(number: int) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=60.0) as client:
            while time.perf_counter() < until:
                began = time.perf_counter()
                answer = await client.post("/shop/purchases", json={"shopper": f"u{number:05}", "asin": asin})
                statuses[answer.status_code] += 1
                waited.append(time.perf_counter() - began)
                if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    await asyncio.sleep(float(answer.headers["retry-after"]))

    with contextlib.closing(sqlite3.connect(home / "shop.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = [asyncio.create_task(write(number)) for number in range(WRITERS)]
        took = await latencies(address, reads, lambda: time.perf_counter() > until)
        other.execute("ROLLBACK")
    await asyncio.gather(*writing)
    rows: Rows = [(f"{path}, p99 before", percentile(seconds, 99) * 1000, "ms") for path, seconds in free.items()]
    rows += [(f"{path}, slowest while locked", max(seconds) * 1000, "ms") for path, seconds in took.items()]
    rows += [(f"writes answered {status}", count, "") for status, count in sorted(statuses.items())]
    slow_ms = {name: percentile(took[name], 99) * 1000 for name in reads}
    return rows, [
        at_most("reads while locked, p99", max(slow_ms[name] for name in reads[:2]), AT_ONCE_S * 1000, "ms"),
        at_most("readiness while locked, p99", slow_ms["/readyz"], AT_ONCE_S * 1000, "ms"),
        at_most("writers told to come back within", max(waited), SOON_S + 0.5, "s"),
        at_most("writes answered otherwise", statuses.total() - statuses[503] - statuses[201], 0),
    ]


def again() -> Part:
    """A purchase that is committed while the store is gone, and sent again and again under one key."""
    with contextlib.ExitStack() as store:
        port = store.enter_context(_valkey.serving(durable=True))
        with shop(STORE=f"redis://127.0.0.1:{port}/0") as (_, address, home):
            asin, before = product(home), purchases(home)
            with httpx.Client(base_url=address, timeout=60.0) as client:
                store.close()
                body, key = {"shopper": "u00001", "asin": asin}, {"idempotency-key": "bench"}
                answers = [client.post("/shop/purchases", json=body, headers=key).status_code for _ in range(TRIES)]
            bought = purchases(home) - before
    del os.environ["STORE"]
    rows: Rows = [(f"try {number}", status, "status") for number, status in enumerate(answers, 1)]
    return rows, [Goal("purchases of three tries", bought, "", "1", bought == 1)]


def ending() -> Part:
    """How many of the requests that a server has taken it still answers when it is told to end."""
    with shop() as (pid, address, _):
        outcomes = asyncio.run(_ended(pid, address))
    lost = outcomes.total() - outcomes["200"]
    rows: Rows = [(f"under way, then {what}", count, "") for what, count in outcomes.items()]
    return rows, [at_most("requests reset", lost, 0)]


async def _ended(pid: int, address: str) -> collections.Counter[str]:
    """Send all requests, end the server once it has taken each connection, and see what becomes of them."""
    host, port = "127.0.0.1", int(address.rpartition(":")[2])
    asked = json.dumps({"messages": [{"role": "user", "content": "Which books have you got on gardens?"}]}).encode()
    names = f"host: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(asked)}\r\n\r\n"
    head = f"POST /v1/chat/completions HTTP/1.1\r\n{names}"
    opened = [await asyncio.open_connection(host, port) for _ in range(UNDER_WAY)]
    for _, writer in opened:
        writer.write(head.encode() + asked)
    await asyncio.gather(*(writer.drain() for _, writer in opened))
    await asyncio.sleep(AT_ONCE_S)  # all of them are in, few of them are answered
    os.kill(pid, signal.SIGTERM)

    async def outcome(reader: asyncio.StreamReader) -> str:
        try:
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60.0)
        except (OSError, asyncio.IncompleteReadError) as error:
            return type(error).__name__
        return answer.split()[1].decode()

    found = collections.Counter(await asyncio.gather(*(outcome(reader) for reader, _ in opened)))
    for _, writer in opened:
        writer.close()
    return found


def at_most(what: str, value: float, bound: float, unit: str = "") -> Goal:
    """A figure with the most that it may be."""
    return Goal(what, value, unit, f"<= {bound:g}" if bound else "0", value <= bound)


if __name__ == "__main__":
    main()
