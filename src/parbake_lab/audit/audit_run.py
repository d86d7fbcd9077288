"""Makes one change after the other, and after each acknowledgement reads every server until all show it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import msgspec

from parbake.values.backoff import Backoff
from parbake_lab.audit.audit_client import Client, NotAcceptedError
from parbake_lab.audit.read_judge import AuditRead, AuditTally, Expectation, checked, judge

Write = Callable[[int], Any]
Progress = Callable[[int, int], None]
BACKOFF = Backoff(0.002, 0.1)


class AuditLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The number of changes, changes per second, seconds until a server must show a change, and seconds in total."""

    count: int = 1000
    rate: float = 20.0
    patience_s: float = 5.0
    timeout_s: float = 300.0
    allow_degraded: bool = False


async def audit(
    clients: Sequence[Client], write: Write, limits: AuditLimits, *, progress: Progress | None = None
) -> AuditTally:
    """Write and read until the number of changes is reached or the time is up. Errors of a write are raised.

    Args:
        clients: The servers.
        write: Makes a change, and returns what reads must show.
        limits: How much to do.
        progress: Called with the changes done and their total.
    """
    with ThreadPoolExecutor(len(clients) + 1, "parbake-audit") as threads:
        run = _Run(clients, limits, threads)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.timeout_s):
                await run.changes(write, progress)
    return run.tally


class _Run:
    """One running audit."""

    def __init__(self, clients: Sequence[Client], limits: AuditLimits, threads: Executor) -> None:
        self._clients, self._limits, self._threads = clients, limits, threads
        self.tally = AuditTally()
        self._is_refused = False

    async def changes(self, write: Write, progress: Progress | None) -> None:
        """Make one change after the other, and follow each until every server shows it."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for n in range(self._limits.count):
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(due, loop.time()) + 1 / self._limits.rate
            try:
                expected = checked(await loop.run_in_executor(self._threads, write, n))
            except NotAcceptedError as error:
                self.tally.refusals[str(error)] += 1
                self._is_refused = self._is_refused or error.is_refusal
            else:
                acked = time.monotonic()
                self.tally.changes += 1
                await asyncio.gather(*(self._follow(client, expected, acked) for client in self._clients))
            if progress:
                progress(n + 1, self._limits.count)
            if self._is_refused and not self.tally.answered:
                return  # it would be refused again: the token, the task or the address is wrong

    async def _follow(self, client: Client, expected: list[Expectation], acked: float) -> None:
        """Read one server until it shows everything that is expected."""
        left, attempt = list(expected), 0
        while left:
            read = await self._read(client, left[0], acked)
            self.tally.add(read)
            if read.outcome == "fresh":
                self.tally.fresh_s.append(read.ended_s)
                left.pop(0)
                continue
            if read.ended_s > self._limits.patience_s or (self._is_refused and not self.tally.answered):
                self.tally.never_fresh += len(left)
                return
            await asyncio.sleep(BACKOFF.pause_s(attempt))
            attempt += 1

    async def _read(self, client: Client, one: Expectation, acked: float) -> AuditRead:
        loop, began = asyncio.get_running_loop(), time.monotonic()
        answer = await loop.run_in_executor(self._threads, client.serve, one.task, one.key)
        ended = time.monotonic()
        self._is_refused = self._is_refused or answer.is_refusal
        outcome, seen = judge(one, answer, allow_degraded=self._limits.allow_degraded)
        return AuditRead(client.url, began - acked, ended - acked, outcome, one.told, seen)
