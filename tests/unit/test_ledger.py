"""The ledger: the cost of computations, misses, expiries and events."""

import contextlib
import resource
import sqlite3

import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.lanes.batch.choosing import Pick
from parbake.lanes.batch.lane import BuiltTask, Run
from parbake.ports.usage import Usage
from parbake.process.counters import Counters
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.record import Stamp
from parbake_planner import Ledger
from parbake_planner.ledger import ledger_writer as recording
from parbake_planner.ledger import rows
from parbake_planner.ledger.ledger_writer import LedgerWriter


@pytest.fixture
def ledger(tmp_path, world):
    """Return a ledger in a folder that does not exist yet."""
    made = LedgerWriter(tmp_path / "deep" / "ledger.sqlite", Counters(), world.clock)
    yield made
    made.close()


def run(task, rows, took_s, *, trigger="", **more):
    """Return the report of a promoted run of one task."""
    built = BuiltTask(task, 1, rows, 0, took_s, **more)
    return Run(trigger, 0.0, took_s, Stamp(1, 1), (built,))


def told(ledger, query):
    """Return the rows of a query."""
    with ledger.connected() as connection:
        return connection.execute(query).fetchall()


def test_hours_are_summed_by_kind_task_and_lane(ledger):
    """Hourly sums have seconds, CPU, rows and tokens; expiries are separate from misses."""
    ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.25)
    ledger.computed("faq", b"k", "realtime", 0.25, outcome="failed", cpu_s=0.0)
    ledger.missed("faq", b"k", "stale", Reason(Cause.PAST_SLA, "1h"))
    ledger.missed("faq", b"k", "stale", Reason(Cause.TAG_CHANGED, "policy/returns"))
    ledger.ran(run("faq", 10, 2.0, cpu_s=1.5, size_bytes=400))
    ledger.spent("faq", "batch", "llama", Usage(uncached=40, output=20, cache_read=60))
    ledger.event(["policy/returns"], duplicates=0, seconds=0.001)
    ledger.close()
    hours = {(kind, lane): used for _, kind, task, lane, _, *used in ledger.hourly() if task == "faq"}
    assert hours["compute", "realtime"] == [2, 0.75, 0.25, 2, 0, *[0] * 6]
    assert hours["compute", "batch"] == [1, 2.0, 1.5, 10, 400, *[0] * 6]
    assert hours["tokens", "batch"] == [1, 0.0, 0.0, 0, 0, 40, 20, 60, 0, 0, 0]
    assert {("expire", "stale"), ("miss", "stale")} < hours.keys()
    assert len(hours) == 5


def test_a_row_names_no_key(ledger):
    """A row holds a hash of the key and not the key, which may be personal data."""
    ledger.computed("faq", b"sann@example.com", "realtime", 0.5, outcome="stored", cpu_s=0.0)
    ledger.close()
    ((key,),) = told(ledger, "SELECT key FROM spending")
    assert len(key) == 8
    assert b"ann" not in key


def test_rows_are_bounded_and_their_sums_stay(ledger, monkeypatch):
    """Old rows are deleted beyond a limit, and the hourly sums keep their amounts."""
    monkeypatch.setattr(rows, "ENTRIES_KEPT", 10)
    monkeypatch.setattr(recording, "TRIM_EVERY", 1)
    monkeypatch.setattr(recording, "TRIM_AT", 0)
    for _ in range(50):
        ledger.computed("faq", b"k", "realtime", 1.0, outcome="stored", cpu_s=0.0)
    ledger.close()
    assert told(ledger, "SELECT COUNT(*) FROM spending") == [(10,)]
    assert [row[5] for row in ledger.hourly()] == [50]


def test_runs_are_kept_for_their_time(ledger, monkeypatch):
    """Rows of runs are kept beyond that limit, because waste is computed from them later."""
    monkeypatch.setattr(rows, "ENTRIES_KEPT", 3)
    monkeypatch.setattr(recording, "TRIM_EVERY", 1)
    monkeypatch.setattr(recording, "TRIM_AT", 0)
    ledger.ran(run("faq", 10, 2.0))
    for _ in range(50):
        ledger.missed("faq", b"k", "missing", Reason(Cause.NEVER_COMPUTED))
    ledger.close()
    kinds = [kind for (kind,) in told(ledger, "SELECT kind FROM spending ORDER BY rowid")]
    assert kinds == ["compute", "miss", "miss", "miss"]


def test_a_run_says_what_chose_its_keys(ledger):
    """A run's row has its trigger, the plan's strategy, the mean chance of its keys and the threshold."""
    ledger.ran(run("faq", 10, 2.0, trigger="schedule", pick=Pick("per key", (b"a",), p_hat=0.4, theta=0.05)))
    ledger.close()
    (found,) = told(ledger, "SELECT trigger, plan, p_hat, theta FROM spending")
    assert found == ("schedule", "per key", 0.4, 0.05)


