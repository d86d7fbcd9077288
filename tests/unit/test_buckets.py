"""Token buckets: a burst passes, a flood does not, and a name's bucket is its own."""

import pytest

from parbake.http import Buckets


class Watch:
    """A clock that stands until it is moved."""

    def __init__(self):
        """Begin at nought."""
        self.s = 0.0

    def __call__(self):
        """Tell the time."""
        return self.s


@pytest.fixture
def watch():
    """Return a clock."""
    return Watch()


def test_a_burst_passes_and_what_follows_waits_for_tokens(watch):
    """A full bucket gives what it holds; then each token comes at its rate, and a refusal takes none."""
    buckets = Buckets(2.0, 3, watch)
    assert [buckets.wait_s("a") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    watch.s = 0.5
    assert [buckets.wait_s("a"), buckets.wait_s("a")] == [0, 0.5]


def test_each_name_has_a_bucket_of_its_own(watch):
    """One name that has used up its tokens leaves another's alone."""
    buckets = Buckets(1.0, 1, watch)
    assert [buckets.wait_s("a"), buckets.wait_s("a"), buckets.wait_s("b")] == [0, 1, 0]


def test_a_full_bucket_gives_more_than_it_holds_and_owes_it(watch):
    """Something larger than a bucket passes once in a while, and the time until the next one is as much longer."""
    buckets = Buckets(1.0, 10, watch)
    assert buckets.wait_s(count=25) == 0
    assert buckets.wait_s(count=25) == 25


def test_a_rate_of_zero_limits_nothing_and_a_clock_that_goes_back_gives_nothing(watch):
    """No rate means no limit; a clock that is set back neither gives tokens nor takes them."""
    assert not any(Buckets(0, 1, watch).wait_s() for _ in range(9))
    buckets = Buckets(1.0, 2, watch)
    assert buckets.wait_s() == 0
    watch.s = -100.0
    assert [buckets.wait_s(), buckets.wait_s()] == [0, 1]
