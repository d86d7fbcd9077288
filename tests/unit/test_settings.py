"""Invalid settings of the batch lane are refused where they are written."""

import functools
import math

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
import parbake_planner
from parbake.adapters.local import LocalExecutor
from parbake.adapters.ray import RayExecutor
from parbake.lanes.batch.throttle import Throttle
from parbake.tasks.retention import Retention
from parbake_llm import Prompts
from parbake_planner import Ledger, Planner

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
    """An invalid ``chunk=``, number of generations or number of processes is refused."""
    assert refused(pb.errors.ContractError, "chunk", value, lambda: declare(chunk=value))
    assert refused(pb.errors.ContractError, "retention.generations", value, lambda: Retention(generations=value))
    for executor in (LocalExecutor, RayExecutor):
        assert refused(pb.BadInput, "processes", value, lambda executor=executor: executor("shop:app", processes=value))


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "much", b"2GiB", math.nan])
def test_a_retained_size_is_some_bytes(value):
    """An invalid retention size is refused."""
    assert refused(pb.errors.ContractError, "retention.size", value, lambda: Retention(size=value))


@pytest.mark.parametrize("value", NO_LIMITS)
@pytest.mark.parametrize("name", ["rows", "not_finite", "empty", "drift"])
def test_a_gate_has_a_limit_that_can_be_reached(name, value):
    """A gate's limit must be a finite number that is not negative."""
    assert refused(pb.errors.ContractError, f"gates.{name}", value, lambda: pb.Gates(**{name: value}))


@pytest.mark.parametrize("name", ["rows", "not_finite"])
def test_a_gate_that_always_looks_needs_its_limit(name):
    """``None`` is refused for the gates that are on by default."""
    assert refused(pb.errors.ContractError, f"gates.{name}", None, lambda: pb.Gates(**{name: None}))


@pytest.mark.parametrize("value", NO_LIMITS)
@pytest.mark.parametrize("name", ["slowdown", "pressure", "least"])
def test_a_throttle_has_limits_that_can_be_reached(name, value):
    """A throttle's limits must be finite numbers that are not negative."""
    assert refused(pb.BadInput, f"throttle.{name}", value, lambda: Throttle(**{name: value}))


@pytest.mark.parametrize("value", [5, None, {"rows": 0.5}])
@pytest.mark.parametrize("name", ["gates", "retention"])
def test_gates_and_retention_are_what_they_are_called(name, value):
    """``gates=`` and ``retention=`` of another type are refused for artifacts and models."""
    assert refused(pb.errors.ContractError, name, value, lambda: declare(**{name: value}))

    def model():
        @pb.Registry().model(**contract(invalidated_by=[], refresh=pb.every("20m")), **{name: value})
        def weights() -> int:
            return 1

    assert refused(pb.errors.ContractError, name, value, model)


class Judge:
    """A gate that is a callable object with an ``async`` call."""

    async def __call__(self, generation):
        """Return nothing."""


async def judge(generation, limit=0):
    """Return nothing, as a coroutine."""


@pytest.mark.parametrize("value", [5, "good", judge, functools.partial(judge, limit=1), Judge()])
def test_a_quality_gate_is_a_plain_function(value):
    """A quality gate that is not callable, or that is a coroutine function, is refused."""
    assert refused(pb.errors.ContractError, "gates.quality", value, lambda: pb.Gates(quality=value))


def reasons(generation):
    """Yield a reason, which a gate should return."""
    yield "too few"


async def late_reasons(generation):
    """Yield a reason from an async generator."""
    yield "too few"


class Reasons:
    """A gate that is a callable object with a generator as its call."""

    def __call__(self, generation):
        """Yield a reason."""
        yield "too few"


@pytest.mark.parametrize("value", [reasons, late_reasons, functools.partial(reasons), Reasons()])
def test_a_quality_gate_returns_its_reason(value):
    """A quality gate that is a generator is refused, because its reasons would be lost."""
    assert refused(pb.errors.ContractError, "gates.quality", value, lambda: pb.Gates(quality=value))


@pytest.mark.parametrize("value", ["yes", [5], 1, None, "22:00-06:00"])
@pytest.mark.parametrize("make", [pb.every, parbake_planner.planned])
def test_a_schedule_is_off_peak_or_not(make, value):
    """``off_peak=`` of a schedule accepts only booleans; the windows are a setting of the app."""
    assert refused(pb.errors.ContractError, "refresh.off_peak", value, lambda: make("6h", off_peak=value))
    assert refused(pb.errors.ContractError, "refresh.off_peak", value, lambda: parbake_planner.planned(off_peak=value))


@pytest.mark.parametrize("value", ["yes", [5], 1, 0, None])
@pytest.mark.parametrize("period", [None, "6h"])
def test_a_plan_reverses_or_not(period, value):
    """``reverses=`` accepts only booleans, whether the plan has a period or not."""
    assert refused(
        pb.errors.ContractError, "refresh.reverses", value, lambda: parbake_planner.planned(period, reverses=value)
    )
    assert [parbake_planner.planned(period, reverses=given).choice.reverses for given in (True, False)] == [True, False]


