"""Mutants of the tags that a contract accounts for; each docstring says what the mutant gets wrong."""

from __future__ import annotations

from contextlib import ExitStack

from parbake.protocol.recording import Recording
from parbake.protocol.tags import family
from parbake.tasks.contract import Contract
from simulator.patches import method, mutant


@mutant
def template_replaces_recorded(stack: ExitStack) -> None:
    """Where a template names the key's own entity, other entities that a view recorded are dropped."""
    bound = Recording.bound

    def own_only(self: Recording, contract: Contract) -> list[str]:
        spelled_out = {item.family for item in contract.binding if item.is_template}
        return [tag for tag in bound(self, contract) if family(tag) not in spelled_out]

    method(stack, Recording, "bound", own_only)
