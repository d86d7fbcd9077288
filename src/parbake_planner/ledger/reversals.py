"""Reversal triggers from the ledger, the plans and the complaints. Each of them proposes; none of them acts."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from parbake.errors import BadInput, UnknownTask
from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.protocol.control import Quarantine
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import Artifact
from parbake_planner.adopted import AdoptedPlan, Adoptions, must_be_planned
from parbake_planner.breakeven import Prices
from parbake_planner.detectors import HitRate, Proposal, batch_dearer, peak_slower, price_changed
from parbake_planner.ledger.costs import BATCH, HOUR, CostBook, lines
from parbake_planner.ledger.ledger_reader import LedgerReader
from parbake_planner.planned import reverses
from parbake_planner.strategies import REAL_TIME

DAYS = 14
_ON_REQUEST = "realtime"
"""The lane of computations at request time."""
DAY_S = 86_400.0
REAL_TIME_ACTION = "compute on request"
"""The action that can be applied to a planned task: the task then follows a real-time plan."""
_BY_HAND = "compute on request: in its declaration, by refresh=planned() or no refresh= at all"
FLOOR = 0.6
"""The lowest acceptable hit rate."""
_NO_PRICES: Mapping[str, Prices] = {}
_FEWEST_SAMPLES = 30
"""An hour needs this many seconds with requests before its latency counts."""


def complaints(held: Mapping[str, Quarantine]) -> list[Proposal]:
    """Propose, for each task in quarantine, that its owner checks and clears it."""
    return [
        Proposal(
            "stale complaint", task, entry.at, f"served in real time since a complaint: {entry.reason}",
            f"check it, lower the SLA to {entry.sla_s:.0f} s, and clear it", {"proposed_sla_s": entry.sla_s},
        )
        for task, entry in held.items()
    ]  # fmt: skip


def _low_hits(ledger: LedgerReader, tasks: Sequence[str], now: float, *, floor: float) -> list[Proposal]:
    """Propose changes for tasks whose hit rate is too low, from the hours of the last two weeks; blocking.

    Args:
        ledger: Serves and usage.
        tasks: The tasks to check.
        now: The current time, in epoch seconds.
        floor: The lowest acceptable hit rate (0 to 1).
    """
    found = []
    for task in tasks:
        watch, last = HitRate(task, floor=floor), None
        for hour, serves, computed in ledger.by_the_hour(task, since=now - DAYS * DAY_S):
            last = watch.observe((hour + 1) * HOUR, requests=serves, hits=serves - computed) or last
        if watch.is_low and last is not None:
            found.append(last)
    return found


def _dear_batches(
    ledger: LedgerReader, book: CostBook, since: Mapping[str, float], now: float, *, switching: float
) -> list[Proposal]:
    """Propose real-time for tasks whose batch runs cost more than their requests would have, by whole days; blocking.

    The cost of a request is the mean of the requests that were computed. If there were none, or something has no price,
    the task is left out.

    Args:
        ledger: Serves and usage.
        book: The prices.
        since: Since when each task has been computed the way it is now, in epoch seconds.
        now: The current time, in epoch seconds.
        switching: One-time cost of switching a task, in US dollars.
    """
    spent = _Spent(ledger, book, now)
    found = []
    for task, begin in since.items():
        days = [day for day in spent.days if day * DAY_S >= begin]
        each, batch = spent.on_request(task), [spent.batch[task, day] for day in days]
        if each is None or not any(batch):
            continue
        serves: Counter[int] = Counter()
        for hour, count, _ in ledger.by_the_hour(task, since=spent.begin):
            serves[_day(hour)] += count
        proposal = batch_dearer(
            task, now, batch=batch, real_time=[serves[day] * each for day in days], switching=switching
        )
        found += [proposal] if proposal else []
    return found


class _Spent:
    """US dollars of the last two weeks: the batch lane's by task and day, and the requests' by task."""

    def __init__(self, ledger: LedgerReader, book: CostBook, now: float) -> None:
        self.begin = now - DAYS * DAY_S
        self.days = [int(self.begin // DAY_S) + n for n in range(1, DAYS)]  # whole ones
        self.batch: defaultdict[tuple[str, int], float] = defaultdict(float)
        self._requests: defaultdict[str, float] = defaultdict(float)
        self._computed: Counter[str] = Counter()
        self._unpriced: set[str] = set()
        for line in lines(ledger, book, since=self.begin):
            if line.unpriced:
                self._unpriced.add(line.task)
            if not line.is_spent:
                continue
            if line.lane == BATCH:
                self.batch[line.task, _day(line.hour)] += line.usd
            elif line.lane == _ON_REQUEST:
                self._requests[line.task] += line.usd
                self._computed[line.task] += int(line.used["rows"])

    def on_request(self, task: str) -> float | None:
        """The mean cost of a computed request in US dollars; ``None`` if there was none or it has no price."""
        known = self._computed[task] and task not in self._unpriced
        return self._requests[task] / self._computed[task] if known else None


def _day(hour: int) -> int:
    return int(hour * HOUR // DAY_S)


def _peak_harm(ledger: LedgerReader, now: float, *, is_throttled: bool) -> list[Proposal]:
    """Check whether requests were slower during batch runs than at the same time of day without them; blocking.

    Args:
        ledger: Serves and usage.
        now: The current time, in epoch seconds.
        is_throttled: Whether the batch lane is throttled already.
    """
    paces: dict[bool, dict[int, float]] = {True: {}, False: {}}
    for hour, is_on, samples, p95_s in ledger.pace(since=now - DAYS * DAY_S):
        if samples >= _FEWEST_SAMPLES and p95_s > 0:
            paces[bool(is_on)][hour] = p95_s
    usual: defaultdict[int, list[float]] = defaultdict(list)
    for hour, p95_s in paces[False].items():
        usual[hour % 24].append(p95_s)
    pairs = [
        (p95_s, paces[False].get(hour) or fmean(usual[hour % 24]))
        for hour, p95_s in paces[True].items()
        if usual[hour % 24]
    ]
    on, off = [one for one, _ in pairs], [other for _, other in pairs]
    proposal = peak_slower("batch lane", now, on=on, off=off, is_throttled=is_throttled)
    return [proposal] if proposal else []


def changed_prices(plans: Mapping[str, AdoptedPlan], prices: Mapping[str, Prices], now: float) -> list[Proposal]:
    """Propose new plans for tasks whose adopted plan was made at other prices than today's.

    Args:
        plans: The adopted plans, by task.
        prices: Today's prices, by task.
        now: The current time, in epoch seconds.
    """
    found = []
    for task, after in prices.items():
        plan = plans.get(task)
        if plan is None or "on_demand" not in plan.prices:
            continue
        before = Prices(**plan.prices)  # type: ignore[arg-type]  # the prices at adoption
        proposal = price_changed(
            task, now, before=before, after=after, flip=plan.evidence.get("flip_factor", float("inf"))
        )
        found += [proposal] if proposal else []
    return found


class Reversals:
    """Collects the proposals for an app, and applies the one kind that can be applied automatically."""

    def __init__(
        self,
        bound_tasks: Mapping[str, BoundTask],
        adopted: Adoptions,
        clock: Clock,
        ledger: LedgerReader | None,
        *,
        is_throttled: bool,
        send: Callable[[Alert], Awaitable[object]],
    ) -> None:
        """Create the collector.

        Args:
            bound_tasks: The tasks of the app, compiled, by name.
            adopted: The adopted plans.
            clock: The clock.
            ledger: Serves and usage; without one, only complaints and prices are checked.
            is_throttled: Whether the batch lane is throttled.
            send: Sends an alert.
        """
        self._bound_tasks, self._adopted, self._clock, self._ledger = bound_tasks, adopted, clock, ledger
        self._is_throttled, self._send = is_throttled, send

    async def proposals(
        self,
        held: Mapping[str, Quarantine],
        *,
        book: CostBook,
        prices: Mapping[str, Prices] = _NO_PRICES,
        floor: float = FLOOR,
        switching: float = 0.0,
    ) -> list[Proposal]:
        """Collect the present proposals, without those that a task's adopted plan already fulfils.

        Args:
            held: The tasks in quarantine, by name.
            book: The prices of usage.
            prices: Today's planning prices, by task.
            floor: The lowest acceptable hit rate (0 to 1).
            switching: One-time cost of switching a task, in US dollars.

        Raises:
            UnknownTask: ``prices`` names a task that the app does not have.
            BadInput: ``prices`` names a task of another kind, such as a prefix of prompts.
        """
        for name in prices:
            if name not in self._bound_tasks:
                raise UnknownTask(f"prices: {name!r} is not among this app's tasks", field="prices")
            if (kind := getattr(self._bound_tasks[name].task, "kind", None)) is not None:
                raise BadInput(
                    f"prices: {name!r} is a {kind.label}, which is not planned at the prices of a task; leave it out, "
                    "and state it in the prices of the tasks that send it (usage.prefix_tokens)",
                    field="prices",
                )
        now = self._clock.now()
        follows = {name: await self._adopted.current(bound) for name, bound in self._bound_tasks.items()}
        found = complaints(held)
        found += changed_prices({n: p for n, p in follows.items() if p.strategy != REAL_TIME}, prices, now)
        if self._ledger is not None:
            ledger, kept = self._ledger, self._kept(follows)
            found += await asyncio.to_thread(_low_hits, ledger, kept, now, floor=floor)
            ahead = {name: follows[name].adopted_at for name in kept if self._is_ahead(name, follows[name])}
            dear = await asyncio.to_thread(_dear_batches, ledger, book, ahead, now, switching=switching)
            found += [p if self._bound_tasks[p.task].chooses_keys else replace(p, action=_BY_HAND) for p in dear]
            found += await asyncio.to_thread(_peak_harm, ledger, now, is_throttled=self._is_throttled)
        return found

    async def act(self, held: Mapping[str, Quarantine], *, book: CostBook) -> list[AdoptedPlan]:
        """Apply the proposals for tasks declared with ``reverses``, and notify their owners."""
        done = []
        for proposal in await self.proposals(held, book=book):
            bound = self._bound_tasks.get(proposal.task)
            schedule = bound.task.schedule if bound else None
            if bound is None or not reverses(schedule) or proposal.action != REAL_TIME_ACTION:
                continue
            done.append(await self.apply(proposal))
            message = f"{bound.name} is computed on request from now on: {proposal.reason}"
            await self._send(Alert("reversed", bound.name, bound.contract.owner, message, self._clock.now()))
        return done

    def _kept(self, follows: Mapping[str, AdoptedPlan]) -> list[str]:
        """Tasks whose values are stored for later requests."""
        bound_tasks = self._bound_tasks.items()
        return [n for n, p in bound_tasks if isinstance(p.task, Artifact) and follows[n].strategy != REAL_TIME]

    def _is_ahead(self, name: str, follows: AdoptedPlan) -> bool:
        bound = self._bound_tasks[name]
        return bound.task.schedule is not None and (follows.is_ahead or not bound.chooses_keys)

    async def apply(self, proposal: Proposal) -> AdoptedPlan:
        """Adopt a real-time plan for the proposal's task; a task that follows one already stays as it is.

        Raises:
            BadInput: Only a person can take the proposed action.
        """
        if proposal.action != REAL_TIME_ACTION:
            raise BadInput(
                f"action={proposal.action!r} cannot be applied automatically; a person has to do it", field="action"
            )
        bound = self._bound_tasks[proposal.task]
        must_be_planned(bound)
        before = await self._adopted.current(bound)
        if before.strategy == REAL_TIME:
            return before
        adopted = AdoptedPlan(REAL_TIME, self._clock.now(), proposal.reason, before.prices, dict(proposal.evidence))
        return await self._adopted.follow(bound, adopted)
