"""A database file that is moved, deleted or replaced while an app has it open."""

import shutil
from pathlib import Path

import pytest
from tests.unit.shopfloor import Facts, contract
from tests.waiting import until

import parbake as pb


@pytest.fixture
async def app(world):
    """Return an app that has read the fact ``a`` and its outbox."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return str(facts.get(key))

    world.put("a", "first")
    app = world.app(tasks)
    app.fact = fact
    await app.drain()
    assert (await app.serve(fact, "a")).value == "first"
    return app


def replace(path, copy):
    """Put a copy in the place of a database, without the write-ahead log that belongs to the old file."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    copy.replace(path)


def copied(world):
    """Return a copy of the database of a world, beside it."""
    with world.connected() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(shutil.copy(world.path, world.path.with_name("copy.sqlite")))


async def test_an_older_copy_in_the_place_of_a_source_is_noticed(app, world):
    """The next poll reads the file that is at the path now, and refuses a log that lacks applied events."""
    world.put("b", "second")
    copy = copied(world)
    world.put("a", "third")
    await app.drain()
    replace(world.path, copy)
    with pytest.raises(pb.errors.ForeignSource):
        await app.drain()


@pytest.mark.parametrize("changes", [1, 2, 3])
async def test_an_older_copy_that_has_grown_again_is_noticed(app, world, changes):
    """The copy reaches the position that was applied, or passes it, before the next poll: another event is there."""
    copy = copied(world)
    world.put("b", "lost")
    await app.drain()
    await app.drain()
    replace(world.path, copy)
    for number in range(changes):
        world.put("a", f"third {number}")
    for _ in range(2):
        with pytest.raises(pb.errors.ForeignSource):
            await app.drain()
        with pytest.raises(pb.errors.ForeignSource):
            await app.acknowledgement(2)


async def test_a_running_process_serves_nothing_that_an_older_copy_may_have_outdated(app, world):
    """While the polls find another source than before, they raise its families, so that values are computed."""
    copy = copied(world)
    world.put("a", "second")
    await app.drain()
    async with app.serving():
        assert (await app.serve(app.fact, "a")).value == "second"
        replace(world.path, copy)
        for value in ("first", "third"):
            if value != "first":
                world.put("a", value)  # nobody reads this outbox
            await until(served(app, value))


def served(app, value):
    """Return a check of what is served."""

    async def look():
        return (await app.serve(app.fact, "a")).value == value

    return look


async def test_a_newer_copy_in_the_place_of_a_source_goes_on(app, world, tmp_path):
    """A file that holds all applied events, such as one that was compacted, is read on from there."""
    copy = tmp_path / "copy.sqlite"
    with world.connected() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(world.path, copy)
    replace(world.path, copy)
    world.put("a", "second")
    await app.drain()
    assert (await app.serve(app.fact, "a")).value == "second"


async def test_a_source_whose_file_is_gone_says_so(app, world):
    """A connection that is open to the moved file is not read any more."""
    world.path.rename(world.path.with_suffix(".moved"))
    with pytest.raises(pb.errors.SourceError, match="does not exist"):
        await app.drain()
