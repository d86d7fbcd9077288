"""Promotion gates: NaN, empty rows, drift, and a task's own gate."""

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.tasks.gates import Profile, stability_index
from parbake.values.codecs.value_types import form_of


def profile(values):
    """Return the profile of these values."""
    found = Profile()
    for value in values:
        found.note(msgspec.msgpack.encode(value), absent=False)
    return found


class Gated:
    """A task with gates, whose values a test chooses."""

    def __init__(self, world, **gates):
        """Declare the task."""
        self.values = {}
        tasks = pb.Registry()

        @tasks.artifact(**contract(invalidated_by=[]), gates=pb.Gates(**gates))
        def score(key: str) -> list[float]:
            return self.values[key]

        self.score, self.app = score, world.app(tasks)

    async def run(self, values):
        """Materialize one value per key."""
        self.values = {str(n): value for n, value in enumerate(values)}
        return await self.app.materialize(self.score, keys=list(self.values))


@pytest.mark.parametrize("wrong", [math.nan, -math.nan, math.inf, -math.inf])
async def test_a_number_that_is_none_is_not_promoted(world, wrong):
    """One row with a NaN or an infinity stops a promotion, and the error states the count."""
    gated = Gated(world)
    with pytest.raises(pb.errors.GateFailed, match="score: 1 of 1000 rows hold a NaN or an infinity; the previous"):
        await gated.run([[1.0, 2.0]] * 999 + [[1.0, wrong]])
    await gated.run([[1.0, 2.0]] * 1000)


async def test_some_may_be_allowed(world):
    """A share of rows that are not finite or empty can be allowed; a larger share is refused."""
    gated = Gated(world, not_finite=0.1, empty=0.2)
    await gated.run([[math.nan]] + [[1.0]] * 9)
    await gated.run([[]] * 2 + [[1.0]] * 8)
    with pytest.raises(pb.errors.GateFailed, match="3 of 10 rows are null or empty, more than 20%"):
        await gated.run([[]] * 3 + [[1.0]] * 7)


async def test_drift_is_measured_against_the_generation_that_is_current(world):
    """A run with the same distribution passes; one that drifted fails and the previous generation stays current."""
    draw = random.Random(5)
    gated = Gated(world, drift=0.25)
    first = await gated.run([[draw.uniform(1, 10)] for _ in range(800)])
    second = await gated.run([[draw.uniform(1, 10)] for _ in range(800)])
    with pytest.raises(pb.errors.GateFailed, match="drifted from the previous generation"):
        await gated.run([[draw.uniform(50, 100)] for _ in range(800)])
    assert await gated.app.ops.generation(gated.score) == second.built[0].generation > first.built[0].generation


async def test_a_task_may_judge_its_generation_itself(world):
    """A custom gate gets counts, the previous profile and a sample of values; its text is the reason."""
    shown = []

    def quality(generation):
        shown.append(generation)
        return "too good to be true" if generation.values[0][1] == [0.0] else None

    gated = Gated(world, quality=quality)
    await gated.run([[1.0]] * 300)
    with pytest.raises(pb.errors.GateFailed, match="score: too good to be true; the previous generation stays"):
        await gated.run([[0.0]] * 300)
    first, second = shown
    assert (first.previous, second.previous.rows) == (None, 300)
    assert 100 < len(first.values) <= 200
    assert {key for key, _ in first.values} <= {str(n) for n in range(300)}


async def test_a_gate_that_raises_has_not_passed(world):
    """If a gate raises, the run is not promoted."""

    def quality(_):
        raise ZeroDivisionError("oh")

    with pytest.raises(pb.errors.GateFailed, match="its quality gate raised ZeroDivisionError: oh"):
        await Gated(world, quality=quality).run([[1.0]])


async def late():
    """Return a coroutine, as a gate by mistake."""


@pytest.mark.parametrize("said", [True, False, 0.4, ["too few"], late])
async def test_a_gate_that_says_neither_a_reason_nor_nothing_has_not_passed(world, said):
    """A gate that returns anything but ``None`` or a text fails the run; the error names the gate and the value."""

    def looks_good(_):
        return late() if said is late else said

    gated = Gated(world, quality=looks_good)
    with pytest.raises(
        pb.errors.GateFailed, match=r"its quality gate looks_good returned .*; return None to promote"
    ) as caught:
        await gated.run([[1.0]])
    assert (repr(said) if said is not late else "coroutine object late") in str(caught.value)
    assert await gated.app.ops.generation(gated.score) == 0


