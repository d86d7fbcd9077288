"""The stored form of an artifact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake.artifact import LANES, Built, Meta, Record, Stamp, Tags, decode, encode, unpack_stamp
from parbake.errors import ForeignStore

numbers = st.integers(0, 2**64 - 1)
stamps = st.builds(Stamp, numbers, numbers)
times = st.floats(0, 1e12)
tags = st.builds(
    Tags,
    st.lists(st.text(max_size=20), max_size=8).map(tuple),
    st.lists(st.tuples(st.text(max_size=20), stamps.map(Stamp.pack)), max_size=3).map(tuple),
    st.lists(st.builds(Built, st.text(max_size=9), st.integers(0, 9), st.booleans()), max_size=3).map(tuple),
)
records = st.builds(
    Record,
    stamp=stamps.map(Stamp.pack),
    computed_at=times,
    valid_until=times | st.just(float("inf")),
    lane=st.sampled_from(LANES),
    absent=st.booleans(),
    meta=st.builds(Meta, tags, st.integers(0, 99), st.text(max_size=5), st.binary(max_size=9), times, st.binary()),
    payload=st.binary(),
)


@given(records)
def test_a_record_reads_back_as_it_was_written(record):
    """Encoding loses nothing."""
    assert decode(encode(record)) == record


@given(stamps, stamps)
def test_stamps_compare_as_bytes(one, other):
    """The order of packed stamps is the order of the stamps: incarnation first."""
    assert (one.pack() < other.pack()) == (one < other)
    assert unpack_stamp(one.pack()) == one


@given(records, st.data())
def test_a_truncated_record_is_foreign_or_lacks_only_value_bytes(record, data):
    """A cut header is never misread; no other error comes out."""
    raw = encode(record)
    cut = data.draw(st.integers(0, len(raw) - len(record.payload) - 1))
    with pytest.raises(ForeignStore):
        decode(raw[:cut])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_record_never_crash(raw):
    """Arbitrary bytes are either a record or a ForeignStore."""
    try:
        decode(raw)
    except ForeignStore as error:
        assert "record" in str(error)  # noqa: PT017 - either outcome is right


def test_another_format_says_so():
    """A record of another version names both versions."""
    record = Record(Stamp(1, 1).pack(), 0.0, 0.0, "batch", False, Meta(Tags()), b"")
    with pytest.raises(ForeignStore, match="format 9 is not 1"):
        decode(b"\x09" + encode(record)[1:])
