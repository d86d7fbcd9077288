"""FAQ hits over HTTP: wordings nobody logged, and known ones; no memory of embeddings, one thread; beside bare replies.

The server is the product's own, with the generated shop prepared once in a temporary folder. Every question is embedded
anew, in int8 unless ``ENCODER=float32``. Beside it, in the same run, ``GET /healthz`` on the same connection: what the
HTTP stack itself takes.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable

from _report import Goal, percentile, report
from _server import cpu_s
from _shop import Client, prepare, serving

from retail_assistant.settings import from_environment

ROUNDS, WARM = 30, 5
HIT_MS, REST_MS, EXACT_MS = 6.0, 2.0, 0.7
KNOWN = "what is the return window"
OPENINGS = ("How many days do I have", "How long do I have", "Until which day am I able", "By what day do I need")
ENDINGS = (
    "to send a book back?",
    "to return a manga I bought?",
    "to give back an unread novel?",
    "to return something after delivery?",
    "to bring a parcel back to you?",
)


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as home:
        prepare(home)
        with serving(home) as (pid, address), contextlib.closing(Client(address)) as client:
            found = measure(client, pid)
    encoder = found["the encoder alone"][0]
    hit, exact = found["FAQ hit, unseen wording"][0], found["FAQ hit, known wording"][0]
    report(
        "chat",
        ("what", "p50 ms", "p99 ms", "requests per CPU-second"),
        [(name, *figures) for name, figures in found.items()],
        figures={name.replace(" ", "_").replace(",", ""): figures[0] for name, figures in found.items()},
        goals=[
            at_most("FAQ hit with embedding, one thread, p50", hit, HIT_MS),
            at_most("the same without the encoder, p50", hit - encoder, REST_MS),
            at_most("exact repeat, p50", exact, EXACT_MS),
        ],
    )


def is_hit(client: Client, question: str) -> bool:
    """Ask; whether the bank answered."""
    return client.ask(question)[1]["faq"] is not None


def capitalised(question: str, number: int) -> str:
    """The question with other words in capitals for each number, so that no message has been read before."""
    words = question.split()
    return " ".join(word.upper() if number >> place & 1 else word for place, word in enumerate(words))


def at_most(what: str, value: float, most: float) -> Goal:
    """A goal from above, in milliseconds."""
    return Goal(what, value, "ms", f"<= {most:g}", met=value <= most)


def measure(client: Client, pid: int) -> dict[str, tuple[float, float, float]]:
    """Hits on unseen and on known wordings, bare replies, and the encoder in this process, in turn."""
    unseen = [f"{o} {e}" for o in OPENINGS for e in ENDINGS]
    encoder = from_environment().embedder(threads=1)
    asked = itertools.count()
    ways: dict[str, Callable[[str], bool]] = {
        "FAQ hit, unseen wording": lambda question: is_hit(client, capitalised(question, next(asked))),
        "FAQ hit, known wording": lambda _: is_hit(client, KNOWN),
        "GET /healthz": lambda _: client.get("/healthz"),
        "the encoder alone": lambda question: bool(len(encoder.embed([question]))),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    spent = dict.fromkeys(ways, 0.0)
    for n in range(WARM + ROUNDS):
        for name, way in ways.items():
            before, took = cpu_s(pid), []
            for question in unseen:
                began = time.perf_counter()
                hit = way(question)
                took.append(time.perf_counter() - began if hit else 0.0)
            if n >= WARM:
                spent[name] += cpu_s(pid) - before
                times[name] += [seconds for seconds in took if seconds]
    return {name: row(times[name], spent[name], ROUNDS * len(unseen)) for name in ways}


def row(times: list[float], spent: float, asked: int) -> tuple[float, float, float]:
    """p50 and p99 in milliseconds, and requests per CPU-second of the server."""
    if not times:
        raise SystemExit("no question was answered from the bank: nothing to measure")
    return percentile(times, 50) * 1e3, percentile(times, 99) * 1e3, asked / spent if spent else 0.0


if __name__ == "__main__":
    main()
