"""Which values should be computed when, and what does that cost? The ledger, plans, prices and reversal triggers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from parbake_planner.planned import planned

if TYPE_CHECKING:
    from parbake_planner.adopted import AdoptedPlan
    from parbake_planner.books import Books, Ledger
    from parbake_planner.ledger.costs import Cost, CostBook
    from parbake_planner.plans import Planner, Plans

# Imported when they are first named: a declaration needs none of them.
_LAZY = {
    "AdoptedPlan": "parbake_planner.adopted",
    "Books": "parbake_planner.books",
    "Cost": "parbake_planner.ledger.costs",
    "CostBook": "parbake_planner.ledger.costs",
    "Ledger": "parbake_planner.books",
    "Planner": "parbake_planner.plans",
    "Plans": "parbake_planner.plans",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'parbake_planner' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return found


__all__ = ["AdoptedPlan", "Books", "Cost", "CostBook", "Ledger", "Planner", "Plans", "planned"]
