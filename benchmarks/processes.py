"""Chats per CPU-second of the server: one process against two that accept from one socket.

Two servers over one prepared shop, one with a process and one with two, are asked in rounds that alternate, over four
connections. Only the CPU time of the server's own processes counts, so that the client on the same cores does not.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterator

from _report import Goal, report
from _server import cpu_s, running
from _shop import APP, Client, environment, prepare

ROUNDS, CHATS, CONNECTIONS, WARM = 7, 100, 4, 40
LEAST = 0.95
QUESTIONS = (
    "what is the return window",
    "Until which day am I able to send a book back?",
    "a fantasy novel under 12 euros",
    "is there anything like The Hobbit?",
    "how long does delivery take",
    "which offers are there this week",
)
"""Frequent questions, known and unseen, searches and recommendations."""


@contextlib.contextmanager
def served(home: str, count: int) -> Iterator[tuple[list[int], str]]:
    """Run a server with some processes; gives the numbers of the processes that answer, and the address."""
    with running(APP, "--processes", str(count), environment=environment(home)) as server:
        for _ in range(2 * count):
            with contextlib.closing(Client(server.address)) as client:
                client.wait()
        children = subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, text=True, check=False)
        yield [int(pid) for pid in children.stdout.split()] or [server.pid], server.address


def asked(address: str, chats: int, numbers: Iterator[int]) -> None:
    """Ask over several connections at once, each chat with its own wording."""

    def ask() -> None:
        with contextlib.closing(Client(address)) as client:
            for _ in range(chats // CONNECTIONS):
                number = next(numbers)
                client.ask(f"{QUESTIONS[number % len(QUESTIONS)]} {'?' * (number % 3)}")

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def a_second(pids: list[int], address: str, numbers: Iterator[int]) -> float:
    """Chats per CPU-second in one round."""
    before = sum(map(cpu_s, pids))
    asked(address, CHATS, numbers)
    return CHATS / (sum(map(cpu_s, pids)) - before)


def main() -> None:
    """Measure and report."""
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as home:
        prepare(home)
        with served(home, 1) as one, served(home, 2) as two:
            for pids, address in (one, two):
                asked(address, WARM * len(pids), numbers)
            rounds = [(a_second(*one, numbers), a_second(*two, numbers)) for _ in range(ROUNDS)]
    ratio = statistics.median(both / alone for alone, both in rounds)
    alone, both = (statistics.median(column) for column in zip(*rounds, strict=True))
    report(
        "processes",
        ("processes", "chats per CPU-second"),
        [("one", f"{alone:.1f}"), ("two", f"{both:.1f}")],
        figures={"one": alone, "two": both, "ratio": ratio},
        goals=[Goal("two processes against one", ratio, "x", f">= {LEAST}", met=ratio >= LEAST)],
    )


if __name__ == "__main__":
    main()
