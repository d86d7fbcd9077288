"""Alerting rules for Prometheus, made of an app's tasks, contracts, owners and sources."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from parbake.adapters import open_events
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import Stored

if TYPE_CHECKING:
    from parbake.app.application import App

PAGE, TICKET = "critical", "warning"
"""The severities: somebody has to look now, or on a working day."""


class AlertingRule(NamedTuple):
    """One rule.

    Attributes:
        kind: What it tells of: a kind of the alert reference, or one that only a metric tells; its section of the
            runbooks has this name.
        measure: The expression without its comparison.
        limit: The comparison, such as ``> 0``.
        lasts: How long that has to hold until the alert fires, such as ``5m``.
        severity: ``critical`` or ``warning``.
        summary: One sentence for people.
        owner: Who gets the alert.
        about: The label of the task or the source that it concerns.
    """

    kind: str
    measure: str
    limit: str
    lasts: str
    severity: str
    summary: str
    owner: str
    about: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """The name of the alert, such as ``ParbakeRunFailed``."""
        return "Parbake" + self.kind.title().replace("_", "")

    @property
    def expression(self) -> str:
        """The whole expression."""
        return f"{self.measure} {self.limit}"


class Watched(NamedTuple):
    """What rules and panels are made for.

    Attributes:
        tasks: The stored tasks that run here, compiled.
        sources: The families of each source, by its name.
        silence_s: How long a source may be silent, in seconds.
        has_workers: Whether the app expects a worker.
        job: The value of the label ``job`` of everything that is scraped of the app.
    """

    tasks: tuple[BoundTask, ...]
    sources: dict[str, frozenset[str]]
    silence_s: float
    has_workers: bool
    job: str

    def of(self, metric: str, **labels: str) -> str:
        """Return a selector of a metric of this app."""
        chosen = {"job": self.job, **labels}
        return metric + "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in chosen.items()) + "}"

    def slowest(self, histogram: str, by: str = "") -> str:
        """Return an expression of the seconds that one in a hundred takes longer than, by a label or of all."""
        labels = f"le, {by}" if by else "le"
        return f"histogram_quantile(0.99, sum by ({labels}) (rate({self.of(f'{histogram}_bucket')}[5m])))"


def watched(app: App, job: str) -> Watched:
    """Return what there is to watch in an app, which is not opened for it.

    Args:
        app: The app.
        job: The value of the label ``job`` of what Prometheus scrapes.
    """
    settings = app.settings
    sources = {source.name: frozenset(source.families) for source in settings.sources}
    for found in settings.events:
        if isinstance(found, str):
            with contextlib.closing(open_events(found)) as opened:
                sources[opened.name] = frozenset(opened.families)
        else:
            sources[found.name] = frozenset(found.families)
    tasks = tuple(BoundTask(t) for t in settings.tasks if isinstance(t, Stored) and t.name not in settings.off)
    return Watched(tasks, sources, settings.silence_limit_s, settings.worker == "expected", job)


def rules_of(seen: Watched, operators: str) -> list[AlertingRule]:
    """Return the rules of an app.

    Args:
        seen: What to watch.
        operators: The owner of alerts that concern no single task.
    """
    found = [rule for bound in seen.tasks for rule in _of_task(seen, bound)]
    found += [rule for source in seen.sources for rule in _of_source(seen, source, operators)]
    return [*found, *_of_store(seen, operators), *_of_processes(seen, operators)]


def _of_task(seen: Watched, bound: BoundTask) -> Iterator[AlertingRule]:
    task, contract = bound.name, bound.contract
    failed, refused = (
        f"max({seen.of('parbake_run_outcome', task=task, outcome=outcome)})" for outcome in ("failed", "refused")
    )
    age = f"time() - max({seen.of('parbake_generation_timestamp_seconds', task=task)})"
    found = [
        ("quarantined", _degraded(seen, "quarantined", task), "> 0", "0m", PAGE,
         f"{task} is in quarantine: nothing stored is served"),
    ]  # fmt: skip
    if bound.task.schedule is not None:
        found += [
            ("run_failed", failed, "> 0", "1m", TICKET, f"the newest run of {task} has failed"),
            ("gate_failed", refused, "> 0", "1m", TICKET, f"the newest run of {task} was not promoted"),
        ]
    if bound.task.schedule is not None and not bound.chooses_keys:  # a plugin that chooses may choose nothing
        found += [
            ("stale", age, f"> {contract.freshness_sla_s:.15g}", "1m", PAGE,
             f"the current generation of {task} is older than its SLA of {contract.freshness_sla}"),
            ("not_built", _degraded(seen, "not_built", task), "> 0", "15m", TICKET,
             f"{task} has no generation yet"),
        ]  # fmt: skip
    yield from (AlertingRule(*each, contract.owner, ("task", task)) for each in found)


def _of_source(seen: Watched, source: str, operators: str) -> Iterator[AlertingRule]:
    """Rules for each owner of a task that a source fences, or for the operators if it fences none."""
    fenced = {b.contract.owner for b in seen.tasks if not b.fenced_throughout.isdisjoint(seen.sources[source])}
    silent = f"source {source} is silent: whether values that depend on it hold is unknown"
    untold = f"source {source} does not tell of every change, or needs an installation: run parbake capture check"
    for kind, severity, summary in (("source_silent", PAGE, silent), ("changes_untold", TICKET, untold)):
        for owner in sorted(fenced) or [operators]:
            measure = _degraded(seen, kind, source)
            yield AlertingRule(kind, measure, "> 0", "1m", severity, summary, owner, ("source", source))


_STORE = (
    ("store_silent", "1m", PAGE, "the store does not answer"),
    ("store_damaged", "0m", PAGE, "the store is damaged: a worker has to replace it"),
    ("store_outdated", "0m", PAGE, "an earlier store has come back, and is not used"),
    ("store_recovering", "5m", TICKET, "the store is being recovered after a loss: requests compute"),
    ("disk_full", "0m", PAGE, "the store has no room: events are not acknowledged"),
    ("unknown_family", "5m", TICKET, "events carry a tag whose family nobody declares"),
)  # fmt: skip
"""What degrades all servers of a store: kind, how long until it is told, severity, sentence."""


def _of_store(seen: Watched, owner: str) -> Iterator[AlertingRule]:
    for kind, lasts, severity, summary in _STORE:
        yield AlertingRule(kind, _degraded(seen, kind), "> 0", lasts, severity, summary, owner)
    if seen.has_workers:
        silent = "no worker has reported: nothing is refreshed ahead or on events"
        yield AlertingRule("worker_silent", f"max({seen.of('parbake_workers')})", "< 1", "1m", PAGE, silent, owner)


def _of_processes(seen: Watched, owner: str) -> Iterator[AlertingRule]:
    shed = f"sum(rate({seen.of('parbake_requests_turned_away_total')}[5m]))"
    answered = f"sum(rate({seen.of('parbake_requests_total')}[5m]))"
    failed = f"(sum(rate({seen.of('parbake_requests_total', status='5xx')}[5m])) or vector(0))"
    lag = seen.slowest("parbake_event_loop_lag_seconds")
    waiting, lost = seen.of("parbake_alerts_waiting"), seen.of("parbake_alerts_lost_total")
    parked = seen.of("parbake_events_parked_total")
    found = (
        ("overloaded", f"{shed} / clamp_min({shed} + ({answered} or vector(0)), 0.001)", "> 0.01", "5m", PAGE,
         "more than 1 % of requests get 503, because the servers are overloaded"),
        ("requests_fail", f"{failed} / clamp_min({answered} or vector(0), 0.001)", "> 0.05", "5m", PAGE,
         "more than 5 % of answers say that the server has failed"),
        ("loop_lag", lag, "> 0.25", "10m", TICKET, "one turn in a hundred of the event loops is 0.25 seconds late"),
        ("events_parked", f"sum(increase({parked}[15m]))", "> 0", "0m", TICKET,
         "events could not be read, and are parked"),
        ("alerts_undelivered", f"max({waiting}) + sum(increase({lost}[15m]))", "> 0", "10m", TICKET,
         "parbake's own alerts do not reach whom they are sent to"),
        ("not_scraped", f"(count({seen.of('parbake_build_info', role='server')}) or vector(0))", "< 1", "5m", PAGE,
         "Prometheus reaches no server of the app, so few other rules can fire"),
    )  # fmt: skip
    yield from (AlertingRule(*rule, owner) for rule in found)


def _degraded(seen: Watched, kind: str, about: str = "") -> str:
    """Whether something degrades the servers; 0 if not, because there is a series only while it does."""
    labels = {"kind": kind, "about": about} if about else {"kind": kind}
    return f"(max({seen.of('parbake_degraded', **labels)}) or vector(0))"


def as_yaml(rules: Iterable[AlertingRule], runbooks: str) -> str:
    """Write rules as a file that Prometheus reads.

    Args:
        rules: The rules.
        runbooks: The address of the runbooks; each rule has the section of its kind.
    """
    lines = ["groups:", "- name: parbake", "  rules:"]
    for rule in rules:
        labels = {"severity": rule.severity, "owner": rule.owner, **dict([rule.about] if rule.about else [])}
        notes = {"summary": rule.summary, "runbook_url": f"{runbooks}#{rule.kind}"}
        lines += [
            f"  - alert: {rule.name}",
            f"    expr: {json.dumps(rule.expression)}",
            f"    for: {rule.lasts}",
            f"    labels: {json.dumps(labels)}",
            f"    annotations: {json.dumps(notes)}",
        ]
    return "\n".join(lines) + "\n"
