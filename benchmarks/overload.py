"""What a server does when it is asked for much more than it can: chats at 5 and 10 times its rate, and 400 clients.

The server has one core, the client the other, which reports its own lag. First the sustainable rate is found: what four
clients get answered, one chat after the other. Then:

chat      80 % of that rate, and 5 and 10 times, for a minute each: right answers within their deadline, of capacity;
          the 99th percentile of the answered ones beside that at 80 %; probes of /healthz meanwhile; back to normal
serve     400 clients of ``/v1/serve`` at once, beside the peak rate
one       one address that asks for 100 /metrics a second, and one with 16 connections that ask for one stored value
          after the other, beside a polite client at another address that reads 20 values a second
abandon   300 chats whose clients leave at once: how many reads the server still did for them
neighbour what four clients get answered, and 5 and 10 times that, beside a process that wants the server's core
wait      40 requests a second that each wait three seconds for a provider, through the proxy and in a task, beside
          four and twelve processes that want all cores
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
from _flood import SHED, Flood, Flooded, probing
from _http_load import posted
from _neighbours import DEADLINE_S, TIMES, Rows, beside_neighbour, waiting
from _report import Goal, percentile, report
from _server import cpu_s
from _shop import BACKEND_KEY, KEY, prepare, serving

PARTS = ("chat", "serve", "one", "abandon", "neighbour", "wait")
MINUTE_S, CALM_S = 60.0, 15.0
CHATS = "/v1/chat/completions"
CLIENTS, LEAVERS = 400, 300
PROBES, RENDERED = 2_000, 20
SCRAPES, HOG, POLITE, POLITE_FROM = 100.0, 16, 20.0, "127.0.0.2"
QUESTIONS = (
    "Can I return a book after three weeks?", "What does express delivery cost?", "Do you have gift cards?",
    "How long does delivery take?", "Can I pay with PayPal?",
)  # fmt: skip


def chat(number: int) -> bytes:
    """The bytes of a request with one question; each question is asked by another shopper."""
    messages = [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}]
    return posted(CHATS, {"messages": messages, "user": f"u{number % 2000:05d}"}, BACKEND_KEY)


def is_reply(body: bytes) -> bool:
    """Whether a body is a reply with text."""
    return bool(json.loads(body)["choices"][0]["message"]["content"])


async def sustained(port: int) -> float:
    """Chats a second that four clients get answered, one after the other."""
    flood = Flood(port, 30.0, is_reply)
    done, until = 0, time.perf_counter() + CALM_S

    async def one(first: int) -> None:
        nonlocal done
        number = first
        while time.perf_counter() < until:
            await flood.one(chat(number), time.perf_counter(), Flooded())
            number, done = number + 4, done + 1

    await asyncio.gather(*map(one, range(4)))
    return done / CALM_S


def flooded(port: int, rate: float, seconds: float) -> tuple[Flooded, list[float]]:
    """Chats at a rate, and the seconds of probes meanwhile."""
    with probing(port, "/healthz") as probes:
        found = asyncio.run(Flood(port, 30.0, is_reply).run(chat, rate, seconds))
    return found, probes


async def until_normal(port: int, normal_s: float) -> float:
    """Seconds after a flood until three chats in a row take no longer than twice what they usually do."""
    before, good, number = time.perf_counter(), 0, 0
    while good < 3 and time.perf_counter() - before < MINUTE_S:
        found = Flooded()
        await Flood(port, 30.0, is_reply).one(chat(number), time.perf_counter(), found)
        good = good + 1 if found.took and found.took[0] <= 2 * normal_s else 0
        number += 1
    return time.perf_counter() - before


def chats(port: int, seconds: float, rows: Rows, goals: list[Goal]) -> None:
    """Measure the floods of chats."""
    capacity = asyncio.run(sustained(port))
    calm, _ = flooded(port, 0.8 * capacity, CALM_S)
    usual = percentile(calm.took, 99)
    rows.append(("80 %", 0.8 * capacity, len(calm.took) / CALM_S, calm.shed, calm.failed, usual * 1000, 0.0, 0.0, 0.0))
    for times in TIMES:
        found, probes = flooded(port, times * capacity, seconds)
        in_time = sum(took <= DEADLINE_S for took in found.took) / seconds
        slow, health = percentile(found.took or [float("inf")], 99), percentile(probes, 99)
        back = asyncio.run(until_normal(port, usual))
        lag = percentile(found.late, 99)
        rows.append(
            (
                f"{times}x",
                times * capacity,
                in_time,
                found.shed,
                found.failed,
                slow * 1000,
                health * 1000,
                back,
                lag * 1000,
            )
        )
        goals += [
            Goal(f"{times}x: in time, of capacity", in_time / capacity, "", ">= 0.9", in_time / capacity >= 0.9),
            Goal(f"{times}x: p99 of answered, of that at 80 %", slow / usual, "x", "<= 2", slow <= 2 * usual),
            Goal(f"{times}x: healthz p99", health * 1000, "ms", "<= 50", health <= 0.05),
            Goal(f"{times}x: back to normal", back, "s", "<= 5", back <= 5.0),
        ]


def serve_raw(number: int) -> bytes:
    """The bytes of a request for one stored key."""
    return posted("/v1/serve/titles", {"key": f"s{number % 100}"})


async def crowd(port: int, clients: int, seconds: float, *, pauses: bool = True) -> Flooded:
    """Clients that ask for one key after the other; after a refusal they pause for a moment, unless told not to."""
    found, until = Flooded(), time.perf_counter() + seconds
    flood = Flood(port, 30.0, bool)

    async def one(first: int) -> None:
        number = first
        while time.perf_counter() < until:
            status = await flood.one(serve_raw(number), time.perf_counter(), found)
            number += clients
            if status == SHED and pauses:
                await asyncio.sleep(0.5)

    await asyncio.gather(*map(one, range(clients)))
    return found


@contextlib.contextmanager
def stored_values() -> Iterator[tuple[int, int]]:
    """A server of stored values on a core of its own; gives its port and its process number."""
    command = [sys.executable, Path(__file__).parent / "_serve_side.py", "parbake"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            os.sched_setaffinity(server.pid, {0})
            yield port, server.pid
        finally:
            server.terminate()


def cpu_of_each(port: int, pid: int, path: str, count: int, *, pause_s: float = 0.0) -> float:
    """CPU milliseconds of the server for each request of a path, one after the other on one connection."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        client.get(path)
        before = cpu_s(pid)
        for _ in range(count):
            time.sleep(pause_s)
            client.get(path)
    return (cpu_s(pid) - before) / count * 1000


