"""The fence check of every read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake.protocol.cause import UNTRUSTED, Cause, Reason
from parbake.protocol.check import is_pending, killed_by, longest_silence, may_replace
from parbake.protocol.control import Control, Pointer
from parbake.protocol.record import Built, Meta, Record, Stamp, Tags

sequences = st.integers(0, 20)


def at(sequence, incarnation=1):
    """Return a packed stamp."""
    return Stamp(incarnation, sequence).pack()


def record(sequence=5, *, computed_at=0.0, valid_until=float("inf"), generation=0, **tags):
    """Return a record with some tags."""
    return Record(at(sequence), computed_at, valid_until, "batch", False, Meta(Tags(**tags), generation), b"")


def control(**changes):
    """Return a blessed control record."""
    return msgspec.structs.replace(Control(incarnation=1, blessed=1), **changes)


@given(sequences, sequences)
def test_a_record_is_served_only_if_its_stamp_reaches_its_tags(stamp, mark):
    """I1: a record whose stamp is below the watermark of one of its tags is not served."""
    dead = killed_by(record(stamp, fences=("policy/a",)), control(), {"policy/a": at(mark)}, now=0)
    assert (dead is not None) == (stamp < mark)


def test_an_absent_watermark_means_not_since_the_floor():
    """Without a watermark a record is valid, unless its stamp is below the floor."""
    assert killed_by(record(5, fences=("a/b",)), control(), {}, now=0) is None
    assert killed_by(record(5), control(floor=at(6)), {}, now=0) == Reason(Cause.BELOW_FLOOR)


def test_an_unblessed_incarnation_is_unknown():
    """In an incarnation that is not blessed, every record is untrusted."""
    assert killed_by(record(), control(incarnation=2), {}, now=0).cause in UNTRUSTED


def test_a_record_of_an_earlier_incarnation_is_older_than_any_event_of_a_later_one():
    """Stamps compare by incarnation first, so events and floors of a later incarnation outdate earlier records."""
    later, marks = control(incarnation=2, blessed=2), {"policy/a": at(1, incarnation=2)}
    assert killed_by(record(99, fences=("policy/a",)), later, marks, now=0) == Reason(Cause.TAG_CHANGED, "policy/a")
    assert killed_by(record(99, fences=("policy/b",)), later, marks, now=0) is None
    raised = control(incarnation=2, blessed=2, floor=at(0, incarnation=2))
    assert killed_by(record(99), raised, {}, now=0) == Reason(Cause.BELOW_FLOOR)


def test_a_stamp_of_an_incarnation_that_was_lost_says_nothing():
    """A record of an incarnation outside the store's ancestry is rejected, also if its number is higher."""
    ancestry = (at(0, 1)[:8], at(0, 3)[:8])
    marks = {"policy/a": at(5, incarnation=3)}
    found = msgspec.structs.replace(record(9, fences=("policy/a",)), stamp=at(9, incarnation=4))
    assert killed_by(found, control(incarnation=3, blessed=3), marks, now=0) is None
    known = control(incarnation=3, blessed=3, ancestry=ancestry)
    assert killed_by(found, known, marks, now=0) == Reason(Cause.INCARNATION_LOST)
    later = control(incarnation=7, blessed=7, ancestry=(*ancestry, at(0, 7)[:8]))
    assert killed_by(found, later, marks, now=0) == Reason(Cause.INCARNATION_LOST)
    assert killed_by(record(9), later, {}, now=0) is None


def test_a_silent_source_makes_its_families_unknown():
    """A silent source puts only records in doubt that are fenced by its families; the longest silence counts."""
    assert longest_silence(record(fences=("a/b",)), {"a": 40.0}) == ("a", 40.0)
    assert longest_silence(record(fences=("a/b", "d/e")), {"a": 40.0, "d": 50.0}) == ("d", 50.0)
    assert longest_silence(record(fences=("a/b",)), {"c": 40.0}) is None
    assert longest_silence(record(refreshes=(("a/b", at(5)),)), {"a": 40.0}) is None


def test_a_consumers_fence_binds_what_the_input_tolerates():
    """For a consumer that fences a family, an input's refresh tag counts as a fence, also if its source is silent."""
    tolerant = record(refreshes=(("a/b", at(5)),))
    marks = {"a/b": at(6)}
    assert killed_by(tolerant, control(), marks, now=0) is None
    assert killed_by(tolerant, control(), marks, now=0, also_fenced={"a"}) == Reason(Cause.TAG_CHANGED, "a/b")
    assert killed_by(tolerant, control(), {}, now=0, also_fenced={"a"}) is None
    assert longest_silence(tolerant, {"a": 40.0}, {"a"}) == ("a", 40.0)
    assert killed_by(tolerant, control(), marks, now=0, also_fenced={"c"}) is None


def test_nothing_past_valid_until_is_served():
    """I8: a record is invalid from ``valid_until`` on."""
    assert killed_by(record(valid_until=10), control(), {}, now=9.9) is None
    assert killed_by(record(valid_until=10), control(), {}, now=10) == Reason(Cause.VALID_UNTIL_PASSED)


def test_nothing_withdrawn_is_served():
    """I8: records of a withdrawn generation are not served, and neither are records built from it."""
    killed = killed_by(record(generation=3), control(withdrawn={3: at(9)}), {}, now=0)
    assert killed == Reason(Cause.GENERATION_WITHDRAWN)
    derived = record(built_from=(Built("base", 3, is_model=False),))
    assert killed_by(derived, control(), {}, now=0) is None
    killed = killed_by(derived, control(withdrawn={3: at(9)}), {}, now=0)
    assert killed == Reason(Cause.INPUT_WITHDRAWN, "base")


def test_a_moved_model_kills_what_was_built_with_it():
    """I3: a record is valid only with the model's current generation, or with the one that its run reads."""
    built = record(built_from=(Built("model", 3, is_model=True),))
    current = control(pointers={"model": Pointer(4, 0, 0)})
    assert killed_by(built, control(pointers={"model": Pointer(3, 0, 0)}), {}, now=0) is None
    assert killed_by(built, current, {}, now=0) == Reason(Cause.MODEL_REPLACED, "model")
    assert killed_by(built, current, {}, now=0, pointers={"model": 3}) is None


@given(sequences, sequences)
def test_pending_is_seen_at_read_time(seen, mark):
    """A record is pending if one of its refresh tags was raised after it was read."""
    assert is_pending(record(refreshes=(("a/b", at(seen)),)), {"a/b": at(mark)}) == (seen < mark)


@pytest.mark.parametrize(
    ("stored", "new", "replaces"),
    [
        (record(5), record(6), True),
        (record(6), record(5), False),
        (record(5), record(5), False),
        (record(5, computed_at=1.0), record(5, computed_at=2.0), True),
        (record(5, computed_at=2.0), record(5, computed_at=1.0), False),
    ],
)
def test_the_write_rule(stored, new, replaces):
    """A valid record is replaced by one with a higher stamp, or with the same stamp and a later computation."""
    assert may_replace(stored, new, stored_is_alive=True) is replaces
    assert may_replace(stored, new, stored_is_alive=False) is True
