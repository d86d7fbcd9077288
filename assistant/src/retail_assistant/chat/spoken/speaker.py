"""A model that looks things up and says the reply itself, unit by unit, as far as what it says holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

import parbake as pb
from parbake.errors import ProviderError
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Exchange, Prompt, ToolCall
from retail_assistant.answers.draft import Draft, model_failed
from retail_assistant.answers.guardrails import guardrails
from retail_assistant.chat.lookup import QUESTIONS
from retail_assistant.chat.spoken.evidence import Evidence, Item
from retail_assistant.chat.spoken.judge import Judge, Verdict
from retail_assistant.chat.spoken.units import Cutter, Unit
from retail_assistant.chat.tool_schemas import model_tools
from retail_assistant.chat.tools import Toolbox, ToolResult
from retail_assistant.chat.turn import Turn
from retail_assistant.live import LiveShop
from retail_assistant.model.generation import response_generation
from retail_assistant.model.prompting import Prompts, Talk
from retail_assistant.shop.prices import Charge
from retail_assistant.understand.ask import Kind
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.plain_words import plain

MOST_LOOKUPS, MOST_CALLS = 3, 6
"""For one reply: requests in which a model may look things up, and calls that are answered in one of them."""
LAST = "There are no more look-ups for this reply. Say it now."
SAID_NOTHING = "model_said_nothing"
"""The refusal of a reply of which nothing could be shown that answers."""


@dataclass
class _Asked:
    """What the model has written in one request: its text, and the tools that it calls."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)


@dataclass
class Spoken:
    """What has been said so far.

    Attributes:
        evidence: What may be referred to.
        shown: The texts that were shown, with slots.
        said: The same with the values that were shown.
        items: What they state.
        fates: How many units were released, replaced and left out.
        refusals: Why units were not shown in the model's own words.
        worded: Whether any of the model's own words were shown.
        answers: Whether anything that was shown says more than talk.
        lead: Talk that leads something in, which is shown with that.
        last: What was stated last.
    """

    evidence: Evidence
    shown: dict[str, None] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    items: dict[Item, None] = field(default_factory=dict)
    fates: Counter[str] = field(default_factory=Counter[str])
    refusals: dict[str, None] = field(default_factory=dict)
    worded: bool = False
    answers: bool = False
    lead: Unit | None = None
    last: Item | None = None

    def draft(self) -> Draft:
        """What the conversation goes on from: the products that were shown, the section, the action that waits."""
        results = self.evidence.results
        last = results[-1] if results else ToolResult("")
        kind: Kind = last.kind if results else "facts" if any(item.asin for item in self.items) else "policy"
        return Draft(
            " ".join(self.shown),
            sources=tuple(dict.fromkeys(source for item in self.items for source in item.sources)),
            asins=tuple(dict.fromkeys(item.asin for item in self.items if item.asin)),
            intent=kind,
            section=next((item.section for item in reversed(self.items) if item.section), ""),
            wishes=last.wishes,
            pending=next((result.pending for result in reversed(results) if result.pending is not None), None),
            refusals=list(self.refusals),
            worded=self.worded,
        )


