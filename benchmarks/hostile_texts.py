"""Does a hostile text hold up the others? Such texts go to the chat, while another process asks for ``/healthz``.

Half of the texts repeat one piece up to the longest message that is taken, and half mix digits, signs and the words
that the assistant's patterns look for. The slowest are the figures: the server has one event loop, so whatever takes
long there makes everybody wait. One text in ten comes with a conversation of such texts, which is read again, in a
thread; those are counted apart, and have no goal.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from multiprocessing.synchronize import Event
from random import Random

import _hostile
from _report import Goal, percentile, report
from _shop import Client, prepare, serving

from retail_assistant.http.chat_routes import MAX_MESSAGE, PATH

TEXT_MS, HEALTH_MS = 100.0, 50.0
EARLIER, ONE_IN, EARLIER_LENGTH = 3, 10, 2_000
"""How many questions a conversation has, of how many texts one has a conversation, and how long its texts are."""
AFTER = " after a conversation"
PAUSE_S = 0.005
READERS = ("parbake_semantic", "retail_assistant.understand", "retail_assistant.answers", "retail_assistant.chat")
Conversation = list[dict[str, str]]


def conversations(random: Random) -> Iterator[tuple[str, Conversation]]:
    """Yield hostile messages without end, each with the name of what it is made of."""
    words = _hostile.words_of(_hostile.patterns(*READERS))
    pieces = [piece for piece in _hostile.PIECES if piece.strip()]  # a message of blanks is refused

    def text(length: int = MAX_MESSAGE) -> tuple[str, str]:
        piece = random.choice(pieces)
        if random.random() < 0.5:  # half of them
            return repr(piece), _hostile.repeated(piece, length)
        return "a mixture", _hostile.mixed(random, words, length)

    while True:
        name, last = text()
        earlier: Conversation = []
        if random.randrange(ONE_IN) == 0:
            for _ in range(EARLIER):
                earlier += [{"role": role, "content": text(EARLIER_LENGTH)[1]} for role in ("user", "assistant")]
            name = f"{name}{AFTER}"
        yield name, [*earlier, {"role": "user", "content": last}]


def probe(address: str, ended: Event, found: multiprocessing.Queue[list[float]]) -> None:
    """Ask for ``/healthz`` again and again until the event is set, and put how long each took, in seconds."""
    took: list[float] = []
    with contextlib.closing(Client(address)) as client:
        while not ended.is_set():
            began = time.perf_counter()
            client.get("/healthz")
            took.append(time.perf_counter() - began)
            time.sleep(PAUSE_S)
    found.put(took)


def send(address: str, texts: Sequence[tuple[str, Conversation]]) -> list[tuple[float, str]]:
    """Send texts, one after the other; how long each took, in seconds, and what it was."""
    took: list[tuple[float, str]] = []
    with contextlib.closing(Client(address)) as client:
        for name, messages in texts:
            body = {"messages": messages, "user": "u00012"}
            began = time.perf_counter()
            client.send("POST", PATH, body)
            took.append((time.perf_counter() - began, name))
    return took


def measure(address: str, texts: Sequence[tuple[str, Conversation]]) -> tuple[list[tuple[float, str]], list[float]]:
    """Send the texts while another process probes; how long each text and each probe took."""
    with contextlib.closing(Client(address)) as client:
        while not client.get("/readyz"):
            time.sleep(0.1)
    start = multiprocessing.get_context("spawn")
    ended, found = start.Event(), start.Queue()
    prober = start.Process(target=probe, args=(address, ended, found))
    prober.start()
    try:
        took = send(address, texts)
    finally:
        ended.set()
        waited = found.get(timeout=60)
        prober.join()
    return took, waited


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=10_000, help="how many texts (10000)")
    parser.add_argument("--seed", type=int, default=1, help="which texts (1)")
    parser.add_argument("--home", help="a prepared data folder; a new shop is prepared by default")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = options.home
        if home is None:
            home = stack.enter_context(tempfile.TemporaryDirectory())
            prepare(home)
        texts = list(islice(conversations(Random(options.seed)), options.texts))
        _, address = stack.enter_context(serving(home))
        took, waited = measure(address, texts)
    _report(took, waited)


def _report(took: Sequence[tuple[float, str]], waited: Sequence[float]) -> None:
    alone = [each for each, name in took if not name.endswith(AFTER)]
    after = [each for each, name in took if name.endswith(AFTER)]
    slowest, health = max(alone) * 1e3, max(waited) * 1e3
    report(
        "hostile_texts",
        ("what", "count", "p50 ms", "p99 ms", "slowest ms"),
        [
            ("a hostile text", len(alone), *_spread(alone)),
            ("one after a conversation of such texts", len(after), *_spread(after)),
            ("GET /healthz beside them", len(waited), *_spread(waited)),
            *((f"slowest: {name}", 1, *_spread([each])) for each, name in sorted(took, reverse=True)[:5]),
        ],
        figures={
            "text_p50_ms": percentile(alone, 50) * 1e3,
            "text_slowest_ms": slowest,
            "conversation_slowest_ms": max(after, default=0.0) * 1e3,
            "healthz_p99_ms": percentile(waited, 99) * 1e3,
            "healthz_slowest_ms": health,
        },
        goals=[
            Goal("slowest text", slowest, "ms", f"<= {TEXT_MS:g}", met=slowest <= TEXT_MS),
            Goal("slowest /healthz", health, "ms", f"<= {HEALTH_MS:g}", met=health <= HEALTH_MS),
        ],
    )


def _spread(seconds: Sequence[float]) -> tuple[float, float, float]:
    """p50, p99 and the slowest, in milliseconds."""
    return (percentile(seconds, 50) * 1e3, percentile(seconds, 99) * 1e3, max(seconds) * 1e3) if seconds else (0, 0, 0)


if __name__ == "__main__":
    main()
