"""Invalid settings of the batch lane are refused where they are written."""

import functools
import math

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.executors.local import LocalExecutor
from parbake.executors.ray import RayExecutor

NO_LIMITS = (math.nan, math.inf, -math.inf, -0.1, True, "0.5", b"1")
NO_COUNTS = (0, -1, 2.5, True, "3", b"3", None, math.nan)


def refused(error, field, value, make):
    """Return whether an action is refused with an error that names the setting and its value."""
    with pytest.raises(error) as caught:
        make()
    said = str(caught.value)
    return caught.value.field == field and repr(value) in said and field.rpartition(".")[2] in said


def declare(**settings):
    """Declare a task over many keys with these settings, and return it."""

    @pb.Registry().artifact(**contract(invalidated_by=[]), **settings)
    def rows(keys: pb.Keys[str]) -> dict[str, str]:
        return dict.fromkeys(keys, "")

    return rows


@pytest.mark.parametrize("value", NO_COUNTS)
def test_a_count_is_a_whole_number_above_0(value):
    """Of keys in a chunk, of generations, of processes."""
    assert refused(pb.errors.ContractError, "chunk", value, lambda: declare(chunk=value))
    assert refused(pb.errors.ContractError, "retention.generations", value, lambda: pb.Retention(generations=value))
    for executor in (LocalExecutor, RayExecutor):
        assert refused(pb.BadInput, "processes", value, lambda executor=executor: executor("shop:app", processes=value))


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "much", b"2GiB", math.nan])
def test_a_retained_size_is_some_bytes(value):
    """What is no size is refused by its value."""
    assert refused(pb.errors.ContractError, "retention.size", value, lambda: pb.Retention(size=value))


@pytest.mark.parametrize("value", NO_LIMITS)
@pytest.mark.parametrize("name", ["rows", "not_finite", "empty", "drift"])
def test_a_gate_has_a_limit_that_can_be_reached(name, value):
    """A NaN compares with nothing, an infinity is never passed."""
    assert refused(pb.errors.ContractError, f"gates.{name}", value, lambda: pb.Gates(**{name: value}))


@pytest.mark.parametrize("name", ["rows", "not_finite"])
def test_a_gate_that_always_looks_needs_its_limit(name):
    """``None`` switches off only the gates that are off by default."""
    assert refused(pb.errors.ContractError, f"gates.{name}", None, lambda: pb.Gates(**{name: None}))


@pytest.mark.parametrize("value", NO_LIMITS)
@pytest.mark.parametrize("name", ["slowdown", "pressure", "least"])
def test_a_throttle_has_limits_that_can_be_reached(name, value):
    """As for gates."""
    assert refused(pb.BadInput, f"throttle.{name}", value, lambda: pb.Throttle(**{name: value}))


@pytest.mark.parametrize("value", [5, None, {"rows": 0.5}])
@pytest.mark.parametrize("name", ["gates", "retention"])
def test_gates_and_retention_are_what_they_are_called(name, value):
    """For artifacts and models alike, when they are declared."""
    assert refused(pb.errors.ContractError, name, value, lambda: declare(**{name: value}))

    def model():
        @pb.Registry().model(**contract(invalidated_by=[], refresh=pb.every("20m")), **{name: value})
        def weights() -> int:
            return 1

    assert refused(pb.errors.ContractError, name, value, model)


class Judge:
    """A gate as an object."""

    async def __call__(self, generation):
        """Say nothing."""


async def judge(generation, limit=0):
    """Say nothing, later."""


@pytest.mark.parametrize("value", [5, "good", judge, functools.partial(judge, limit=1), Judge()])
def test_a_quality_gate_is_a_plain_function(value):
    """It runs in a thread, where nothing awaits it: what it would say is never heard."""
    assert refused(pb.errors.ContractError, "gates.quality", value, lambda: pb.Gates(quality=value))


def reasons(generation):
    """Yield what nobody hears."""
    yield "too few"


async def late_reasons(generation):
    """Yield it later."""
    yield "too few"


class Reasons:
    """A generator as an object."""

    def __call__(self, generation):
        """Yield what nobody hears."""
        yield "too few"


@pytest.mark.parametrize("value", [reasons, late_reasons, functools.partial(reasons), Reasons()])
def test_a_quality_gate_returns_its_reason(value):
    """What it yields is never heard."""
    assert refused(pb.errors.ContractError, "gates.quality", value, lambda: pb.Gates(quality=value))


@pytest.mark.parametrize("value", ["yes", [5], 1, None, "22:00-06:00"])
@pytest.mark.parametrize("make", [pb.every, pb.planned])
def test_a_schedule_is_off_peak_or_not(make, value):
    """The windows themselves are the app's."""
    assert refused(pb.errors.ContractError, "refresh.off_peak", value, lambda: make("6h", off_peak=value))
    assert refused(pb.errors.ContractError, "refresh.off_peak", value, lambda: pb.planned(off_peak=value))


@pytest.mark.parametrize("value", ["yes", [5], 1, 0, None])
@pytest.mark.parametrize("period", [None, "6h"])
def test_a_plan_reverses_or_not(period, value):
    """Anything but true or false is refused, whether the plan has a period or leaves it open."""
    assert refused(pb.errors.ContractError, "refresh.reverses", value, lambda: pb.planned(period, reverses=value))
    assert [pb.planned(period, reverses=given).reverses for given in (True, False)] == [True, False]


