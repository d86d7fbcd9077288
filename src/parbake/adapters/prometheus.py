"""Prometheus exposition of the counters (see https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

import contextlib
import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from parbake.errors import PortTaken
from parbake.ports.observers import gathered
from parbake.process.counters import Counters, Histogram

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_CACHES: tuple[tuple[str, type[GaugeMetricFamily | CounterMetricFamily], str], ...] = (
    ("parbake_semantic_cache_answers", GaugeMetricFamily, "Answers in a semantic cache, as this process knows it."),
    ("parbake_semantic_cache_bytes", GaugeMetricFamily, "Bytes of the answers in a semantic cache."),
    ("parbake_semantic_cache_dropped", CounterMetricFamily, "Answers that were dropped because the cache was full."),
    ("parbake_semantic_cache_saved_seconds", CounterMetricFamily, "Seconds that the answers of hits took to compute."),
)
MEASURED = {
    "parbake_requests_in_flight": (
        GaugeMetricFamily, "Requests that wait for their turn or are being answered, without those of operators."
    ),
    "parbake_refresh_backlog": (GaugeMetricFamily, "Keys that wait for a refresh in this worker."),
    "parbake_alerts_waiting": (
        GaugeMetricFamily, "Alerts not delivered yet: of this process, and in the queue of the webhook."
    ),
    "parbake_alerts_lost": (
        CounterMetricFamily, "Alerts that a sink refused; a webhook with a queue sends them again instead."
    ),
}  # fmt: skip
"""The kind and the meaning of each metric of :attr:`parbake.process.counters.Counters.measured`."""


class _Collector:
    def __init__(self, counters: Counters, added: Iterable[Families], role: str = "server") -> None:
        self._counters, self._added, self._role = counters, tuple(added), role

    def collect(self) -> Iterator[Metric]:
        counters = self._counters
        serves = CounterMetricFamily(
            "parbake_serves", "Reads by task, verdict and lane.", labels=["task", "verdict", "lane"]
        )
        for labels, count in counters.serves.items():
            serves.add_metric(labels, count)
        yield serves
        says = (
            "Computations by task, lane and outcome: stored, unstored, rejected or failed; of live tasks and refines "
            "returned, failed or cancelled."
        )
        computes = CounterMetricFamily("parbake_computes", says, labels=["task", "lane", "outcome"])
        for labels, count in list(counters.computes.items()):
            computes.add_metric(labels, count)
        yield computes
        seconds = CounterMetricFamily("parbake_compute_seconds", "Seconds of computation.", labels=["task", "lane"])
        for lane, total in list(counters.compute_s.items()):
            seconds.add_metric(lane, total)
        yield seconds
        says = "Reads that fell back, by task, verdict and cause."
        misses = CounterMetricFamily("parbake_misses", says, labels=["task", "verdict", "cause"])
        for missed, count in list(counters.misses.items()):
            misses.add_metric(missed, count)
        yield misses
        says = "Damaged stored records that reads have found; they count as missing."
        damaged = CounterMetricFamily("parbake_damaged_records", says, labels=["task"])
        for task, count in list(counters.damaged.items()):
            damaged.add_metric([task], count)
        yield damaged
        turns = "Computations that waited for a lease, by how it ended: held, shared (another's result) or unleased."
        leases = CounterMetricFamily("parbake_leases", turns, labels=["task", "outcome"])
        for outcome, count in list(counters.leases.items()):
            leases.add_metric(outcome, count)
        yield leases
        yield from self._events()
        yield from self._process()
        for families in gathered(self._added):
            yield from families

    def _events(self) -> Iterator[Metric]:
        counters = self._counters
        yield CounterMetricFamily("parbake_events", "Acknowledged batches of events.", value=counters.events)
        yield CounterMetricFamily("parbake_duplicates", "Events seen before.", value=counters.duplicates)
        latency = HistogramMetricFamily("parbake_serve_seconds", "Duration of a read.", labels=["task"])
        for task, reads in list(counters.reads.items()):
            histogram = reads.latency
            latency.add_metric([task], _buckets(histogram), histogram.total_s)
        yield latency
        says = "Duration of a request, by whether a batch run was under way."
        requests = HistogramMetricFamily("parbake_request_seconds", says, labels=["batch"])
        for is_on, histogram in counters.requests.by_batch.items():
            requests.add_metric(["on" if is_on else "off"], _buckets(histogram), histogram.total_s)
        yield requests
        acknowledged = HistogramMetricFamily("parbake_event_seconds", "Time to make an event durable.")
        acknowledged.add_metric([], _buckets(counters.event_latency), counters.event_latency.total_s)
        yield acknowledged
        says = "Seconds from an event until the event lane has refreshed a key."
        refreshed = HistogramMetricFamily("parbake_time_to_fresh_seconds", says, labels=["task"])
        for task, histogram in list(counters.time_to_fresh.items()):
            refreshed.add_metric([task], _buckets(histogram), histogram.total_s)
        yield refreshed
        yield from self._troubles()

    def _process(self) -> Iterator[Metric]:
        counters = self._counters
        says = "Answers by the template of their route and the class of their status, without probes and scrapes."
        answers = CounterMetricFamily("parbake_requests", says, labels=["route", "status"])
        for (route, digit), count in list(counters.responses.items()):
            answers.add_metric([route, f"{digit}xx"], count)
        yield answers
        histograms = [
            ("parbake_request_wait_seconds", "Time that a request waits until it is let in.", counters.waits),
            ("parbake_event_loop_lag_seconds", "How late the event loop is, measured some times a second.",
             counters.loop_lag),
        ]  # fmt: skip
        for name, says, histogram in histograms:
            yield HistogramMetricFamily(name, says, _buckets(histogram), histogram.total_s)
        for name, measure in list(counters.measured.items()):
            kind, says = MEASURED[name]
            yield kind(name, says, value=measure())
        says = "1 for each process, with its role and the versions of parbake and of Python."
        built = GaugeMetricFamily("parbake_build_info", says, labels=["role", "version", "python"])
        built.add_metric([self._role, _version(), platform.python_version()], 1)
        yield built

    def _troubles(self) -> Iterator[Metric]:
        counters = self._counters
        says = "Requests that got 503 because the server was overloaded."
        yield CounterMetricFamily("parbake_requests_turned_away", says, value=counters.turned_away)
        says = "Questions to semantic caches of the app, by outcome: hit or miss."
        asked = CounterMetricFamily("parbake_semantic_cache_questions", says, labels=["outcome"])
        hits, questions = counters.asked[""], counters.asked.total()
        for outcome, count in (("hit", hits), ("miss", questions - hits)) if questions else ():
            asked.add_metric([outcome], count)
        yield asked
        kept = [family(name, says, labels=["cache"]) for name, family, says in _CACHES]
        for one in counters.caches:
            found = one.statistics
            for each, value in zip(kept, (found.answers, found.size, found.dropped, found.saved_s), strict=True):
                each.add_metric([one.name], value)
        yield from kept
        says = "What degrades all servers of the store, as this process sees it; 1 while it lasts."
        degraded = GaugeMetricFamily("parbake_degraded", says, labels=["kind", "about"])
        for condition in counters.degraded:
            degraded.add_metric(condition, 1)
        yield degraded
        if counters.workers is not None:  # only in a process that watches the workers
            yield GaugeMetricFamily("parbake_workers", "Workers that reported lately.", value=counters.workers)
            says = "Seconds since this process has seen any worker report."
            yield GaugeMetricFamily("parbake_worker_silence_seconds", says, value=counters.worker_silence_s)
        parked = "Events that could not be read; see 'parbake events parked'."
        yield CounterMetricFamily("parbake_events_parked", parked, value=counters.parked)
        skew = "Times from the future, of events, heartbeats or records: some clock is wrong."
        yield CounterMetricFamily("parbake_clock_skew", skew, value=counters.clock_skew)
        labelled = [
            ("parbake_event_gaps", "How often events were removed before they were read.", "source", counters.gaps),
            ("parbake_events_unknown_family", "Events of families that no task or source declares.", "family",
             counters.unknown_families),
            ("parbake_source_failures", "Polls that failed.", "source", counters.source_failures),
        ]  # fmt: skip
        for name, says, label, counts in labelled:
            family = CounterMetricFamily(name, says, labels=[label])
            for value, count in list(counts.items()):
                family.add_metric([value], count)
            yield family


@cache
def _version() -> str:
    return version("parbake")


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
    return buckets


Families = Callable[[], Iterable[Metric]]
"""Returns metrics of a plugin, as the Prometheus client has them."""


def render(counters: Counters, added: Iterable[Families] = ()) -> bytes:
    """The text that ``GET /metrics`` answers with; ``added`` are the metrics of plugins."""
    return generate_latest(_registry(counters, added, "server"))


@contextlib.contextmanager
def exposed(counters: Counters, port: int, added: Iterable[Families] = ()) -> Iterator[int]:
    """Answer ``GET /metrics`` on loopback, for a process without another server; yields the port (0: a free one).

    Args:
        counters: What is counted.
        port: The port; 0 takes a free one.
        added: The metrics of plugins.

    Raises:
        PortTaken: Another program uses the port.
    """
    try:
        answer = _for_this_host(make_wsgi_app(_registry(counters, added, "worker")))
        server = make_server("127.0.0.1", port, answer, _ThreadingServer, _Handler)
    except (OSError, OverflowError) as error:
        raise PortTaken.at("127.0.0.1", port, error, field="metrics_port") from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 10.0  # seconds that a client may keep a thread waiting

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name of the base class
        """Write nothing: a scrape is no news."""


def _for_this_host(answer: WSGIApplication) -> WSGIApplication:
    """Refuse other hosts' names: a page whose name leads to loopback could read the answers (DNS rebinding)."""

    def checked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host, colon, port = environ.get("HTTP_HOST", "").rpartition(":")
        if (host if colon and port.isdigit() else environ.get("HTTP_HOST", "")) not in ("127.0.0.1", "localhost"):
            start_response("421 Misdirected Request", [("content-type", "text/plain")])
            return [b"scrape this process by the name localhost or the address 127.0.0.1\n"]
        return answer(environ, start_response)

    return checked


def families(counters: Counters, added: Iterable[Families], role: str) -> Iterable[Metric]:
    """All metrics as they are now, for another exporter.

    Args:
        counters: What is counted.
        added: The metrics of plugins.
        role: What the process is: ``server`` or ``worker``.
    """
    return _Collector(counters, added, role).collect()


def _registry(counters: Counters, added: Iterable[Families], role: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Collector(counters, added, role))
    return registry
