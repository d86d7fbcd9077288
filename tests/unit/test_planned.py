"""``refresh=planned()``: batch runs compute the keys that the adopted plan picks; requests compute the others."""

import contextlib
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from tests.unit.commands import invoke
from tests.unit.shopfloor import contract

import parbake as pb
import parbake_planner
from parbake_planner import Ledger, Planner, strategies
from parbake_planner import plan as decisions
from parbake_planner.adopted import NO_PLAN, AdoptedPlan, must_be_planned
from parbake_planner.breakeven import Prices
from parbake_planner.next_window import from_minutes, picks

DAY_MIN = 1440
PRICES = {"on_demand": 0.012, "serve": 0.0001, "batch": 0.00012, "write": 0.00001}


class Planned:
    """A task over 300 shoppers, a third of whom come every day, with a request log in its ledger."""

    def __init__(self, world, tmp_path):
        """Declare the task and open the app."""
        self.computed = []
        self.shoppers = [f"u{n:03}" for n in range(300)]
        tasks = pb.Registry()

        def everybody() -> list[str]:
            return self.shoppers

        @tasks.artifact(**contract(freshness_sla="1d", refresh=parbake_planner.planned(), keys=everybody))
        def liked(shopper: str) -> str:
            self.computed.append(shopper)
            return shopper.upper()

        self.liked = liked
        self.world = world
        self.ledger = tmp_path / "ledger.db"
        self.app = world.app(tasks, ledger=self.ledger)

    def log(self, days=21, *, ahead_s=0):
        """Write requests until ``ahead_s`` from now: from the first 100 shoppers daily, from the others once."""
        self.app.plugins[Ledger].file.close()
        now = int((self.world.clock.now() + ahead_s) // 60)
        rng = np.random.default_rng(0)
        rows = {}
        for n, shopper in enumerate(self.shoppers):
            for day in range(days) if n < 100 else [int(rng.integers(days))]:
                minute = now - day * DAY_MIN - int(rng.integers(1, DAY_MIN))
                rows[minute, b"s" + shopper.encode()] = 1
        with contextlib.closing(sqlite3.connect(self.ledger)) as connection, connection:
            connection.executemany(
                "INSERT INTO serves VALUES (?, 'liked', ?, ?, 0)", [(m, key, n) for (m, key), n in rows.items()]
            )

    async def follow(self, strategy):
        """Adopt a plan with this strategy."""
        plan = AdoptedPlan(strategy, self.world.clock.now(), "because", PRICES)
        await self.app.plugins[Planner].adopted_plans.follow(self.app.engine.bound_task(self.liked), plan)

    async def due(self):
        """Run what is due now, and return the runs."""
        self.computed.clear()
        return await self.app.ops.run_due()


@pytest.fixture
async def made(world, tmp_path):
    """Return the task, after polling its source."""
    found = Planned(world, tmp_path)
    await found.app.drain()
    yield found
    await found.app.close()


async def test_without_a_plan_everything_is_left_to_requests(made):
    """Without a plan no run is due or can be started, and the first request computes and stores the value."""
    assert await made.due() == []
    with pytest.raises(pb.BadInput, match="computes nothing ahead"):
        await made.app.materialize(made.liked)
    assert [(await made.app.serve(made.liked, "u000")).lane for _ in range(2)] == ["realtime", "realtime"]
    assert made.computed == ["u000"]
    assert (await made.app.plugins[Planner].adopted(made.liked)) == ()


async def test_a_plan_per_key_computes_those_who_are_likely_to_come(made):
    """The plan computes the hundred daily shoppers ahead, and most others on request."""
    made.log()
    await made.follow(strategies.PER_KEY)
    (run,) = await made.due()
    assert set(made.computed) >= set(made.shoppers[:100])
    assert len(made.computed) < 180
    assert run.built[0].rows == len(made.computed)
    stranger = next(s for s in made.shoppers if s not in made.computed)
    assert (await made.app.serve(made.liked, made.shoppers[0])).lane == "batch"
    assert (await made.app.serve(made.liked, stranger)).value == stranger.upper()


async def test_a_plan_can_be_rolled_back(made):
    """A rollback returns to the previous plan, and from the first to none; a plan with fewer rows passes the gate."""
    made.log(ahead_s=86_000)
    await made.follow(strategies.ALL)
    await made.due()
    assert len(made.computed) == 300
    await made.follow(strategies.PER_KEY)
    made.world.clock.advance(86_000)
    await made.app.drain()
    await made.due()
    assert 0 < len(made.computed) < 180
    assert (await made.app.plugins[Planner].unadopt(made.liked)).strategy == strategies.ALL
    assert await made.app.plugins[Planner].unadopt(made.liked) == NO_PLAN
    with pytest.raises(pb.errors.UnknownResource, match="follows no adopted plan"):
        await made.app.plugins[Planner].unadopt(made.liked)
    assert await made.due() == []


async def test_a_plan_is_made_from_the_tasks_own_requests(made):
    """A plan is made by replaying the ledger, adopted with prices and evidence, and changed by a price trigger."""
    made.log()
    decision = await made.app.plugins[Planner].replan(made.liked, Prices(**PRICES))
    assert decision.keys == 300
    adopted = await made.app.plugins[Planner].adopt(made.liked, decision)
    assert adopted.strategy == decision.recommended
    assert adopted.prices["on_demand"] == 0.012
    assert adopted.evidence["usd_per_day"] <= adopted.evidence["best_simple_usd_per_day"]
    assert await made.app.plugins[Planner].adopted(made.liked) == (adopted,)
    now = Prices(**PRICES)
    assert await made.app.plugins[Planner].triggers(prices={"liked": now}) == []
    (one,) = await made.app.plugins[Planner].triggers(
        prices={"liked": replace(now, on_demand=now.on_demand / (2 * decision.flip))}
    )
    assert (one.trigger, one.action) == ("price", "compute on request")
    assert (await made.app.plugins[Planner].apply(one)).strategy == strategies.REAL_TIME


@pytest.mark.parametrize(
    ("strategy", "rows", "first"), [(strategies.ALL, 3, "batch"), (strategies.LAZY, 0, "realtime")]
)
async def test_a_planned_task_is_promoted_with_the_model_that_it_reads(world, tmp_path, strategy, rows, first):
    """A model's run computes the keys that its readers' plans pick, and outdates values of the old model."""
    tasks, trained = pb.Registry(), [1]

    def names() -> list[str]:
        return ["a", "b", "c"]

    @tasks.model(**contract(freshness_sla="2d", refresh=pb.every("1d")))
    def model() -> int:
        return trained[0]

    @tasks.artifact(**contract(freshness_sla="2d", refresh=parbake_planner.planned(), keys=names))
    def scored(name: str, *, by: int = pb.Model(model)) -> str:
        return f"{name}{by}"

    app = world.app(tasks, ledger=tmp_path / "ledger.db")
    await app.drain()
    await app.plugins[Planner].adopted_plans.follow(
        app.engine.bound_task(scored), AdoptedPlan(strategy, 0.0, "because", PRICES)
    )
    for number in (1, 2):
        trained[0] = number
        run = await app.materialize(model)
        assert [(built.task, built.rows) for built in run.built] == [("model", 1), ("scored", rows)]
        served = [await app.serve(scored, "a") for _ in range(2)]
        assert [(one.value, one.lane) for one in served] == [(f"a{number}", first)] * 2
    await app.close()


async def test_keys_that_never_asked_are_planned_for_too(made):
    """A plan counts all listed keys, and computes keys without requests only if waiting is costly enough."""
    made.log()
    made.shoppers += [f"new{n:04}" for n in range(1_700)]
    decision = await made.app.plugins[Planner].replan(made.liked, Prices(**PRICES))
    assert (decision.keys, decision.recommended) == (2_000, strategies.PER_KEY)
    everything = decision.outcomes[strategies.ALL]
    assert everything.per_day == pytest.approx(2_000 * 0.00013, rel=0.2)
    await made.app.plugins[Planner].adopt(made.liked, decision)
    (run,) = await made.due()
    assert run.built[0].rows < 300
    with pytest.raises(pb.BadInput, match="no plan reaches"):
        await made.app.plugins[Planner].adopt(made.liked, replace(decision, hits=0.9999, recommended=strategies.LAZY))
    evidence = {"listed_keys": 2_000.0, "second_for_hits": 1_000.0}
    dear = AdoptedPlan(strategies.PER_KEY, made.world.clock.now(), "because", PRICES, evidence)
    await made.app.plugins[Planner].adopted_plans.follow(made.app.engine.bound_task(made.liked), dear)
    made.world.clock.advance(86_000)
    await made.app.drain()
    (run,) = await made.due()
    assert run.built[0].rows > 1_700, "where waiting is dear enough, strangers too"


async def test_a_promise_of_hits_is_part_of_the_plan(made):
    """The value of a second that ``hits=`` implies is adopted apart from the prices, and picks more keys."""
    made.log()
    decision = await made.app.plugins[Planner].replan(made.liked, Prices(**PRICES), hits=0.99)
    adopted = await made.app.plugins[Planner].adopt(made.liked, decision)
    assert adopted.evidence["hits_asked_for"] == 0.99
    assert adopted.evidence["second_for_hits"] == decision.second
    assert adopted.prices["second"] == 0.0
    picks = {}
    for second in (0.0, 10.0):
        evidence = {"second_for_hits": second}
        plan = AdoptedPlan(strategies.PER_KEY, made.world.clock.now(), "because", PRICES, evidence)
        await made.app.plugins[Planner].adopted_plans.follow(made.app.engine.bound_task(made.liked), plan)
        picks[second] = len(
            (await made.app.plugins[Planner].adopted_plans.picked(made.app.engine.bound_task(made.liked))).keys
        )
    assert picks[0.0] < picks[10.0]


async def test_a_task_that_nobody_asked_for_cannot_be_planned(made, world):
    """A task without requests, without a ledger or with another schedule cannot be planned; the error says why."""
    with pytest.raises(pb.BadInput, match="no request"):
        await made.app.plugins[Planner].replan(made.liked, Prices(**PRICES))
    bare = world.app(made.app.tasks, plugins=[Planner()])
    with pytest.raises(pb.BadInput, match="ledger"):
        await bare.plugins[Planner].replan(made.liked, Prices(**PRICES))
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(refresh=pb.every("20m"), keys=names))
    def fixed(name: str) -> str:
        return name

    app = world.app(tasks)
    with pytest.raises(pb.BadInput, match="not declared refresh=planned"):
        must_be_planned(app.engine.bound_task(fixed))


