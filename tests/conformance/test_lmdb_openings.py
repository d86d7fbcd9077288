"""Which LMDB store is trusted when it is opened: one that was closed, or whose processes were only killed."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys

import lmdb
import msgspec
import pytest
from tests.store_files import copy_of, note_path, restart_machine, set_disk_back, side_file, side_numbers, snapshot
from tests.store_process import Child, incarnation

from parbake.errors import StoreError
from parbake.ports.event_log import Change
from parbake.protocol.control import Control
from parbake.stores import _lmdb_file, _lmdb_memory, open_store
from parbake.stores._lmdb_openings import END, IS_CLOSED, IS_OPEN, IS_REMEMBERED, WORD
from parbake.stores.steps.item_names import CONTROL, OPENING


async def test_a_killed_process_leaves_a_trusted_store(opened, child):
    """After kill -9 of the only process, as often as that happens, the store is the one that it was."""
    before = int(child().tell("read"))
    for _ in range(3):
        other = child()
        other.tell("touch")
        other.kill()
    store = opened()
    assert await incarnation(store) == before
    assert (await store.stamp()).stamp.sequence == 3


async def test_a_store_that_was_open_when_the_machine_ended_is_a_new_incarnation(place, opened, child):
    """Nothing but memory tells a killed process from a snapshot of the disk that was put in place."""
    other = child()
    before = int(other.tell("read"))
    other.kill()
    restart_machine(place)
    assert await incarnation(opened()) < -before


async def test_a_closed_store_outlasts_the_machine(place, opened, child):
    """A store that was closed is trusted after a restart of the machine, also if a program ended without closing it."""
    store = opened()
    before = await incarnation(store)
    await store.close()
    for word in ("close", "leave"):
        other = child()
        other.tell("touch")
        other.process.stdin.write(f"{word}\n")
        other.process.communicate()
        assert side_numbers(place)[END] == IS_CLOSED
        restart_machine(place)
    assert await incarnation(opened()) == before


@pytest.mark.parametrize("is_closed", [True, False])
@pytest.mark.parametrize("is_restarted", [True, False])
async def test_a_snapshot_of_a_running_store_is_a_new_incarnation(place, opened, child, is_closed, is_restarted):
    """A disk that is set back brings store and side file together: memory has seen more, or nobody has seen the end."""
    other = child()
    before = int(other.tell("read"))
    files = snapshot(place)
    assert other.tell("touch") == "1"
    if is_closed:
        other.tell("close")
    other.kill()
    set_disk_back(place, files)
    if is_restarted:
        restart_machine(place)
    assert await incarnation(opened()) < -before


async def test_a_snapshot_of_a_closed_store_is_told_by_memory(place, opened):
    """While the machine runs, it remembers a later opening; after its restart, nothing is left that could tell."""
    store = opened()
    before = await incarnation(store)
    await store.close()
    files = snapshot(place)
    store = opened()
    await store.apply([Change(("policy/a",))], now=1.0)
    await store.close()
    set_disk_back(place, files)
    store = opened()
    assert await incarnation(store) < -before
    await store.close()
    set_disk_back(place, files)
    restart_machine(place)
    assert await incarnation(opened()) == before


async def test_a_snapshot_from_before_another_file_was_in_place_is_told_by_memory(place, tmp_path, opened, child):
    """The closed file that a store was in before a copy took its place lacks what was written to the copy."""
    other = child()
    before = int(other.tell("read"))
    other.tell("close")
    other.kill()
    (tmp_path / "kept").hardlink_to(place / "data.mdb")
    files = snapshot(place)
    copy = copy_of(place)
    shutil.rmtree(place)
    copy.rename(place)
    other = child()
    assert other.tell("touch") == "1"
    other.tell("close")
    other.kill()
    (tmp_path / "kept").replace(place / "data.mdb")
    set_disk_back(place, files)
    assert await incarnation(opened()) < -before


async def test_a_snapshot_from_before_a_rewriting_is_told_by_memory(place, tmp_path, opened):
    """The file that a running store was in before it was rewritten lacks what was written to the new one."""
    store = opened()
    before = await incarnation(store)
    (tmp_path / "kept").hardlink_to(place / "data.mdb")
    files = snapshot(place)
    await store.compact()
    await store.apply([Change(("policy/a",))], now=1.0)
    await store.close()
    (tmp_path / "kept").replace(place / "data.mdb")
    set_disk_back(place, files)
    assert await incarnation(opened()) < -before


async def test_a_snapshot_after_which_nothing_was_written_is_trusted(place, opened, child):
    """If memory has seen nothing that the disk lacks, setting it back has lost nothing."""
    other = child()
    before = int(other.tell("read"))
    other.tell("touch")
    files = snapshot(place)
    other.kill()
    set_disk_back(place, files)
    assert await incarnation(opened()) == before


def forbid_memory(how, place, tmp_path, monkeypatch):
    """Let the memory of the machine be unusable in some way, and return its folder."""
    note, folder = note_path(place), tmp_path / "memory"
    if how in {"missing", "a disk"}:
        monkeypatch.setattr(_lmdb_memory, "FOLDER", str(folder))
        if how == "a disk":
            folder.mkdir()
        return folder
    if how == "a link":
        note.unlink()
        note.symlink_to(tmp_path / "elsewhere")
    elif how == "of another length":
        note.write_bytes(bytes(8))
    else:
        note.chmod(0o666)
    return note.parent


@pytest.mark.parametrize("how", ["missing", "a disk", "a link", "of another length", "shared"])
async def test_without_memory_a_killed_process_is_a_loss(place, tmp_path, how, monkeypatch):
    """Memory is used only if it is memory, and only this user can write to the note."""
    store = open_store(f"lmdb://{place}?map_size=16MiB")
    before = await incarnation(store)
    await store.close()
    other = Child(place, forbid_memory(how, place, tmp_path, monkeypatch))
    other.tell("touch")
    assert side_numbers(place)[END] == IS_OPEN
    other.kill()
    store = open_store(f"lmdb://{place}?map_size=16MiB")
    assert await incarnation(store) < -before
    await store.close()
    assert not (tmp_path / "elsewhere").exists()
    note_path(place).unlink(missing_ok=True)


async def test_a_note_of_another_user_is_not_used(place, opened, monkeypatch):
    """Whoever guesses the name of a note first cannot make a store trusted."""
    await opened().close()
    user = os.geteuid()
    note = note_path(place)
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    note.rename(note_path(place))
    await opened().stamp()
    assert side_numbers(place)[END] == IS_OPEN
    note_path(place).unlink()


async def test_the_last_process_records_the_end(place, opened, child):
    """The last process that closes the store records a clean end, and no process before it, closed or killed."""
    one, two = child(), child()
    assert side_numbers(place)[END] == IS_REMEMBERED
    one.tell("close")
    assert side_numbers(place)[END] == IS_REMEMBERED
    three = child()
    three.kill()
    word = side_numbers(place)[WORD]
    two.tell("touch")
    two.tell("close")
    assert (side_numbers(place)[WORD], side_numbers(place)[END]) == (word, IS_CLOSED)
    await opened().stamp()
    assert side_numbers(place)[WORD] != word


async def test_a_process_without_the_memory_of_the_others_takes_its_worth(place, opened, child, tmp_path):
    """As in a container of its own: what it commits is not in the note, so a store that is not closed is a loss."""
    one = child()
    before = int(one.tell("read"))
    two = child(folder=tmp_path)
    two.tell("touch")
    assert side_numbers(place)[END] == IS_OPEN
    one.tell("touch")
    two.kill()
    one.kill()
    assert await incarnation(opened()) < -before


@pytest.mark.parametrize("ending", ["close", "kill"])
async def test_a_fork_is_no_opening(place, opened, child, ending):
    """A child uses the store of its parent and ends: it is the same opening, which the parent ends, or memory does."""
    parent = child()
    before = int(parent.tell("read"))
    word = side_numbers(place)[WORD]
    for number in range(3):
        assert parent.tell("fork") == "0"
        assert int(parent.tell("touch")) == 2 * number + 2
    assert side_numbers(place)[WORD] == word
    assert side_numbers(place)[END] == IS_REMEMBERED
    if ending == "close":
        parent.tell("close")
        assert side_numbers(place)[END] == IS_CLOSED
        restart_machine(place)
    parent.kill()
    assert await incarnation(opened()) == before


async def test_a_rewritten_store_is_trusted_after_a_kill(place, opened, child):
    """The new file goes on with the opening of the old one, beside it and in memory."""
    store = opened()
    other = child()
    await store.compact()
    after = await incarnation(store)
    assert other.tell("touch") == "1"
    await store.close()
    assert side_numbers(place)[END] == IS_REMEMBERED
    other.kill()
    assert await incarnation(opened()) == after > 0


@pytest.mark.parametrize("what", ["no folder", "full disk"])
async def test_without_a_side_file_every_opening_is_a_new_incarnation(place, opened, monkeypatch, what):
    """Where nothing can be written beside the folder, no store is known to be the last state, and reads go on."""
    open_file, write = os.open, os.pwrite

    def refuse(path, *args, **options):
        if str(path).endswith(".incarnation"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_file(path, *args, **options)

    def fill(file, raw, at):
        if what == "full disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, raw, at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse if what == "no folder" else open_file)
        patch.setattr(os, "pwrite", fill)
        store = opened()
        first = await incarnation(store)
        assert first > 0
        await store.close()
        store = opened()
        second = await incarnation(store)
        assert second < -first
        assert (await store.bless(-second, raise_floor=False)).is_trusted
        assert (await store.apply([Change(("policy/a",))], now=1.0)).trusted
        await store.close()
    store = opened()
    third = await incarnation(store)
    assert third < second
    await store.close()
    assert await incarnation(opened()) == third


async def test_a_store_of_an_earlier_version_is_recovered_once(place, opened):
    """Its file has the old form of identity, and a shorter side file; named values stay, and no value is lost later."""
    store = opened()
    before = await incarnation(store)
    await store.swap("name", None, b"value")
    await store.close()
    with lmdb.open(str(place), map_size=16 << 20) as env, env.begin(write=True) as txn:
        control = msgspec.msgpack.decode(txn.get(CONTROL), type=Control)
        number = (place / "data.mdb").stat().st_ino
        txn.put(CONTROL, msgspec.msgpack.encode(msgspec.structs.replace(control, host=f"inode {number}")))
        txn.delete(OPENING)
    side_file(place).write_bytes(side_file(place).read_bytes()[:16])
    store = opened()
    after = await incarnation(store)
    assert after < -before
    assert await store.get("name") == b"value"
    await store.bless(-after, raise_floor=True)
    await store.close()
    assert await incarnation(opened()) == -after


@pytest.mark.parametrize("has_generation", [True, False])
async def test_a_file_without_birth_is_told_by_its_generation(opened, monkeypatch, has_generation):
    """Where a file has no time of birth, the handle of its inode tells it; without both, every opening is a loss."""
    monkeypatch.setattr(_lmdb_file, "_birth_ns", lambda _: 0)
    if not has_generation:
        monkeypatch.setattr(_lmdb_file, "_generation", lambda _: "")
    store = opened()
    before = await incarnation(store)
    assert before > 0
    await store.compact()
    assert await incarnation(store) > before
    before = await incarnation(store)
    await store.close()
    after = await incarnation(opened())
    if has_generation and _lmdb_file._generation(os.open(__file__, os.O_RDONLY)):
        assert after == before
    else:
        assert after < -before


async def test_the_birth_of_a_file_is_read(tmp_path):
    """Two files that were created at different times have different names, and a name stays when the file changes."""
    one, two = tmp_path / "one", tmp_path / "two"
    names = []
    for path in (one, two, one):
        with path.open("ab") as file:
            file.write(b"x")
            names.append(_lmdb_file.file_identity(file.fileno()))
    assert names[0] == names[2] != names[1]


async def test_a_side_file_that_was_deleted_is_made_again(place, opened, child):
    """Another process joins without a comparison, and the next opening is a new incarnation, as nothing is known."""
    one = child()
    before = int(one.tell("read"))
    side_file(place).unlink()
    two = child()
    assert int(two.tell("read")) == before
    two.tell("touch")
    one.kill()
    two.kill()
    assert await incarnation(opened()) < -before


async def test_an_operator_who_deletes_the_side_file_has_the_store_recovered(place, opened):
    """After a disk was set back in a way that nothing can tell, that says so: the next opening is a new incarnation."""
    store = opened()
    before = await incarnation(store)
    await store.close()
    side_file(place).unlink()
    assert await incarnation(opened()) < -before


async def test_a_store_whose_folder_has_no_locks_says_so(opened, monkeypatch):
    """Without locks nobody knows who has the store open, and a process could not tell a copy."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_lmdb_file.Presence, "is_alone", refuse)
    with pytest.raises(StoreError, match="No locks available"):
        opened()


async def test_a_process_that_ends_in_an_error_records_the_end(place):
    """A program that never closes its app ends the opening when the interpreter ends."""
    script = "import sys; from parbake.stores import open_store; open_store(sys.argv[1]); raise SystemExit(3)"
    with contextlib.suppress(subprocess.CalledProcessError):
        subprocess.run([sys.executable, "-c", script, f"lmdb://{place}"], check=True)  # noqa: ASYNC221  # (the process is what is tested)
    assert side_numbers(place)[END] == IS_CLOSED
