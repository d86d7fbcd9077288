"""Mutants of waiting in the database for all stores; each docstring says what the mutant gets wrong."""

from __future__ import annotations

from contextlib import ExitStack
from unittest import mock

from parbake.app.engine import Engine
from simulator.patches import method, mutant
from simulator.processes import sim_reporting_source
from simulator.world.reader_table import ReaderTable


@mutant
def anyone_may_report(stack: ExitStack) -> None:
    """Any role may report how far a store has read, also one that has read nothing."""
    method(stack, ReaderTable, "_check_role", lambda self, role: None)  # noqa: ARG005  # named as in the method


@mutant
def report_without_writer(stack: ExitStack) -> None:
    """A row of a loaded dump counts as a report, because it does not name the transaction that wrote it."""
    put_back = ReaderTable.put_back

    def believed(self: ReaderTable, saved: ReaderTable, now: float, *, how: str) -> None:
        noted = self.noted_run, self.noted_at
        put_back(self, saved, now, how=how)
        if how == "dump":
            self.noted_run, self.noted_at = noted
            for row in self.rows.values():
                row.is_own = True

    method(stack, ReaderTable, "put_back", believed)


@mutant
def close_removes_shared_row(stack: ExitStack) -> None:
    """A process that ends takes away the row of a store that others still serve from."""

    async def leave(self: Engine) -> None:
        self.ingest._reader.leave(self.binder.heard)  # the mutant's way past the rule

    method(stack, Engine, "leave_sources", leave)


@mutant
def run_begins_with_its_server(stack: ExitStack) -> None:
    """A run is as old as its server, although a replica that was started long ago may have been promoted just now."""
    method(stack, ReaderTable, "note_run", lambda self, now: self.started_at)  # noqa: ARG005  # named as in the method


@mutant
def heartbeat_before_report(stack: ExitStack) -> None:
    """A store that was silent beats for a poll that began before it had reported again."""
    method(stack, sim_reporting_source.SimReportingSource, "may_beat", lambda self, cursor: bool(cursor))  # noqa: ARG005  # named as in the method


@mutant
def no_addition_for_reports(stack: ExitStack) -> None:
    """A store is waited for during its silence limit only, although heartbeats follow its last report."""
    stack.enter_context(mock.patch.object(sim_reporting_source, "trusted_for_s", lambda silence_s: silence_s))
