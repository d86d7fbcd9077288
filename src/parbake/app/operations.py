"""The methods for an app's operators: runs, quarantine, parked events."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from msgspec.structs import replace

from parbake.app import erasure
from parbake.app.engine import Opening
from parbake.app.erasure import ErasedPerson, KeptPerson
from parbake.lanes.batch.fingerprint import is_of_other_code
from parbake.lanes.batch.lane import Run
from parbake.lanes.batch.runs import State
from parbake.lanes.event.parking import Retried
from parbake.lanes.event.polling import Polling
from parbake.lanes.worker.freshness import FreshnessRow, SourceRow, heard, report
from parbake.ports.alerts import Alert
from parbake.ports.event_log import Ack, Parked, Raised
from parbake.ports.executors import Executor
from parbake.ports.observers import Progress
from parbake.process import actions
from parbake.process.loops import beside
from parbake.protocol.control import Quarantine
from parbake.protocol.record import Stamp
from parbake.tasks.task_table import TaskRow, classify
from parbake.tasks.task_types import Stored


class Operations:
    """The methods of an app for operators and schedulers. Every app has one as ``app.ops``."""

    def __init__(self, opening: Opening, polling: Polling) -> None:
        """Work on the engine that ``opening`` opens; ``polling`` polls the sources beside long runs."""
        self._opening = opening
        self._polling = polling

    def use_executor(self, executor: Executor) -> None:
        """Compute batch runs with an executor, whatever ``App(batch=...)`` says. Call it before the app is used."""
        current = self._opening.settings
        batch = dataclasses.replace(current.batch, executor=executor)
        self._opening.reconfigure(dataclasses.replace(current, batch=batch))

    def use_store(self, store: str) -> None:
        """Keep values in the store at a URL, whatever ``App(store=...)`` says. Call it before the app is used."""
        self._opening.reconfigure(dataclasses.replace(self._opening.settings, store=store))

    def leave_journal(self) -> None:
        """Neither read nor write the journal of ``App(durability=...)``. Call it before the app is used."""
        current = self._opening.settings
        durability = dataclasses.replace(current.durability, journal=None)
        self._opening.reconfigure(dataclasses.replace(current, durability=durability))

    async def run_due(
        self, *, progress: Progress | None = None, only_missing: bool = False, leave: Collection[Stored] = ()
    ) -> list[Run]:
        """Run every batch task that is due, once; sources are polled meanwhile.

        Args:
            progress: Called with the name of a task, the rows done, and the rows in all.
            only_missing: Run only the tasks without any generation.
            leave: Tasks that do not run now, for example because a worker makes them while the others are served.

        Returns:
            The runs that were promoted, in the order of declaration.
        """
        engine = self._opening.opened()
        async with beside(self._polling.later()):
            runs = await engine.schedule.run_due(
                progress=progress, only_missing=only_missing, leave={task.name for task in leave}
            )
        for run in runs:
            engine.note(run)
        return runs

    async def runs(self, task: Stored) -> State:
        """Return a task's running or interrupted run, if any, and its last runs with their outcomes."""
        engine = self._opening.opened()
        return await engine.batch.runs.in_full(engine.bound_task(task).ref)

    async def rollback(self, task: Stored) -> int:
        """Withdraw a task's current generation, make the previous one current, and return its number."""
        engine = self._opening.opened()
        chain = engine.batch.chain(engine.tasks[task.name])
        built_with = [bound.ref for bound in chain[1:]]
        # A journal that cannot be written must refuse the rollback before it is made.
        await engine.recovery.note_withdrawn()
        before = await self.generation(task)
        generation = await engine.store.rollback(task.ref, self._opening.settings.clock.now(), built_with)
        await engine.recovery.note_withdrawn()
        self._note("rollback", task.name, before=f"generation {before}", after=f"generation {generation}")
        return generation

    async def generation(self, task: Stored) -> int:
        """Return the number of a task's current generation; 0 if none was promoted."""
        return (await self._opening.opened().store.stamp())[1].pointer(task.ref)

    async def alert(self, alert: Alert) -> None:
        """Send an alert to every sink. A sink that fails is logged, and the others still get the alert."""
        await self._opening.opened().notifier.send(alert)

    async def complain(self, task: Stored, reason: str, *, age_s: float | None = None) -> Quarantine:
        """Put a task in quarantine: no process serves a stored value of it until :meth:`clear`.

        Args:
            task: The task whose value was wrong.
            reason: What was wrong, for its owner.
            age_s: The age of the value in seconds, if known.
        """
        engine = self._opening.opened()
        entry = await engine.quarantines.complain(engine.bound_task(task), reason, age_s=age_s)
        self._note("quarantine", task.name, after=entry.reason)
        return entry

    async def clear(self, task: Stored) -> None:
        """End a task's quarantine. Values stored before now stay dead."""
        engine = self._opening.opened()
        entry = (await engine.quarantines.all()).get(task.name)
        await engine.quarantines.clear(engine.bound_task(task))
        self._note("clear", task.name, before=entry.reason if entry else "")

    async def quarantined(self) -> Mapping[str, Quarantine]:
        """Return the quarantines, by the name of the task."""
        return await self._opening.opened().quarantines.all()

    async def applied(self) -> dict[str, int]:
        """Return the last applied position of each source, by name (of a topic: of each partition).

        An outbox may be pruned up to there.
        """
        return await self._opening.opened().ingest.applied()

    async def parked(self, limit: int = 100) -> list[Parked]:
        """Return at most ``limit`` parked events, which could not be read, by source and position."""
        return await self._opening.opened().parking.look(limit)

    async def retry_parked(self, source: str = "", position: int = 0) -> Retried:
        """Read parked events again with the present code, and raise the tags of those that can be read.

        Args:
            source: The source of the one event to retry; by default all are retried.
            position: The position of that event.

        Raises:
            UnknownResource: The named event is not parked.
        """
        only = (source, position) if source else None
        done = await self._opening.opened().parking.retry(self._opening.settings.clock.now(), only)
        told = f"{done.understood} read, {len(done.kept)} still parked"
        self._note("retry", f"{source} at {position}" if source else "all parked events", after=told)
        return done

    async def restart(self, source: str) -> Ack:
        """Read a source (or one partition) from its beginning again, after raising all its families."""
        ack = await self._opening.opened().ingest.restart(source)
        self._note("restart", source, after="read from its beginning")
        return ack

    async def export(self, subject: str) -> KeptPerson:
        """Return everything that the app keeps about a person: rows of each place, and stored values.

        Args:
            subject: The person's id, of at least four characters.
        """
        found = await erasure.export(self._opening.opened(), subject)
        self._note("export", "a person", after=f"{sum(map(len, found.places.values()))} tables")
        return found

    async def erase(self, subject: str, *, at_once: bool = False, progress: Progress | None = None) -> ErasedPerson:
        """Erase what the app keeps about a person; see ``docs/howto/privacy.md``. A second call finds nothing.

        Args:
            subject: The person's id, of at least four characters.
            at_once: Whether to delete the watermarks of the person's tags now, and not by the sweep. Every stored value
                is then computed again.
            progress: Called with the name of a model that is computed again, the rows done, and the rows in all.
        """
        async with beside(self._polling.later()):
            now = self._opening.settings.clock.now()
            done = await erasure.erase(self._opening.opened(), subject, now=now, at_once=at_once, progress=progress)
        rows = sum(sum(tables.values()) for tables in done.places.values())
        # The id is not noted, because this line stays.
        self._note("erase", "a person", before=f"{rows} rows, {done.items} items")
        return done

    def _note(self, what: str, about: str, *, before: str = "", after: str = "") -> None:
        actions.note(what, about, before=before, after=after, now=self._opening.settings.clock.now)

    async def raised_since(self, stamp: Stamp, *, limit: int = 500) -> list[Raised]:
        """Return at most ``limit`` entries of the event log after a stamp, oldest first."""
        return await self._opening.opened().store.log(stamp, limit)

    async def describe(self) -> list[TaskRow]:
        """Return the table of tasks, including whether other code has built a task's current generation."""
        engine = self._opening.opened()
        _, control = await engine.store.stamp()
        others = {bound.name for bound in engine.tasks.values() if is_of_other_code(bound, control)}
        rows = classify(self._opening.settings.tasks, self._opening.settings.off)
        return [replace(row, other_code=row.task in others) for row in rows]

    async def freshness(self) -> list[FreshnessRow]:
        """Return for each task its SLA, the ages of its stored values, the stale share, and its last and next run."""
        return await report(self._opening.opened())

    async def sources(self) -> list[SourceRow]:
        """Return for each source when it was last read to its end, and how long that is ago."""
        return await heard(self._opening.opened())
