"""A sweep checks what it listed again, under the current floor."""

import msgspec

from parbake.protocol.control import Control
from parbake.protocol.record import Stamp
from parbake.stores.steps import item_names as names
from parbake.stores.steps.lookups import Parsed
from parbake.stores.steps.record_steps import RecordSteps


class Items(dict):
    """A transaction over a mapping."""

    peek = dict.get
    put = dict.__setitem__
    delete = dict.__delitem__


def items(*, floor):
    """Return a store with two watermarks and this floor."""
    control = Control(1, 1, floor=floor.pack())
    found = {names.CONTROL: msgspec.msgpack.encode(control)}
    return Items(found | {names.MARK + bytes([n]): Stamp(1, n).pack() for n in (3, 9)})


LISTED = [names.MARK + bytes([n]) for n in (3, 9)]


def test_a_sweep_deletes_by_the_floor_that_holds_now():
    """Watermarks that were listed under a floor that has since been lost are kept."""
    taken_back = items(floor=Stamp(1, 0))
    assert RecordSteps(taken_back, Parsed()).drop_below(LISTED) == 0
    assert set(LISTED) <= taken_back.keys()


def test_what_the_floor_covers_goes_and_what_was_raised_since_stays():
    """A watermark below the floor is deleted, and one above it is kept."""
    store = items(floor=Stamp(1, 5))
    assert RecordSteps(store, Parsed()).drop_below(LISTED) == 1
    assert LISTED[1] in store
    assert LISTED[0] not in store
