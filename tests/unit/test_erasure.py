"""What an app keeps about a person is exported, and erased: in its places, its store, its models, and its files."""

import contextlib
import json
import sqlite3

import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.adapters.sqlite import emit
from parbake.app import erasure
from parbake.ports.offers import Mentions
from parbake.protocol.record import Stamp
from parbake.stores._lmdb_openings import INCARNATION

CANARY, OTHER = "zqcanary7781", "somebody-else"


class FactsOfPeople:
    """The facts, each of which is about a person, in the database of the small world."""

    name = "facts"

    def __init__(self, world):
        """Remember the world."""
        self._world = world

    def export(self, subject):
        """Return the facts about a person."""
        with self._world.connected() as connection:
            rows = connection.execute("SELECT name, value FROM fact WHERE name = ?", (subject,)).fetchall()
        return {"fact": [{"name": name, "value": value} for name, value in rows]}

    def mentions(self, subject):
        """Return another name of a person."""
        return Mentions((f"alias-of-{subject}",))

    def erase(self, subject, mentions):
        """Delete the facts about a person, and what the outbox says about them once it was read."""
        with self._world.connected() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            gone = connection.execute("DELETE FROM fact WHERE name = ?", (subject,)).rowcount
            if gone:
                emit(connection, f"fact/{subject}", "fact.deleted")
            else:
                connection.execute("DELETE FROM parbake_outbox WHERE subject LIKE '%' || ?", (subject,))
        with self._world.connected() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return {"fact": gone}


class People(pb.Plugin):
    """Names the places."""

    def __init__(self, *places):
        """Remember the places."""
        self._places = places

    def open(self, parts):
        """Name them."""
        parts.personal.extend(self._places)


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch):
    """Let rounds follow each other at once."""
    monkeypatch.setattr(erasure, "PAUSE_S", 0.0)


@pytest.fixture
async def app(world, tmp_path):
    """Return an app with a value for each person, and a model of all of them, in an LMDB file."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return f"{facts.get(key)} alias-of-{key}" if facts.get(key) else "nobody"

    @tasks.model(**contract(), refresh=pb.every("30m"))
    def names(*, facts: pb.Source[Facts]) -> list[str]:
        return facts.names()

    opened = world.app(tasks, store=f"lmdb://{tmp_path}/store?map_size=16MiB", plugins=[People(FactsOfPeople(world))])
    for name in (CANARY, OTHER):
        world.put(name, f"the secret of {name}")
    await opened.drain()
    await opened.materialize(tasks["names"])
    for name in (CANARY, OTHER):
        await opened.serve(tasks["fact"], name)
    yield opened
    await opened.close()


def files_with(folder, word):
    """Return the files in a folder that contain a word."""
    return [path.name for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


async def test_an_export_has_every_row_and_every_value(app):
    """The rows of each place, and the stored values that name the person, in values that JSON has; of nobody else."""
    found = await app.ops.export(CANARY)
    assert found.places == {"facts": {"fact": [{"name": CANARY, "value": f"the secret of {CANARY}"}]}}
    assert [(value.task, value.key) for value in found.values] == [("fact", CANARY)]
    assert OTHER not in str(found)


async def test_nothing_is_left_in_any_file(app, tmp_path):
    """Rows, values, models and old generations are gone from every file, and what others have stays."""
    assert files_with(tmp_path, CANARY)
    done = await app.ops.erase(CANARY, at_once=True)
    assert done.places == {"facts": {"fact": 1}}
    assert (done.models, done.tags_until) == (("names",), None)
    assert files_with(tmp_path, CANARY) == []
    assert (await app.serve(app.tasks["fact"], OTHER)).value == f"the secret of {OTHER} alias-of-{OTHER}"
    assert (await app.serve(app.tasks["fact"], CANARY)).value == "nobody"
    assert await app.model(app.tasks["names"]) == [OTHER]


async def test_a_store_that_was_set_aside_goes_with_the_person(app, tmp_path):
    """An erasure deletes a damaged store that was set aside, because it has the person's values, and says so."""
    with app.engine.store._place.locked():
        app.engine.store._place.write(app.engine.store._note[INCARNATION], app.engine.store._host)
    assert "damaged" in await app.engine.store.heal()
    (aside,) = tmp_path.glob("store.damaged-*")
    assert files_with(aside, CANARY)
    assert (await app.ops.erase(CANARY, at_once=True)).discarded == (str(aside),)
    assert files_with(tmp_path, CANARY) == []
    assert not aside.exists()


async def test_watermarks_stay_until_the_sweep(app, world, tmp_path):
    """Without ``at_once`` only the name of the tag is left, and the sweep deletes it at the time that was told."""
    done = await app.ops.erase(CANARY)
    assert done.tags_until > world.clock.now()
    again = await app.ops.erase(CANARY)
    assert (again.places, again.items, again.models) == ({"facts": {"fact": 0}}, 0, ())
    world.clock.advance(done.tags_until - world.clock.now() + 1)
    await app.touch("fact/any")
    world.clock.advance(done.tags_until)
    await app.engine.housekeeping.step()
    await app.engine.store.compact()
    assert files_with(tmp_path, CANARY) == []


