"""The encoding of stored artifacts."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake.errors import DamagedRecord
from parbake.protocol import record as artifact
from parbake.protocol.record import FORMAT, LANES, Built, Meta, Record, Stamp, Tags, decode, encode, split, unpack_stamp

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
    """Decoding an encoded record gives an equal record."""
    assert decode(encode(record)) == record


@given(stamps, stamps)
def test_stamps_compare_as_bytes(one, other):
    """The order of packed stamps is the order of the stamps: incarnation first."""
    assert (one.pack() < other.pack()) == (one < other)
    assert unpack_stamp(one.pack()) == one


@given(records, st.data())
def test_a_cut_record_is_damaged(record, data):
    """A record that lacks any number of bytes at its end is rejected as damaged."""
    raw = encode(record)
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(DamagedRecord):
        decode(raw[:cut])


@given(records, st.data())
def test_a_record_with_a_changed_byte_is_damaged(record, data):
    """One changed byte anywhere, in the header, the value or the checksum, is detected."""
    raw = bytearray(encode(record))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedRecord):
        decode(bytes(raw))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_with_a_right_checksum_never_crash(raw):
    """Arbitrary bytes with a matching checksum decode or raise ``DamagedRecord``, and no other error."""
    try:
        decode(raw + crc32(raw).to_bytes(4, "little"))
    except DamagedRecord as error:
        assert "record" in str(error)  # noqa: PT017 - either outcome is right


def bare_record(n):
    """Encode a record without a value."""
    return encode(Record(Stamp(1, n).pack(), 0.0, 0.0, "batch", False, Meta(Tags()), b""))


def test_headers_are_kept_up_to_a_bound(monkeypatch):
    """The header cache returns the right header for each record and never exceeds its limit."""
    monkeypatch.setattr(artifact, "HEADERS_KEPT", 4)
    artifact._kept_headers.clear()
    artifact._older_headers.clear()
    for n in (*range(9), *range(9)):
        assert decode(bare_record(n)).as_of == Stamp(1, n)
        assert len(artifact._kept_headers) + len(artifact._older_headers) <= 4


def test_a_header_that_is_read_again_and_again_stays_cached(monkeypatch):
    """A record that is read all the time is decoded once, while the headers of replaced records come and go."""
    monkeypatch.setattr(artifact, "HEADERS_KEPT", 4)
    first = split(bare_record(1))[0]
    for n in range(2, 20):
        split(bare_record(n))
        assert split(bare_record(1))[0] is first


def test_a_record_of_another_format_is_damaged():
    """A record of another format version is rejected as damaged, though its checksum fits."""
    body = b"\x09" + encode(Record(Stamp(1, 1).pack(), 0.0, 0.0, "batch", False, Meta(Tags()), b""))[1:-4]
    with pytest.raises(DamagedRecord, match=f"format 9 is not one of format {FORMAT}"):
        decode(body + crc32(body).to_bytes(4, "little"))
