"""What does a provider that hangs cost? A server asks a hosted model that sends nothing, and shoppers go on asking.

Nobody's bank or rule knows the question, so each would be sent to the model. What is not sent is answered by the rules.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from _answers.shop import prepared
from _report import Goal, percentile, report
from _shop import Client, serving

from parbake_llm.testing import ProviderBox

QUESTION = "Tell me something about that, would you?"
HANGS_S = 60.0
MOST_SENT, MOST_MS = 3, 50.0


def ask(address: str, at: float, times: list[tuple[float, float]]) -> None:
    """Ask once, and note when that was and how long it took, in milliseconds."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": QUESTION}]}
    with contextlib.closing(Client(address)) as client:
        started = time.perf_counter()
        client.send("POST", "/v1/chat/completions", body)
        times.append((at, (time.perf_counter() - started) * 1e3))


def measure(box: ProviderBox, address: str, rate: float, seconds: float) -> tuple[int, list[float]]:
    """Ask at a steady rate; return how many requests the provider got, and the times of the others."""
    times: list[tuple[float, float]] = []
    asking = [threading.Thread(target=ask, args=(address, n / rate, times)) for n in range(int(rate * seconds))]
    before = len(box.requests)
    for thread in asking:
        thread.start()
        time.sleep(1 / rate)
    for thread in asking:
        thread.join()
    sent = len(box.requests) - before
    return sent, sorted(ms for _, ms in times)[: len(times) - sent]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long shoppers ask (15)")
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 5.0], help="requests a second (1 and 5)")
    options = parser.parse_args()
    rows: list[list[object]] = []
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as home, ProviderBox() as box:
        prepared(Path(home))
        box.slow_s = HANGS_S
        settings = {"OPENAI_API_KEY": box.key, "OPENAI_BASE_URL": box.openai_url, "OPENAI_MODEL": "slow"}
        for rate in options.rates:
            with serving(home, LLM="openai", **settings) as (_, address):
                time.sleep(3.0)  # what a start loads meanwhile is not what is measured
                sent, others = measure(box, address, rate, options.seconds)
            p50, p99 = percentile(others, 50), percentile(others, 99)
            rows.append([rate, int(rate * options.seconds), sent, p50, p99])
            figures |= {f"sent_at_{rate:g}": float(sent), f"others_p50_ms_at_{rate:g}": p50}
    slowest = min(options.rates)
    sent, ms = figures[f"sent_at_{slowest:g}"], figures[f"others_p50_ms_at_{slowest:g}"]
    goals = [
        Goal("requests sent to the provider that hangs", sent, "", f"<= {MOST_SENT}", sent <= MOST_SENT),
        Goal("a reply to the others, p50", ms, "ms", f"<= {MOST_MS:.0f}", ms <= MOST_MS),
    ]
    columns = ["requests a second", "asked", "sent to the provider", "others p50 ms", "others p99 ms"]
    report("hanging", columns, rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
