"""The control record: generations, incarnations, joint promotion and rollback."""

import msgspec
import pytest

from parbake.errors import PromotionConflict, UnknownResource
from parbake.protocol.control import (
    ANCESTRY_LIMIT,
    RETAINED,
    Control,
    Pointer,
    Promotion,
    abandon,
    adopt,
    begin,
    bless,
    distrust,
    has_lived_through,
    promote,
    raise_floor,
    renumber,
    rollback,
    start,
)
from parbake.protocol.record import Stamp
from parbake.stores.steps.record_steps import numbers

EMPTY = Control(incarnation=1, blessed=1)
AT = Stamp(1, 7).pack()


def promoted(control, **generations):
    """Promote generations without a conflict."""
    expected = {task: control.pointer(task) for task in generations}
    control = msgspec.structs.replace(control, running=tuple(generations.values()))
    return promote(control, Promotion({t: Pointer(g, 0, 0, 10) for t, g in generations.items()}, expected, 1))


def test_generations_are_never_given_twice():
    """Each run gets a new generation number."""
    control = begin(EMPTY)
    assert EMPTY.next_generation < control.next_generation < begin(control).next_generation
    assert begin(control).running == (EMPTY.next_generation, control.next_generation)


def moved(control, *hosts, number=None):
    """Return the control record after its data was adopted on other hosts, one after the other."""
    for host in hosts:
        control = adopt(control, host, number or numbers())
    return control


def test_two_adoptions_of_one_state_are_two_incarnations():
    """Two adoptions of one state get different, higher incarnations, also if both clocks are behind the store."""
    slow = numbers(now_us=lambda: 7)
    before = start(1_000_000, "one")
    one, two = moved(before, "two", number=slow), moved(before, "three", number=slow)
    assert len({before.incarnation, one.incarnation, two.incarnation}) == 3
    assert before.incarnation < min(one.incarnation, two.incarnation)
    assert one.next_generation != two.next_generation
    assert has_lived_through(one, Stamp(before.incarnation, 7).pack())
    assert not has_lived_through(one, Stamp(two.incarnation, 7).pack())


def test_a_distrusted_incarnation_is_followed_by_one_that_nobody_trusts():
    """Its runs are lost and its generations are not numbered again, also if it was not trusted; others stay."""
    running = begin(start(5, "one"))
    found = distrust(running, 5, numbers())
    assert (found.is_trusted, found.running, found.host) == (False, (), "one")
    assert found.next_generation > running.next_generation
    assert has_lived_through(found, Stamp(5, 7).pack())
    assert distrust(found, found.incarnation, numbers()).incarnation > found.incarnation
    assert distrust(found, 5, numbers()) is found


def test_an_ancestry_goes_back_to_the_floor():
    """The ancestry is sorted, includes renumbered incarnations, and is cut at the floor."""
    first = start(5, "one")
    last = renumber(moved(first, "two", "three"))
    assert len(last.ancestry) == 4
    assert list(last.ancestry) == sorted(last.ancestry)
    kept = raise_floor(last, Stamp(last.incarnation - 1, 3).pack())
    assert kept.ancestry == last.ancestry[2:]


def test_a_blessing_that_discards_leaves_one_incarnation():
    """A blessing that raises the floor leaves only the current incarnation in the ancestry."""
    found = moved(start(5, "one"), "two")
    blessed = bless(found, found.incarnation, raise_floor=True)
    assert blessed.ancestry == found.ancestry[-1:]
    assert bless(found, found.incarnation, raise_floor=False).ancestry == found.ancestry


def test_an_ancestry_that_is_forgotten_is_below_the_floor():
    """The ancestry is limited, and the floor rises so that records of dropped incarnations are invalid."""
    control = moved(start(5, "one"), *(f"host {n}" for n in range(ANCESTRY_LIMIT + 3)))
    assert len(control.ancestry) == ANCESTRY_LIMIT
    assert control.floor[:8] == control.ancestry[0]


def test_a_store_from_before_ancestries_knows_its_parent():
    """The first adoption of a store without an ancestry records its previous incarnation."""
    control = moved(Control(3, 3, host="one"), "two")
    assert [int.from_bytes(lived, "big") for lived in control.ancestry] == [3, control.incarnation]


def test_a_promotion_moves_all_its_pointers():
    """All tasks of a chain are promoted together."""
    control = promoted(EMPTY, model=1, rows=2)
    assert (control.pointer("model"), control.pointer("rows"), control.pointer("other")) == (1, 2, 0)


def test_a_moved_pointer_stops_a_promotion():
    """A promotion that expects an older pointer, of a written or only read task, is refused."""
    control = promoted(EMPTY, model=1)
    with pytest.raises(PromotionConflict) as caught:
        promote(control, Promotion({"rows": Pointer(2, 0, 0)}, {"model": 0, "rows": 0}, 1))
    assert caught.value.field == "model"


def test_a_generation_that_was_given_up_is_not_promoted():
    """The promotion of a generation that another run abandoned is a conflict."""
    control, generation = begin(EMPTY), EMPTY.next_generation
    late = Promotion({"rows": Pointer(generation, 0, 0)}, {"rows": 0}, 1)
    with pytest.raises(PromotionConflict, match="given up") as caught:
        promote(abandon(control, [generation]), late)
    assert caught.value.field == "rows"
    assert promote(control, late).pointer("rows") == generation


def test_a_rollback_withdraws_and_returns():
    """A rollback withdraws the current generation and makes the newest retained one current."""
    control = promoted(promoted(promoted(EMPTY, rows=1), rows=2), rows=3)
    control = rollback(control, "rows", 9.0, AT)
    assert (control.pointer("rows"), list(control.withdrawn)) == (2, [3])
    control = rollback(control, "rows", 9.0, AT)
    assert (control.pointer("rows"), list(control.withdrawn)) == (1, [3, 2])
    with pytest.raises(UnknownResource, match="no earlier generation"):
        rollback(control, "rows", 9.0, AT)


def test_a_rollback_is_not_returned_to():
    """A withdrawn generation is not the target of a later rollback."""
    control = promoted(promoted(EMPTY, rows=1), rows=2)
    control = rollback(control, "rows", 9.0, AT)
    control = rollback(promoted(control, rows=3), "rows", 9.0, AT)
    assert control.pointer("rows") == 1


def test_a_rollback_takes_along_what_was_built_with_it():
    """A rollback of a model also moves its rows to their newest generation from before the withdrawn model."""
    control = promoted(promoted(EMPTY, model=1, rows=2), model=3, rows=4)
    control = promoted(control, rows=5)
    control = rollback(control, "model", 9.0, AT, ["rows", "never"])
    assert (control.pointer("model"), control.pointer("rows")) == (1, 2)
    assert control.withdrawn == {3: AT}


def test_nothing_to_roll_back_is_said():
    """A rollback of a task without a generation fails, and the error names the task."""
    with pytest.raises(UnknownResource, match="rows has no generation"):
        rollback(EMPTY, "rows", 0.0, AT)


def test_only_a_few_generations_are_retained():
    """The history of a pointer is limited."""
    control = EMPTY
    for generation in range(1, 9):
        control = promoted(control, rows=generation)
    assert control.pointers["rows"].history == tuple(range(8, 8 - RETAINED, -1))
