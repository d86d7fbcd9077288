"""Outboxes as event sources; an embedded one also with odd rows, missing rows and older copies."""

import contextlib
import sqlite3

import pytest

import parbake as pb
from parbake.adapters import open_events
from parbake.adapters.sqlite import OUTBOX_DDL, SqliteSource, emit, prune
from parbake.protocol.record import Stamp
from parbake.testing.event_suite import EventSourceSuite


class Outbox:
    """A SQLite file with an outbox."""

    def __init__(self, path):
        """Create the table."""
        self.path = path
        with self.transaction() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(OUTBOX_DDL)

    @contextlib.contextmanager
    def transaction(self):
        """Open a connection and run the body in one transaction."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            yield connection

    def source(self):
        """Return a source that reads the outbox."""
        return SqliteSource(self.path, families=["fact"], views=[])

    def broken(self):
        """Return a source over a missing file."""
        return SqliteSource(self.path.with_name("missing"), families=["fact"], views=[])

    def tell(self, subject):
        """Insert one row."""
        with self.transaction() as connection:
            emit(connection, subject, "fact.changed")

    def insert(self, subject, kind="fact.changed"):
        """Insert any row, without the checks of ``emit``."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO parbake_outbox(id, subject, type, time) VALUES (hex(randomblob(8)), ?, ?, 0)",
                (subject, kind),
            )

    def poison(self):
        """Insert a row whose subject is not a tag."""
        self.insert("No Tag")

    def delete(self, where):
        """Delete rows."""
        with self.transaction() as connection:
            connection.execute(f"DELETE FROM parbake_outbox WHERE {where}")


class TestSqlite(EventSourceSuite):
    """SQLite."""

    def backend(self, tmp_path):
        """Return a fresh file."""
        return Outbox(tmp_path / "shop.sqlite")


@pytest.fixture
def outbox(tmp_path):
    """Return a fresh outbox."""
    return Outbox(tmp_path / "shop.sqlite")


@pytest.fixture
def app(outbox):
    """Return an app whose source is the outbox."""
    source = outbox.source()
    yield pb.App(pb.Registry(), sources=[source])
    source.close()


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("fact/a", "fact.seen"),
        ("f" * 300 + "/x", "fact.changed"),
        ("", "fact.changed"),
        (7, 8),
        (b"\xff\xfe", "fact.changed"),
        (b"fa\x00ct/a", "fact.changed"),
        ("fact/a", b"\xff.changed"),
    ],
)
async def test_no_row_whatever_it_holds_blocks_those_behind_it(app, outbox, subject, kind):
    """A malformed row of any kind is parked, and the next row is applied."""
    outbox.insert(subject, kind)
    outbox.tell("fact/next")
    ack = await app.drain()
    assert {"fact", "fact/*", "fact/next"} <= set(ack.raised)
    (parked,) = await app.ops.parked()
    assert (parked.source, parked.position) == ("shop", 1)
    assert parked.reason
    assert app.counters.parked == 1


@pytest.mark.parametrize("gone", ["position = 2", "position <= 2", "position BETWEEN 1 AND 3", "1"])
async def test_rows_that_are_missing_raise_everything(app, outbox, gone, caplog):
    """If rows are missing, all families are raised, the position moves on and a gap is counted."""
    outbox.tell("fact/first")
    await app.drain()
    for n in range(2, 5):
        outbox.tell(f"fact/{n}")
    outbox.delete(f"({gone}) AND position > 1")
    ack = await app.drain()
    raised = {tag for entry in await app.ops.raised_since(Stamp(0, 0), limit=50) for tag in entry.tags}
    left = {row.subject for row in app.settings.sources[0].poll(1, 10)}
    assert {"fact", "fact/*"} | left <= raised
    assert await app.ops.applied() == {"shop": 4}
    assert app.counters.gaps == {"shop": 1}
    assert "after position 1 up to" in caplog.text
    assert ack is not None
    assert await app.drain() is None


async def test_a_gap_within_a_page_keeps_the_order(app, outbox):
    """Rows before a gap are applied before all families are raised, and rows behind it after."""
    for n in range(1, 7):
        outbox.tell(f"fact/{n}")
    outbox.delete("position IN (3, 4)")
    await app.drain()
    log = [entry.tags[0] for entry in await app.ops.raised_since(Stamp(0, 0))]
    assert log == ["fact/1", "fact/2", "fact", "fact/5", "fact/6"]


