"""The shop's own rule on a matter, found by the title of its section."""

from __future__ import annotations

from retail_assistant.answers.draft import Draft
from retail_assistant.live import LiveShop
from retail_assistant.understand.said.concepts import names_all


def rule_titled(shop: LiveShop, *names: str) -> Draft | None:
    """Quote the first policy section whose title names all of some concepts; ``None`` if there is none."""
    for policy in shop.rules.policies():
        for section in policy.sections:
            if names_all(f"{policy.title}: {section.title}".lower(), names):
                return Draft(section.text, sources=(f"policy/{policy.id}",))
    return None
