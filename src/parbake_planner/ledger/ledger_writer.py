"""The ledger: what each computation, miss, expiry, event and token cost, in a database that a thread writes.

Serves are counted per task, key and minute; a row per serve would cost more than the serve. Nothing here is on the
request path: the hooks append to a queue, and the thread drains it twice a second. Rows are summed by the hour as they
arrive, so that only the newest rows have to be kept.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from parbake.errors import StoreError, StoreUnreachable
from parbake.lanes.batch.lane import Run
from parbake.ports.clock import Clock
from parbake.ports.usage import Usage
from parbake.process import forks
from parbake.process.counters import Counters
from parbake.protocol.cause import OVERDUE, Reason
from parbake_planner.ledger.database import Connection, database_at
from parbake_planner.ledger.ledger_reader import LedgerReader
from parbake_planner.ledger.rows import (
    MOST_HELD,
    PREFIX,
    SAVED,
    UNREPORTED,
    LedgerEntry,
    Pending,
    PromptRequest,
    trim,
    write,
)
from parbake_planner.ledger.schema import prepare
from parbake_planner.ledger.told import Numbers, Stated, Told

_FLUSH_S = 0.5
TRIM_EVERY, TRIM_AT = 1_000, 1
"""Number of flushes between two deletions of old rows; at the usual load, the same number of minutes."""
_log = logging.getLogger("parbake_planner.ledger")


class LedgerWriter(LedgerReader, forks.Forkable):
    """Records costs. It hears what :class:`parbake.ports.observers.Observers` says."""

    def __init__(self, address: Path | str, counters: Counters, clock: Clock) -> None:
        """Open a ledger, and start the thread that writes to it. A server that does not answer is waited for.

        Args:
            address: The path of a file or the URL of a database; see :class:`parbake_planner.Ledger`.
            counters: Has the serves by key.
            clock: The source of wall time.

        Raises:
            StoreError: The file or the database cannot be used, or holds something else.
        """
        super().__init__(database_at(address), clock)
        self._counters = counters
        self._noted: deque[Callable[[Pending], None]] = deque(maxlen=MOST_HELD)
        self._stop = threading.Event()
        self._asked = threading.Event()
        self._written = threading.Condition()
        self._pending, self._sent = Pending(), Pending()
        self._name, self._number = uuid.uuid4().hex, 0
        self._numbers = Numbers(self._name)
        self._flushes = 0
        self._is_written = True
        self._connection: Connection | None = None
        try:
            self._connection = self._open()
        except StoreUnreachable as error:
            self._report("written", str(error))
        counters.count_keys()
        forks.watch(self)
        self._thread = threading.Thread(target=self._work, name="parbake-ledger", daemon=True)
        self._thread.start()

    def before_fork(self) -> None:
        """Wait for readers and the writer, and disconnect, because a child must not inherit a connection."""
        self._using.acquire()
        self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Resume; the next rows connect again."""
        self._using.release()

    def computed(self, task: str, key: bytes, lane: str, seconds: float, *, outcome: str, cpu_s: float) -> None:
        """Record a computation.

        Args:
            task: The task's name.
            key: The encoded key.
            lane: The lane that computed.
            seconds: Duration, in seconds.
            outcome: How the computation ended.
            cpu_s: CPU seconds.
        """
        self._note("compute", task, key=hashed(key), lane=lane, outcome=outcome, seconds=seconds, cpu_s=cpu_s, rows=1)

    def spent(self, task: str, lane: str, model: str, usage: Usage) -> None:
        """Record the tokens of a generation, if the generator reported them.

        Args:
            task: The task's name.
            lane: The lane that computed.
            model: The generator's name.
            usage: The tokens.
        """
        self._note_tokens("tokens", task, lane, model, usage)

    def saved(self, task: str, lane: str, model: str, usage: Usage) -> None:
        """Record the tokens of an answer that was given again instead of being generated anew.

        Args:
            task: Who was asked.
            lane: The lane that it was asked in.
            model: The generator's name.
            usage: The tokens that the answer took when it was generated.
        """
        self._note_tokens(SAVED, task, lane, model, usage)

    def _note_tokens(self, kind: str, task: str, lane: str, model: str, usage: Usage) -> None:
        self._note(
            kind, task, lane=lane, model=model, input=usage.uncached or 0, output=usage.output or 0,
            cached=usage.cache_read or 0, written=usage.cache_write or 0,
            written_hour=usage.cache_write_hour or 0, reasoning=usage.reasoning or 0,
        )  # fmt: skip

    def unreported(self, task: str, lane: str, model: str) -> None:
        """Record a request of which no tokens were reported.

        Args:
            task: Who asked.
            lane: The lane that it was asked in.
            model: The generator's name.
        """
        self._note(UNREPORTED, task, lane=lane, model=model)

    def prompted(self, prefix: str, model: str, session: str, digest: str, tokens: tuple[int, int, int]) -> None:
        """Record a request with a declared prefix.

        Args:
            prefix: The prefix's task.
            model: The generator's name.
            session: The name of the conversation; empty without one.
            digest: The hash of the prefix's bytes.
            tokens: The tokens of the prefix, of prefix and conversation, and of the whole input.
        """
        conversation = hashed(session.encode()) if session else b""
        asked = PromptRequest(self._clock.now(), prefix, model, conversation, digest, *tokens)
        self._noted.append(lambda pending: pending.prompts.append(asked))

    def cache_missed(self, prefix: str, model: str, cause: str) -> None:
        """Record a request that a provider's cache did not read as far as it could.

        Args:
            prefix: The task of the prompt's prefix.
            model: The generator's name.
            cause: Why, and at which part.
        """
        self._note("cache_miss", prefix, lane=PREFIX, outcome=cause, model=model)

    def cache_wasted(self, prefix: str, model: str, usage: Usage) -> None:
        """Record a prefix that was written to a provider's cache, and lapsed before it was read.

        Args:
            prefix: The prefix's task.
            model: The generator's name.
            usage: The tokens that were written.
        """
        self._note(
            "waste", prefix, lane=PREFIX, outcome="lapsed", rows=1, model=model, written=usage.cache_write or 0,
            written_hour=usage.cache_write_hour or 0,
        )  # fmt: skip

    def missed(self, task: str, key: bytes, verdict: str, reason: Reason) -> None:
        """Record a miss; a value past its SLA counts as an expiry.

        Args:
            task: The task's name.
            key: The encoded key.
            verdict: The verdict on the stored value.
            reason: Why it was not served.
        """
        kind = "expire" if reason.cause in OVERDUE else "miss"
        self._note(kind, task, key=hashed(key), lane=verdict, outcome=str(reason))

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Record an acknowledged event.

        Args:
            tags: The tags that the event raised.
            duplicates: How many of its changes were known already.
            seconds: Duration until the acknowledgement, in seconds.
        """
        self._note("event", " ".join(tags)[:200], outcome=f"duplicates={duplicates}", seconds=seconds)

    def ran(self, run: Run) -> None:
        """Record a batch run, task by task, and the waste of the run that it replaces."""
        for built in run.built:
            pick = built.pick
            self._note(
                "compute", built.task, lane="batch", outcome="promoted", seconds=built.took_s,
                cpu_s=built.cpu_s, rows=built.rows, bytes=built.size_bytes, trigger=run.trigger,
                plan=pick.strategy if pick else "", p_hat=pick.p_hat if pick else None,
                theta=pick.theta if pick else None,
            )  # fmt: skip

    def paced(self, is_batch_on: bool, p95_s: float) -> None:  # noqa: FBT001 - a callback's own order
        """Record the p95 latency of the last seconds' requests, in seconds, and whether a batch run was active."""
        self._noted.append(lambda pending: pending.paces[pending.hour, is_batch_on].append(p95_s))

    def live(self, task: str, seconds: float, cpu_s: float) -> None:
        """Add to the usage of live tasks and refines. A row for each would cost as much as some of them.

        Args:
            task: The task's name.
            seconds: Duration, in seconds.
            cpu_s: CPU seconds.
        """
        self._noted.append(lambda pending: pending.used_live(task, seconds, cpu_s))

    def answered(
        self,
        answer_id: str,
        at: float,
        document: bytes,
        *,
        to: str,
        incarnation: int,
        stated: Sequence[Stated],
    ) -> None:
        """Queue an answer; it is stored for some days, and what it has told for longer.

        Args:
            answer_id: The answer's id.
            at: Time of the answer, in epoch seconds.
            document: The encoded answer.
            to: Who got it, as the application names them.
            incarnation: The incarnation of the store that the sequences count in.
            stated: The tags that it states.
        """

        def note(pending: Pending) -> None:  # in the ledger's thread, so that numbers differ
            pending.answers.append((answer_id, at, document))
            pending.told.append(Told(self._numbers.next(at), answer_id, to, incarnation, tuple(stated)))

        self._noted.append(note)

    def settle(self, *, timeout_s: float = 10.0) -> bool:
        """Wait until everything recorded before this call is written, and return whether it is; blocking."""
        until = time.monotonic() + timeout_s
        with self._written:
            enough = self._flushes + 2  # the current flush may have begun before the last entry
            while self._flushes < enough and not self._stop.is_set():
                self._asked.set()
                if not self._written.wait(max(0.0, until - time.monotonic())):
                    return False
            return self._is_written

    def close(self) -> None:
        """Write the remaining entries and stop the thread."""
        self._stop.set()
        self._asked.set()
        self._thread.join(timeout=10)

    def _note(self, kind: str, task: str, **what: Any) -> None:
        entry = LedgerEntry(self._clock.now(), kind, task, **what)
        self._noted.append(lambda pending: pending.rows.append(entry))

    def _open(self) -> Connection:
        """Connect, and check the tables; raises :class:`StoreError` that says what to do."""
        with contextlib.ExitStack() as opened:
            try:
                connection = opened.enter_context(contextlib.closing(self._connect(timeout_s=10.0, is_new=True)))
                prepare(connection, self.database)
            except self.database.errors as error:
                raise self.database.refused(error) from error
            opened.pop_all()
        return connection

    def _work(self) -> None:
        while True:
            self._asked.wait(_FLUSH_S)
            self._asked.clear()
            stopping = self._stop.is_set()
            with self._using:
                self._try_to_flush()
                if stopping:
                    self._disconnect()
            with self._written:
                self._is_written = not self._sent and not self._pending
                self._flushes += 1
                self._written.notify_all()
            if stopping:
                return

    def _try_to_flush(self) -> None:
        try:
            self._flush()
        except (*self.database.passing, StoreError) as error:
            self._disconnect()
            self._report("written", str(error if isinstance(error, StoreError) else self.database.refused(error)))
        except Exception:  # noqa: BLE001 - a row that no table can hold must not end the recording of the others
            self._disconnect()
            _log.exception("the ledger cannot store some rows; they are dropped")
            self._sent = Pending()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _flush(self) -> None:
        self._gather()
        if not self._sent and not self._pending:
            return
        now = self._clock.now()
        if self._connection is not None and self.database.is_gone():
            _log.error("the ledger %s is gone; a new one is created", self.database.name)
            self._disconnect()
        connection = self._connection = self._connection or self._open()
        while self._sent or self._pending:
            if not self._sent:  # a batch stays as it is until it is known to be written
                self._sent, self._pending, self._number = self._pending, Pending(), self._number + 1
            with connection:
                write(connection, self._sent, (self._name, self._number), now)
            self._sent = Pending()
        self._report("written")
        if self._flushes % TRIM_EVERY == TRIM_AT:
            with connection:
                trim(connection, self.database.may_trim, now)

    def _gather(self) -> None:
        pending, at = self._pending, self._clock.now()
        pending.hour = int(at // 3600)
        while self._noted:
            self._noted.popleft()(pending)
        for task, (key, verdict, lane, seconds), count in self._counters.drain_samples():
            pending.rows.append(LedgerEntry(at, "serve", task, hashed(key), lane, verdict, seconds, rows=count))
        minute = int(at // 60)
        for (task, key), (count, ahead) in self._counters.drain_heat().items():
            known, known_ahead = pending.heat.get((minute, task, key), (0, 0))
            pending.heat[minute, task, key] = (known + count, known_ahead + ahead)
        pending.forget()


def hashed(key: bytes) -> bytes:
    """Hash a key. The hash shows which rows have the same key, but does not reveal the key."""
    return blake2b(key, digest_size=8).digest()
