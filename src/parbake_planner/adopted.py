"""The plans that ``refresh=planned()`` tasks follow: adopted, remembered, rolled back, and turned into keys."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import msgspec

from parbake.errors import BadInput, MissingDependency, UnknownResource
from parbake.lanes.batch.choosing import Pick
from parbake.ports.clock import Clock
from parbake.ports.named_values import NamedValue
from parbake.ports.store import Store
from parbake.serving.bound import BoundTask
from parbake_planner.breakeven import Prices
from parbake_planner.strategies import AHEAD, ALL, LAZY

if TYPE_CHECKING:
    from parbake_planner.forecast.request_log import RequestLog
    from parbake_planner.ledger.ledger_reader import LedgerReader
    from parbake_planner.plan import Decision

DAYS = 28
KEPT = 20
LISTED = "listed_keys"
"""In a plan's evidence: how many keys were listed when it was made."""
_SECOND_FOR_HITS = "second_for_hits"
"""In a plan's evidence: US dollars added to the price of a second of waiting, so that enough requests are hits."""


class AdoptedPlan(msgspec.Struct, frozen=True):
    """How a task is computed from ``adopted_at`` (epoch seconds) on, and why.

    ``strategy`` is one of :mod:`parbake_planner.strategies`, ``prices`` are those of
    :class:`parbake_planner.breakeven.Prices` in US dollars, ``evidence`` the figures that the plan was chosen by.
    """

    strategy: str
    adopted_at: float
    reason: str
    prices: dict[str, float | None] = {}
    evidence: dict[str, float] = {}

    @property
    def is_ahead(self) -> bool:
        """Whether anything is computed ahead."""
        return self.strategy in AHEAD


NO_PLAN = AdoptedPlan(LAZY, 0.0, "no plan was adopted yet")


