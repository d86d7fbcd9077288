"""What the proxy adds to a miss, what a hit takes, and whether two proxies keep the promise while one is killed.

A model server that answers at once is asked directly and through a proxy, in turn, on one connection each. Then two
proxies over one store are asked: how soon one sees what the other has stored, withdrawn or bypassed; a forced race,
in which a change is acknowledged by one proxy while the other's provider is making the old answer, with kills; and
many credentials at once, whose answers must not cross. The embedder is left out, so that only the proxy shows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from _report import Goal, percentile, report
from _server import Running, model_server, started

ASKED, SEEN = 600, 200
KEYS, REQUESTS, TOGETHER = 1_000, 100_000, 16
ROUNDS, KILL_EVERY = 1_000, 50
OVERLOADED = 503
TAG = {"parbake-tags": "policy/returns"}


class Proxies:
    """Two proxies over one store, each of which can be killed and started again."""

    def __init__(self, models: str, folder: Path) -> None:
        """Know the model server and where the store is."""
        self._models, self._folder = models, folder
        self._open = [contextlib.ExitStack(), contextlib.ExitStack()]
        self.at: list[Running] = []

    def start(self, which: int) -> None:
        """Start one of them."""
        words = ("proxy", "--upstream", self._models, "--port", "0", "--embedder", "none", "--family", "policy")
        store = ("--store", f"lmdb://{self._folder}/answers")
        made = self._open[which].enter_context(started(*words, *store, environment=dict(os.environ)))
        self.at[which : which + 1] = [made]

    def kill(self, which: int) -> None:
        """Kill one with SIGKILL, and start it again."""
        os.kill(self.at[which].pid, signal.SIGKILL)
        self._open[which].close()
        self.start(which)

    def close(self) -> None:
        """End both."""
        for one in self._open:
            one.close()


class Sent(NamedTuple):
    """An answer: its text, what it says of the cache, and its id."""

    text: str
    said: str
    id: str


async def send(http: aiohttp.ClientSession, method: str, url: str, body: object, **headers: str) -> tuple[Any, Any]:
    """Send a document; gives the document that comes back, and its headers."""
    named = {"content-type": "application/json"} | headers
    while True:
        async with http.request(method, url, data=json.dumps(body), headers=named) as answer:
            if answer.status != OVERLOADED:
                answer.raise_for_status()
                return json.loads(await answer.read()), answer.headers
        await asyncio.sleep(0.05)  # as the clients of providers do


async def ask(http: aiohttp.ClientSession, address: str, question: str, key: str = "key") -> Sent:
    """Ask a question."""
    body = {"model": "small", "messages": [{"role": "user", "content": question}]}
    url = f"{address}/v1/chat/completions"
    made, said = await send(http, "POST", url, body, authorization=f"Bearer {key}", **TAG)
    text = made["choices"][0]["message"]["content"]
    return Sent(text, said.get("x-parbake-cache", ""), said.get("x-parbake-answer", ""))


async def change(http: aiohttp.ClientSession, address: str, number: int) -> None:
    """Tell a proxy of a change."""
    event = {"specversion": "1.0", "id": str(number), "source": "bench", "type": "bench.changed"}
    event["subject"] = "policy/returns"
    await send(http, "POST", f"{address}/v1/events", event, **{"content-type": "application/cloudevents+json"})


def wordings(word: str) -> Iterator[str]:
    """Questions that differ in words, as ``numbers differ`` would be a reason of its own."""
    letters = "bcdfgklmnprst"
    for made in itertools.product(letters, "aeiou", letters, "aeiou", letters):
        yield f"what does the shop say about {word} {''.join(made)}"


async def latency(http: aiohttp.ClientSession, models: str, proxy: str) -> dict[str, list[float]]:
    """Milliseconds of the same questions directly, as a miss and as a hit, in turn."""
    found: dict[str, list[float]] = {"direct": [], "miss": [], "hit": []}
    for number, question in enumerate(itertools.islice(wordings("latency"), ASKED + 20)):
        for kind, address in (("direct", models), ("miss", proxy), ("hit", proxy)):
            if kind == "hit":
                await asyncio.sleep(0.01)  # the answer is stored beside the response
            began = time.perf_counter()
            said = (await ask(http, address, question)).said
            took = 1e3 * (time.perf_counter() - began)
            assert said in ("", kind), (kind, said)
            if number >= 20:
                found[kind].append(took)
    return found


async def seen(http: aiohttp.ClientSession, one: str, two: str) -> dict[str, list[float]]:
    """Milliseconds until the second proxy acts on what the first one has done."""
    found: dict[str, list[float]] = {"entry": [], "complaint": [], "bypass": []}

    async def until(holds: Callable[[str], bool], question: str) -> float:
        began = time.perf_counter()
        while not holds((await ask(http, two, question)).said):
            pass
        return 1e3 * (time.perf_counter() - began)

    for question in itertools.islice(wordings("sharing"), SEEN):
        await ask(http, one, question)
        await ask(http, one, question)  # waits until it is stored
        found["entry"].append(await until(lambda said: said == "hit", question))
        made = await ask(http, one, question)
        await send(http, "POST", f"{one}/v1/proxy/complaints", {"answer": made.id})
        found["complaint"].append(await until(lambda said: said != "hit", question))
        await send(http, "PUT", f"{one}/v1/proxy/bypass", {"on": True})
        found["bypass"].append(await until(lambda said: said == "bypass", question))
        await send(http, "PUT", f"{one}/v1/proxy/bypass", {"on": False})
        await until(lambda said: said != "bypass", question)
    return found


async def race(http: aiohttp.ClientSession, models: str, proxies: Proxies, rounds: int) -> int:
    """Old answers that were served after an acknowledged change."""
    old = 0
    questions = list(itertools.islice(wordings("racing"), 50))
    for number in range(rounds):
        question = questions[number % len(questions)]
        asked, told = proxies.at[number % 2].address, proxies.at[(number + 1) % 2].address
        await send(http, "POST", f"{models}/set", {"version": f"old{number}", "hold_s": 0.03})
        asking = asyncio.create_task(ask(http, asked, question))
        await asyncio.sleep(0.01)  # the model has read the old version, and holds its answer back
        await send(http, "POST", f"{models}/set", {"version": f"new{number}", "hold_s": 0.0})
        await change(http, told, number)
        await asking
        if number % KILL_EVERY == KILL_EVERY - 1:
            proxies.kill(number // KILL_EVERY % 2)
        for address in (proxies.at[0].address, proxies.at[1].address):
            answer = (await ask(http, address, question)).text
            old += not answer.startswith(f"new{number}|")
        await change(http, proxies.at[0].address, rounds + number)
        print(f"\rround {number + 1:,} of {rounds:,}", end="", file=sys.stderr)
    print("\r", end="", file=sys.stderr)
    return old


async def crossing(http: aiohttp.ClientSession, addresses: list[str], requests: int) -> tuple[int, float]:
    """Answers that were given to another credential than they were made for, and the share of hits."""
    questions = list(itertools.islice(wordings("crossing"), 20))
    crossed = hits = done = 0
    numbers = iter(range(requests))

    async def client() -> None:
        nonlocal crossed, hits, done
        for number in numbers:
            key, question = f"key{number % KEYS}", questions[number // KEYS % len(questions)]
            made = await ask(http, addresses[number % len(addresses)], question, key)
            crossed += made.text.split("|", 1)[1] != f"Bearer {key}|{question}"
            hits += made.said == "hit"
            done += 1
            if done % 1_000 == 0:
                print(f"\rrequest {done:,} of {requests:,}", end="", file=sys.stderr)

    await asyncio.gather(*(client() for _ in range(TOGETHER)))
    print("\r", end="", file=sys.stderr)
    return crossed, hits / requests


async def measure(models: str, folder: Path, rounds: int, requests: int) -> None:
    """Measure and report."""
    proxies = Proxies(models, folder)
    proxies.start(0)
    proxies.start(1)
    one, two = (each.address for each in proxies.at)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60.0)) as http:
            times = await latency(http, models, one)
            sight = await seen(http, one, two)
            old = await race(http, models, proxies, rounds)
            await send(http, "POST", f"{models}/set", {"version": "0", "hold_s": 0.0})
            crossed, hits = await crossing(http, [each.address for each in proxies.at], requests)
    finally:
        proxies.close()
    p50 = {kind: statistics.median(found) for kind, found in times.items()}
    rows: list[tuple[object, ...]] = [(kind, p50[kind], percentile(found, 95)) for kind, found in times.items()]
    for kind, found in sight.items():
        rows.append((f"seen by another: {kind}", statistics.median(found), percentile(found, 99)))
    rows += [("old answers in the race", old, rounds), ("answers that crossed", crossed, requests)]
    over, slowest = p50["miss"] - p50["direct"], max(percentile(found, 99) for found in sight.values())
    goals = [
        Goal("added to a miss, p50", over, "ms", "<= 1", met=over <= 1.0),
        Goal("a hit, p50", p50["hit"], "ms", "<= 1.5", met=p50["hit"] <= 1.5),
        Goal("another process sees it, p99", slowest, "ms", "<= 100", met=slowest <= 100.0),
        Goal(f"old answers in {rounds:,} rounds", old, "", "0", met=old == 0),
        Goal(f"answers of {requests:,} that crossed", crossed, "", "0", met=crossed == 0),
    ]
    figures = {"miss_over_ms": over, "hit_ms": p50["hit"], "direct_ms": p50["direct"], "seen_p99_ms": slowest,
               "old": float(old), "crossed": float(crossed), "hits": hits}  # fmt: skip
    report("proxy", ("what", "p50 or count", "p95, p99 or of"), rows, figures=figures, goals=goals)


def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of the race")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="requests with many credentials")
    given = parser.parse_args()
    with model_server() as models, tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(models, Path(folder), given.rounds, given.requests))


if __name__ == "__main__":
    main()
