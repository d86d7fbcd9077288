"""The rule that tells an older copy of an LMDB store from the state that was used last."""

import msgspec
import pytest

from parbake.stores import _lmdb_openings as openings
from parbake.stores._lmdb_openings import (
    COUNTER,
    END,
    IS_CLOSED,
    IS_OPEN,
    IS_REMEMBERED,
    WORD,
    FoundFile,
    RecordedOpening,
)
from parbake.stores.memory import ByteMap
from parbake.stores.steps.item_names import OPENING
from parbake.stores.steps.lookups import Parsed
from parbake.stores.steps.record_steps import RecordSteps, numbers

HOST = openings.name_file(7, 1)


class File:
    """A store in a file, with its side file and the note about it in memory."""

    def __init__(self, *, has_memory=True):
        """Create a file that was never opened."""
        self.items, self.commits, self.identity = ByteMap(), 0, HOST
        self.side, self.note = [0] * 8, [0] * 8 if has_memory else None
        self.words = iter(range(100, 200))

    def open(self, *, is_first=True, has_side=True):
        """Open it as a process does, and return what was settled."""
        side = self.side if has_side else None
        found = FoundFile(self.identity, self.commits, is_first, side, self.note)
        settled = openings.settle_opening(self.items, found, numbers(), next(self.words))
        self.commits += 1
        if has_side:
            openings.witness_opening(settled, self.side, self.note, is_first=is_first)
        self.base = settled.opening.base
        return settled

    def commit(self):
        """Commit, and witness it."""
        self.commits += 1
        while openings.witness_commit(self.base + self.commits, self.side, self.note):
            pass

    def close(self):
        """Close it, as its last process."""
        openings.witness_close(self.base + self.commits, self.side)

    def copy(self):
        """Return a copy of the file itself."""
        return dict(self.items.values), self.commits

    def put_back(self, copy):
        """Put a copy in its place."""
        self.items.values.clear()
        self.items.values.update(copy[0])
        self.commits = copy[1]


@pytest.fixture
def file():
    """Return a file that was opened and used once, and is open."""
    file = File()
    assert file.open().loss == ""
    file.commit()
    return file


def test_a_store_that_was_closed_is_trusted(file):
    """Whether its machine was started again or not, since nothing came after its end."""
    file.close()
    assert file.open().loss == ""
    file.close()
    file.note = [0] * 8
    assert file.open().loss == ""


def test_a_killed_process_costs_nothing_while_the_machine_runs(file):
    """The note in memory has seen all commits, so the store is the last state, as often as it is killed."""
    for _ in range(3):
        before = file.open()
        file.commit()
        assert before.loss == ""


def test_a_store_that_was_not_closed_before_the_machine_ended_is_not_trusted(file):
    """Nothing tells whether it is the last state or a copy of the disk from before."""
    file.note = [0] * 8
    settled = file.open()
    assert "was not closed" in settled.loss
    assert not settled.control.is_trusted


def test_a_copy_is_not_trusted_though_it_has_the_files_number(file):
    """A file that was born at another time is another one, whatever is in it."""
    file.close()
    file.identity = openings.name_file(7, 2)
    assert file.open().loss == "it is in another file"


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_copy_over_the_same_file_is_told_by_its_counter(file, is_closed):
    """The side file has seen a commit that the copy lacks; the note has, too, when the side file came back with it."""
    copy, side = file.copy(), list(file.side)
    file.commit()
    if is_closed:
        file.close()
    file.put_back(copy)
    later = list(file.side)
    assert "older than what is recorded beside it" in file.open().loss
    file.put_back(copy)
    file.side[:], file.note[WORD], file.note[COUNTER] = side, later[WORD], later[COUNTER]
    assert "older than what this machine remembers" in file.open().loss


def test_a_copy_without_a_later_commit_is_the_same_store(file):
    """If nothing was committed after a copy, nothing is lost with it."""
    copy = file.copy()
    file.close()
    file.put_back(copy)
    assert file.open().loss == ""


def test_a_copy_from_before_the_opening_is_told_by_its_word(file):
    """A word that the store does not know is of an opening that it has not lived through."""
    file.close()
    copy, side = file.copy(), list(file.side)
    file.open()
    file.close()
    later = list(file.side)
    file.put_back(copy)
    assert "recorded beside it" in file.open().loss
    file.put_back(copy)
    file.side[:], file.note[WORD] = side, later[WORD]
    assert "this machine remembers" in file.open().loss


def test_an_opening_that_was_interrupted_before_it_was_witnessed_costs_nothing(file):
    """The store has the new word, and its witnesses still have the one before."""
    file.close()
    side, note = list(file.side), list(file.note)
    file.open()
    file.side[:], file.note[:] = side, note
    assert file.open().loss == ""
    file.commit()
    file.note[:] = note  # the note of an earlier opening tells nothing of the last one
    file.close()
    assert file.open().loss == ""