def test_reads_are_sampled_as_rows(ledger):
    """Reads are sampled into few rows, each with the number of reads it stands for; reads are not costs."""
    for _ in range(300):
        ledger._counters.served("faq", b"k", "fresh", "batch", 0.001)
    ledger.close()
    found = told(ledger, "SELECT kind, lane, outcome, seconds, rows FROM spending")
    assert sum(row[-1] for row in found) == 300
    assert {row[:4] for row in found} == {("serve", "batch", "fresh", 0.001)}
    assert len(found) <= 3
    assert ledger.hourly() == []


def test_a_ledger_of_an_earlier_version_is_continued(world, tmp_path):
    """Missing columns are added to an older ledger, and its rows are kept."""
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as old, old:
        old.execute(
            "CREATE TABLE serves(minute INTEGER, task TEXT, key BLOB, count INTEGER, PRIMARY KEY(minute, task, key))"
        )
        old.execute("INSERT INTO serves VALUES (?, 'faq', x'01', 5)", (int(world.clock.now() // 60),))
    counters = Counters()
    ledger = LedgerWriter(tmp_path / "ledger.sqlite", counters, world.clock)
    counters.served("faq", b"\x01", "fresh", "batch", 0.001)
    ledger.close()
    assert ledger.serves() == {"faq": 6}


def test_what_cannot_be_written_is_kept_and_written_later(ledger, monkeypatch):
    """While the file is locked, rows, sums and serves are kept and written by a later flush."""
    right, failures = recording.write, []

    def locked(*arguments):
        failures.append(arguments)
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(recording, "write", locked)
    ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
    ledger._counters.served("faq", b"k", "fresh", "batch", 0.001)
    ledger.settle()
    assert failures
    monkeypatch.setattr(recording, "write", right)
    ledger.settle()
    assert ([row[5] for row in ledger.hourly()], ledger.serves()) == ([1], {"faq": 1})


def test_a_row_that_no_table_holds_ends_nothing(ledger):
    """Rows whose model or tokens no table holds as they are get written as near as can be, and so do those beside."""
    for model, tokens in (("m\0", 1), ("\ud800", 1), ("m" * 10_000, 1), ("m", 2**70), ("m", 10**30)):
        ledger.spent("faq", "realtime", model, Usage(uncached=tokens, output=1))
        ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
        ledger.prompted("faq", model, "s", "d", (tokens, tokens, tokens))
    ledger.settle()
    calls = {row[4]: row[5] for row in ledger.hourly()}
    assert calls == {"": 5, "m\ufffd": 1, "?": 1, "m" * 200: 1, "m": 2}


def test_settling_waits_for_what_was_noted(ledger):
    """``settle`` returns once the recorded rows are in the file."""
    for number in range(1, 4):
        ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
        ledger.settle()
        assert [row[5] for row in ledger.hourly()] == [number]


async def test_serves_are_counted_per_key_not_rowed(world, tmp_path):
    """Serves are counted for each key, and two hours later the heat of a key is gone."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return key

    app = world.app(tasks, ledger=tmp_path / "ledger.sqlite")
    await app.drain()
    for key in ("a", "b", "a", "a"):
        await app.serve(fact, key)
    ledger = app.plugins[Ledger].file
    await app.close()
    assert ledger.heat("fact") == {b"sa": 3, b"sb": 1}
    assert ledger.serves() == {"fact": 4}
    world.clock.advance(2 * 3600)
    assert ledger.heat("fact") == {}


def test_an_empty_ledger_has_no_costs(ledger):
    """An empty ledger has no hourly sums."""
    assert ledger.hourly() == []


@contextlib.contextmanager
def no_room():
    """Prevent this process from growing any file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_ledger_that_cannot_be_written_is_not_called_foreign(tmp_path, world):
    """If the disk is full, the error states that, and does not ask to move the file away."""
    with no_room(), pytest.raises(pb.errors.StoreError, match=r"cannot be written \(disk I/O error\)") as caught:
        LedgerWriter(tmp_path / "ledger.sqlite", Counters(), world.clock)
    assert caught.value.field == "ledger"
    assert "move it away" not in str(caught.value)


@pytest.mark.parametrize("path", ["folder", "file/ledger.sqlite"])
def test_a_ledger_that_cannot_be_opened_is_named(tmp_path, world, path):
    """A path that is a folder, or that lies below a file, is refused by name."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(pb.errors.StoreError, match=f"{path}.* cannot be ") as caught:
        LedgerWriter(tmp_path / path, Counters(), world.clock)
    assert caught.value.field == "ledger"
    assert "no ledger" not in str(caught.value)


def test_a_file_that_is_no_ledger_is_called_so(tmp_path, world):
    """Another kind of file, or a database with other tables, is refused as not a ledger."""
    (tmp_path / "text").write_text("no database at all, and long enough to be looked at" * 20)
    with contextlib.closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE spending(amount)")
    for name, says in (("text", "file is not a database"), ("other", "no such column")):
        with pytest.raises(pb.errors.StoreError, match=f"{name} is not a ledger \\({says}.*; move it away") as caught:
            LedgerWriter(tmp_path / name, Counters(), world.clock)
        assert caught.value.field == "ledger"
