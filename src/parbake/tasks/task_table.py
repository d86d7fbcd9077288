"""The classification table: every task with its mode, schedule, rationale, contract and legal lanes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from parbake.tasks.contract import Contract, Invalidation, Recompute, Refuse, ServeStale, Use
from parbake.tasks.legality import could_be_precomputed, legal_lanes
from parbake.tasks.task_types import Artifact, Refine, Stored, Task
from parbake.values.duration import humanize


class TaskRow(msgspec.Struct, frozen=True):
    """One row of the table, in words. ``other_code``: other code than the present one built its current generation."""

    task: str
    kind: str
    mode: str
    refresh: str
    rationale: str
    legal_lanes: tuple[str, ...]
    contract: dict[str, Any]
    note: str = ""
    other_code: bool = False


def classify(tasks: Iterable[Task], off: Mapping[str, str] | None = None) -> list[TaskRow]:
    """Describe tasks in the order of declaration; ``off`` maps tasks that cannot run to the reason."""
    reasons = off or {}
    return [_row(task, reasons.get(task.name, "")) for task in tasks]


def _row(task: Task, off: str) -> TaskRow:
    note = "could be precomputed: it reaches no live input" if could_be_precomputed(task) else ""
    if isinstance(task, Stored) and task.contract.defaulted:
        note = "; ".join(filter(None, [note, "by default: " + ", ".join(task.contract.defaulted)]))
    note = f"off: {off}" if off else note
    contract: dict[str, Any] = {}
    if isinstance(task, Stored):
        contract = _contract(task.contract)
    elif isinstance(task, Refine):
        contract = {"base": task.base.name, "budget_ms": round(task.budget_s * 1000)}
    return TaskRow(task.name, _kind(task), task.mode, _refresh(task), task.why, legal_lanes(task), contract, note)


def _kind(task: Task) -> str:
    if isinstance(task, Artifact):
        return task.kind.label if task.kind else "artifact"
    return type(task).__name__.removesuffix("Task").lower()


def _refresh(task: Task) -> str:
    if not isinstance(task, Stored):
        return "at request time" if isinstance(task, Refine) else "every request"
    parts = []
    if task.schedule:
        every = f"every {humanize(task.schedule.period_s)}" + (" off-peak" if task.schedule.off_peak else "")
        parts.append(f"{choice.label}, {every}" if (choice := task.schedule.choice) else every)
    if task.contract.binding:
        parts.append("on " + ", ".join(dict.fromkeys(i.family for i in task.contract.binding)) + " event")
    return " or ".join(parts) or "on demand"


def _contract(contract: Contract) -> dict[str, Any]:
    return {
        "freshness_sla": contract.freshness_sla,
        "invalidated_by": [_invalidation(item) for item in contract.invalidated_by],
        "fallback_if_stale": _fallback(contract),
        "owner": contract.owner,
        "confidence": type(contract.confidence).__name__.lower() if contract.confidence else None,
    }


def _invalidation(item: Invalidation) -> str:
    return f"{item.strength}({item.template}" + (f": {item.reason})" if item.reason else ")")


def _fallback(contract: Contract) -> str:
    fallback = contract.fallback_if_stale
    if isinstance(fallback, ServeStale):
        return f"serve stale within {humanize(fallback.within_s)}"
    if isinstance(fallback, Use):
        return f"use {fallback.task.name}"
    return {Recompute: "recompute", Refuse: "refuse"}[type(fallback)]
