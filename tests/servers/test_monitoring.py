"""Prometheus takes the generated rules and dashboard: each alert fires when it should, and each query finds data."""

import contextlib
import json
import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest
from tests.servers.launch import Process, free_port
from tests.waiting import HANGS_S, eventually

from parbake.adapters.sqlite import OUTBOX_DDL, emit

APP = '''
"""A shop with a task of each lane, whose answers a generator writes."""
import datetime as dt
from pathlib import Path

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake.ports.usage import Usage
from parbake_console import Console
from parbake_llm import Block, Prompts
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from parbake_planner import CostBook, Ledger

HERE = Path(__file__).parent
tasks = pb.Registry()
contract = {"freshness_sla": "1h", "fallback_if_stale": pb.Recompute()}


class Facts(pb.View):
    """Versions by name."""

    families = ("fact",)

    def version(self, name):
        """One version."""
        self.entity(f"fact/{name}")
        return self.rows("SELECT version FROM fact WHERE name = :name", name=name)[0][0]


class Writer:
    """A generator in this process."""

    name = "writer"

    async def stream(self, prompt, *, max_tokens, timeout_s):
        """Reply with one word."""
        yield Delta("word")
        yield Delta(usage=Usage(uncached=40, output=5, cache_read=30))


def names() -> list[str]:
    return ["a", "b"]


@tasks.artifact(**contract, invalidated_by=[pb.refresh("fact/{name}")], owner="catalog", keys=names,
                refresh=pb.every("20m"))
def ahead(name: str, *, facts: pb.Source[Facts]) -> int:
    """Computed in batch and after events."""
    return facts.version(name)


@tasks.artifact(**contract, invalidated_by=[pb.fence("fact")], owner="search")
async def asked(name: str, *, facts: pb.Source[Facts], llm: pb.Resource[Generator] = pb.GIVEN) -> str:
    """Computed on request."""
    prompt = Prompt(blocks=(Block("rules", "be brief", "rules", "1"),), question=name)
    return "".join([delta.text async for delta in llm.stream(prompt, max_tokens=9, timeout_s=5)])


source = SqliteSource(HERE / "facts.sqlite", families=["fact"], views=[Facts], name="facts")
plugins = [Ledger(HERE / "ledger.db", book=CostBook(as_of=dt.date(2026, 1, 1), cpu_hour=1.0)), Prompts(), Console()]
app = pb.App(tasks, store=f"lmdb://{HERE}/store?map_size=32MiB", sources=[source], resources={Generator: Writer()},
             plugins=plugins)
'''
HEALTHY, FIRING = 0, 1
STEPS = 200
"""Minutes of the unit tests: longer than any SLA of the app and any time for which an expression has to hold."""
VALUES = {
    "parbake_generation_timestamp_seconds": ("0+60", "0"),
    "parbake_run_outcome": ("0", "1"),
    "parbake_degraded": (None, "1"),
    "parbake_workers": ("1", "0"),
    "parbake_requests_turned_away_total": ("0", "0+60"),
    "parbake_requests_total": ("0+60", "0+60"),
    "parbake_requests_total 5xx": ("0", "0+60"),
    "parbake_events_parked_total": ("0", "0+1"),
    "parbake_alerts_waiting": ("0", "1"),
    "parbake_alerts_lost_total": ("0", "0+1"),
    "parbake_build_info": ("1", None),
    "parbake_event_loop_lag_seconds_bucket 0.1": ("0+240", "0"),
    "parbake_event_loop_lag_seconds_bucket 1.0": ("0+240", "0+240"),
    "parbake_event_loop_lag_seconds_bucket +Inf": ("0+240", "0+240"),
}
"""What a series shows while all is well, and while an alert must fire; ``None``: there is no such series."""


