"""The metrics of ``GET /metrics`` as instruments, so that any exporter of OpenTelemetry can send them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from parbake.adapters.prometheus import families
from parbake.app.plugin import Parts

_LOOK_S = 15.0
"""Seconds between two looks for metrics that have appeared, such as those of workers."""


@dataclass
class _Figures:
    """What one instrument observes: its kind, its meaning, and a value for each set of labels."""

    is_gauge: bool
    says: str
    values: list[tuple[dict[str, str], float]] = field(default_factory=list)


class Instruments:
    """One observable instrument for each name in the text of Prometheus, made of the same families.

    A counter or a gauge keeps its name, without ``_total``. The API cannot observe a histogram: its ``_bucket``,
    ``_count`` and ``_sum`` are three counters, with the label ``le`` as in Prometheus.
    """

    def __init__(self, meter: Meter, parts: Parts) -> None:
        """Make no instrument yet."""
        self._meter, self._counters, self._added = meter, parts.counters, parts.on.metrics
        self._role = ""
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._seen: dict[str, _Figures] = {}
        self._told: set[str] = set()

    async def run(self, role: str) -> NoReturn:
        """Make instruments for what there is, and for what appears later, for ``role``, until cancelled."""
        self._role = role
        while True:
            self.look()
            await asyncio.sleep(_LOOK_S)

    def look(self) -> None:
        """Make an instrument for each metric that has none yet."""
        for name, figures in self._now().items():
            if name not in self._known:
                self._known.add(name)
                create = (
                    self._meter.create_observable_gauge if figures.is_gauge else self._meter.create_observable_counter
                )
                unit = "s" if name.endswith(("_seconds", "_seconds_sum")) else ""
                create(name, [partial(self._observe, name)], unit, figures.says)

    def close(self) -> None:
        """Observe nothing any more: a provider keeps instruments, but the app is closed."""
        with self._lock:
            self._role, self._seen = "", {}

    def _observe(self, name: str, _: CallbackOptions) -> list[Observation]:
        with self._lock:
            if not self._role:
                return []
            if name in self._told or not self._seen:  # a new collection: each name is told once in each
                self._seen, self._told = self._now(), set()
            self._told.add(name)
            figures = self._seen.get(name)
        return [Observation(float(value), labels) for labels, value in figures.values] if figures else []

    def _now(self) -> dict[str, _Figures]:
        found: dict[str, _Figures] = {}
        for family in families(self._counters, self._added, self._role):
            for name in _names(family):
                found[name] = _Figures(family.type == "gauge", family.documentation)
            for sample in family.samples:
                found[sample.name.removesuffix("_total")].values.append((dict(sample.labels), sample.value))
        return found


def _names(family: Any) -> Iterator[str]:
    """The names of the samples of a family, without ``_total``; also while it has no sample yet."""
    yield from (
        (f"{family.name}_{end}" for end in ("bucket", "count", "sum")) if family.type == "histogram" else [family.name]
    )