async def test_values_from_before_are_not_served_while_they_are_erased(app, world):
    """Once the row is gone and acknowledged, a value that was computed before is not served, even if it is stored."""
    place = FactsOfPeople(world)
    place.erase(CANARY, Mentions())
    await app.drain()
    assert (await app.serve(app.tasks["fact"], CANARY)).value == "nobody"


async def test_what_others_write_meanwhile_is_erased_too(app, world, monkeypatch):
    """Rounds follow until nothing more is found: a refresh that ends late is erased; endless ones are an error."""
    late, erase = [2], app.engine.store.erase

    async def erase_and_write(*words):
        found = await erase(*words)
        if late[0]:
            late[0] -= 1
            await app.serve(app.tasks["fact"], CANARY)
        return found

    monkeypatch.setattr(app.engine.store, "erase", erase_and_write)
    await app.ops.erase(CANARY)
    assert not [key async for key, _ in app.stored(app.tasks["fact"]) if key == CANARY]
    late[0] = 99
    with pytest.raises(pb.errors.StoreError, match="something still writes"):
        await app.ops.erase(CANARY)


async def test_longer_ids_are_other_people(app, world):
    """An id that another one begins with, or that stands in a longer word, brings nothing of the others out or away."""
    for other in (f"{CANARY}1", f"x{CANARY}", f"{CANARY}-2"):
        world.put(other, f"the secret of {other}")
    await app.drain()
    for other in (f"{CANARY}1", f"x{CANARY}", f"{CANARY}-2"):
        await app.serve(app.tasks["fact"], other)
    found = await app.ops.export(CANARY)
    assert [value.key for value in found.values] == [CANARY]
    await app.ops.erase(CANARY)
    assert (await app.serve(app.tasks["fact"], f"{CANARY}1")).value == f"the secret of {CANARY}1 alias-of-{CANARY}1"
    raised = [tag for one in await app.ops.raised_since(Stamp(0, 0)) for tag in one.tags]
    assert f"fact/{CANARY}1" in raised
    assert f"fact/{CANARY}" not in raised


async def test_a_key_may_be_a_number(world, tmp_path):
    """A person whose id is a number is exported and erased like others; a longer number is somebody else's."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def size(key: int) -> str:
        return "M"

    app = world.app(tasks)
    for number in (4711, 47110, 1471):
        await app.serve(size, number)
    assert [value.key for value in (await app.ops.export("4711")).values] == [4711]
    assert (await app.ops.erase("4711")).items == 1
    assert sorted([key async for key, _ in app.stored(size)]) == [1471, 47110]
    await app.close()


async def test_a_model_that_was_computed_again_stays(app, world, monkeypatch):
    """What others have said as well is in the new model, too, which is not erased: only older records are."""
    place = FactsOfPeople(world)
    monkeypatch.setattr(app.engine.parts, "personal", [place])
    monkeypatch.setattr(place, "mentions", lambda _: Mentions((CANARY,), (OTHER,)))
    await app.ops.erase(CANARY)
    assert await app.model(app.tasks["names"]) == [OTHER]


async def test_an_interrupted_erasure_knows_the_mentions_again(app, world, monkeypatch, tmp_path):
    """After a crash behind the first place, the next run still knows what it named, erases it, and forgets it."""
    place = FactsOfPeople(world)
    monkeypatch.setattr(app.engine.parts, "personal", [place])
    monkeypatch.setattr(place, "mentions", lambda _: Mentions((CANARY,), (f"the secret of {CANARY}",)))
    monkeypatch.setattr(app.engine.ingest, "drain", no_more)
    with pytest.raises(KeyboardInterrupt):
        await app.ops.erase(CANARY)
    monkeypatch.undo()
    monkeypatch.setattr(erasure, "PAUSE_S", 0.0)
    await app.ops.erase(CANARY, at_once=True)
    assert files_with(tmp_path, f"the secret of {CANARY}") == []
    assert files_with(tmp_path, "erasing/") == []


async def no_more(*_):
    """End as a signal does."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("subject", ["fact", "names", "a\nbcd", "\udcff\udcff\udcff\udcff"])
async def test_what_is_no_id_erases_nothing(app, subject):
    """The name of a family or a task, and what cannot be printed, is refused before anything is touched."""
    with pytest.raises(pb.BadInput) as raised:
        await app.ops.erase(subject)
    assert raised.value.field == "subject"


@pytest.mark.parametrize("subject", ["", "u1", None])
async def test_an_id_that_is_too_short_erases_nothing(app, subject, world):
    """An id that would be found everywhere is refused before anything is touched."""
    with pytest.raises(pb.BadInput, match="at least 4 printable characters") as raised:
        await app.ops.erase(subject)
    assert raised.value.field == "subject"
    with contextlib.closing(sqlite3.connect(world.path)) as connection:
        assert connection.execute("SELECT count(*) FROM fact").fetchone() == (2,)


async def test_the_log_of_actions_has_no_id(app, tmp_path, monkeypatch):
    """Who erased somebody is noted, but not whom: that line stays."""
    monkeypatch.setenv("PARBAKE_ACTIONS_FILE", str(tmp_path / "actions.jsonl"))
    await app.ops.export(CANARY)
    await app.ops.erase(CANARY)
    lines = [json.loads(line) for line in (tmp_path / "actions.jsonl").read_text().splitlines()]
    assert [(line["what"], line["about"]) for line in lines] == [("export", "a person"), ("erase", "a person")]
    assert CANARY not in str(lines)