class Adoptions:
    """Keeps adopted plans in the store, newest first, and picks keys by them."""

    def __init__(self, store: Store, clock: Clock, log: LedgerReader | None) -> None:
        """Without a ``log`` of requests a task cannot be planned, and :meth:`make` raises :class:`BadInput`."""
        self._store = store
        self._clock = clock
        self._log = log

    async def history(self, bound: BoundTask) -> tuple[AdoptedPlan, ...]:
        """The plans of a task that were adopted and not rolled back; empty before the first."""
        return await self._kept(bound).read()

    async def current(self, bound: BoundTask) -> AdoptedPlan:
        """The plan that a task follows; ``NO_PLAN`` (lazy) if none was adopted."""
        found = await self.history(bound)
        return found[0] if found else NO_PLAN

    async def make(
        self, bound: BoundTask, prices: Prices, *, hits: float | None = None, listed: int | None = None
    ) -> Decision:
        """Plan a task from its own requests, without adopting the plan.

        Args:
            bound: The task.
            prices: What computing, storing and waiting cost, in US dollars.
            hits: The share of requests, 0 to 1, that must find a fresh result.
            listed: How many keys there are, including those that were never requested.

        Raises:
            BadInput: The task has had no request yet, or there is no ledger.
        """
        return await asyncio.to_thread(self._made, bound, prices, hits, listed)

    async def adopt(self, bound: BoundTask, decision: Decision) -> AdoptedPlan:
        """Follow a decision from the next run on; raises :class:`BadInput` if it misses the requested share of hits."""
        must_be_planned(bound)
        if not decision.keeps_hits:
            raise BadInput(
                f"{bound.name}: no plan reaches {100 * (decision.hits or 0):g} % of hits; ask for fewer", field="hits"
            )
        return await self.follow(bound, adoption(decision, self._clock.now()))

    async def follow(self, bound: BoundTask, adopted: AdoptedPlan) -> AdoptedPlan:
        """Follow a plan from the next run on."""
        await self._kept(bound).change(lambda kept: (adopted, *kept)[:KEPT])
        return adopted

    async def rollback(self, bound: BoundTask) -> AdoptedPlan:
        """Return to the previous plan; raises :class:`UnknownResource` if the task follows no adopted plan."""

        def earlier(kept: tuple[AdoptedPlan, ...]) -> tuple[AdoptedPlan, ...]:
            if not kept:
                raise UnknownResource(f"{bound.name} follows no adopted plan", field="task")
            # It counts as adopted now, so that days before the rollback do not count against it a second time.
            return tuple(msgspec.structs.replace(one, adopted_at=self._clock.now()) for one in kept[1:2]) + kept[2:]

        found = await self._kept(bound).change(earlier)
        return found[0] if found else NO_PLAN

    async def is_idle(self, bound: BoundTask) -> bool:
        """Whether the plan that a task follows computes nothing ahead."""
        return not (await self.current(bound)).is_ahead

    async def picked(self, bound: BoundTask) -> Pick:
        """Return the keys to compute ahead in a run that starts now, according to the plan that the task follows."""
        adopted = await self.current(bound)
        if adopted.strategy == ALL:
            return Pick(ALL, None)
        return await asyncio.to_thread(self._picked, bound, adopted) if adopted.is_ahead else Pick(adopted.strategy, ())

    def _picked(self, bound: BoundTask, adopted: AdoptedPlan) -> Pick:
        from parbake_planner.next_window import picks

        log = self._requests(bound, adopted.evidence.get(LISTED))
        prices, sla_s = Prices(**adopted.prices), bound.contract.freshness_sla_s  # type: ignore[arg-type]  # as adopted
        prices = replace(prices, second=prices.second + adopted.evidence.get(_SECOND_FOR_HITS, 0.0))
        chosen, p_hat = picks(log, prices, sla_s=sla_s, now=self._clock.now())
        named = len(log.names)
        keys = {log.names[code] for code in chosen.tolist() if code < named}
        if len(keys) == len(chosen):
            return Pick(adopted.strategy, keys, (), p_hat, prices.theta())
        # Keys without a request all have the same chance: if one of them is worth computing ahead, every listed key is.
        asked: set[Any] = set(log.names)
        return Pick(adopted.strategy, None, asked - keys, p_hat, prices.theta())

    def _made(self, bound: BoundTask, prices: Prices, hits: float | None, listed: int | None) -> Decision:
        log = self._requests(bound, listed)
        from parbake_planner.plan import make

        return make(log, prices, sla_s=bound.contract.freshness_sla_s, with_front=False, hits=hits)

    def _requests(self, bound: BoundTask, listed: float | None) -> RequestLog:
        if self._log is None:
            raise BadInput(
                f"{bound.name}: planning needs a ledger, where requests are counted: "
                "App(plugins=[parbake_planner.Ledger(path)])",
                field="ledger",
            )
        try:
            from parbake_planner.next_window import from_minutes
        except ImportError as missing:
            raise MissingDependency.of("planning", "plan", field="numpy") from missing
        rows = self._log.requests(bound.name, days=DAYS)
        return from_minutes(rows, now=self._clock.now(), population=None if listed is None else int(listed))

    def _kept(self, bound: BoundTask) -> NamedValue[tuple[AdoptedPlan, ...]]:
        return NamedValue(self._store, f"plans/{bound.ref}", tuple[AdoptedPlan, ...], ())


def adoption(decision: Decision, now: float) -> AdoptedPlan:
    """Turn a decision into the plan that a task follows from ``now`` on."""
    outcome, best = decision.outcomes[decision.recommended], decision.outcomes[decision.best_simple]
    evidence = {
        "usd_per_day": outcome.per_day,
        "best_simple_usd_per_day": best.per_day,
        "requests_per_day": decision.requests_a_day,
        "flip_factor": decision.flip,
        "theta": decision.theta,
    }
    if decision.population:
        evidence[LISTED] = decision.keys
    if decision.hits is not None:
        evidence |= {"hits_asked_for": decision.hits, _SECOND_FOR_HITS: decision.second}
    return AdoptedPlan(decision.recommended, now, decision.reason, asdict(decision.prices), evidence)


def must_be_planned(bound: BoundTask) -> None:
    """Raise :class:`BadInput` unless a task was declared with ``refresh=planned()``."""
    if not bound.chooses_keys:
        raise BadInput(f"{bound.name} is not declared refresh=planned(); it follows its own schedule", field="task")
