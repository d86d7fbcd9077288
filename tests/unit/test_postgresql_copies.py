"""Which copy of a database's data this is: the rules, on every kind of difference."""

import msgspec
import pytest

from parbake.adapters._postgresql.copies import CopyName, FoundData, SeenPosition, ServerState

SERVER = ServerState("7714", 1, "100", "50", 1000, 900)
changed = msgspec.structs.replace


@pytest.fixture
def seen():
    """Return what a process has seen that is connected to the server."""
    found = SeenPosition()
    found.arrive(named(), SERVER)
    found.advance(0, 7)
    return found


def named(number=5):
    """Return the name of a copy as its row tells it."""
    return CopyName(number, "7714", 1, "100", "50", "42")


def lost(seen, name, server=SERVER, *, writer="42", counter=7, is_durable=True):
    """Say what may be lost."""
    return seen.what_is_lost(FoundData(name, writer, counter), server, is_durable=is_durable)


def test_a_name_is_read_as_it_was_written(seen):
    """The transaction is appended by the server; anything else is no name."""
    name = seen.name_after(None, SERVER, 9)
    assert CopyName.parse(name.encode() + b"42") == changed(name, writer="42")
    for raw in (b"", b"\xff", b"parbake-copy-1 1 2 3", name.encode().replace(b" 9 ", b" x ") + b"42"):
        assert CopyName.parse(raw) is None


def test_the_same_copy_is_the_same_after_a_crash(seen):
    """A later start of a durable server, and the growth of its log, change nothing."""
    name = named()
    for server in (SERVER, changed(SERVER, position=5000, checkpoint=1), changed(SERVER, began="200", reset="60")):
        later = changed(server, position=5000, checkpoint=4000)
        assert lost(seen, name, later) == lost(SeenPosition(), name, later) == ""


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (changed(SERVER, system="8"), "promoted, recovered or copied"),
        (changed(SERVER, timeline=2), "promoted, recovered or copied"),
        (changed(SERVER, position=999), "gone back"),
        (changed(SERVER, began="200", position=5000, checkpoint=999), "gone back"),
    ],
)
def test_another_server_or_an_older_log_is_another_copy(seen, server, told):
    """After a restart the log counts as it was at the start, however much it has grown since."""
    assert told in lost(seen, named(), server)


def test_a_counter_that_went_back_is_another_copy(seen):
    """So an older copy is noticed to whose log others wrote before the last start; a new copy counts anew."""
    server = changed(SERVER, began="300", position=9000, checkpoint=9000)
    assert "gone back" in lost(seen, named(), server, counter=6)
    assert lost(seen, named(), server, counter=8) == ""
    seen.arrive(named(6), server)
    assert lost(seen, named(6), server, counter=0) == ""


def test_a_name_that_is_missing_copied_or_older_is_another_copy(seen):
    """So is a row that another transaction wrote; a later name is another process's, and is followed."""
    assert "emptied" in lost(seen, None)
    assert "loaded" in lost(seen, named(), writer="43")
    assert "older" in lost(seen, named(4))
    assert lost(seen, named(6), changed(SERVER, position=1)) == ""


@pytest.mark.parametrize("server", [changed(SERVER, began="200"), changed(SERVER, reset="60")])
def test_a_loose_server_is_another_copy_after_each_crash(seen, server):
    """A start and a reset of the statistics show a crash, which a durable server survives."""
    server = changed(server, checkpoint=2000, position=2000)
    assert "restarted" in lost(seen, named(), server, is_durable=False)
    assert lost(seen, named(), server) == ""


def test_a_new_name_is_above_all_that_are_known(seen):
    """Whatever the clock says."""
    found = named(70)
    assert seen.name_after(found, SERVER, 3).number == 71
    assert seen.name_after(None, SERVER, 3).number == 6
    assert seen.name_after(found, SERVER, 99).number == 99
