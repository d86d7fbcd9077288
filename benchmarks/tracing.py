"""What tracing costs serving, with the plugin OpenTelemetry and the real SDK.

cost    two servers over one store, one with the plugin and one without; the CPU time that each needs for a request for
        a stored value, in short rounds that alternate. CPU time and not the rate, because other programs of the machine
        change it less; a server that answers one request after the other is as fast as its CPU time allows
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from _http_load import CONNECTIONS, answer_of, posted
from _report import Goal, report
from _server import Running, cpu_s, running
from _tracing_app import APP, KEYS

HERE = Path(__file__).parent
MOST_COST = 0.05
SAMPLED = {"1 %": (0.01, ""), "1 % by the SDK": (0.01, "1"), "all": (1.0, "")}
"""The share of the requests that is sampled, and whether the sampler of the SDK chooses them."""


def cpu_us(server: Running, seconds: float) -> float:
    """The CPU microseconds of a request, over some seconds."""
    before = cpu_s(server.pid)
    done = asyncio.run(answers(server.port, seconds))
    return (cpu_s(server.pid) - before) / done * 1e6


async def answers(port: int, seconds: float) -> int:
    """How many requests a few connections get answered; one that is turned away on a busy machine does not count."""
    numbers, until = itertools.count(), time.perf_counter() + seconds

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        done = 0
        while time.perf_counter() < until:
            writer.write(posted("/v1/serve/page", {"key": next(numbers) * 7919 % KEYS}))
            status, _ = await answer_of(reader)
            done += status == HTTPStatus.OK
        writer.close()
        return done

    return sum(await asyncio.gather(*(one() for _ in range(CONNECTIONS))))


@contextlib.contextmanager
def served(folder: str, *, share: float | None, by_sdk: str = "") -> Iterator[Running]:
    """Run a server on the first core, which samples a share of the requests or has no plugin."""
    own = {
        "TRACING_FOLDER": folder, "TRACING_IS_ON": "" if share is None else "1", "TRACING_SHARE": str(share or 0),
        "TRACING_BY_SDK": by_sdk,
    }  # fmt: skip
    with running(APP, environment={**os.environ, **own}, folder=HERE, core=0) as server:
        yield server


def pairs_of(traced: Running, plain: Running, rounds: int, seconds: float) -> list[tuple[float, float]]:
    """The CPU time of both servers in each round; the one that begins alternates."""
    found = []
    for number in range(rounds):
        both = {server: cpu_us(server, seconds) for server in ((traced, plain) if number % 2 else (plain, traced))}
        found.append((both[traced], both[plain]))
    return found


def cost_of(pairs: list[tuple[float, float]]) -> float:
    """The share that is added: the median over the pairs."""
    return statistics.median(one / other for one, other in pairs) - 1


def main() -> None:
    """Measure it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=20, help="pairs of rounds")
    arguments.add_argument("--seconds", type=float, default=3.0, help="how long a round lasts")
    asked = arguments.parse_args()
    os.sched_setaffinity(0, {1})  # the servers have the other core
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, served(folder, share=None) as plain:
        cpu_us(plain, 8.0)  # every value is computed and stored
        for name, (share, by_sdk) in SAMPLED.items():
            with served(folder, share=share, by_sdk=by_sdk) as traced:
                cpu_us(traced, 2.0)
                found[name] = pairs_of(traced, plain, asked.rounds, asked.seconds)
    costs = {name: cost_of(pairs) for name, pairs in found.items()}
    medians = {name: [statistics.median(of) for of in zip(*pairs, strict=True)] for name, pairs in found.items()}
    cost = costs["1 %"]
    report(
        "tracing",
        ["sampled", "CPU of a request with the plugin, us", "without, us", "cost"],
        [(name, *medians[name], f"{costs[name]:.1%}") for name in found],
        figures={
            "cost": cost,
            "cost_by_sdk": costs["1 % by the SDK"],
            "cost_all": costs["all"],
            "request_us": medians["1 %"][1],
        },
        goals=[Goal("cost, 1 % of requests sampled", cost, "of the CPU time", f"<= {MOST_COST}", cost <= MOST_COST)],
    )


if __name__ == "__main__":
    main()
