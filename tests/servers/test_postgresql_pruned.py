"""An outbox of PostgreSQL that is pruned, or made again: who lacks what was deleted raises everything."""

import pytest
from tests.servers import pg, told_outbox

import parbake as pb
from parbake.adapters.postgresql import OUTBOX_DDL, prune

outbox, source, app = told_outbox.outbox, told_outbox.source, told_outbox.app


@pytest.fixture(scope="module")
def server():
    """Return a server."""
    with pg.folder() as place, pg.postgresql(place / "data") as started:
        yield started


async def test_an_outbox_is_pruned_of_what_every_store_has_applied(outbox, app):
    """Only rows that both stores have applied are deleted. Neither sees a gap, and a new store raises everything."""
    other = pb.App(pb.Registry(), events=[outbox.source()])
    outbox.tell("fact/1", "fact/2")
    await app.drain()
    await other.drain()
    outbox.tell("fact/3")
    await app.drain()
    with outbox.connect() as connection:
        assert prune(connection) == 2
        assert prune(connection) == 0
    new = pb.App(pb.Registry(), events=[outbox.source()])
    assert set((await new.drain()).raised) == {"fact/3", "fact", "fact/*"}
    assert set((await other.drain()).raised) == {"fact/3", "fact/*"}
    assert await app.drain() is None
    assert not any(one.counters.gaps for one in (app, other, new))
    for one in (other, new):
        await one.close()


@pytest.mark.parametrize("prunes", [1, 2, 3])
async def test_a_store_that_was_forgotten_raises_everything(outbox, app, prunes):
    """Rows are pruned past a store that reported nothing for too long: it raises all families when it comes back.

    A prune that finds nothing to delete leaves the note of what was deleted before.
    """
    outbox.tell("fact/1")
    await app.drain()
    outbox.tell("fact/2")
    with outbox.connect() as connection:
        connection.execute("UPDATE parbake_reader SET heard = now() - INTERVAL '8 days'")
    other = pb.App(pb.Registry(), events=[outbox.source()])
    await other.drain()
    for number in range(prunes):
        with outbox.connect() as connection:
            assert prune(connection) == (0 if number else 2)
        with outbox.connect() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS unrelated(n INT)")
        await other.drain()
    assert set((await app.drain()).raised) == {"fact", "fact/*"}
    await other.close()


async def test_a_store_that_may_trust_itself_is_not_forgotten(outbox, app):
    """A time that is shorter than the silence of a store retires no store that would serve what it holds."""
    outbox.tell("fact/1")
    await app.drain()
    with outbox.connect() as connection:
        prune(connection, forget="0 seconds")
        assert connection.execute("SELECT is_retired FROM parbake_reader").fetchall() == [(False,)]


async def test_an_outbox_that_was_made_again_raises_everything(outbox, app):
    """What programs had written to the one before is unknown."""
    outbox.tell("fact/1")
    await app.drain()
    outbox.tell("fact/2")
    with outbox.connect() as connection:
        connection.execute("DROP TABLE parbake_outbox")
        connection.execute(OUTBOX_DDL)
    assert set((await app.drain()).raised) == {"fact", "fact/*"}
    assert await app.drain() is None
