"""Who can read what parbake writes: its owner alone, unless a file or a folder was there before."""

import os
import stat
from contextlib import closing

import pytest
from tests.unit.commands import invoke

import parbake as pb
from parbake.adapters._alert_queue import AlertQueue
from parbake.process import private_files
from parbake.stores import open_store
from parbake.stores.lmdb import LmdbStore
from parbake_planner import Ledger
from parbake_planner.ledger.sqlite_database import SqliteDatabase


@pytest.fixture(autouse=True)
def usual_umask():
    """Let new files be readable by everybody, as on most machines."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder):
    """Return the modes of everything below a folder, by name."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def shared(found):
    """Return what somebody else than the owner can read."""
    return {name: oct(mode) for name, mode in found.items() if mode & 0o077}


async def test_a_store_can_be_read_by_its_owner_alone(tmp_path):
    """The folder, the file, its lock and the side file are their owner's, also after a compaction."""
    store = LmdbStore(tmp_path / "of" / "store", map_size=1 << 24)
    await store.stamp()
    assert {"of", "store", "data.mdb", "lock.mdb", "store.incarnation"} <= modes(tmp_path).keys()
    assert shared(modes(tmp_path)) == {}
    await store.compact()
    assert shared(modes(tmp_path)) == {}
    await store.close()


async def test_a_folder_that_was_there_keeps_its_mode(tmp_path):
    """A store in a folder of others leaves the folder as it is, and so does a compaction."""
    (tmp_path / "store").mkdir(mode=0o750)
    store = LmdbStore(tmp_path / "store", map_size=1 << 24)
    await store.stamp()
    (tmp_path / "store" / "data.mdb").chmod(0o640)
    await store.compact()
    found = modes(tmp_path)
    assert (found["store"], found["data.mdb"]) == (0o750, 0o640)
    await store.close()


def test_a_ledger_can_be_read_by_its_owner_alone(tmp_path):
    """The folder, the database and the files that SQLite makes beside it are their owner's."""
    database = SqliteDatabase(tmp_path / "of" / "ledger.db")
    with closing(database.connect(timeout_s=5, is_new=True)) as connection:
        database.set_up(connection)
        connection.execute("CREATE TABLE questions(text)")
        connection.commit()
        found = modes(tmp_path)
    assert {"of", "ledger.db", "ledger.db-wal", "ledger.db-shm"} <= found.keys()
    assert shared(found) == {}


def test_what_a_ledger_deletes_is_not_in_its_file(tmp_path):
    """A question that a writer deletes is overwritten, and after a checkpoint no byte of it is left."""
    database = SqliteDatabase(tmp_path / "ledger.db")
    with closing(database.connect(timeout_s=5, is_new=True)) as connection:
        database.set_up(connection)
        connection.execute("CREATE TABLE questions(text)")
        connection.execute("INSERT INTO questions VALUES ('where does Ana Nowak live')")
        connection.commit()
        connection.execute("DELETE FROM questions")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"Nowak" not in (tmp_path / "ledger.db").read_bytes()


def test_a_queue_of_alerts_can_be_read_by_its_owner_alone(tmp_path):
    """The database with alerts that wait is its owner's."""
    queue = AlertQueue(tmp_path / "alerts.db")
    with queue._opened():
        pass
    assert shared(modes(tmp_path)) == {}


def test_a_new_project_can_be_read_by_its_owner_alone(tmp_path):
    """The folder that ``parbake init`` makes is its owner's, with all that will be in it."""
    assert invoke("none", "init", str(tmp_path / "shop")).exit_code == 0
    assert modes(tmp_path)["shop"] == 0o700


async def test_a_link_in_the_place_of_a_stores_side_file_is_not_followed(tmp_path):
    """A link that somebody else has put beside a store leads no write into another file."""
    other = tmp_path / "other"
    other.write_bytes(b"a file of somebody else")
    (tmp_path / "store.incarnation").symlink_to(other)
    store = LmdbStore(tmp_path / "store", map_size=1 << 24)
    await store.stamp()
    await store.close()
    assert other.read_bytes() == b"a file of somebody else"


@pytest.mark.parametrize("address", ["host=127.0.0.1 password=S3KRET-1", "dbname = led password='S3KRET-1'"])
def test_names_and_values_are_no_path_and_no_secret_is_shown(tmp_path, monkeypatch, address):
    """A text that libpq reads is refused as a ledger and as a store, and the error has no password in it."""
    monkeypatch.chdir(tmp_path)
    for opens in (Ledger, open_store):
        with pytest.raises(pb.errors.ParbakeError) as refused:
            opens(address)
        assert "S3KRET" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def locked(tmp_path):
    """Return a file that is changed under a lock beside it, and another file, which is nobody else's."""
    (tmp_path / "keys.json").write_text("{}")
    victim = tmp_path / "theirs"
    victim.write_text("secret")
    victim.chmod(0o600)
    return tmp_path / "keys.json", victim


def test_a_link_in_the_place_of_a_lock_is_not_followed(locked):
    """Where somebody has put a link to another file, the lock is refused, and that file keeps its owner."""
    path, victim = locked
    path.with_name("keys.json.lock").symlink_to(victim)
    with pytest.raises(OSError, match="Too many levels"):
        private_files.open_lock(path)
    path.with_name("keys.json.lock").unlink()
    os.mkfifo(path.with_name("keys.json.lock"))
    with pytest.raises(OSError, match="must be a regular file"):
        private_files.open_lock(path)
    assert victim.read_text() == "secret"


def test_a_lock_that_is_there_keeps_its_owner(locked, monkeypatch):
    """Only a lock that was made just now is given away: another name of somebody's file is not."""
    path, victim = locked
    os.link(victim, path.with_name("keys.json.lock"))
    given = []
    monkeypatch.setattr(os, "fchown", lambda *to: given.append(to))
    os.close(private_files.open_lock(path))
    assert given == []


def test_a_link_of_another_user_is_not_replaced(locked, monkeypatch):
    """A file that another user has linked to may be anybody's; one's own link leads to where it should."""
    path, victim = locked
    linked = path.with_name("linked.json")
    linked.symlink_to(victim)
    private_files.replace(linked, b"mine")
    assert victim.read_text() == "mine"
    os.lchown(linked, 4321, 4321) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(OSError, match="a link of another user"):
        private_files.replace(linked, b"theirs")
    assert victim.read_text() == "mine"
