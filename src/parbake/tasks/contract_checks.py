"""Checks declarations where they are written; each error message shows a correct form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from parbake.errors import ContractError
from parbake.tasks.contract import (
    Contract,
    Curve,
    Every,
    Exponential,
    Fallback,
    Invalidation,
    Linear,
    Recompute,
    Refuse,
    ServeStale,
    Steps,
    Use,
)
from parbake.values.duration import Duration, humanize, seconds

FALLBACKS = (Recompute, ServeStale, Use, Refuse)
CURVES = (Exponential, Linear, Steps)
_FALLBACK_FORMS = "pb.Recompute(), pb.ServeStale(within='1h'), pb.Use(task) or pb.Refuse()"


def make_contract(
    *,
    freshness_sla: Duration,
    invalidated_by: Sequence[Invalidation],
    fallback_if_stale: Fallback,
    owner: str,
    confidence: Curve | None,
    schedule: Every | None,
    tolerate_silence: Duration | None = None,
) -> Contract:
    """Build a contract and check it.

    Args:
        freshness_sla: The greatest age at which a value is fresh.
        invalidated_by: What outdates a value besides its age.
        fallback_if_stale: What to do with a value that may not be served.
        owner: Who is alerted.
        confidence: How confidence falls with age, if it does.
        schedule: When the batch lane runs, if it does.
        tolerate_silence: How long a source may be silent until its values are not served any more.

    Raises:
        ContractError: A field is invalid, or two contradict each other; the error names the field.
    """
    _check_types(invalidated_by, fallback_if_stale, owner, confidence, schedule)
    contract = Contract(
        seconds(freshness_sla, field="freshness_sla"),
        tuple(invalidated_by),
        fallback_if_stale,
        owner,
        confidence,
        tolerated_silence_s=0.0 if tolerate_silence is None else seconds(tolerate_silence, field="tolerate_silence"),
    )
    _check_once(contract.invalidated_by)
    _lint_fields(contract)
    if schedule is not None and contract.freshness_sla_s < schedule.period_s + schedule.budget_s:
        needed = humanize(schedule.period_s + schedule.budget_s)
        raise ContractError(
            f"freshness_sla={contract.freshness_sla} is shorter than a period plus its budget ({needed}): "
            "every run would be late; lengthen the SLA or run more often",
            field="freshness_sla",
        )
    return contract


def _lint_steps(curve: Steps) -> None:
    ages = [seconds(until, field="confidence.table") for until, _ in curve.table]
    levels = [level for _, level in curve.table]
    if (
        not ages
        or sorted(ages) != ages
        or sorted(levels, reverse=True) != levels
        or not 0 <= levels[-1] <= levels[0] <= 1
    ):
        raise ContractError(
            "the step table needs rising ages, and falling confidences from 0 to 1", field="confidence.table"
        )


def _lint_fields(contract: Contract) -> None:
    if not contract.owner.strip():
        raise ContractError("owner is empty: name the team that is alerted when this goes stale", field="owner")
    if isinstance(contract.fallback_if_stale, ServeStale):
        _ = contract.fallback_if_stale.within_s
    curve = contract.confidence
    if curve is None:
        return
    if not (0 <= curve.floor <= curve.c0 <= 1 and curve.c0 > 0):
        raise ContractError("confidence needs 0 <= floor <= c0 <= 1 and c0 > 0", field="confidence.floor")
    if isinstance(curve, Exponential) and curve.floor == 0:
        raise ContractError(
            "an exponential curve never reaches a floor of 0; set one above it", field="confidence.floor"
        )
    if isinstance(curve, Steps):
        _lint_steps(curve)
    if curve.max_age_s() > contract.freshness_sla_s:
        raise ContractError(
            f"the confidence curve allows ages up to {humanize(curve.max_age_s())}, beyond "
            f"freshness_sla={contract.freshness_sla}; raise the floor or the SLA",
            field="confidence",
        )


def _check_types(invalidated_by: Any, fallback_if_stale: Any, owner: Any, confidence: Any, schedule: Any) -> None:
    """Raise :class:`ContractError` for a value of a wrong type; the message shows a correct form."""
    _check_invalidations(invalidated_by)
    _check_fallback(fallback_if_stale)
    if not isinstance(owner, str):
        raise ContractError(f"owner={owner!r}: expected the name of a team, such as 'support'", field="owner")
    if confidence is not None and not isinstance(confidence, CURVES):
        raise ContractError(
            f"confidence={confidence!r}: expected a curve, such as parbake.tasks.contract.Exponential(half_life='1h')",
            field="confidence",
        )
    check_schedule(schedule)


def _check_invalidations(items: Any) -> None:
    """Raise :class:`ContractError` unless ``invalidated_by`` is a list of fences, refreshes and ignored families."""
    if isinstance(items, Invalidation):
        form = f"[pb.{items.strength}({items.template!r})]"
        raise ContractError(f"invalidated_by is one item: write a list, {form}", field="invalidated_by")
    if isinstance(items, str) or not isinstance(items, Iterable):
        raise ContractError(
            f"invalidated_by={items!r}: expected a list, such as [pb.fence('policy')]; [] when nothing kills it",
            field="invalidated_by",
        )
    for item in items:
        if isinstance(item, Invalidation):
            _check_ignored(item)
            continue
        form = f"pb.fence({item!r}) or pb.refresh({item!r})" if isinstance(item, str) else "pb.fence('policy')"
        raise ContractError(f"invalidated_by holds {item!r}: write {form}", field="invalidated_by")


def _check_ignored(item: Invalidation) -> None:
    """Raise :class:`ContractError` unless a whole family is ignored, with a reason."""
    if item.strength != "ignore":
        return
    form = f"pb.ignore({item.family!r}, 'why a change of it does not matter here')"
    if item.is_template:
        raise ContractError(f"pb.ignore({item.template!r}, ...) names an entity: write {form}", field="invalidated_by")
    if not isinstance(item.reason, str) or not item.reason.strip():
        raise ContractError(f"pb.ignore({item.family!r}, ...) has no reason: write {form}", field="invalidated_by")


def _check_once(items: Sequence[Invalidation]) -> None:
    """Raise :class:`ContractError` if a family is both ignored and bound."""
    ignored = {item.family for item in items if item.strength == "ignore"}
    for item in items:
        if item.strength != "ignore" and item.family in ignored:
            raise ContractError(
                f"invalidated_by both ignores {item.family!r} and holds pb.{item.strength}({item.template!r}): "
                "keep one of them",
                field="invalidated_by",
            )


def _check_fallback(fallback: Any) -> None:
    """Raise :class:`ContractError` unless it is one of the four fallbacks."""
    if isinstance(fallback, FALLBACKS):
        return
    if isinstance(fallback, type) and issubclass(fallback, FALLBACKS):
        fields = {ServeStale: "within='1h'", Use: "other_task"}.get(fallback, "")
        meant = f"write pb.{fallback.__name__}({fields})"
        raise ContractError(f"fallback_if_stale=pb.{fallback.__name__} is a class: {meant}", field="fallback_if_stale")
    raise ContractError(f"fallback_if_stale={fallback!r}: expected {_FALLBACK_FORMS}", field="fallback_if_stale")


def check_code_change(value: Any, schedule: Every | None) -> None:
    """Raise :class:`ContractError` for an unknown word, or for ``recompute`` without a schedule."""
    if value not in ("keep", "recompute"):
        raise ContractError(f"on_code_change={value!r}: expected 'keep' or 'recompute'", field="on_code_change")
    if value == "recompute" and schedule is None:
        raise ContractError(
            "on_code_change='recompute' needs refresh=, such as pb.every('6h'): a worker builds tasks with a schedule",
            field="on_code_change",
        )


def check_schedule(schedule: Any) -> None:
    """Raise :class:`ContractError` unless ``refresh`` is a schedule or left out."""
    if schedule is None or isinstance(schedule, Every):
        return
    form = f"pb.every({schedule!r})" if isinstance(schedule, str) else "pb.every('6h')"
    raise ContractError(f"refresh={schedule!r}: write {form}", field="refresh")


def check_tags(tags: Any) -> Sequence[str]:
    """Return the tags of a cached function; raises :class:`ContractError` unless they are a list of texts."""
    if isinstance(tags, str) or not isinstance(tags, Sequence) or not all(isinstance(tag, str) for tag in tags):
        raise ContractError(f"tags={tags!r}: expected a list of tags, such as ['policy/{{topic}}']", field="tags")
    return tags
