"""What readers say about a product, summarised ahead."""

from __future__ import annotations

import parbake as pb
import parbake_semantic.guard
from retail_assistant.answers.draft import Asked, Draft, showing
from retail_assistant.answers.phrases import count, title
from retail_assistant.answers.products import WHICH
from retail_assistant.answers.subjects import Subjects
from retail_assistant.knowledge.knowledge_tasks import review_summaries


class Reviews:
    """Answers questions about reviews."""

    def __init__(self, app: pb.App, subjects: Subjects) -> None:
        """Keep what is asked."""
        self._app, self._subjects = app, subjects

    async def answer(self, asked: Asked) -> Draft:
        """The average, and what readers praise and criticise."""
        if not asked.ask.subjects:
            return Draft(WHICH)
        offers = self._subjects.offers(asked.ask.subjects[0])
        if not offers:
            return Draft(f"We do not sell {asked.ask.subjects[0].name or 'that product'} any more.")
        for offer in offers:
            served = await self._app.serve(review_summaries, offer.asin)
            if served.value is not None:
                break
        else:
            page = parbake_semantic.guard.strip_instructions(offers[0].product.description)
            said = f"{title(offers[0])} has no reviews yet."
            return showing(f"{said} Our page says: {page}" if page else said, offers[:1])
        summary = served.value
        parts = [f"{title(offer)} has {summary.average:.1f} of 5 stars from {count(summary.count, 'review')}."]
        if summary.praise:
            parts.append(f"Readers say: \u201c{summary.praise[0]}\u201d")
        if summary.criticism:
            parts.append(f"Some say: \u201c{summary.criticism[0]}\u201d")
        sources = (f"product/{offer.asin}", f"reviews/{offer.asin}")
        return Draft(" ".join(parts), sources=sources, lane=served.lane, asins=(offer.asin,))
