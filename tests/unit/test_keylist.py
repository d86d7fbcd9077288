"""The partitions of a run's keys."""

import contextlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from parbake.lanes.keylist import KeyList

keys = st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=400)


def listed(names, usual=16):
    """Return the digests and the keys of each partition."""
    with contextlib.closing(KeyList(usual)) as made:
        made.fill(names, msgspec.msgpack.encode)
        parts = [[msgspec.msgpack.decode(raw) for raw in made.keys(part)] for part in made.partitions]
        assert made.total == len(names)
        return [part.digest for part in made.partitions], parts


@given(keys)
def test_partitions_hold_every_key_once_in_order(names):
    """Nothing is lost, doubled or moved, and no partition is larger than twice the usual."""
    _, parts = listed(names)
    assert [key for part in parts for key in part] == names
    assert all(len(part) <= 32 for part in parts)


@given(keys, st.integers(1, 50))
def test_a_sample_is_spread_over_the_whole_run(names, size):
    """It has keys at equal distances from the first to the last, however they are cut into partitions."""
    with contextlib.closing(KeyList(16)) as made:
        made.fill(names, msgspec.msgpack.encode)
        sample = [msgspec.msgpack.decode(raw) for raw in made.sample(size)]
    step = max(1, -(-len(names) // size))
    assert sample == names[::step]
    assert len(sample) <= size


def test_an_insertion_costs_one_partition_of_many():
    """Of ten thousand keys, one more at the front changes two partitions at most."""
    names = [f"shopper {n}" for n in range(10_000)]
    before, _ = listed(names, 64)
    after, _ = listed(["a newcomer", *names], 64)
    assert len(before) > 100
    assert len(set(before) - set(after)) <= 2


def test_many_keys_lie_on_disk():
    """A long list leaves memory: only where its partitions begin stays."""
    with contextlib.closing(KeyList(4096)) as made:
        made.fill((f"shopper {n:09}" for n in range(200_000)), msgspec.msgpack.encode)
        assert made._file._rolled
        assert msgspec.msgpack.decode(made.keys(made.partitions[-1])[-1]) == "shopper 000199999"