def test_a_truth_is_no_duration():
    """Neither as a period nor as a budget, though it counts as 1 in Python."""
    assert refused(pb.errors.ContractError, "refresh.period", True, lambda: pb.every(True))
    assert refused(pb.errors.ContractError, "refresh.budget", True, lambda: pb.every("6h", budget=True))
    assert refused(pb.errors.ContractError, "refresh.budget", True, lambda: pb.planned(budget=True))


class Sink:
    """An alert sink, as a class."""

    async def send(self, alert):
        """Hear nothing."""


@pytest.mark.parametrize("value", [5, None, "log://", [5], ["log://"], [Sink]])
def test_alerts_go_to_sinks(value):
    """A number, an address or a class delivers nothing, and nobody would notice before the first alert."""
    shown = value[0] if isinstance(value, list) else value
    assert refused(pb.BadInput, "alerts", shown, lambda: pb.App(pb.Registry(), alerts=value))


@pytest.mark.parametrize("value", [5, None, ["memory://"], dict])
def test_a_store_is_one_or_its_address(value):
    """Not found out at the first request."""
    assert refused(pb.BadInput, "store", value, lambda: pb.App(pb.Registry(), store=value))


@pytest.mark.parametrize("value", [5, True, b"ledger", ["ledger"]])
def test_a_ledger_is_a_path(value):
    """Or ``None``."""
    assert refused(pb.BadInput, "ledger", value, lambda: pb.App(pb.Registry(), ledger=value))


@pytest.mark.parametrize("value", [5, [5], "22-6", ["22:00-22:00"], [None]])
def test_off_peak_windows_are_read_when_they_are_declared(value):
    """Not when the first run is looked for."""
    shown = value[0] if isinstance(value, list) else value
    assert refused(pb.BadInput, "off_peak", shown, lambda: pb.Batch(off_peak=value))


@pytest.mark.parametrize("value", ["Nowhere/Atall", 5, "../etc"])
def test_a_zone_is_looked_up_when_it_is_declared(value):
    """With windows or without."""
    assert refused(pb.BadInput, "zone", value, lambda: pb.Batch(zone=value))


def test_a_zone_alone_declares_no_window():
    """When traffic is low is then learned as ever."""
    assert pb.Batch(zone="Europe/Berlin").windows is None


@pytest.mark.parametrize("value", [5, "shop:app", LocalExecutor])
def test_an_executor_is_one(value):
    """A name or a class computes nothing."""
    assert refused(pb.BadInput, "executor", value, lambda: pb.Batch(executor=value))


@pytest.mark.parametrize("value", [5, 1.2, True])
def test_a_throttle_is_one(value):
    """Or ``None``."""
    assert refused(pb.BadInput, "throttle", value, lambda: pb.Batch(throttle=value))


@pytest.mark.parametrize(("setting", "shown"), [("batch", {"zone": "UTC"}), ("durability", "journal.jsonl")])
def test_a_group_of_settings_is_one(setting, shown):
    """An app refuses a value of another type where it expects ``pb.Batch`` or ``pb.Durability``."""
    assert refused(pb.BadInput, setting, shown, lambda: pb.App(pb.Registry(), **{setting: shown}))


@pytest.mark.parametrize("value", ["noapp", "shop:", ":app", ".shop:app", "", 5, None])
@pytest.mark.parametrize("executor", [LocalExecutor, RayExecutor])
def test_an_executor_is_told_an_app_by_its_name(executor, value):
    """Its processes load the app: a name that cannot be one is not met in the middle of the first run."""
    assert refused(pb.BadInput, "app", value, lambda: executor(value))


@pytest.mark.parametrize("value", [99, -1, 20, 2.5, True, "10"])
def test_processes_only_give_way(value):
    """Niceness is from 0 to 19."""
    assert refused(pb.BadInput, "nice", value, lambda: LocalExecutor("shop:app", nice=value))


@pytest.mark.parametrize("value", [5, None])
def test_a_cluster_has_an_address(value):
    """A text, empty for this machine."""
    assert refused(pb.BadInput, "address", value, lambda: RayExecutor("shop:app", address=value))


async def test_what_can_be_meant_is_accepted(tmp_path):
    """The edges of what is allowed, and the types that stand for it."""
    gates = pb.Gates(rows=0, not_finite=1, empty=None, drift=0.1, quality=lambda generation: None)
    assert (gates.rows, gates.not_finite, gates.empty, gates.drift) == (0, 1, None, 0.1)
    assert pb.Retention(generations=16, size=1).generations == 16
    assert pb.Throttle(slowdown=2, pressure=1, least=1).slowdown == 2
    assert declare(chunk=1).chunk == 1
    executor = LocalExecutor("shop.parts:app.inner", processes=1, nice=0)
    batch = pb.Batch(executor=executor, throttle=None, off_peak="22:00-06:00", zone="Europe/Berlin")
    app = pb.App(pb.Registry(), batch=batch)
    assert app.settings.batch is batch
    assert batch.windows is not None
    await app.close()
    store, sink = pb.App(pb.Registry()).engine.store, Sink()
    app = pb.App(pb.Registry(), store=store, alerts=(sink,), ledger=tmp_path / "ledger")
    assert (app.engine.store, app.settings.alerts) == (store, (sink,))
    await app.close()
