"""How many stored values of the assistant one event outdates: a purchase, an edit of a policy, an edit of a product.

Everything is computed ahead for a small shop; then each stored value is held against the tags that an event raises.
What is fenced by one of them is not served again, what only refreshes on it is computed again soon.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from _report import Goal, report

import parbake as pb
from parbake.protocol.tags import raised_by
from retail_assistant import compose
from retail_assistant.settings import Settings
from retail_assistant.world import generate

NOW = 1_790_000_000.0
PRODUCTS, SHOPPERS, MESSAGES = 200, 300, 300
EVENTS = {
    "a purchase": "user/u00007",
    "an edit of a policy": "policy/returns",
    "an edit of a product": "product/B000001",
}
MOST = 2
"""The values that are made of one shopper's history, of one policy, or of one product."""


async def outdated(app: pb.App, subject: str) -> Counter[tuple[str, str]]:
    """Values by task and by how they are bound."""
    raised, found = set(raised_by(subject, "shop.changed")), Counter[tuple[str, str]]()
    for plan in app.engine.tasks.values():
        async for _, lookup in app.engine.store.scan(plan.ref):
            tags = lookup.records[0].meta.tags
            if raised & set(tags.fences):
                found[plan.name, "fenced"] += 1
            elif raised & {tag for tag, _ in tags.refreshes}:
                found[plan.name, "refreshed"] += 1
    return found


async def measure(folder: Path) -> dict[str, Counter[tuple[str, str]]]:
    """What each event outdates."""
    generate(folder / "shop.db", now=NOW, products=PRODUCTS, shoppers=SHOPPERS, messages=MESSAGES)
    app = compose.build(Settings(data=folder))
    await app.drain()
    await app.ops.run_due()
    found = {event: await outdated(app, subject) for event, subject in EVENTS.items()}
    await app.close()
    return found


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder)))
    rows = [(event, *bound, count) for event, counts in found.items() for bound, count in sorted(counts.items())]
    totals = {event: counts.total() for event, counts in found.items()}
    goals = [Goal(f"values that {event} outdates", n, "", f"<= {MOST}", met=n <= MOST) for event, n in totals.items()]
    figures = {event.replace(" ", "_"): float(n) for event, n in totals.items()}
    report("outdated", ("event", "task", "bound", "values"), rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
