"""What stands in the entries of Django's cache is data: whoever wrote it, reading it gives a value or a miss."""

import datetime as dt

import msgspec
import pytest

pytest.importorskip("django")

from parbake.contrib.django.packing import packed, unpacked
from parbake.errors import BadInput

encode, extension = msgspec.msgpack.encode, msgspec.msgpack.Ext
HOSTILE = {
    "a list as a key": extension(1, encode([[[1], 2]])),
    "pairs of three": extension(1, encode([[1, 2, 3]])),
    "a list in a set": extension(3, encode([[1]])),
    "a number as a date": extension(8, encode(5)),
    "an endless span": extension(12, encode([10**12, 0, 0])),
    "no number": extension(6, encode("one")),
    "an unknown kind": extension(99, encode(1)),
    "no msgpack": extension(2, b"\xc1"),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_an_entry_that_nobody_packed_is_a_miss(value):
    """Every way in which an entry can be wrong is one error, which the cache takes for a miss."""
    with pytest.raises(msgspec.DecodeError):
        unpacked(encode(value))


def test_an_entry_that_is_nested_too_deeply_is_a_miss():
    """Nesting ends the decoder, and not the request."""
    raw = encode(1)
    for _ in range(2_000):
        raw = encode(extension(2, raw))
    with pytest.raises(msgspec.DecodeError):
        unpacked(raw)


@pytest.mark.parametrize("value", [10**5000, "\ud800"], ids=["a number of 5,000 digits", "half a character"])
def test_a_value_that_cannot_be_written_is_refused(value):
    """A value without a text is named as the fault of the caller."""
    with pytest.raises(BadInput):
        packed(value)


def test_values_come_back_as_they_were():
    """A value of every kind is equal to itself after packing."""
    value = {"a": [1, -5, 2**70, 1.5, b"x", None], 3: (dt.date(2026, 1, 2), {1, 2}, dt.timedelta(days=-1))}
    assert unpacked(packed(value)) == value
