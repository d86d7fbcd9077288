"""Gauges, alerting rules and the dashboard: what they are made of, and what the commands write."""

import contextlib
import json
import re

import httpx
import pytest
from tests.unit.commands import invoke
from tests.unit.shopfloor import Facts, contract
from tests.waiting import until

import parbake as pb
from parbake.adapters.prometheus import render
from parbake.http import HttpApp
from parbake.ports.alerts import KINDS
from parbake.ports.usage import Usage
from parbake_console import Console
from parbake_console.monitoring.dashboard import as_json, rows_of
from parbake_console.monitoring.rules import PAGE, TICKET, as_yaml, rules_of, watched
from parbake_planner import spent as spending

UNSEEN = {
    "recovered", "worker_back", "source_back", "store_back", "disk_free", "store_lost",
    "keys_unreadable", "keys_readable",
}  # fmt: skip
"""Kinds without a rule: the end of another alert, a loss that is over when it is noticed, and one server's own keys."""
SHOP = """
import parbake as pb
from parbake_console import Console
from parbake_planner import Ledger

tasks = pb.Registry()


@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team")
def word(key: str) -> str:
    return key


app = pb.App(tasks, store="lmdb://store", plugins=[Ledger("ledger.db"), Console()])
bare = pb.App(tasks, store="lmdb://store")
"""


def shown(app):
    """Return the lines of an app's metrics, as a scrape gets them."""
    return render(app.counters, app.engine.on.metrics).decode().splitlines()


async def test_ages_and_runs_are_gauges(shop):
    """After a look there is a gauge for each age, run and source; a task without a run has none of a run."""
    await shop.app.materialize(shop.ahead)
    await shop.after(60)
    lines = shown(shop.app)
    now = shop.world.clock.now()
    for line in (
        'parbake_sla_seconds{task="ahead"} 3600.0',
        'parbake_age_half_seconds{task="ahead"} 60.0',
        'parbake_age_oldest_seconds{task="ahead"} 60.0',
        'parbake_stale_share{task="asked"} 0.0',
        'parbake_keys_seen{task="ahead"} 2.0',
        'parbake_run_rows{task="ahead"} 2.0',
        'parbake_run_failures{task="ahead"} 0.0',
        'parbake_run_outcome{outcome="promoted",task="ahead"} 1.0',
        'parbake_run_outcome{outcome="failed",task="ahead"} 0.0',
        'parbake_source_lag_seconds{source="facts"} 0.0',
    ):
        assert line in lines
    stamps = [line for line in lines if re.match(r"parbake_\w+_timestamp_seconds\{", line)]
    assert {line.split()[0]: float(line.split()[1]) for line in stamps} == {
        'parbake_generation_timestamp_seconds{task="ahead"}': now - 60,
        'parbake_run_last_success_timestamp_seconds{task="ahead"}': now - 60,
    }
    assert not any('task="asked"' in line for line in lines if line.startswith("parbake_run_"))


async def test_a_failed_run_is_told_until_one_is_promoted(shop):
    """The outcome of the newest run and the number of failures follow the runs; the last success stays known."""
    await shop.app.materialize(shop.ahead)
    shop.world.put("c", "broken")
    await shop.app.drain()
    with contextlib.suppress(pb.ParbakeError):
        await shop.app.materialize(shop.ahead, anew=True)
    await shop.after(1)
    assert 'parbake_run_outcome{outcome="failed",task="ahead"} 1.0' in shown(shop.app)
    assert 'parbake_run_failures{task="ahead"} 1.0' in shown(shop.app)
    assert any(line.startswith("parbake_run_last_success_timestamp_seconds{") for line in shown(shop.app))
    shop.world.put("c", "whole")
    await shop.app.drain()
    await shop.app.materialize(shop.ahead)
    await shop.after(1)
    assert 'parbake_run_outcome{outcome="promoted",task="ahead"} 1.0' in shown(shop.app)


