"""The faults that can occur in one history, and how often: each seed draws its own selection (swarm testing)."""

from __future__ import annotations

import random

from simulator.world.limits import CLOCK_ERROR_S

KINDS = ("crash", "pause", "cut_store", "cut_sources", "feed_down", "fail_over")


class FaultSelection:
    """What one history has drawn; one history in four has no faults, only concurrency."""

    def __init__(self, rng: random.Random) -> None:
        """Draw the selection."""
        self.kinds = [kind for kind in KINDS if rng.random() < 0.35]
        self.weight = rng.choice([0.0, 2.0, 4.0, 8.0]) if self.kinds else 0.0
        self.lost = rng.choice([0.0, 0.0, 0.01, 0.03])
        self.delivery_s = rng.choice([0.0, 0.05, 1.0])
        self.clock_error_s = CLOCK_ERROR_S if rng.random() < 0.5 else 0.0