async def test_a_gate_may_find_no_reason(world):
    """A gate that returns ``None`` or an empty text promotes the generation."""
    for said in (None, ""):
        gated = Gated(world, quality=lambda _, said=said: said)
        await gated.run([[1.0]])
        assert await gated.app.ops.generation(gated.score) > 0


async def test_a_model_is_judged_too(world):
    """A custom gate of a model gets the model's value."""
    tasks = pb.Registry()

    @tasks.model(
        **contract(invalidated_by=[], refresh=pb.every("20m")),
        gates=pb.Gates(quality=lambda generation: f"weights {generation.values[0][1]}"),
    )
    def weights() -> list[float]:
        return [1.0]

    with pytest.raises(pb.errors.GateFailed, match=r"weights: weights \[1.0\]"):
        await world.app(tasks).materialize(weights)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"rows": 2}, "gates.rows"), ({"empty": -1}, "gates.empty"), ({"drift": 0}, "gates.drift")],
)
def test_gates_that_cannot_be_meant_are_refused(wrong, field):
    """A gate setting out of range is refused by its name."""
    with pytest.raises(pb.errors.ContractError) as caught:
        pb.Gates(**wrong)
    assert caught.value.field == field


values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats() | st.text(max_size=5) | st.binary(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(values, max_size=30))
def test_every_broken_row_is_counted_and_no_other(found):
    """Every row with a NaN or an infinity is counted, and no text or binary value is."""

    def broken(value):
        if isinstance(value, float):
            return not math.isfinite(value)
        if isinstance(value, dict):
            return any(map(broken, value.values()))
        return isinstance(value, list) and any(map(broken, value))

    assert profile(found).not_finite == sum(map(broken, found))


@given(st.lists(values, max_size=20), st.lists(values, max_size=20))
def test_profiles_add_up(one, other):
    """The counts of two merged profiles equal those of one profile of all values."""
    both, whole = profile(one).merged(profile(other)), profile([*one, *other])
    for name in ("rows", "absent", "empty", "not_finite", "size_bytes", "sizes"):
        assert getattr(both, name) == getattr(whole, name)


BROKEN = [np.array([1, math.nan]), np.array([[1], [math.inf]], np.float16), np.array([complex(0, math.nan)])]
WHOLE = [np.arange(3), np.array([], np.float32), np.zeros((2, 0)), np.array(["nan"]), np.array(1.5), np.ones(2, bool)]


@pytest.mark.parametrize("around", [lambda array: array, lambda array: {"a": [1, array]}], ids=["bare", "nested"])
def test_the_numbers_of_arrays_are_seen(around):
    """A NaN or an infinity in an array is counted, an array without elements is empty, and numbers are sampled."""
    encode = form_of(dict[str, list[np.ndarray]]).encode
    found = Profile()
    for array in [*BROKEN, *WHOLE] * 3:
        found.note(encode(around(array)), absent=False)
    assert found.not_finite == 3 * len(BROKEN)
    assert found.empty == (6 if around(1) == 1 else 0)
    vector = Profile()
    vector.note(encode(around(np.full(9, 1000.0))), absent=False)
    assert 9 in vector.numbers.values()


def test_what_only_looks_like_an_array_is_let_be():
    """A msgpack extension with the array's code but other bytes has no numbers."""
    found = Profile()
    for data in (b"", b"N", b"<f4 2\n1", b"nothing\n"):
        found.note(msgspec.msgpack.encode(msgspec.msgpack.Ext(78, data)), absent=False)
    assert (found.rows, found.not_finite, found.numbers) == (4, 0, {})


def test_the_stability_index_by_hand():
    """The index is 0 for equal shares, and the symmetric sum of (q - p) ln(q / p) otherwise."""
    assert stability_index({1: 5, 2: 5}, {1: 50, 2: 50}) == 0
    by_hand = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert stability_index({1: 5, 2: 5}, {1: 8, 2: 2}) == pytest.approx(by_hand)
    assert stability_index({1: 8, 2: 2}, {1: 5, 2: 5}) == pytest.approx(by_hand)
    assert stability_index({}, {1: 1}) == 0


def test_few_of_many_numbers_are_looked_at():
    """Beyond a limit of numbers, only every 64th row is sampled for its numbers; each row counts."""
    found = profile([[1.0] * 50] * 2_000)
    assert found.rows == sum(found.sizes.values()) == 2_000
    assert sum(found.numbers.values()) == 50 * (40 + 29)


def test_a_number_that_is_none_is_found_behind_plenty_of_others():
    """A NaN is found in a row that is not sampled."""
    assert profile([[1.0] * 50] * 2_002 + [[*[1.0] * 90, math.nan]]).not_finite == 1
