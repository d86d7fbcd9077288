"""What does a provider's prefix cache hold? Predictions by its rules, and why a request was not read from it."""

from parbake_llm.ports.prompts import Miss, MissCause, Prediction
from parbake_llm.prefix_caches.block_cache import BlockCache
from parbake_llm.prefix_caches.breakpoint_cache import BreakpointCache
from parbake_llm.prefix_caches.pieces import pieces
from parbake_llm.prefix_caches.predicted import Piece, PrefixCache
from parbake_llm.prefix_caches.reconciled import Reconciliation, explained, reconcile
from parbake_llm.prefix_caches.slot_cache import SlotCache

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