class Speaker:
    """Lets a model answer turns."""

    def __init__(self, app: pb.App, shop: LiveShop, toolbox: Toolbox, prompts: Prompts, judge: Judge) -> None:
        """Keep what is asked.

        Args:
            app: The tasks.
            shop: What is live.
            toolbox: Answers the model's calls.
            prompts: Writes what the model is sent.
            judge: Decides what may be shown.
        """
        self._app, self._toolbox, self._prompts, self._judge, self._shop = app, toolbox, prompts, judge, shop

    def begin(self, shopper: str, before: Sequence[str]) -> Spoken:
        """A reply of which nothing is said yet, in a conversation that has shown some products ``before``."""

        def charges(asins: Iterable[str]) -> Mapping[str, Charge]:
            return self._shop.shoppers.charges(shopper, asins, now=self._app.settings.clock.now())

        return Spoken(Evidence(self._shop, charges, before))

    async def say(self, turn: Turn, said: Dialogue, spoken: Spoken) -> AsyncIterator[str]:
        """Answer a turn: yield each text as soon as it is released, and note it in ``spoken``.

        If the model fails or its time is over, what was shown stays, and a refusal says why it ends.

        Args:
            turn: The turn.
            said: What the conversation has come to.
            spoken: What is noted.
        """
        talk = Talk(turn.shopper, turn.page or "", turn.history, turn.session)
        exchanges: tuple[Exchange, ...] = ()
        try:
            for left in reversed(range(MOST_LOOKUPS + 1)):
                prompt = await self._prompts.looking_up(talk, turn.message, model_tools(), spoken.evidence.before())
                asked = _Asked()
                async for unit in self._units(msgspec.structs.replace(prompt, exchanges=exchanges), asked):
                    async for shown in self._released(unit, turn, spoken):
                        yield shown
                if not asked.calls or not left:
                    break
                exchange = await self._looked_up(turn, said, asked, spoken)
                if left == 1:
                    results = (*exchange.results[:-1], f"{exchange.results[-1]}\n{LAST}")
                    exchange = msgspec.structs.replace(exchange, results=results)
                exchanges = (*exchanges, exchange)
        except ProviderError as error:
            spoken.refusals[model_failed(error)] = None
        async for shown in self._proposals(spoken):
            yield shown
        if spoken.said and not QUESTIONS.search(plain(turn.message)):
            spoken.answers = True  # nothing was asked, so talk is all that there is to say
        if not spoken.answers:
            spoken.refusals[SAID_NOTHING] = None

    async def _units(self, prompt: Prompt, asked: _Asked) -> AsyncIterator[Unit]:
        """Ask the model once: yield each unit as it becomes whole, and note its text and its calls."""
        deltas: AsyncIterator[Delta] = (await self._app.serve(response_generation, prompt=prompt)).unwrap()
        cutter = Cutter()
        async for delta in deltas:
            if delta.call is not None:
                asked.calls.append(delta.call)
            asked.text += delta.text
            for unit in cutter.feed(delta.text):
                yield unit
        for unit in cutter.end():
            yield unit

    async def _released(self, unit: Unit, turn: Turn, spoken: Spoken) -> AsyncIterator[str]:
        """The texts of a unit that may be shown."""
        verdict = await self._judge.judged(unit, spoken.evidence, turn, spoken.items)
        lead, spoken.lead = spoken.lead, None
        before = len(spoken.shown)
        if unit.kind == "talk" and unit.text.endswith(":") and not verdict.cause:
            spoken.lead = unit
        else:
            async for text in self._shown(verdict.texts, verdict.items, spoken):
                if lead is not None and len(spoken.shown) == before + 1:
                    async for led_in in self._shown((lead.text,), (), spoken):
                        yield led_in
                yield text
            self._note(unit, verdict, spoken, is_shown=len(spoken.shown) > before)
        if lead is not None:
            self._note(lead, Verdict((lead.text,)), spoken, is_shown=len(spoken.shown) > before)

    async def _shown(self, texts: Sequence[str], items: Sequence[Item], spoken: Spoken) -> AsyncIterator[str]:
        """Texts with their slots filled, each once, and checked against what holds as it leaves."""
        sources = tuple(dict.fromkeys(source for item in items for source in item.sources))
        for text in texts:
            if text in spoken.shown:
                continue
            item = next((one for one in items if one.text == text), None)
            told = spoken.evidence.led(item, spoken.last) if item else text
            checked = (await self._app.serve(guardrails, sentence=told, sources=sources)).unwrap()
            if checked.violation:
                spoken.refusals[f"guard: {checked.violation}"] = None
                continue
            spoken.shown[text] = None
            spoken.last = item or spoken.last
            if item is None or item.asin or checked.text not in spoken.said:  # two sections may say the same
                spoken.said.add(checked.text)
                spoken.evidence.said.append(checked.text)
                yield checked.text + " "

    async def _proposals(self, spoken: Spoken) -> AsyncIterator[str]:
        """The proposal that waits for a yes, in the shop's own words, unless it was shown: nobody agrees unseen."""
        if spoken.lead is not None:  # nothing came after it
            self._note(spoken.lead, Verdict(), spoken, is_shown=False)
        waiting = [result for result in spoken.evidence.results if result.pending is not None]
        for result in waiting[-1:]:
            items = [item for item in spoken.evidence.found() if item.text in result.stated]
            async for text in self._shown(result.stated, items, spoken):
                yield text
            spoken.items.update(dict.fromkeys(items))
            spoken.answers = True

    def _note(self, unit: Unit, verdict: Verdict, spoken: Spoken, *, is_shown: bool) -> None:
        fate = "left out" if not is_shown else "replaced" if verdict.cause else "released"
        spoken.fates[fate] += 1
        if verdict.cause:
            spoken.refusals[f"model: {verdict.cause}"] = None
        if is_shown:
            spoken.items.update(dict.fromkeys(verdict.items))
            spoken.last = verdict.items[-1] if verdict.items else spoken.last
            spoken.worded = spoken.worded or (not verdict.cause and unit.kind in ("talk", "claim", "question"))
            spoken.answers = spoken.answers or unit.kind != "talk" or bool(verdict.items)

    async def _looked_up(self, turn: Turn, said: Dialogue, asked: _Asked, spoken: Spoken) -> Exchange:
        """Answer the model's calls; one that cannot be answered is answered with what is wrong with it."""
        answered, results = tuple(asked.calls[:MOST_CALLS]), []
        for call in answered:
            try:
                result = await self._toolbox.call(
                    call.name, call.arguments, shopper=turn.shopper, page=turn.page or "", said=said
                )
            except pb.BadInput as error:
                results.append(f"Error: {error}")
                continue
            results.append(spoken.evidence.add(result))
        return Exchange(answered, tuple(results), asked.text)