def test_a_truth_is_no_duration():
    """``True`` is refused as a period and as a budget."""
    assert refused(pb.errors.ContractError, "refresh.period", True, lambda: pb.every(True))
    assert refused(pb.errors.ContractError, "refresh.budget", True, lambda: pb.every("6h", budget=True))
    assert refused(pb.errors.ContractError, "refresh.budget", True, lambda: parbake_planner.planned(budget=True))


class Sink:
    """An alert sink, as a class."""

    async def send(self, alert):
        """Do nothing."""


@pytest.mark.parametrize("value", [5, None, "log://", [5], ["log://"], [Sink]])
def test_alerts_go_to_sinks(value):
    """``alerts=`` refuses a number, an address and a class."""
    shown = value[0] if isinstance(value, list) else value
    assert refused(pb.BadInput, "alerts", shown, lambda: pb.App(pb.Registry(), alerts=value))


@pytest.mark.parametrize("value", [5, None, ["memory://"], dict])
def test_a_store_is_one_or_its_address(value):
    """``store=`` of another type is refused when the app is made."""
    assert refused(pb.BadInput, "store", value, lambda: pb.App(pb.Registry(), store=value))


@pytest.mark.parametrize("value", [5, True, b"ledger", ["ledger"]])
def test_a_ledger_is_a_path(value):
    """A ledger refuses anything but a path."""
    assert refused(pb.BadInput, "ledger", value, lambda: Ledger(value))


@pytest.mark.parametrize("value", [5, [5], "22-6", ["22:00-22:00"], [None]])
def test_off_peak_windows_are_read_when_they_are_declared(value):
    """Invalid off-peak windows are refused when ``Batch`` is made."""
    shown = value[0] if isinstance(value, list) else value
    assert refused(pb.BadInput, "off_peak", shown, lambda: pb.Batch(off_peak=value))


@pytest.mark.parametrize("value", ["Nowhere/Atall", 5, "../etc"])
def test_a_zone_is_looked_up_when_it_is_declared(value):
    """An unknown time zone is refused, also without windows."""
    assert refused(pb.BadInput, "zone", value, lambda: pb.Batch(zone=value))


def test_a_zone_alone_declares_no_window():
    """A time zone without windows declares none, so they are learned from traffic."""
    assert pb.Batch(zone="Europe/Berlin").windows is None


@pytest.mark.parametrize("value", [5, "shop:app", LocalExecutor])
def test_an_executor_is_one(value):
    """``executor=`` refuses a number, a name and a class."""
    assert refused(pb.BadInput, "executor", value, lambda: pb.Batch(executor=value))


@pytest.mark.parametrize("value", [5, 1.2, True])
def test_a_throttle_is_one(value):
    """``throttle=`` refuses anything but a throttle and ``None``."""
    assert refused(pb.BadInput, "throttle", value, lambda: pb.Batch(throttle=value))


@pytest.mark.parametrize(("setting", "shown"), [("batch", {"zone": "UTC"}), ("durability", "journal.jsonl")])
def test_a_group_of_settings_is_one(setting, shown):
    """An app refuses a value of another type where it expects ``pb.Batch`` or ``pb.Durability``."""
    assert refused(pb.BadInput, setting, shown, lambda: pb.App(pb.Registry(), **{setting: shown}))


@pytest.mark.parametrize("value", ["noapp", "shop:", ":app", ".shop:app", "", 5, None])
@pytest.mark.parametrize("executor", [LocalExecutor, RayExecutor])
def test_an_executor_is_told_an_app_by_its_name(executor, value):
    """An executor refuses an app's name that is not of the form ``module:app``."""
    assert refused(pb.BadInput, "app", value, lambda: executor(value))


@pytest.mark.parametrize("value", [99, -1, 20, 2.5, True, "10"])
def test_processes_only_give_way(value):
    """``nice=`` accepts whole numbers from 0 to 19."""
    assert refused(pb.BadInput, "nice", value, lambda: LocalExecutor("shop:app", nice=value))


@pytest.mark.parametrize("value", [5, None, ""])
def test_a_cluster_has_an_address(value):
    """``address=`` of a Ray executor must be a text that is not empty."""
    assert refused(pb.BadInput, "address", value, lambda: RayExecutor("shop:app", address=value))


async def test_what_can_be_meant_is_accepted(tmp_path):
    """Settings at the edges of their ranges, and all documented types, are accepted."""
    gates = pb.Gates(rows=0, not_finite=1, empty=None, drift=0.1, quality=lambda generation: None)
    assert (gates.rows, gates.not_finite, gates.empty, gates.drift) == (0, 1, None, 0.1)
    assert Retention(generations=16, size=1).generations == 16
    assert Throttle(slowdown=2, pressure=1, least=1).slowdown == 2
    assert declare(chunk=1).chunk == 1
    executor = LocalExecutor("shop.parts:app.inner", processes=1, nice=0)
    batch = pb.Batch(executor=executor, throttle=None, off_peak="22:00-06:00", zone="Europe/Berlin")
    app = pb.App(pb.Registry(), batch=batch)
    assert app.settings.batch is batch
    assert batch.windows is not None
    await app.close()
    store, sink = pb.App(pb.Registry()).engine.store, Sink()
    app = pb.App(
        pb.Registry(), store=store, alerts=(sink,), plugins=[Ledger(tmp_path / "ledger"), Planner(), Prompts()]
    )
    assert (app.engine.store, app.settings.alerts) == (store, (sink,))
    await app.close()
