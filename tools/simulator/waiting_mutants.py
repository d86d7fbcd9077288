"""Mutants of waiting in the database for all stores; each docstring says what the mutant gets wrong."""

from __future__ import annotations

from contextlib import ExitStack
from unittest import mock

from parbake.adapters._postgresql import outbox
from parbake.adapters._postgresql.outbox import Cursor
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
def no_addition_for_reports(stack: ExitStack) -> None:
    """A store is waited for during its silence limit only, although heartbeats follow its last report."""
    stack.enter_context(mock.patch.object(sim_reporting_source, "trusted_for_s", lambda silence_s: silence_s))


@mutant
def states_of_tables_not_compared(stack: ExitStack) -> None:
    """Triggers that were off for a while, and are on again, look as if they had been there."""
    doubtful = outbox.Page._doubtful  # private, because nothing but a page needs it

    def hidden(self: outbox.Page, before: Cursor, after: Cursor, *, is_restarted: bool) -> set[str]:
        same = after if not before.states else before
        return doubtful(self, same, same, is_restarted=is_restarted)

    method(stack, outbox.Page, "_doubtful", hidden)
