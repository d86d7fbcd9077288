"""A dashboard for Grafana, made of an app's tasks, contracts, owners and sources."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from parbake_console.monitoring.rules import Watched

_WIDTH, _HEIGHT, _ACROSS = 8, 7, 3
"""The size of a panel in Grafana's units, and the number of panels beside each other."""
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Panel(NamedTuple):
    """One panel.

    Attributes:
        title: Its title.
        unit: Grafana's name of the unit.
        queries: The queries, by the legend of what they return.
        limit: From which value on it is drawn in red.
    """

    title: str
    unit: str
    queries: Mapping[str, str]
    limit: float | None = None


def rows_of(seen: Watched, *, has_costs: bool) -> dict[str, list[Panel]]:
    """Return the panels of an app, by their rows.

    Args:
        seen: What to watch.
        has_costs: Whether the app has a ledger.
    """
    rows = {
        "Freshness": list(_freshness(seen)),
        "Lanes and runs": list(_lanes(seen)),
        "Events": list(_events(seen)),
        "Requests": list(_requests(seen)),
    }
    return rows | ({"Cost": list(_costs(seen))} if has_costs else {})


def as_json(rows: Mapping[str, Sequence[Panel]], title: str) -> str:
    """Write a dashboard as Grafana imports it.

    Args:
        rows: The panels by their rows.
        title: The title of the dashboard.
    """
    panels: list[dict[str, Any]] = []
    y = 0
    for name, held in rows.items():
        panels.append({"type": "row", "title": name, "collapsed": False, "gridPos": _place(y, 24, 1)})
        y += 1
        for at, panel in enumerate(held):
            place = _place(y + at // _ACROSS * _HEIGHT, _WIDTH, _HEIGHT, at % _ACROSS * _WIDTH)
            panels.append(_drawn(panel) | {"gridPos": place})
        y += -(-len(held) // _ACROSS) * _HEIGHT
    choice = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    board = {
        "title": title,
        "tags": ["parbake"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [choice]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }
    return json.dumps(board, indent=1) + "\n"


def _place(y: int, width: int, height: int, x: int = 0) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _drawn(panel: Panel) -> dict[str, Any]:
    limits: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        limits.append({"color": "red", "value": panel.limit})
    drawn = {"thresholdsStyle": {"mode": "off" if panel.limit is None else "line"}, "lineWidth": 1}
    defaults = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": limits},
        "custom": drawn,
        **({} if panel.limit is None else {"min": 0}),
    }
    targets = [
        {"refId": chr(ord("A") + at), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
        for at, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
    }


def _freshness(seen: Watched) -> Iterator[Panel]:
    of = seen.of
    age = f"time() - max by (task) ({of('parbake_generation_timestamp_seconds')})"
    sla = f"max by (task) ({of('parbake_sla_seconds')})"
    yield Panel("Age of the current generation by its SLA", "percentunit", {"{{task}}": f"({age}) / {sla}"}, 1)
    stale, keys = (f"max by (task) ({of(name)})" for name in ("parbake_stale_share", "parbake_keys_seen"))
    yield Panel("Values that may not be served", "percentunit", {"{{task}}": stale})
    yield Panel("Keys seen, at most 300", "short", {"{{task}}": keys})
    for bound in seen.tasks:
        task, contract = bound.name, bound.contract
        queries = {
            "half": f"max({of('parbake_age_half_seconds', task=task)})",
            "oldest": f"max({of('parbake_age_oldest_seconds', task=task)})",
        }
        title = f"Ages of {task} ({contract.owner}), SLA {contract.freshness_sla}"
        yield Panel(title, "s", queries, contract.freshness_sla_s)


def _lanes(seen: Watched) -> Iterator[Panel]:
    def task(metric: str) -> str:
        return f"max by (task) ({seen.of(metric)})"

    def rate(metric: str, by: str) -> str:
        return f"sum by ({by}) (rate({seen.of(metric)}[5m]))"

    reads = rate("parbake_serves_total", "task")
    hits = f"1 - ({rate('parbake_misses_total', 'task')} or 0 * {reads}) / clamp_min({reads}, 0.001)"
    yield Panel("Reads by lane of the value", "ops", {"{{lane}}": rate("parbake_serves_total", "lane")})
    yield Panel("Reads that did not fall back (cache hits)", "percentunit", {"{{task}}": hits})
    yield Panel("Time of a read, p99", "s", {"{{task}}": seen.slowest("parbake_serve_seconds", "task")})
    computes = {"{{lane}}, {{outcome}}": rate("parbake_computes_total", "lane, outcome")}
    yield Panel("Computations on request and after events", "ops", computes)
    ago = f"time() - {task('parbake_run_last_success_timestamp_seconds')}"
    yield Panel("Time since the last successful run", "s", {"{{task}}": ago})
    yield Panel("Duration of the last run", "s", {"{{task}}": task("parbake_run_duration_seconds")})
    yield Panel("Rows of the last run", "short", {"{{task}}": task("parbake_run_rows")})
    outcomes = f"max by (task, outcome) ({seen.of('parbake_run_outcome', outcome='promoted')})"
    failures = {"{{task}} failures": task("parbake_run_failures"), "{{task}} promoted": outcomes}
    yield Panel("Recorded runs that failed, and whether the last one was promoted", "short", failures)
    workers = {
        "workers": f"max({seen.of('parbake_workers')})",
        "seconds without one": f"max({seen.of('parbake_worker_silence_seconds')})",
    }
    if seen.has_workers:
        yield Panel("Workers, and seconds since one has reported", "short", workers)
    degraded = f"sum by (kind, about) ({seen.of('parbake_degraded')}) or vector(0)"
    yield Panel("What degrades the servers", "short", {"{{kind}} {{about}}": degraded})


def _events(seen: Watched) -> Iterator[Panel]:
    of = seen.of
    events = {"acknowledged": f"sum(rate({of('parbake_events_total')}[5m]))"}
    yield Panel("Batches of events", "ops", events)
    yield Panel("Time until an event is durable, p99", "s", {"p99": seen.slowest("parbake_event_seconds")})
    fresh = seen.slowest("parbake_time_to_fresh_seconds", "task")
    yield Panel("Time from an event until its values are fresh, p99", "s", {"{{task}}": fresh})
    yield Panel("Keys that wait for a refresh", "short", {"keys": f"sum({of('parbake_refresh_backlog')})"})
    lags = {source: f"max({of('parbake_source_lag_seconds', source=source)})" for source in seen.sources}
    if lags:
        yield Panel("Time since a source was read to its end", "s", lags, seen.silence_s)
    failures = f"sum by (source) (rate({of('parbake_source_failures_total')}[5m])) or vector(0)"
    yield Panel("Polls that fail", "ops", {"{{source}}": failures})
    troubles = {
        "parked events in an hour": f"sum(increase({of('parbake_events_parked_total')}[1h]))",
        "times from the future in an hour": f"sum(increase({of('parbake_clock_skew_total')}[1h]))",
    }
    yield Panel("Events that need somebody", "short", troubles)
    alerts = {
        "waiting": f"max({of('parbake_alerts_waiting')})",
        "lost in an hour": f"sum(increase({of('parbake_alerts_lost_total')}[1h]))",
    }
    yield Panel("Alerts not delivered", "short", alerts)


def _requests(seen: Watched) -> Iterator[Panel]:
    of = seen.of
    rate = f"(rate({of('parbake_requests_total')}[5m]))"
    yield Panel("Answers by status", "reqps", {"{{status}}": f"sum by (status) {rate}"})
    yield Panel("Answers by route", "reqps", {"{{route}}": f"sum by (route) {rate}"})
    shed = f"sum(rate({of('parbake_requests_turned_away_total')}[5m]))"
    yield Panel("Requests turned away by an overload", "reqps", {"turned away": shed})
    took = {
        "batch {{batch}}": seen.slowest("parbake_request_seconds", "batch"),
        "of it waiting": seen.slowest("parbake_request_wait_seconds"),
    }
    yield Panel("Time of a request, p99", "s", took)
    yield Panel("Requests in flight", "short", {"{{instance}}": of("parbake_requests_in_flight")})
    lag = seen.slowest("parbake_event_loop_lag_seconds", "instance")
    yield Panel("Lag of the event loop, p99", "s", {"{{instance}}": lag})
    builds = f"count by (role, version, python) ({of('parbake_build_info')})"
    yield Panel("Processes by version", "short", {"{{role}}, parbake {{version}}, Python {{python}}": builds})


def _costs(seen: Watched) -> Iterator[Panel]:
    def spent(by: str, **labels: str) -> str:
        of = seen.of("parbake_cost_usd_total", **labels)
        return f"sum by ({by}) (max by (task, lane, model) (increase({of}[1h])))"

    yield Panel("Cost in an hour by task", "currencyUSD", {"{{task}}": spent("task")})
    yield Panel("Cost in an hour by lane", "currencyUSD", {"{{lane}}": spent("lane")})
    yield Panel("Cost in an hour by model", "currencyUSD", {"{{model}}": spent("model")})
    owned: defaultdict[str, list[str]] = defaultdict(list)
    for bound in seen.tasks:
        owned[bound.contract.owner].append(bound.name)
    owners = {
        owner: " + ".join(f"(sum({spent('task', task=task)}) or vector(0))" for task in tasks)
        for owner, tasks in owned.items()
    }
    yield Panel("Cost in an hour by owner, without live tasks", "currencyUSD", owners)
    tokens = f"max by (task, lane, model, kind) (increase({seen.of('parbake_tokens_total')}[1h]))"
    yield Panel("Tokens in an hour by task", "short", {"{{task}}, {{kind}}": f"sum by (task, kind) ({tokens})"})
    yield Panel("Tokens in an hour by model", "short", {"{{model}}, {{kind}}": f"sum by (model, kind) ({tokens})"})
