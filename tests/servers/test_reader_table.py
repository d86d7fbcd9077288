"""The table of readers that simulated histories are played with answers as the functions of a real database do."""

import random

import psycopg
import pytest
from tests.servers import pg

from parbake.adapters.postgresql import OUTBOX_DDL
from parbake.errors import ParbakeError
from simulator.world.reader_table import MAX_SILENCE_S, ReaderTable, ReportRow

REPORT = "SELECT parbake_report(%s, %s, %s::PG_SNAPSHOT, parbake_run(), make_interval(secs => %s), false)"
RETIRE = """
UPDATE parbake_reader SET is_retired = true,
  writer = CASE WHEN parbake_is_own(xmin, writer) THEN pg_current_xact_id() ELSE '1' END
WHERE store = %s AND heard + silence < clock_timestamp()
"""


class Both:
    """A simulated table and a real database, to which the same is done."""

    def __init__(self, connection, rng):
        """Let the run of both be one that was noticed long ago."""
        self.table, self.now = ReaderTable(), 0.0
        self.call, self.rng = connection.execute, rng
        self.call(OUTBOX_DDL)
        self.call(pg.BEGIN_RUN_EARLIER)
        self.call(f"UPDATE parbake_setting SET value = make_interval(secs => {MAX_SILENCE_S})")

    def report(self):
        """Report under one of two names; both accept it, or both refuse it."""
        store, number = self.rng.choice("ab"), self.rng.randrange(6)
        row = ReportRow(number, self.rng.choice(["5:5:", "9:9:", "5:9:5,7"]), self.table.run, self.now, 1.0)
        row.trusted_s = self.rng.choice([1.0, 3.0])
        known = self.table.rows.get(store)
        if known is not None and known.reported_at + known.trusted_s > self.now:
            row.trusted_s = max(row.trusted_s, known.trusted_s)
        values = (store, number, row.seen, row.trusted_s)
        try:
            expected = self.table.report(store, row)
        except ParbakeError:
            with pytest.raises(psycopg.Error, match="has reported number"):
                self.call(REPORT, values)
        else:
            assert self.call(REPORT, values).fetchone() == (expected,)

    def wait(self):
        """Ask both for the same transaction."""
        ticket = self.rng.choice([3, 5, 7, 8, 12])
        answer = self.call("SELECT parbake_wait(%s::TEXT::XID8, '-1 s')", (str(ticket),)).fetchone()[0]
        assert answer is self.table.wait(ticket, self.now)

    def advance(self):
        """Let time pass: the database's rows become older."""
        passed_s = self.rng.choice([0.5, 1.5, 5.0])
        self.now += passed_s
        for name, known in self.table.rows.items():
            writer = "pg_current_xact_id()" if known.is_own else "'1'"
            statement = f"UPDATE parbake_reader SET heard = heard - make_interval(secs => %s), writer = {writer}"
            self.call(f"{statement} WHERE store = %s", (passed_s, name))
        writer = "pg_current_xact_id()" if self.table.noted_run else "'1'"
        self.call(
            f"UPDATE parbake_run_start SET noted = noted - make_interval(secs => %s), writer = {writer}", (passed_s,)
        )

    def leave(self):
        """Take one row away."""
        store = self.rng.choice("ab")
        self.table.leave(store)
        self.call("SELECT parbake_leave(%s)", (store,))

    def retire(self):
        """Retire a store, if it trusts nothing any more."""
        store = self.rng.choice("ab")
        self.table.retire(store, self.now)
        self.call(RETIRE, (store,))

    def load_dump(self):
        """Let all rows be some that a dump has brought."""
        self.table.put_back(self.table.saved(), self.now, how="dump")
        self.call("UPDATE parbake_reader SET writer = '1'")
        self.call("UPDATE parbake_run_start SET writer = '1'")


@pytest.fixture(scope="module")
def server():
    """Return a server."""
    with pg.folder() as place, pg.postgresql(place / "data") as started:
        yield started


@pytest.mark.parametrize("seed", range(6))
def test_the_simulated_table_answers_as_the_database_does(server, seed):
    """Reports, waits, dumps, retired stores and time give the same answers on both sides."""
    rng = random.Random(seed)
    server.sql(f"CREATE DATABASE readers{seed}")
    with psycopg.connect(server.address, dbname=f"readers{seed}", autocommit=True) as connection:
        both = Both(connection, rng)
        acts = [both.report] * 3 + [both.wait] * 3 + [both.advance, both.leave, both.retire, both.load_dump]
        for _ in range(150):
            rng.choice(acts)()
        stores = {store for (store,) in connection.execute("SELECT store FROM parbake_reader").fetchall()}
        assert stores == set(both.table.rows)
