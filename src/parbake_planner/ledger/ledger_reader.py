"""Reads a ledger: reads per key, usage by the hour, and requests to generators. All of it blocks."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from parbake.errors import StoreError, StoreUnreachable
from parbake.ports.clock import Clock
from parbake.values.redaction import one_line
from parbake_planner.ledger.database import Connection, LedgerDatabase
from parbake_planner.ledger.rows import PromptRequest

_log = logging.getLogger("parbake_planner.ledger")
_LANE_S = 2.0
"""Seconds for which a lane waits for the ledger, which it can do without."""
_SERVES = "CAST(SUM(count) AS BIGINT)"


class LedgerReader:
    """Reads one ledger.

    Attributes:
        database: Where it is kept.
    """

    def __init__(self, database: LedgerDatabase, clock: Clock) -> None:
        """Read ``database``, as of the time that ``clock`` shows."""
        self.database, self._clock = database, clock
        self._using = threading.Lock()
        self._troubles: dict[str, str] = {}
        self._away_until, self._why_away = float("-inf"), ""

    def prompts(self, prefix: str, generator: str, *, days: int) -> list[PromptRequest]:
        """The requests of the last days with a prefix, to one generator, ordered by time; blocking.

        Args:
            prefix: The prefix's task.
            generator: The generator's name.
            days: How far to look back.
        """
        since = self._clock.now() - days * 86_400
        statement = "SELECT * FROM prompts WHERE prefix = ? AND generator = ? AND ts >= ? ORDER BY ts, rowid"
        rows, size = self._read(statement, (prefix, generator, since)), len(PromptRequest._fields)
        return [PromptRequest(*row[:size]) for row in rows]  # behind them PostgreSQL has the number of the row

    def heat(self, task: str, *, minutes: int = 60) -> dict[bytes, int]:
        """Count the serves of each key of a task in the last minutes; blocking. Empty if nothing is recorded."""
        since = int(self._clock.now() // 60) - minutes
        statement = f"SELECT key, {_SERVES} FROM serves WHERE task = ? AND minute >= ? GROUP BY key ORDER BY key"  # noqa: S608 - of ours
        return dict(self._read_or_nothing(statement, (task, since)))

    def requests(self, task: str, *, days: int) -> list[tuple[int, bytes, int]]:
        """Rows of (minute since the epoch, key, count) for the last days, ordered by time; blocking."""
        since = int(self._clock.now() // 60) - days * 1440
        statement = "SELECT minute, key, count FROM serves WHERE task = ? AND minute >= ? ORDER BY minute, key"
        return self._read(statement, (task, since))

    def traffic(self, *, days: int) -> dict[int, int]:
        """Count the requests of all tasks in each minute of the last ``days`` days; blocking.

        The keys are minutes since the epoch. Minutes without a request are absent.
        """
        since = int(self._clock.now() // 60) - days * 1440
        statement = f"SELECT minute, {_SERVES} FROM serves WHERE minute >= ? GROUP BY minute ORDER BY minute"  # noqa: S608 - of ours
        return dict(self._read_or_nothing(statement, (since,)))

    def hourly(self, *, since: float = 0.0) -> list[tuple[Any, ...]]:
        """Sum usage by hour, kind, task, lane and model, from the hour of ``since`` (epoch seconds) on; blocking.

        Events are left out, because they have no task.

        Returns:
            Rows of (hour since the epoch, kind, task, lane, model, calls, seconds, cpu_s, rows, bytes), followed by the
            :data:`~parbake_planner.ledger.rows.TOKEN_KINDS`.
        """
        statement = "SELECT * FROM hourly WHERE hour >= ? ORDER BY hour, kind, task, lane, model"
        return self._read(statement, (int(since // 3600),))

    def serves(self, *, since: float = 0.0) -> dict[str, int]:
        """Count the serves of each task, from the whole hour of ``since`` (epoch seconds) on; blocking."""
        statement = f"SELECT task, {_SERVES} FROM serves WHERE minute >= ? GROUP BY task ORDER BY task"  # noqa: S608 - of ours
        return dict(self._read(statement, (int(since // 3600) * 60,)))

    def keys_in_a_span(self, lengths: Mapping[str, float], *, since: float) -> dict[str, int]:
        """Count how many keys of each task were read in the fullest span of time, from an hour on; blocking.

        Args:
            lengths: The length of a span by task, in seconds; other tasks are left out.
            since: Begin, in epoch seconds; the whole hour counts.
        """
        minutes = [(task, max(1, int(length_s // 60))) for task, length_s in sorted(lengths.items())]
        if not minutes:
            return {}
        cases = " ".join("WHEN ? THEN minute / ?" for _ in minutes)
        statement = (
            "SELECT task, MAX(keys) FROM (SELECT task, span, COUNT(*) AS keys FROM (SELECT DISTINCT task, key, "  # noqa: S608 - of ours
            f"CASE task {cases} END AS span FROM serves WHERE minute >= ?) AS found "
            "WHERE span IS NOT NULL GROUP BY task, span) AS spans GROUP BY task"
        )
        parameters = [word for pair in minutes for word in pair]
        return dict(self._read(statement, (*parameters, int(since // 3600) * 60)))

    def runs(self, *, since: float) -> dict[str, int]:
        """Count the batch runs of each task, from the whole hour of ``since`` (epoch seconds) on; blocking."""
        statement = "SELECT task, COUNT(*) FROM spending WHERE outcome = 'promoted' AND ts >= ? GROUP BY task"
        return dict(self._read(statement, (since // 3600 * 3600,)))

    def by_the_hour(self, task: str, *, since: float) -> list[tuple[int, int, int]]:
        """Rows of (hour since the epoch, serves, serves that had to be computed first) for a task; blocking."""
        served = dict(
            self._read(
                f"SELECT minute / 60, {_SERVES} FROM serves WHERE task = ? AND minute >= ? GROUP BY minute / 60",  # noqa: S608 - of ours
                (task, int(since // 3600) * 60),
            )
        )
        statement = (
            "SELECT hour, CAST(SUM(calls) AS BIGINT) FROM hourly "
            "WHERE task = ? AND kind IN ('miss', 'expire') AND hour >= ? GROUP BY hour"
        )
        missed = dict(self._read(statement, (task, int(since // 3600))))
        return [(hour, count, min(count, missed.get(hour, 0))) for hour, count in sorted(served.items())]

    def pace(self, *, since: float) -> list[tuple[int, int, int, float]]:
        """Rows of (hour, whether a batch run was active, seconds with requests, mean of their p95 in seconds).

        Blocking.
        """
        statement = "SELECT hour, batch, samples, seconds / samples FROM pace WHERE hour >= ? ORDER BY hour, batch"
        return self._read(statement, (int(since // 3600),))

    def _read(self, statement: str, parameters: tuple[Any, ...] = (), *, timeout_s: float = 10.0) -> list[Any]:
        """Run a query. Raises :class:`StoreError` if it fails, so that an error is not mistaken for an empty result."""
        with self.connected(timeout_s=timeout_s) as connection:
            return connection.execute(statement, parameters).fetchall()

    @contextlib.contextmanager
    def connected(self, *, timeout_s: float = 10.0) -> Iterator[Connection]:
        """Open a connection that no child process inherits; blocking. The driver's errors become :class:`StoreError`.

        Args:
            timeout_s: For how many seconds to wait for the database, and for the ledger's thread.
        """
        if not self._using.acquire(timeout=timeout_s):
            raise StoreError(f"the ledger {self.database.name} does not answer its writer; try again", field="ledger")
        try:
            with contextlib.closing(self._connect(timeout_s=timeout_s)) as connection:
                yield connection
        except self.database.errors as error:
            why = f"the ledger {self.database.name} cannot be used ({one_line(error)})"
            raise StoreError(why, field="ledger") from error
        finally:
            self._using.release()

    def _connect(self, *, timeout_s: float, is_new: bool = False) -> Connection:
        """Connect, unless that failed a moment ago: who waits for a host that is away holds up the others."""
        if time.monotonic() < self._away_until:
            raise StoreUnreachable(self._why_away, field="ledger")
        try:
            return self.database.connect(timeout_s=timeout_s, is_new=is_new)
        except self.database.errors as error:
            self._away_until = time.monotonic() + self.database.pause_s
            self._why_away = str(self.database.refused(error))
            raise

    def _read_or_nothing(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            found = self._read(statement, parameters, timeout_s=_LANE_S)
        except StoreError as error:
            self._report("read", str(error))
            return []
        self._report("read")
        return found

    def _report(self, doing: str, trouble: str = "") -> None:
        """Log that something has begun to fail or works again, but not each failure."""
        before, self._troubles[doing] = self._troubles.get(doing, ""), trouble
        if trouble and not before:
            _log.error("%s; until it can be %s again, rows wait and the lanes continue without it", trouble, doing)
        elif before and not trouble:
            _log.warning("the ledger %s is %s again", self.database.name, doing)
