"""A model with tools: at most three requests, and every sentence of its reply is held against what it refers to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec

import parbake as pb
from parbake.errors import ProviderError
from parbake.ports.models import Delta
from parbake.ports.prompts import Exchange, Prompt, ToolCall
from retail_assistant.answers.draft import Draft, model_failed
from retail_assistant.answers.guardrails import guardrails
from retail_assistant.chat.references import Said, Statement, read, with_slots
from retail_assistant.chat.tools import Toolbox, ToolResult, model_tools
from retail_assistant.chat.turn import Turn
from retail_assistant.knowledge.blocks import customer_sections
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.model.generation import response_generation
from retail_assistant.model.prompting import Prompts, Talk
from retail_assistant.understand.ask import Kind
from retail_assistant.understand.dialogue import Dialogue

MOST_REQUESTS, MOST_CALLS, MOST_SENTENCES = 3, 6, 8
"""For one reply: requests to the model, tool calls that are answered in one of them, and sentences that are shown."""
SAID_NOTHING = "model_said_nothing"


@dataclass
class _Round:
    """What the model has said in one request: calls, or the text of its reply."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)


@dataclass
class _Progress:
    """What a reply may refer to, and the results of the tools so far."""

    statements: dict[str, Statement]
    results: list[ToolResult] = field(default_factory=list)


class ToolLoop:
    """Answers turns with a model that calls the assistant's tools."""

    def __init__(self, app: pb.App, shop: LiveShop, toolbox: Toolbox, prompts: Prompts) -> None:
        """Keep what is asked.

        Args:
            app: The tasks.
            shop: What is live.
            toolbox: Answers the model's calls.
            prompts: Writes what the model is sent.
        """
        self._app, self._shop, self._toolbox, self._prompts = app, shop, toolbox, prompts

    async def draft(self, turn: Turn, said: Dialogue) -> Draft:
        """Answer a turn; a draft without text says in ``refusals`` why the model gave no usable answer."""
        progress = _Progress(self._sections())
        talk = Talk(turn.shopper, turn.page or "", turn.history, turn.session)
        exchanges: tuple[Exchange, ...] = ()
        try:
            for _ in range(MOST_REQUESTS):
                prompt = await self._prompts.looking_up(talk, turn.message, model_tools())
                round_ = await self._ask(msgspec.structs.replace(prompt, exchanges=exchanges))
                if not round_.calls:
                    return await self._reply(turn, round_.text, progress)
                exchanges = (*exchanges, await self._exchange(turn, said, round_, progress))
        except ProviderError as error:
            return Draft(refusals=[model_failed(error)])
        return await self._reply(turn, "", progress)

    async def _ask(self, prompt: Prompt) -> _Round:
        deltas: AsyncIterator[Delta] = (await self._app.serve(response_generation, prompt=prompt)).unwrap()
        found = _Round()
        async for delta in deltas:
            found.text += delta.text
            if delta.call is not None:
                found.calls.append(delta.call)
        return found

    async def _exchange(self, turn: Turn, said: Dialogue, round_: _Round, progress: _Progress) -> Exchange:
        """Answer the model's calls; one that cannot be answered is answered with what is wrong with it."""
        calls, results = tuple(round_.calls[:MOST_CALLS]), []
        for call in calls:
            try:
                result = await self._toolbox.call(
                    call.name, call.arguments, shopper=turn.shopper, page=turn.page or "", said=said
                )
            except pb.BadInput as error:
                results.append(f"Error: {error}")
                continue
            progress.results.append(result)
            results.append(self._numbered(result, progress))
        return Exchange(calls, tuple(results), round_.text)

    def _numbered(self, result: ToolResult, progress: _Progress) -> str:
        """Give each sentence of a result a reference, and write them for the model with their present numbers."""
        lines = []
        for text in result.stated:
            name = f"r{1 + sum('#' not in known for known in progress.statements)}"
            progress.statements[name] = Statement(text, result.sources, result.section)
            lines.append(f"[{name}] {fill_slots(text, self._shop)}")
        return "\n".join(lines) or result.text

    def _sections(self) -> dict[str, Statement]:
        """Every policy section as it stands now, by the reference that the prompt's prefix gives it."""
        return {
            f"{policy.id}#{section.id}": Statement(section.text, (f"policy/{policy.id}",), f"{policy.id}#{section.id}")
            for policy in self._shop.policies()
            for section in customer_sections(policy, slots=True)
        }

    async def _reply(self, turn: Turn, text: str, progress: _Progress) -> Draft:
        """The draft of what may be shown of the model's text; if that is nothing, of what the tools have found."""
        shown: dict[str, None] = {}
        used: list[Statement] = []
        own = 0
        for said in read(text, progress.statements):
            if said.is_courtesy:
                shown[said.text] = None
                own += 1
                continue
            sentence = await self._supported(said, turn) if said.text and said.told else ""
            is_worded = bool(sentence)
            shown.update(dict.fromkeys([sentence] if is_worded else [one.text for one in said.told]))
            used += said.told
            own += is_worded
        if not used:
            used = [Statement(s, result.sources, result.section) for result in progress.results for s in result.stated]
            shown = dict.fromkeys(one.text for one in used)
        if not used:
            return Draft(refusals=[SAID_NOTHING])
        draft = _draft(" ".join(list(shown)[:MOST_SENTENCES]), used, progress.results)
        draft.worded = own > 0
        return draft

    async def _supported(self, said: Said, turn: Turn) -> str:
        """The sentence with the shop's slots, if what it refers to supports it; otherwise empty."""
        sentence = with_slots(said.text, said.told, self._shop.fill)
        sources = tuple(dict.fromkeys(source for one in said.told for source in one.sources))
        told = tuple(one.text for one in said.told)
        served = await self._app.serve(guardrails, sentence=sentence, sources=sources, told=told, question=turn.message)
        return "" if served.unwrap().violation else sentence


def _draft(text: str, used: list[Statement], results: list[ToolResult]) -> Draft:
    """A draft with what the conversation goes on from: the products, the section and the action of the tools."""
    last = results[-1] if results else ToolResult("")
    kind: Kind = last.kind if results else "policy"
    return Draft(
        text,
        sources=tuple(dict.fromkeys(source for one in used for source in one.sources)),
        asins=tuple(dict.fromkeys(asin for result in results for asin in result.products)),
        intent=kind,
        section=next((one.section for one in reversed(used) if one.section), ""),
        wishes=last.wishes,
        pending=next((result.pending for result in reversed(results) if result.pending is not None), None),
    )
