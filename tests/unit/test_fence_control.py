"""Generations: allocation, joint promotion, rollback."""

import msgspec
import pytest

from parbake.errors import PromotionConflict, UnknownResource
from parbake.fence.control import (
    ANCESTRY_LIMIT,
    RETAINED,
    Control,
    Pointer,
    Promotion,
    abandon,
    adopt,
    begin,
    bless,
    has_lived_through,
    promote,
    raise_floor,
    renumber,
    rollback,
    start,
)
from parbake.fence.record import Stamp
from parbake.stores.steps.engine import numbers

EMPTY = Control(incarnation=1, blessed=1)
AT = Stamp(1, 7).pack()


def promoted(control, **generations):
    """Promote generations that nobody contends for."""
    expected = {task: control.pointer(task) for task in generations}
    control = msgspec.structs.replace(control, running=tuple(generations.values()))
    return promote(control, Promotion({t: Pointer(g, 0, 0, 10) for t, g in generations.items()}, expected, 1))


def test_generations_are_never_given_twice():
    """Each run gets a number of its own."""
    control = begin(EMPTY)
    assert EMPTY.next_generation < control.next_generation < begin(control).next_generation
    assert begin(control).running == (EMPTY.next_generation, control.next_generation)


def moved(control, *hosts, number=None):
    """Find the data on other hosts, one after the other."""
    for host in hosts:
        control = adopt(control, host, number or numbers())
    return control


def test_two_adoptions_of_one_state_are_two_incarnations():
    """Also by processes whose clocks stand before the store's: one may be lost and know nothing of the other."""
    slow = numbers(now_us=lambda: 7)
    before = start(1_000_000, "one")
    one, two = moved(before, "two", number=slow), moved(before, "three", number=slow)
    assert len({before.incarnation, one.incarnation, two.incarnation}) == 3
    assert before.incarnation < min(one.incarnation, two.incarnation)
    assert one.next_generation != two.next_generation
    assert has_lived_through(one, Stamp(before.incarnation, 7).pack())
    assert not has_lived_through(one, Stamp(two.incarnation, 7).pack())


def test_an_ancestry_goes_back_to_the_floor():
    """What lies below the floor is dead anyway; a counter that begins anew continues the same life."""
    first = start(5, "one")
    last = renumber(moved(first, "two", "three"))
    assert len(last.ancestry) == 4
    assert list(last.ancestry) == sorted(last.ancestry)
    kept = raise_floor(last, Stamp(last.incarnation - 1, 3).pack())
    assert kept.ancestry == last.ancestry[2:]


def test_a_blessing_that_discards_leaves_one_incarnation():
    """What was stored before it is dead."""
    found = moved(start(5, "one"), "two")
    blessed = bless(found, found.incarnation, raise_floor=True)
    assert blessed.ancestry == found.ancestry[-1:]
    assert bless(found, found.incarnation, raise_floor=False).ancestry == found.ancestry


def test_an_ancestry_that_is_forgotten_is_below_the_floor():
    """So many incarnations are remembered; records of earlier ones are dead, rather than believed."""
    control = moved(start(5, "one"), *(f"host {n}" for n in range(ANCESTRY_LIMIT + 3)))
    assert len(control.ancestry) == ANCESTRY_LIMIT
    assert control.floor[:8] == control.ancestry[0]


def test_a_store_from_before_ancestries_knows_its_parent():
    """Its first adoption notes where it came from."""
    control = moved(Control(3, 3, host="one"), "two")
    assert [int.from_bytes(lived, "big") for lived in control.ancestry] == [3, control.incarnation]


def test_a_promotion_moves_all_its_pointers():
    """A chain is promoted together."""
    control = promoted(EMPTY, model=1, rows=2)
    assert (control.pointer("model"), control.pointer("rows"), control.pointer("other")) == (1, 2, 0)


def test_a_moved_pointer_stops_a_promotion():
    """Compare-and-swap: a run that read an earlier pointer, replaced or only read, is refused and changes nothing."""
    control = promoted(EMPTY, model=1)
    with pytest.raises(PromotionConflict) as caught:
        promote(control, Promotion({"rows": Pointer(2, 0, 0)}, {"model": 0, "rows": 0}, 1))
    assert caught.value.field == "model"


def test_a_generation_that_was_given_up_is_not_promoted():
    """A run that a successor has thrown away, rows and all, ends with a conflict however late it wakes."""
    control, generation = begin(EMPTY), EMPTY.next_generation
    late = Promotion({"rows": Pointer(generation, 0, 0)}, {"rows": 0}, 1)
    with pytest.raises(PromotionConflict, match="given up") as caught:
        promote(abandon(control, [generation]), late)
    assert caught.value.field == "rows"
    assert promote(control, late).pointer("rows") == generation


def test_a_rollback_withdraws_and_returns():
    """The current generation is withdrawn; the newest retained one that is not is current again."""
    control = promoted(promoted(promoted(EMPTY, rows=1), rows=2), rows=3)
    control = rollback(control, "rows", 9.0, AT)
    assert (control.pointer("rows"), list(control.withdrawn)) == (2, [3])
    control = rollback(control, "rows", 9.0, AT)
    assert (control.pointer("rows"), list(control.withdrawn)) == (1, [3, 2])
    with pytest.raises(UnknownResource, match="no earlier generation"):
        rollback(control, "rows", 9.0, AT)


def test_a_rollback_is_not_returned_to():
    """What was withdrawn once is no target of a later rollback."""
    control = promoted(promoted(EMPTY, rows=1), rows=2)
    control = rollback(control, "rows", 9.0, AT)
    control = rollback(promoted(control, rows=3), "rows", 9.0, AT)
    assert control.pointer("rows") == 1


def test_a_rollback_takes_along_what_was_built_with_it():
    """Rolling a model back returns its rows to their newest generation from before the withdrawn model."""
    control = promoted(promoted(EMPTY, model=1, rows=2), model=3, rows=4)
    control = promoted(control, rows=5)
    control = rollback(control, "model", 9.0, AT, ["rows", "never"])
    assert (control.pointer("model"), control.pointer("rows")) == (1, 2)
    assert control.withdrawn == {3: AT}


def test_nothing_to_roll_back_is_said():
    """A task without a generation names itself."""
    with pytest.raises(UnknownResource, match="rows has no generation"):
        rollback(EMPTY, "rows", 0.0, AT)


def test_only_a_few_generations_are_retained():
    """History is bounded."""
    control = EMPTY
    for generation in range(1, 9):
        control = promoted(control, rows=generation)
    assert control.pointers["rows"].history == tuple(range(8, 8 - RETAINED, -1))
