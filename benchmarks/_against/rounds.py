"""Rounds of sides in turn: processes of all sides live at the same time, and are measured one right after another."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _against.sides import CACHE, Side

POSTED = {"serve": 100, "chat_turn": 1}
"""The figures that a server is asked for, and how many requests one after the other make a value."""
Found = dict[str, dict[str, list[float]]]
"""Figures by side and name; those at the same place were measured right after another."""


class Running:
    """One side's process of one kind."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """It has only been started."""
        self._process = process

    def wait(self) -> None:
        """Until it is ready."""
        self._said = self._hear()
        self._bodies = itertools.cycle(self._said.get("bodies", ()))
        key = self._said.get("key")
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._connection = http.client.HTTPConnection("127.0.0.1", self._said.get("port"), timeout=30)

    def measure(self, figure: str) -> Mapping[str, float]:
        """The values of a figure, each by its unit or clock."""
        if figure == "memory":
            return {"mib": resident_mib(self._process.pid)}
        if figure in POSTED:
            return self._post(POSTED[figure])
        assert self._process.stdin is not None
        self._process.stdin.write(figure + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _post(self, count: int) -> dict[str, float]:
        """Microseconds of the server's CPU per request, and median ones until the answer, on one connection."""
        taken, before = [], cpu_ns(self._process.pid)
        for body in itertools.islice(self._bodies, count):
            raw, began = json.dumps(body), time.perf_counter_ns()
            self._connection.request("POST", self._said["path"], raw, self._headers)
            answer = self._connection.getresponse()
            content = answer.read()
            taken.append(time.perf_counter_ns() - began)
            if answer.status != http.HTTPStatus.OK:
                raise SystemExit(f"{body} was answered {answer.status}: {content[:300]!r}")
        spent = cpu_ns(self._process.pid) - before
        return {"cpu": spent / count / 1000, "wall": statistics.median(taken) / 1000}

    def close(self) -> None:
        """End the process: it does when its stdin is closed."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a side ended before it was done; its log is below {CACHE}: {self._process.args!r}")
        said: dict[str, Any] = json.loads(line)
        return said


@contextlib.contextmanager
def running(side: Side, kind: str) -> Iterator[Running]:
    """Run a kind of one side."""
    with side.started(kind) as process, contextlib.closing(Running(process)) as found:
        yield found


@dataclass(frozen=True)
class Part:
    """A kind of process, the figures of each block, and those of the last; the first ``warm`` blocks do not count.

    There are ``times`` as many rounds of it if what it measures depends on the process and its files. ``weight`` is its
    share of the time.
    """

    kind: str
    figures: Sequence[str]
    blocks: int
    warm: int = 1
    times: int = 1
    weight: int = 3
    last: Sequence[str] = ()


def play(part: Part, sides: Sequence[Side], found: Found, *, turn: int) -> None:
    """One round of fresh processes, in which blocks alternate between the sides."""
    with contextlib.ExitStack() as stack:
        started = {side.name: stack.enter_context(running(side, part.kind)) for side in rotated(sides, turn)}
        for one in started.values():
            one.wait()
        for block in range(-part.warm, part.blocks):
            for figure in (*part.figures, *(part.last if block == part.blocks - 1 else ())):
                for side in rotated(sides, turn + block):
                    for how, value in started[side.name].measure(figure).items():
                        if block >= 0:
                            found[side.name][f"{figure}_{how}"].append(value)


def rotated(sides: Sequence[Side], turn: int) -> list[Side]:
    """Another order each time, in which every side is as often before as after each other one."""
    at = turn // 2 % len(sides)
    turned = [*sides[at:], *sides[:at]]
    return turned[::-1] if turn % 2 else turned


def nothing_found() -> Found:
    """No figures yet."""
    return defaultdict(lambda: defaultdict(list))


def resident_mib(pid: int) -> float:
    """MiB of the resident sets of a process and of all below it."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    tree = [pid]
    for one in tree:
        tree += [child for child, parent in parents.items() if parent == one]
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in tree)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_ns(pid: int) -> int:
    """Nanoseconds of CPU of a process so far, all its threads together (``clock_getcpuclockid`` of Linux)."""
    return time.clock_gettime_ns((~pid << 3) | 2)