@pytest.fixture(scope="module")
def binaries():
    """Return the paths of Prometheus and its tool."""
    found = shutil.which("prometheus"), shutil.which("promtool")
    if None in found:
        pytest.skip("prometheus is not installed (Debian: apt-get install --no-install-recommends prometheus)")
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Return a folder with the app, its database, its rules and its dashboard."""
    folder = tmp_path_factory.mktemp("monitored")
    (folder / "shop.py").write_text(APP)
    with changed(folder) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, version INTEGER)")
        connection.executemany("INSERT INTO fact VALUES (?, 1)", [("a",), ("b",)])
        connection.execute(OUTBOX_DDL)
    for what, file in (("rules", "rules.yml"), ("dashboard", "dashboard.json")):
        command = [sys.executable, "-m", "parbake", "monitoring", what, "shop:app", "-o", file]
        subprocess.run(command, cwd=folder, check=True, timeout=HANGS_S)
    return folder


@contextlib.contextmanager
def changed(folder):
    """Run the body in one transaction of the database."""
    with contextlib.closing(sqlite3.connect(folder / "facts.sqlite", timeout=30)) as connection, connection:
        yield connection


def rules_in(folder):
    """Return the rules of the file, each as its alert, expression, labels and annotations."""
    found = re.findall(
        r"- alert: (\w+)\n    expr: (.+)\n    for: \w+\n    labels: (.+)\n    annotations: (.+)\n",
        (folder / "rules.yml").read_text(),
    )
    return [(alert, *map(json.loads, rest)) for alert, *rest in found]


def queries_in(folder):
    """Return the queries of the dashboard, by their titles, and those of the rules without their comparison."""
    board = json.loads((folder / "dashboard.json").read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    found = {
        f"{panel['id']}{one['refId']} {panel['title']}": one["expr"] for panel in panels for one in panel["targets"]
    }
    rules = {f"{alert} {labels}": expression for alert, expression, labels, _ in rules_in(folder)}
    return found, {name: re.sub(r" [<>] [\d.]+$", "", expression) for name, expression in rules.items()}


def series_of(expression, state):
    """Return the series that an expression reads, with their values in one of both states."""
    found = {}
    for metric, chosen in re.findall(r"(parbake_\w+)\{([^}]*)\}", expression):
        if metric.endswith("_bucket"):
            for bound in ("0.1", "1.0", "+Inf"):
                found[f'{metric}{{{chosen},le="{bound}"}}'] = VALUES[f"{metric} {bound}"][state]
        elif metric == "parbake_requests_total":
            is_failed = "5xx" in chosen
            series = metric + "{" + chosen + (',route="/"}' if is_failed else ',route="/",status="2xx"}')
            found[series] = VALUES[f"{metric} 5xx" if is_failed else metric][state]
        else:
            found[f"{metric}{{{chosen}}}"] = VALUES[metric][state]
    return found


def unit_test(rules, fired):
    """Return a test for promtool: of all rules only those with the ``fired`` expression fire; none if it is empty."""
    series = {name: values for _, expression, _, _ in rules for name, values in series_of(expression, HEALTHY).items()}
    series |= series_of(fired, FIRING)
    expected = {alert: [] for alert, _, _, _ in rules}
    for alert, expression, labels, notes in rules:
        if expression == fired:
            expected[alert].append({"exp_labels": labels, "exp_annotations": notes})
    return {
        "name": fired or "healthy",
        "interval": "1m",
        "input_series": [
            {"series": name, "values": f"{values if '+' in values else values + '+0'}x{STEPS}"}
            for name, values in series.items()
            if values is not None
        ],
        "alert_rule_test": [
            {"eval_time": f"{STEPS - 10}m", "alertname": alert, "exp_alerts": found}
            for alert, found in expected.items()
        ],
    }


def promtool(binaries, *words, folder):
    """Run the tool, and return its status with all that it says."""
    done = subprocess.run(
        [binaries[1], *words], cwd=folder, capture_output=True, text=True, timeout=HANGS_S, check=False
    )
    return done.returncode, done.stdout + done.stderr


def judged(binaries, folder, tests):
    """Run unit tests of the rules, and return the status and what the tool says."""
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "tests.yml").write_text(json.dumps(document))
    return promtool(binaries, "test", "rules", "tests.yml", folder=folder)


def test_prometheus_takes_the_rules(binaries, shop):
    """``promtool check rules`` finds nothing wrong, and as many rules as were written."""
    status, said = promtool(binaries, "check", "rules", "rules.yml", folder=shop)
    assert status == 0, said
    assert f"SUCCESS: {len(rules_in(shop))} rules found" in said


def test_each_alert_fires_alone_and_none_while_all_is_well(binaries, shop):
    """For each expression, series that break it fire its alerts, with their labels, and no others."""
    rules = rules_in(shop)
    expressions = dict.fromkeys(expression for _, expression, _, _ in rules)
    status, said = judged(binaries, shop, [unit_test(rules, fired) for fired in ("", *expressions)])
    assert status == 0, said


def test_an_alert_that_does_not_fire_is_noticed(binaries, shop):
    """The unit tests can fail: without the broken series the tool misses the alert."""
    rules = rules_in(shop)
    wrong = unit_test(rules, rules[0][1])
    wrong["input_series"] = unit_test(rules, "")["input_series"]
    status, said = judged(binaries, shop, [wrong])
    assert status == 1
    assert rules[0][0] in said


@pytest.fixture(scope="module")
def ends():
    """Return a stack that ends what a test has started, the last first."""
    with contextlib.ExitStack() as stack:
        yield stack


def started(ends, command, folder, log):
    """Start a process that is killed at the end; what it says goes to a file."""
    file = ends.enter_context((folder / log).open("w"))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = Process(command, cwd=folder, stdout=file, stderr=file, env=environment)
    ends.callback(process.kill)
    return process


@pytest.fixture(scope="module")
def scraped(binaries, shop, ends):
    """Return the address of a Prometheus that scrapes a server and a worker, and that of the server."""
    served, worked, asked = free_port(), free_port(), free_port()
    parbake = [sys.executable, "-m", "parbake"]
    started(ends, [*parbake, "serve", "shop:app", "--port", str(served)], shop, "server.log")
    started(ends, [*parbake, "worker", "shop:app", "--metrics-port", str(worked)], shop, "worker.log")
    targets = [f"127.0.0.1:{served}", f"127.0.0.1:{worked}"]
    jobs = [{"job_name": "parbake", "scrape_interval": "1s", "static_configs": [{"targets": targets}]}]
    scraping = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(shop / "rules.yml")],
        "scrape_configs": jobs,
    }
    (shop / "prometheus.yml").write_text(json.dumps(scraping))
    words = ["--config.file=prometheus.yml", "--storage.tsdb.path=series", f"--web.listen-address=127.0.0.1:{asked}"]
    started(ends, [binaries[0], *words], shop, "prometheus.log")
    eventually(lambda: answered(f"http://127.0.0.1:{served}/readyz") and answered(f"http://127.0.0.1:{asked}/-/ready"))
    return f"http://127.0.0.1:{asked}", f"http://127.0.0.1:{served}"


def answered(url, body=None):
    """Return what a server answers with 200; nothing for any other answer, or none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=HANGS_S) as answer:
            return answer.read() or b"yes"
    except OSError:
        return b""