def test_a_model_cannot_be_planned():
    """A model cannot be declared with ``planned()``, because it has no keys."""
    with pytest.raises(pb.errors.ContractError, match="every"):
        pb.Registry().model(**contract(refresh=parbake_planner.planned()))


def test_an_open_period_fills_the_sla():
    """The period and budget of a planned task add up to its SLA."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(freshness_sla="9h", refresh=parbake_planner.planned()))
    def value(key: str) -> str:
        return key

    assert (value.schedule.period_s, value.schedule.budget_s) == (8 * 3600, 3600)


def test_the_names_of_strategies_are_those_that_are_replayed():
    """The batch lane knows only strategies that the planner can recommend."""
    assert {*decisions.SIMPLE, decisions.PER_KEY, decisions.PER_KEY_EVENTS} >= set(strategies.AHEAD)


def test_counts_per_minute_become_a_request_log():
    """Each request gets its own time within its minute, so that none counts as a repetition."""
    log = from_minutes([(30_000_000, b"a", 3), (30_000_000, b"b", 1), (30_000_001, b"a", 1)], now=1_800_000_120.0)
    assert (log.requests, log.keys, log.names) == (5, 2, (b"a", b"b"))
    assert len(set(zip(log.key.tolist(), log.time.tolist(), strict=True))) == 5


def test_a_costly_run_that_does_not_pay_picks_nobody():
    """If the fixed cost of a run exceeds all gains, no key is picked."""
    rows = [(30_000_000 + DAY_MIN * d + n, b"k%d" % n, 1) for d in range(21) for n in range(50)]
    now = (30_000_000 + DAY_MIN * 21) * 60.0
    log = from_minutes(sorted(rows), now=now)
    cheap, dear = Prices(**PRICES), Prices(**PRICES, job=100.0)
    keys, p_hat = picks(log, cheap, sla_s=86_400.0, now=now)
    assert len(keys) == 50
    assert cheap.theta() < p_hat <= 1.0
    keys, p_hat = picks(log, dear, sla_s=86_400.0, now=now)
    assert (len(keys), p_hat) == (0, None)


MODULE = """
import parbake as pb
import parbake_planner
from parbake_llm import Prompts
from parbake_planner import Ledger, Planner
tasks = pb.Registry()