def outside_of_admission(port: int, pid: int, goals: list[Goal]) -> None:
    """Measure what probes and scrapes cost, which wait for no turn, also a scrape that renders the metrics."""
    costs = {
        "healthz": cpu_of_each(port, pid, "/healthz", PROBES),
        "scrape of rendered metrics": cpu_of_each(port, pid, "/metrics", PROBES),
        "scrape that renders": cpu_of_each(port, pid, "/metrics", RENDERED, pause_s=1.05),
    }
    goals += [Goal(f"{name}: CPU", cost, "ms", "<= 20", cost <= 20) for name, cost in costs.items()]


def one_address(seconds: float, rows: Rows, goals: list[Goal]) -> None:
    """Measure a polite client beside another address that floods the server, in two ways."""
    scrape = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n"

    async def flooded_by(flood: Callable[[], Coroutine[Any, Any, Flooded]]) -> tuple[Flooded, Flooded]:
        polite = Flood(port, 30.0, bool, source=POLITE_FROM)
        return await asyncio.gather(flood(), polite.run(serve_raw, POLITE, seconds))

    floods: dict[str, Callable[[], Coroutine[Any, Any, Flooded]]] = {
        f"{SCRAPES:.0f} scrapes/s": lambda: Flood(port, 30.0, bool).run(lambda _: scrape, SCRAPES, seconds),
        f"{HOG} connections": lambda: crowd(port, HOG, seconds, pauses=False),
    }
    with stored_values() as (port, pid):
        asyncio.run(crowd(port, 4, 2.0))
        outside_of_admission(port, pid, goals)
        for name, flood in floods.items():
            with probing(port, "/healthz") as probes:
                _, polite = asyncio.run(flooded_by(flood))
            share, health = len(polite.took) / int(POLITE * seconds), percentile(probes, 99)
            slow = percentile(polite.took, 99)
            rate, lag = len(polite.took) / seconds, percentile(polite.late, 99)
            counts = (polite.shed, polite.failed)
            rows.append((f"beside {name}", POLITE, rate, *counts, slow * 1000, health * 1000, 0.0, lag * 1000))
            goals += [
                Goal(f"{name}: polite requests answered", 100 * share, "%", ">= 95", share >= 0.95),
                Goal(f"{name}: healthz p99", health * 1000, "ms", "<= 100", health <= 0.1),
            ]