async def test_a_run_that_a_gate_refuses_is_told_apart(world):
    """The outcome is ``refused``, and the generation before it stays the last success."""
    tasks, is_open = pb.Registry(), [True]

    def judge(_):
        assert is_open[0], "too few"

    def names() -> list[str]:
        return ["a"]

    gated = contract(invalidated_by=[], keys=names, refresh=pb.every("20m"), gates=pb.Gates(quality=judge))

    @tasks.artifact(**gated)
    def row(key: str) -> str:
        return key

    app = world.app(tasks, plugins=[Console()])
    await app.materialize(row)
    promoted_at = world.clock.now()
    is_open[0] = False
    world.clock.advance(60)
    with pytest.raises(pb.errors.GateFailed):
        await app.materialize(row)
    await app.plugins[Console].look()
    lines = shown(app)
    assert 'parbake_run_outcome{outcome="refused",task="row"} 1.0' in lines
    assert 'parbake_run_outcome{outcome="promoted",task="row"} 0.0' in lines
    (last,) = [line for line in lines if line.startswith("parbake_run_last_success_timestamp_seconds{")]
    assert float(last.split()[1]) == promoted_at
    await app.close()


async def test_a_scrape_looks_at_nothing(shop, monkeypatch):
    """What a scrape shows was seen before: neither the store nor the ledger is asked for it."""
    await shop.after(0)

    def asked(*_, **__):
        raise AssertionError("a scrape has asked")

    monkeypatch.setattr(type(shop.app.engine.store), "scan", asked)
    monkeypatch.setattr(type(shop.ledger.file), "_read", asked)
    assert 'parbake_keys_seen{task="ahead"} 0.0' in shown(shop.app)


async def test_tokens_and_costs_are_counted_from_midnight(shop, settled, monkeypatch):
    """A server shows what the ledger knows of this day, by task, lane and model, and begins anew at midnight."""
    monkeypatch.setattr(spending, "_PAUSE_S", 0.01)
    await shop.app.materialize(shop.ahead)
    shop.ledger.file.spent("asked", "realtime", "small", Usage(uncached=30, output=5, cache_read=70))
    await settled()
    async with HttpApp(shop.app).lifespan():
        tokens = 'parbake_tokens_total{kind="cached",lane="realtime",model="small",task="asked"} 70.0'
        await until(lambda: tokens in shown(shop.app))
        assert any(
            line.startswith('parbake_cost_usd_total{lane="batch",model="",task="ahead"}') for line in shown(shop.app)
        )
        shop.world.clock.advance(86_400)
        await until(lambda: tokens not in shown(shop.app))


class Twins:
    """An app of every sort of task, over a source and a topic."""

    def __init__(self, world, **options):
        """Declare the tasks."""
        tasks = pb.Registry()

        def names() -> list[str]:
            return ["a"]

        @tasks.artifact(**contract(owner="catalog", freshness_sla="90m", keys=names, refresh=pb.every("20m")))
        def ahead(key: str, *, facts: pb.Source[Facts]) -> str:
            return str(facts.get(key))

        @tasks.artifact(**contract(owner="search"))
        def asked(key: str, *, facts: pb.Source[Facts]) -> str:
            return str(facts.get(key))

        @tasks.artifact(**contract(owner="search", invalidated_by=[]))
        def absent(key: str) -> str:
            return key

        settings = {"off": {"absent": "no model file"}, "events": ["kafka://127.0.0.1:1/news?families=story"]}
        self.app = world.app(tasks, plugins=[Console()], **(settings | options))
        self.seen = watched(self.app, "shop")
        self.rules = rules_of(self.seen, "platform")

    def of(self, kind):
        """Return the rules of a kind."""
        return [rule for rule in self.rules if rule.kind == kind]


@pytest.fixture
def twins(world):
    """Return an app that nothing opens."""
    return Twins(world)


def test_a_task_has_rules_with_its_own_sla_and_owner(twins):
    """A scheduled task may be stale and its runs may fail, one on request may be in quarantine; one off has no rule."""
    (stale,) = twins.of("stale")
    assert (stale.name, stale.limit, stale.owner, stale.about) == (
        "ParbakeStale",
        "> 5400",
        "catalog",
        ("task", "ahead"),
    )
    assert stale.expression == ('time() - max(parbake_generation_timestamp_seconds{job="shop",task="ahead"}) > 5400')
    assert {rule.about[1]: rule.owner for rule in twins.of("quarantined")} == {"ahead": "catalog", "asked": "search"}
    assert [rule.about for kind in ("run_failed", "gate_failed", "not_built") for rule in twins.of(kind)] == [
        ("task", "ahead")
    ] * 3


