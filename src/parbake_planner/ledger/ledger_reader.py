"""Reads the ledger's SQLite file: reads per key, usage by the hour, and requests to generators. All of it blocks."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parbake.errors import StoreError
from parbake.ports.clock import Clock
from parbake_planner.ledger.rows import PromptRequest

_log = logging.getLogger("parbake_planner.ledger")


class LedgerReader:
    """Reads one ledger's file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Read ``path``, as of the time that ``clock`` shows."""
        self._path, self._clock = path, clock
        self._using = threading.Lock()

    def prompts(self, prefix: str, generator: str, *, days: int) -> list[PromptRequest]:
        """The requests of the last days with a prefix, to one generator, ordered by time; blocking.

        Args:
            prefix: The prefix's task.
            generator: The generator's name.
            days: How far to look back.
        """
        since = self._clock.now() - days * 86_400
        statement = "SELECT * FROM prompts WHERE prefix = ? AND generator = ? AND ts >= ? ORDER BY ts"
        return [PromptRequest(*row) for row in self._read(statement, (prefix, generator, since))]

    def heat(self, task: str, *, minutes: int = 60) -> dict[bytes, int]:
        """Count the serves of each key of a task in the last minutes; blocking. Empty if nothing is recorded."""
        since = int(self._clock.now() // 60) - minutes
        statement = "SELECT key, SUM(count) FROM serves WHERE task = ? AND minute >= ? GROUP BY key"
        return dict(self._read_or_nothing(statement, (task, since)))

    def requests(self, task: str, *, days: int) -> list[tuple[int, bytes, int]]:
        """Rows of (minute since the epoch, key, count) for the last days, ordered by time; blocking."""
        since = int(self._clock.now() // 60) - days * 1440
        statement = "SELECT minute, key, count FROM serves WHERE task = ? AND minute >= ? ORDER BY minute"
        return self._read(statement, (task, since))

    def traffic(self, *, days: int) -> dict[int, int]:
        """Count the requests of all tasks in each minute of the last ``days`` days; blocking.

        The keys are minutes since the epoch. Minutes without a request are absent.
        """
        since = int(self._clock.now() // 60) - days * 1440
        statement = "SELECT minute, SUM(count) FROM serves WHERE minute >= ? GROUP BY minute"
        return dict(self._read_or_nothing(statement, (since,)))

    def hourly(self, *, since: float = 0.0) -> list[tuple[Any, ...]]:
        """Sum usage by hour, kind, task, lane and model, from the hour of ``since`` (epoch seconds) on; blocking.

        Events are left out, because they have no task.

        Returns:
            Rows of (hour since the epoch, kind, task, lane, model, calls, seconds, cpu_s, rows, bytes), followed by the
            :data:`~parbake_planner.ledger.rows.TOKEN_KINDS`.
        """
        statement = "SELECT * FROM hourly WHERE hour >= ? ORDER BY hour"
        return self._read(statement, (int(since // 3600),))

    def serves(self, *, since: float = 0.0) -> dict[str, int]:
        """Count the serves of each task, from the whole hour of ``since`` (epoch seconds) on; blocking."""
        statement = "SELECT task, SUM(count) FROM serves WHERE minute >= ? GROUP BY task"
        return dict(self._read(statement, (int(since // 3600) * 60,)))

    def runs(self, *, since: float) -> dict[str, int]:
        """Count the batch runs of each task, from the whole hour of ``since`` (epoch seconds) on; blocking."""
        statement = "SELECT task, COUNT(*) FROM spending WHERE outcome = 'promoted' AND ts >= ? GROUP BY task"
        return dict(self._read(statement, (since // 3600 * 3600,)))

    def by_the_hour(self, task: str, *, since: float) -> list[tuple[int, int, int]]:
        """Rows of (hour since the epoch, serves, serves that had to be computed first) for a task; blocking."""
        served = dict(
            self._read(
                "SELECT minute / 60, SUM(count) FROM serves WHERE task = ? AND minute >= ? GROUP BY minute / 60",
                (task, int(since // 3600) * 60),
            )
        )
        statement = (
            "SELECT hour, SUM(calls) FROM hourly WHERE task = ? AND kind IN ('miss', 'expire') AND hour >= ? "
            "GROUP BY hour"
        )
        missed = dict(self._read(statement, (task, int(since // 3600))))
        return [(hour, count, min(count, missed.get(hour, 0))) for hour, count in sorted(served.items())]

    def pace(self, *, since: float) -> list[tuple[int, int, int, float]]:
        """Rows of (hour, whether a batch run was active, seconds with requests, mean of their p95 in seconds).

        Blocking.
        """
        statement = "SELECT hour, batch, samples, seconds / samples FROM pace WHERE hour >= ? ORDER BY hour"
        return self._read(statement, (int(since // 3600),))

    def _read(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Run a query. Raises :class:`StoreError` if it fails, so that an error is not mistaken for an empty result."""
        with self.connected() as connection:
            return connection.execute(statement, parameters).fetchall()

    @contextlib.contextmanager
    def connected(self, *, timeout_s: float = 10.0) -> Iterator[sqlite3.Connection]:
        """Open a connection that no child process inherits; blocking. SQLite's errors become :class:`StoreError`."""
        try:
            place = f"{self._path.resolve().as_uri()}?mode=rw"  # must not create the file
            with self._using, contextlib.closing(sqlite3.connect(place, uri=True, timeout=timeout_s)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise StoreError(f"the ledger {self._path} cannot be used ({error})", field="ledger") from error

    def _read_or_nothing(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            return self._read(statement, parameters)
        except StoreError as error:
            _log.error("%s; the batch and event lanes continue without the ledger", error)
            return []