def everybody() -> list[str]:
    return ["a"]

@tasks.artifact(freshness_sla="1d", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="recs",
                refresh=parbake_planner.planned())
def liked(shopper: str) -> str:
    return shopper

@tasks.artifact(freshness_sla="1d", invalidated_by=[pb.refresh("user/{shopper}")], fallback_if_stale=pb.Recompute(),
                owner="recs", refresh=pb.every("12h"), keys=everybody)
def listed(shopper: str) -> str:
    return shopper

@tasks.artifact(freshness_sla="1d", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="recs")
def asked(shopper: str) -> str:
    return shopper

app = pb.App(tasks, store="lmdb://FOLDER/store", plugins=[Ledger("FOLDER/ledger.db"), Planner(), Prompts()])
"""


@pytest.mark.parametrize(("task", "when"), [("listed", "every 12h or on user event"), ("asked", "on demand")])
def test_a_task_that_is_not_planned_is_shown_as_it_is_declared(tmp_path, monkeypatch, task, when):
    """``parbake planned`` shows when a task with ``every()``, or without a schedule, is computed."""
    (tmp_path / "planned_app.py").write_text(MODULE.replace("FOLDER", str(tmp_path)))
    monkeypatch.syspath_prepend(tmp_path)
    shown = invoke("planned_app", "planned", "planned_app:app", task).output
    assert f"{task} is not declared refresh=planned(); it is computed: {when}" in shown


def test_the_command_plans_adopts_and_rolls_back(tmp_path, monkeypatch):
    """``parbake planned`` recommends a plan, adopts it and rolls it back."""
    import time

    (tmp_path / "planned_app.py").write_text(MODULE.replace("FOLDER", str(tmp_path)))
    (tmp_path / "prices.json").write_text('{"as_of": "2026-01-01", "on_demand": 0.012, "batch": 0.00012, '
                                          '"serve": 0.0001, "write": 0.00001}')  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)

    def run(*words):
        return invoke("planned_app", "planned", "planned_app:app", "liked", *words)

    assert "follows no plan" in run().output
    now = int(time.time() // 60)
    rows = [(now - DAY_MIN * d - n, b"s%d" % n, 1) for d in range(14) for n in range(1, 60)]
    run("--rollback")
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.executescript(
            "CREATE TABLE IF NOT EXISTS serves(minute INTEGER, task TEXT, key BLOB, count INTEGER, "
            "ahead INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(minute, task, key)) WITHOUT ROWID"
        )
        connection.executemany("INSERT INTO serves VALUES (?, 'liked', ?, ?, 0)", rows)
    done = run("--prices", str(tmp_path / "prices.json"), "--adopt")
    assert done.exit_code == 0, done.output
    assert "recommended:" in done.output
    assert "adopted: " in done.output
    assert "follows: lazy" in run("--rollback").output
    assert "--prices" in str(run("--adopt").exception)
