"""How the keys of a run are split into partitions."""

import contextlib
import tracemalloc
from hashlib import blake2b

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from parbake.lanes.batch.keys import KeyList

keys = st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=400)
repeating = st.lists(st.sampled_from([f"key {n}" for n in range(150)]), max_size=600)


def listed(names, usual=16):
    """Return the digests and the keys of each partition."""
    with contextlib.closing(KeyList(usual)) as made:
        made.fill(names, msgspec.msgpack.encode)
        parts = [[msgspec.msgpack.decode(raw) for raw in made.keys(part)] for part in made.partitions]
        assert made.total == sum(part.keys for part in made.partitions) == len(set(names))
        assert made.repeated == len(names) - made.total
        return [part.digest for part in made.partitions], parts


@given(keys)
def test_partitions_hold_every_key_once_in_order(names):
    """Every key is in one partition, in the listed order, and none exceeds twice the usual size."""
    _, parts = listed(names)
    assert [key for part in parts for key in part] == names
    assert all(len(part) <= 32 for part in parts)


@given(keys, st.integers(1, 50))
def test_a_sample_is_spread_over_the_whole_run(names, size):
    """A sample has keys at equal distances, independent of the partitions."""
    with contextlib.closing(KeyList(16)) as made:
        made.fill(names, msgspec.msgpack.encode)
        sample = [msgspec.msgpack.decode(raw) for raw in made.sample(size)]
    step = max(1, -(-len(names) // size))
    assert sample == names[::step]
    assert len(sample) <= size


@given(repeating)
@example(["key 1"] * 500)
@example([f"key {n}" for n in range(150)] * 4)
def test_a_key_that_is_listed_again_counts_once(names):
    """A repeated key counts once, at its first place, and does not change the partitions."""
    digests, parts = listed(names)
    once = list(dict.fromkeys(names))
    assert [key for part in parts for key in part] == once
    assert all(parts)
    assert len(set(digests)) == len(digests)
    assert digests == listed(once)[0], "a list is cut alike, whether keys of it are listed again or not"


def test_partitions_are_those_of_earlier_versions():
    """Partitions have the digests of earlier versions, so a run from before an upgrade can continue."""
    digests, _ = listed([f"shopper {n}" for n in range(10_000)], 64)
    assert len(digests) == 178
    assert blake2b(b"".join(digests), digest_size=8).hexdigest() == "f857ee16eee8fbb6"


def test_far_repetitions_are_found_in_flat_memory():
    """Keys that are repeated far apart are removed, in no more memory among 200,000 than among 50,000."""

    def peak(count):
        names = [f"shopper {n:09}" for n in range(count)]
        with contextlib.closing(KeyList(4096)) as made:
            tracemalloc.start()
            try:
                made.fill((name for many in (names, names[::100]) for name in many), msgspec.msgpack.encode)
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert (made.total, made.repeated) == (count, count // 100)
            kept = [msgspec.msgpack.decode(raw) for part in made.partitions for raw in made.keys(part)]
        assert kept == names
        return most

    assert peak(200_000) < 2 * peak(50_000)


def test_an_insertion_costs_one_partition_of_many():
    """One more key at the front of 10,000 changes at most two partitions."""
    names = [f"shopper {n}" for n in range(10_000)]
    before, _ = listed(names, 64)
    after, _ = listed(["a newcomer", *names], 64)
    assert len(before) > 100
    assert len(set(before) - set(after)) <= 2


def test_many_keys_lie_on_disk():
    """A long list of keys is kept in a file."""
    with contextlib.closing(KeyList(4096)) as made:
        made.fill((f"shopper {n:09}" for n in range(200_000)), msgspec.msgpack.encode)
        assert made._file._rolled
        assert msgspec.msgpack.decode(made.keys(made.partitions[-1])[-1]) == "shopper 000199999"