def crowds(seconds: float, rows: Rows, goals: list[Goal]) -> None:
    """Measure 400 clients beside four, on a server of stored values."""
    with stored_values() as (port, _):
        asyncio.run(crowd(port, 4, 2.0))
        peak = max(len(asyncio.run(crowd(port, n, seconds / 3)).took) / (seconds / 3) for n in (4, 16, 64))
        with probing(port, "/healthz") as probes:
            found = asyncio.run(crowd(port, CLIENTS, seconds))
    rate, slow = len(found.took) / seconds, percentile(found.took, 99)
    health = percentile(probes, 99)
    rows.append((f"serve, {CLIENTS}", peak, rate, found.shed, found.failed, slow * 1000, health * 1000, 0.0, 0.0))
    goals += [
        Goal(f"{CLIENTS} clients: of the peak rate", rate / peak, "", ">= 0.9", rate >= 0.9 * peak),
        Goal(f"{CLIENTS} clients: p99", slow * 1000, "ms", "<= 100", slow <= 0.1),
        Goal(f"{CLIENTS} clients: healthz p99", health * 1000, "ms", "<= 50", health <= 0.05),
    ]


def reads(port: int) -> int:
    """How many reads the server has served."""
    key = {"authorization": f"Bearer {KEY}"}
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=key).text
    lines = re.findall(r"^parbake_serves_total\{[^}]*\} ([0-9.e+]+)$", text, re.MULTILINE)
    return round(sum(map(float, lines)))


async def leave(port: int) -> None:
    """Send chats and close each connection at once."""
    for number in range(LEAVERS):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(chat(number))
        await writer.drain()
        writer.close()


def abandoned(port: int, rows: Rows, goals: list[Goal]) -> None:
    """Measure what is done for clients that have left, beside what is done for those that stay."""
    before = reads(port)
    stayed = flooded(port, 10.0, LEAVERS / 10.0)[0]
    usual = reads(port) - before
    before = reads(port)
    asyncio.run(leave(port))
    time.sleep(5.0)
    share = (reads(port) - before) / usual
    rows.append((f"{LEAVERS} leave", LEAVERS, len(stayed.took), 0, 0, 0.0, 0.0, 0.0, share))
    goals.append(Goal(f"reads done for {LEAVERS} clients that left", 100 * share, "%", "<= 10", share <= 0.1))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, help="run this part")
    parser.add_argument("--seconds", type=float, default=MINUTE_S, help="length of each flood (60)")
    options = parser.parse_args()
    parts = options.only or PARTS
    rows: Rows = []
    goals: list[Goal] = []
    if "wait" in parts:
        waiting(min(30.0, options.seconds), rows, goals)
    os.sched_setaffinity(0, {1})
    if "serve" in parts:
        crowds(min(10.0, options.seconds), rows, goals)
    if "one" in parts:
        one_address(min(8.0, options.seconds), rows, goals)
    if {"chat", "abandon", "neighbour"} & set(parts):
        with tempfile.TemporaryDirectory() as home:
            prepare(home)
            with serving(home) as (pid, address):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), {0})
                port = int(address.rpartition(":")[2])
                while httpx.get(f"{address}/readyz").status_code != httpx.codes.OK:
                    time.sleep(0.5)
                flooded(port, 5.0, 5.0)
                if "chat" in parts:
                    chats(port, options.seconds, rows, goals)
                if "neighbour" in parts:
                    lasts = min(30.0, options.seconds)
                    beside_neighbour(
                        lambda: asyncio.run(sustained(port)),
                        lambda rate: flooded(port, rate, lasts),
                        lasts,
                        rows,
                        goals,
                    )
                if "abandon" in parts:
                    abandoned(port, rows, goals)
    columns = (
        "load",
        "asked/s",
        "in time/s",
        "shed",
        "failed",
        "p99 ms",
        "healthz p99 ms",
        "back s",
        "client lag p99 ms",
    )
    figures = {goal.what.replace(" ", "_").replace(",", "").replace(":", ""): goal.value for goal in goals}
    report("overload", columns, rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
