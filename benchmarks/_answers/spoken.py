"""Units of a model's text over the evidence of real look-ups, as a running shop's judge sees them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from retail_assistant import compose
from retail_assistant.answers.desk import AnswerDesk
from retail_assistant.chat.release import Release
from retail_assistant.chat.spoken.evidence import Evidence
from retail_assistant.chat.spoken.judge import Judge, Verdict
from retail_assistant.chat.spoken.units import Cutter, Unit
from retail_assistant.chat.tools import Toolbox
from retail_assistant.chat.turn import Turn
from retail_assistant.chat.understanding import Understanding
from retail_assistant.knowledge.knowledge_tasks import product_embeddings
from retail_assistant.knowledge.product_index import IndexFollower, ProductIndex
from retail_assistant.live import LiveShop
from retail_assistant.settings import Settings
from retail_assistant.shop.voices import ANONYMOUS


class Case(msgspec.Struct, frozen=True):
    """A customer's message, and the look-ups that a model has made for it as (tool, arguments)."""

    message: str
    calls: list[tuple[str, dict[str, Any]]]


class Bench:
    """Judges units over one shop."""

    def __init__(self, toolbox: Toolbox, judge: Judge, shop: LiveShop, now: float) -> None:
        """Keep what looks up and what judges."""
        self._toolbox, self._judge, self._shop, self._now = toolbox, judge, shop, now

    async def evidence(self, case: Case) -> tuple[Evidence, list[str]]:
        """What the look-ups of a case find, and how the model reads it."""
        found = Evidence(self._shop, lambda asins: self._shop.shoppers.charges(ANONYMOUS, asins, now=self._now))
        told = [
            found.add(await self._toolbox.call(name, json.dumps(arguments), shopper=ANONYMOUS))
            for name, arguments in case.calls
        ]
        return found, told

    async def judged(self, text: str, evidence: Evidence, message: str) -> list[tuple[Unit, Verdict]]:
        """Each unit of a text with what becomes of it."""
        cutter = Cutter()
        units = [*cutter.feed(text), *cutter.end()]
        turn = Turn(message, ANONYMOUS)
        return [(unit, await self._judge.judged(unit, evidence, turn)) for unit in units]


@contextlib.asynccontextmanager
async def judging(home: Path) -> AsyncIterator[Bench]:
    """Open a prepared shop."""
    app = compose.build(Settings(home))
    shop: LiveShop = app.settings.resources[LiveShop]
    await IndexFollower(app, product_embeddings, app.settings.resources[ProductIndex]).step()
    understanding, desk = Understanding(app, shop), AnswerDesk(app, shop)
    toolbox = Toolbox(desk, Release(app), understanding)
    judge = Judge(app, shop, desk.policies, understanding)
    try:
        yield Bench(toolbox, judge, shop, app.settings.clock.now())
    finally:
        await app.close()
