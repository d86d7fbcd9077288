"""What does a provider's prefix cache hold? Predictions by its rules, and why a request was not read from it."""

from parbake.ports.prompts import Miss, MissCause, Prediction
from parbake.prompt.prefix_caches.block_cache import BlockCache
from parbake.prompt.prefix_caches.breakpoint_cache import BreakpointCache
from parbake.prompt.prefix_caches.pieces import pieces
from parbake.prompt.prefix_caches.predicted import Piece, PrefixCache
from parbake.prompt.prefix_caches.reconciled import Reconciliation, explained, reconcile
from parbake.prompt.prefix_caches.slot_cache import SlotCache

__all__ = [
    "BlockCache",
    "BreakpointCache",
    "Miss",
    "MissCause",
    "Piece",
    "Prediction",
    "PrefixCache",
    "Reconciliation",
    "SlotCache",
    "explained",
    "pieces",
    "reconcile",
]