async def test_a_rolled_back_row_is_no_gap(app, outbox):
    """A rolled-back row is not counted as a gap, because SQLite reuses its position."""
    outbox.tell("fact/1")
    with outbox.transaction() as connection:
        emit(connection, "fact/2", "fact.changed")
        connection.rollback()
    await app.drain()
    outbox.tell("fact/3")
    ack = await app.drain()
    assert "fact" not in ack.raised
    assert not app.counters.gaps


async def test_an_outbox_is_pruned_up_to_the_applied_position(app, outbox):
    """Pruning all applied rows causes no gap, and later rows are applied."""
    for n in range(1, 4):
        outbox.tell(f"fact/{n}")
    await app.drain()
    with outbox.transaction() as connection:
        assert prune(connection, (await app.ops.applied())["shop"]) == 3
    again = pb.App(pb.Registry(), sources=app.settings.sources, store=app.engine.store)
    assert await again.drain() is None
    outbox.tell("fact/4")
    ack = await again.drain()
    assert set(ack.raised) == {"fact/4", "fact/*"}
    assert not again.counters.gaps


async def test_a_store_that_was_told_nothing_has_missed_nothing(app, outbox):
    """A new store that reads a pruned outbox counts no gap."""
    for n in range(1, 4):
        outbox.tell(f"fact/{n}")
    outbox.delete("position < 3")
    await app.drain()
    assert await app.ops.applied() == {"shop": 3}
    assert not app.counters.gaps


async def test_an_older_copy_of_an_outbox_is_refused(app, outbox, tmp_path):
    """An outbox restored from before the applied position is refused, even after it has grown."""
    outbox.tell("fact/1")
    await app.drain()
    copy = Outbox(tmp_path / "copy.sqlite")
    for target in (copy.path,):
        with (
            contextlib.closing(sqlite3.connect(outbox.path)) as old,
            contextlib.closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
    outbox.tell("fact/2")
    await app.drain()
    restored = pb.App(pb.Registry(), sources=[copy.source()], store=app.engine.store)
    with pytest.raises(pb.errors.ForeignSource, match="ends at 1"):
        await restored.drain()
    copy.tell("fact/other")
    copy.tell("fact/more")
    with pytest.raises(pb.errors.ForeignSource, match="has another event"):
        await restored.drain()
    assert restored.counters.source_failures == {"shop": 2}
    restored.settings.sources[0].close()


async def test_a_source_is_heard_anew_on_demand(app, outbox, tmp_path):
    """``restart`` raises all families of a source and reads its outbox from the beginning."""
    for n in range(1, 4):
        outbox.tell(f"fact/{n}")
    await app.drain()
    other = Outbox(tmp_path / "other.sqlite")
    other.tell("fact/new")
    swapped = pb.App(pb.Registry(), sources=[other.source()], store=app.engine.store)
    with pytest.raises(pb.errors.ForeignSource, match="events restart APP shop"):
        await swapped.drain()
    assert {"fact", "fact/*"} == set((await swapped.ops.restart("shop")).raised)
    ack = await swapped.drain()
    assert set(ack.raised) == {"fact/new", "fact/*"}
    with pytest.raises(pb.errors.SourceError, match="no source is named"):
        await swapped.ops.restart("elsewhere")
    swapped.settings.sources[0].close()


@pytest.mark.parametrize(
    "url",
    ["nowhere", "none://x", "__init__://x", "kafka://127.0.0.1:9092/changes", "kafka:///changes?families=a",
     "kafka://h:1/a/b?families=a", "kafka://h:1/a?families=a&group=x", "kafka://h:1/?families=a"],
)  # fmt: skip
def test_a_url_that_cannot_be_meant_is_refused(url):
    """A URL with an unknown scheme, no families, no topic or an unknown option is refused by field."""
    with pytest.raises(pb.errors.SourceError) as caught:
        open_events(url)
    assert caught.value.field == "events"


def test_two_sources_cannot_share_a_name(outbox):
    """Two sources with one name are refused, because they would share their positions."""
    app = pb.App(pb.Registry(), sources=[outbox.source()], events=[outbox.source()])
    with pytest.raises(pb.errors.DeclarationError, match="'shop'"):
        _ = app.engine