def has_data(prometheus, query):
    """Return whether a query has a number for an answer."""
    found = json.loads(answered(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}") or "{}")
    result = found.get("data", {}).get("result", [])
    return any(not math.isnan(float(one["value"][1])) for one in result)


def find_data(prometheus, queries, act):
    """Act as clients do until each query has found data; fails with those that never did."""
    missing = dict(queries)

    def all_found():
        act()
        for name in [name for name, query in missing.items() if has_data(prometheus, query)]:
            del missing[name]
        return not missing

    try:
        eventually(all_found)
    except AssertionError:
        pytest.fail(f"no data: {missing}")


def busy(shop, server):
    """Read both tasks, as a client would, and change a fact."""
    for task in ("ahead", "asked"):
        assert answered(f"{server}/v1/serve/{task}", {"key": "a"})
    with changed(shop) as connection:
        connection.execute("UPDATE fact SET version = version + 1 WHERE name = 'a'")
        emit(connection, "fact/a", "fact.changed")


def test_every_query_finds_data(shop, scraped):
    """Each query of the dashboard, and each rule without its comparison, has a number of a server with a worker."""
    prometheus, server = scraped
    panels, rules = queries_in(shop)
    missing = {**panels, **rules}
    assert len(missing) == len(panels) + len(rules)

    find_data(prometheus, missing, lambda: busy(shop, server))


def test_prometheus_evaluates_every_rule_and_nothing_is_critical(shop, scraped):
    """No rule has an error, and a shop that works calls nobody."""
    prometheus, _ = scraped

    def evaluated():
        groups = json.loads(answered(f"{prometheus}/api/v1/rules"))["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else None

    rules = eventually(evaluated)
    assert len(rules) == len(rules_in(shop))
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