def test_an_opening_that_was_not_witnessed_is_not_trusted_without_memory(file):
    """A snapshot from before its witnesses were written looks like a store that was closed, whatever came after it."""
    file.close()
    side = list(file.side)
    file.open()
    copy = file.copy()
    file.commit()
    file.close()
    file.put_back(copy)
    file.side[:] = side
    file.note = [0] * 8
    assert "not closed" in file.open().loss


def test_a_replaced_file_is_older_than_what_memory_knows(file):
    """Whatever was written to the file in its place, the one that comes back lacks it; the next opening is trusted."""
    file.close()
    openings.retire_note(file.note)
    assert "this machine remembers" in file.open().loss
    file.close()
    assert file.open().loss == ""


def test_a_copy_in_place_of_another_file_says_which_one(file):
    """So that the note about that file can say so; a copy elsewhere has no side file, and says nothing."""
    file.close()
    file.identity = openings.name_file(7, 2)
    assert file.open().replaced == HOST
    file.close()
    assert file.open().replaced == ""
    file.close()
    file.identity = openings.name_file(7, 3)
    file.side[:] = [0] * 8
    assert file.open().replaced == ""


def test_a_side_file_of_the_opening_before_is_no_witness_of_one_that_was_used(file):
    """An opening that was interrupted before it was witnessed has committed nothing else."""
    file.close()
    side = list(file.side)
    file.open()
    file.commit()
    file.side[:] = side
    assert "recorded beside it" in file.open().loss


def test_a_later_process_joins_what_was_written(file):
    """It gets the opening of the others, and changes no word."""
    word = file.side[WORD]
    assert file.open(is_first=False).opening.word == word == file.side[WORD]
    assert file.side[END] == IS_REMEMBERED


def test_a_file_that_was_overwritten_under_a_process_is_refused(file):
    """A later process finds another word, or a counter below the one beside it."""
    copy = file.copy()
    file.commit()
    file.put_back(copy)
    with pytest.raises(openings.OverwrittenFile):
        file.open(is_first=False)
    file.side[COUNTER], file.side[WORD] = 0, 5
    with pytest.raises(openings.OverwrittenFile):
        file.open(is_first=False)


def test_a_process_without_the_note_takes_its_worth(file):
    """Its commits would not be in memory, so the end of this opening is unknown, and others give the note up."""
    note, file.note = file.note, None
    file.open(is_first=False)
    assert file.side[END] == IS_OPEN
    file.note = note
    file.commit()
    assert note[WORD] == 0
    assert "was not closed" in file.open().loss


def test_a_process_without_the_side_file_makes_the_next_opening_a_new_incarnation(file):
    """Its commits are witnessed by nothing, and the store itself says so."""
    file.open(is_first=False, has_side=False)
    file.close()
    assert "nothing beside it" in file.open().loss
    file.close()
    assert file.open().loss == ""
    assert "nothing beside it" in file.open(has_side=False).loss


def test_a_file_without_identity_is_never_trusted_again(file):
    """Where neither birth nor generation is known, each first opening is a new incarnation, and a later one joins."""
    file.close()
    file.identity = openings.name_file(7, 0)
    assert file.identity == ""
    first = file.open()
    assert "does not tell one file from another" in first.loss
    assert file.open(is_first=False).control == first.control
    file.close()
    second = file.open()
    assert second.control.incarnation > first.control.incarnation
    assert openings.name_file(7, 0, "ab") == "file 7 of ab"


def test_a_store_of_an_earlier_version_is_a_new_incarnation_once():
    """Its file was known by its number alone, so nobody can tell it from a copy; its items stay."""
    file = File()
    file.open()
    steps = RecordSteps(file.items, Parsed())
    steps.save(msgspec.structs.replace(steps.stamp().control, host="inode 7"))
    file.items.delete(OPENING)
    file.side, file.note = [0] * 8, None
    settled = file.open()
    assert settled.loss == "it is in another file"
    assert not settled.control.is_trusted
    file.close()
    assert file.open().loss == ""


def test_a_new_file_begins_above_what_was_beside_it(file):
    """A process may still record a commit in the file that was set aside, which must not look like one in this."""
    late = file.side[COUNTER] + 5
    file.put_back(({}, 0))
    file.open()
    openings.witness_commit(late, file.side, file.note)
    assert file.open(is_first=False).loss == ""


def test_a_commit_is_recorded_only_upwards(file):
    """A lower number changes nothing, and tells that nothing was written."""
    before = list(file.side)
    assert not openings.witness_commit(before[COUNTER] - 1, file.side, file.note)
    assert file.side == before


def test_a_store_remembers_its_openings():
    """It knows its current word and the last ones, so that somebody else's note of an opening can be checked."""
    opening = RecordedOpening(5, 3, earlier=(3, 4), answered=9)
    assert [openings.remembers(opening, word) for word in (5, 4, 3, 9, 0, 6)] == [True] * 5 + [False]
    assert IS_CLOSED not in {IS_OPEN, IS_REMEMBERED}
