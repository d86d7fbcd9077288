"""Generations: allocation, joint promotion, rollback."""

import pytest

from parbake.artifact import Stamp
from parbake.errors import PromotionConflict, UnknownResource
from parbake.fence.control import RETAINED, Control, Pointer, Promotion, begin, promote, rollback

EMPTY = Control(incarnation=1, blessed=1)
AT = Stamp(1, 7).pack()


def promoted(control, **generations):
    """Promote generations that nobody contends for."""
    expected = {task: control.pointer(task) for task in generations}
    return promote(control, Promotion({t: Pointer(g, 0, 0, 10) for t, g in generations.items()}, expected, 1))


def test_generations_are_never_given_twice():
    """Each run gets a number of its own."""
    control, first = begin(EMPTY)
    _, second = begin(control)
    assert first < second


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


def test_a_rollback_withdraws_and_returns():
    """The current generation is withdrawn; the newest retained one that is not is current again."""
    control = promoted(promoted(promoted(EMPTY, rows=1), rows=2), rows=3)
    control, generation = rollback(control, "rows", 9.0, AT)
    assert (generation, control.pointer("rows"), list(control.withdrawn)) == (2, 2, [3])
    control, generation = rollback(control, "rows", 9.0, AT)
    assert (generation, list(control.withdrawn)) == (1, [3, 2])
    with pytest.raises(UnknownResource, match="no earlier generation"):
        rollback(control, "rows", 9.0, AT)


def test_a_rollback_is_not_returned_to():
    """What was withdrawn once is no target of a later rollback."""
    control = promoted(promoted(EMPTY, rows=1), rows=2)
    control, _ = rollback(control, "rows", 9.0, AT)
    control, generation = rollback(promoted(control, rows=3), "rows", 9.0, AT)
    assert generation == 1


def test_a_rollback_takes_along_what_was_built_with_it():
    """Rolling a model back returns its rows to their newest generation from before the withdrawn model."""
    control = promoted(promoted(EMPTY, model=1, rows=2), model=3, rows=4)
    control = promoted(control, rows=5)
    control, generation = rollback(control, "model", 9.0, AT, ["rows", "never"])
    assert (generation, control.pointer("model"), control.pointer("rows")) == (1, 1, 2)
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
