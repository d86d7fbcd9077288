"""What binds the rows of one call: each by what it read itself, without a look at what the others read."""

import parbake as pb
from parbake.protocol.record import Stamp
from parbake.protocol.recording import Reach, Recording, Sealing
from parbake.tasks.contract_checks import make_contract


class Looked(dict):
    """Reads that count how often all of them are looked at."""

    times = 0

    def __iter__(self):
        """Count, and go through them."""
        self.times += 1
        return super().__iter__()


def test_a_row_is_bound_without_looking_at_what_other_rows_read():
    """Sealing the rows of a call takes time in proportion to their number, although each read an entity of its own."""
    keys = [f"k{number}" for number in range(200)]
    recording = Recording(Stamp(1, 1))
    recording.direct = reads = Looked({f"fact/{key}": None for key in keys})
    terms = contract_of(pb.fence("fact/{key}"))
    sealing = Sealing(recording, terms, Reach(viewed={"fact"}, siblings=frozenset(reads)))
    before = reads.times
    tags = [sealing.tags({"key": key}) for key in keys]
    assert reads.times == before
    assert [next(iter(found.fences)) for found in tags] == [f"fact/{key}" for key in keys]


def contract_of(*items):
    """Return a contract with these invalidations."""
    return make_contract(
        freshness_sla="1h", invalidated_by=items, fallback_if_stale=pb.Recompute(), owner="team", confidence=None,
        schedule=None,
    )  # fmt: skip
