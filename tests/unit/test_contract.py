"""The contract: verdicts, confidence curves, and the checks at registration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parbake as pb
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.verdict import judge
from parbake.tasks.contract import Contract, Exponential, Linear, Steps
from parbake.tasks.contract_checks import make_contract


def contract(**changes):
    """Return a contract with an SLA of one hour."""
    settings = {"freshness_sla_s": 3600.0, "invalidated_by": (), "fallback_if_stale": pb.Refuse(), "owner": "team"}
    return Contract(**(settings | changes))


def lint(**changes):
    """Make a contract with the checks that a decorator runs."""
    settings = {
        "freshness_sla": "1h",
        "invalidated_by": [],
        "fallback_if_stale": pb.Refuse(),
        "owner": "team",
        "confidence": None,
        "schedule": None,
    }
    return make_contract(**(settings | changes))


def verdict(bound, age_s=0.0, killed_by=None, pending=False):
    """Judge a record and return the verdict."""
    return judge(bound, age_s=age_s, killed_by=killed_by, pending=pending).verdict


def test_a_record_within_its_sla_is_fresh():
    """A record at exactly its SLA is fresh, with full confidence."""
    assert judge(contract(), age_s=3600, killed_by=None, pending=False).confidence == 1.0
    assert verdict(contract(), 3600) is pb.Verdict.FRESH


def test_a_record_past_its_sla_is_stale():
    """A record that is 0.1 s past its SLA is stale."""
    assert verdict(contract(), 3600.1) is pb.Verdict.STALE


def test_a_kill_outweighs_youth():
    """A new record with a raised fence is stale, and one with a silent source is unknown."""
    assert verdict(contract(), 0, Reason(Cause.TAG_CHANGED, "policy/returns")) is pb.Verdict.STALE
    assert verdict(contract(), 0, Reason(Cause.SOURCE_SILENT, "policy")) is pb.Verdict.UNKNOWN


def test_a_pending_refresh_degrades():
    """A record with a raised refresh tag is still served, as degraded."""
    found = judge(contract(), age_s=0, killed_by=None, pending=True)
    assert (found.verdict, found.reason) == (pb.Verdict.DEGRADED, Reason(Cause.REFRESH_PENDING))


def test_confidence_degrades_then_stales():
    """A value below full confidence is degraded, and one below the floor is stale."""
    bound = contract(confidence=Exponential("30m", c0=0.9, floor=0.5))
    assert verdict(bound, 0) is pb.Verdict.FRESH
    assert verdict(bound, 600) is pb.Verdict.DEGRADED
    assert verdict(bound, 2400) is pb.Verdict.STALE
    assert judge(bound, age_s=600, killed_by=None, pending=True).reason.cause is Cause.REFRESH_PENDING


@pytest.mark.parametrize(
    "curve",
    [Exponential("10m", floor=0.25), Linear("50m", floor=0.1), Steps([("10m", 1.0), ("30m", 0.8)])],
)
def test_a_curve_ends_at_its_maximum_age(curve):
    """A value just below the maximum age is not stale, and one just past it is."""
    bound = contract(confidence=curve)
    assert verdict(bound, curve.max_age_s() * 0.999) is not pb.Verdict.STALE
    assert verdict(bound, curve.max_age_s() * 1.001) is pb.Verdict.STALE


@given(st.floats(0, 10**6), st.floats(0, 10**6))
def test_confidence_never_grows_with_age(younger, older):
    """Every curve falls with age and stays between 0 and its start."""
    younger, older = sorted((younger, older))
    for curve in (Exponential("1h", c0=0.9), Linear("2h", c0=0.8), Steps([("1h", 1.0), ("6h", 0.7)])):
        assert 0 <= curve.at(older) <= curve.at(younger) <= curve.c0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"owner": " "}, "owner"),
        ({"freshness_sla": "soon"}, "freshness_sla"),
        ({"schedule": pb.every("1h")}, "freshness_sla"),
        ({"schedule": pb.every("50m", budget="20m")}, "freshness_sla"),
        ({"fallback_if_stale": pb.ServeStale("never")}, "fallback_if_stale.within"),
        ({"confidence": Linear("2h", floor=0.1)}, "confidence"),
        ({"confidence": Linear("1h", c0=0.5, floor=0.6)}, "confidence.floor"),
        ({"confidence": Linear("1h", c0=0.0, floor=0.0)}, "confidence.floor"),
        ({"confidence": Exponential("1h", floor=0.0)}, "confidence.floor"),
        ({"confidence": Steps([("30m", 0.5), ("10m", 1.0)])}, "confidence.table"),
        ({"confidence": Steps([("10m", 1.5)])}, "confidence.table"),
        ({"confidence": Steps([])}, "confidence.table"),
    ],
)
def test_a_contract_that_cannot_hold_is_refused(changes, field):
    """A contradiction in a contract is refused at registration, and the error names the field."""
    with pytest.raises(pb.errors.ContractError) as caught:
        lint(**changes)
    assert caught.value.field == field


def test_a_schedule_within_the_sla_is_accepted():
    """A schedule is accepted if its period and its budget, by default an eighth of it, fit into the SLA."""
    assert lint(freshness_sla="9h", schedule=pb.every("8h")).freshness_sla_s == 32400


def test_the_stronger_declaration_of_a_family_wins():
    """A family that is both fenced and refreshed is fenced; an undeclared family has no strength."""
    bound = contract(invalidated_by=(pb.refresh("policy"), pb.fence("policy/{key}")))
    assert bound.strength("policy") == "fence"
    assert bound.strength("user") is None


CURVES = {
    "exponential": Exponential("20m", floor=0.25),
    "linear": Linear("100m", floor=0.5),
    "steps": Steps([("10m", 1.0), ("30m", 0.5)], floor=0.5),
}


@pytest.mark.parametrize("name", sorted(CURVES))
def test_a_confidence_exactly_at_the_floor_is_still_served(name):
    """The floor is the lowest confidence that is served: at it a value is degraded, below it stale."""
    bound = contract(confidence=CURVES[name])
    at_floor = judge(bound, age_s=CURVES[name].max_age_s(), killed_by=None, pending=False)
    assert (at_floor.verdict, at_floor.confidence) == (pb.Verdict.DEGRADED, CURVES[name].floor)
    assert at_floor.reason.cause is Cause.CONFIDENCE_FALLEN
    below = judge(bound, age_s=CURVES[name].max_age_s() + 0.001, killed_by=None, pending=False)
    assert (below.verdict, below.reason.cause) == (pb.Verdict.STALE, Cause.CONFIDENCE_TOO_LOW)


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_without_any_confidence_nothing_is_served(floor):
    """A value with a confidence of 0 is stale, even where the floor is 0."""
    assert verdict(contract(confidence=Linear("10m", floor=floor)), 600.0) is pb.Verdict.STALE


@pytest.mark.parametrize(
    "table",
    [
        [("10m", 1.0)],
        [("10m", 1.0), ("30m", 0.8)],
        [("10m", 0.8), ("20m", 0.8), ("1h", 0.8)],
        [("10m", 0.9), ("10m", 0.8)],
        [("10m", 1.0), ("1h", 0.0)],
    ],
)
def test_a_step_table_that_falls_is_accepted(table):
    """A table is accepted if its ages rise and its confidences stay or fall between 1 and 0."""
    assert lint(confidence=Steps(table)).confidence.table == table


@pytest.mark.parametrize(
    "table",
    [
        [("30m", 1.0), ("10m", 0.8)],
        [("10m", 0.8), ("30m", 1.0)],
        [("10m", 1.001)],
        [("10m", 1.0), ("30m", -0.001)],
    ],
)
def test_a_step_table_that_does_not_fall_is_refused(table):
    """A table with falling ages, rising confidences or values outside 0 to 1 is refused by name."""
    with pytest.raises(pb.errors.ContractError) as caught:
        lint(confidence=Steps(table))
    assert caught.value.field == "confidence.table"


@pytest.mark.parametrize(("budget", "needed"), [(None, "1h7m30s"), ("20m", "1h20m")])
def test_a_schedule_that_does_not_fit_says_how_long_it_takes(budget, needed):
    """The error states period plus budget, and an SLA of that length is accepted."""
    schedule = pb.every("1h", budget=budget)
    with pytest.raises(pb.errors.ContractError, match=rf"freshness_sla=1h is shorter than .* \({needed}\)"):
        lint(schedule=schedule)
    assert lint(freshness_sla=needed, schedule=schedule).freshness_sla_s == schedule.period_s + schedule.budget_s