def test_a_source_alerts_each_owner_whose_tasks_it_fences(twins):
    """A source that fences nothing alerts the operators; a topic that a URL names is not connected to."""
    owners = [(rule.about[1], rule.owner) for rule in twins.of("source_silent")]
    assert owners == [("facts", "catalog"), ("facts", "search"), ("kafka:news", "platform")]


def test_an_app_without_workers_is_not_told_that_none_reports(world):
    """``App(worker="none")`` has no rule about silent workers, and no panel of them."""
    lonely = Twins(world, worker="none")
    assert lonely.of("worker_silent") == []
    queries = [
        q for panels in rows_of(lonely.seen, has_costs=True).values() for p in panels for q in p.queries.values()
    ]
    assert not any("parbake_worker" in query for query in queries)


def test_every_kind_of_alert_that_a_metric_tells_has_a_rule_and_a_runbook(twins, root):
    """The kinds of the alert reference all have a rule, but for a few; each rule has a section of the runbooks."""
    kinds = {rule.kind for rule in twins.rules}
    assert kinds & set(KINDS) == set(KINDS) - UNSEEN
    sections = re.findall(r"^## (\w+)$", (root / "docs/howto/runbooks.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(kinds)
    assert {rule.severity for rule in twins.rules} == {PAGE, TICKET}


def test_names_are_quoted(world):
    """A name with quotes stays one string, in an expression and in the file."""
    odd = Twins(world, events=[])
    rule = odd.rules[0]._replace(owner='the "best" team: #1')
    line = next(line for line in as_yaml([rule], "x").splitlines() if "labels" in line)
    assert json.loads(line.partition(": ")[2])["owner"] == 'the "best" team: #1'
    assert odd.seen._replace(job='a"b').of("up") == 'up{job="a\\"b"}'


def test_panels_lie_side_by_side(twins):
    """No two panels overlap, each has a number of its own, and the rows stand in their order."""
    board = json.loads(as_json(rows_of(twins.seen, has_costs=True), "shop"))
    assert [p["title"] for p in board["panels"] if p["type"] == "row"] == [
        "Freshness", "Lanes and runs", "Events", "Requests", "Cost",
    ]  # fmt: skip
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in board["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    ages = next(panel for panel in board["panels"] if panel["title"] == "Ages of ahead (catalog), SLA 1h30m")
    assert ages["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == 5400
    assert "Cost" not in rows_of(twins.seen, has_costs=False)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write an app into a folder, and go there."""
    (tmp_path / "monitored.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_write_files_and_open_nothing(module):
    """Rules and dashboard go to the screen or to a file; neither a store nor a ledger comes into being."""
    said = invoke("monitored", "monitoring", "rules", "monitored:app", "--job", "shop", "--runbooks", "https://w/r")
    assert said.exit_code == 0, said.output
    assert said.output.startswith("groups:\n")
    assert '"runbook_url": "https://w/r#quarantined"' in said.output
    wrote = invoke("monitored", "monitoring", "dashboard", "monitored:app", "-o", "board.json")
    assert (wrote.exit_code, wrote.output) == (0, "")
    board = json.loads((module / "board.json").read_text())
    assert (board["title"], board["panels"][-1]["title"]) == ("parbake: monitored", "Tokens in an hour by model")
    assert {path.name for path in module.iterdir()} - {"__pycache__"} == {"monitored.py", "board.json"}


@pytest.mark.parametrize("what", ["rules", "dashboard"])
def test_an_app_without_a_console_is_refused(module, what):
    """Half of the metrics would be missing; the error names the plugin."""
    done = invoke("monitored", "monitoring", what, "monitored:bare")
    assert isinstance(done.exception, pb.BadInput)
    assert (done.exception.field, "parbake_console.Console()" in str(done.exception)) == ("APP", True)


def test_a_file_that_cannot_be_written_is_named(module):
    """The error names the option."""
    done = invoke("monitored", "monitoring", "rules", "monitored:app", "-o", "no/such/folder.yml")
    assert isinstance(done.exception, pb.BadInput)
    assert done.exception.field == "output"


async def test_a_plugin_shows_its_metrics_on_a_server(shop):
    """``GET /metrics`` has what the console has seen."""
    await shop.after(0)
    transport = httpx.ASGITransport(HttpApp(shop.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert 'parbake_sla_seconds{task="asked"} 3600.0' in (await client.get("/metrics")).text
