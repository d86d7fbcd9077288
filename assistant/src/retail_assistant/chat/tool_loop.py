"""A model with tools: at most three requests, and a reply of references that the shop itself puts into words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec

import parbake as pb
from parbake.errors import ProviderError
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Exchange, Prompt, ToolCall
from retail_assistant.answers.draft import Draft, model_failed
from retail_assistant.chat.references import Statement, read
from retail_assistant.chat.tools import Toolbox, ToolResult, model_tools
from retail_assistant.chat.turn import Turn
from retail_assistant.knowledge.blocks import customer_sections
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.model.generation import response_generation
from retail_assistant.model.prompting import Prompts, Talk
from retail_assistant.understand.ask import Kind
from retail_assistant.understand.dialogue import Dialogue

MOST_REQUESTS, MOST_CALLS, MOST_STATEMENTS = 3, 6, 4
"""For one reply: requests to the model, tool calls that are answered in one of them, and references that are shown."""
OWN_WORDS, SAID_NOTHING = "model_own_words", "model_said_nothing"
"""The refusals of what a model says in its own words, and of a reply without a reference."""


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
                    return self._reply(round_.text, progress)
                exchanges = (*exchanges, await self._exchange(turn, said, round_, progress))
        except ProviderError as error:
            return Draft(refusals=[model_failed(error)])
        return self._reply("", progress)

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
        """Give a result a reference, and write it for the model with its present numbers.

        A result is quoted as a whole: half of it, such as a price without its promotion, would mislead.
        """
        if not result.stated:
            return result.text
        text, name = " ".join(result.stated), f"r{len(progress.results)}"
        progress.statements[name] = Statement(text, result.sources, result.section)
        return f"[{name}] {fill_slots(text, self._shop)}"

    def _sections(self) -> dict[str, Statement]:
        """Every policy section as it stands now, by the reference that the prompt's prefix gives it."""
        return {
            f"{policy.id}#{section.id}": Statement(section.text, (f"policy/{policy.id}",), f"{policy.id}#{section.id}")
            for policy in self._shop.rules.policies()
            for section in customer_sections(policy, slots=True)
        }

    def _reply(self, text: str, progress: _Progress) -> Draft:
        """The draft of what the model refers to; if that is nothing, of what the tools have found."""
        shown: dict[str, None] = {}
        used: dict[Statement, None] = {}
        refusals: dict[str, None] = {}
        for said in read(text, progress.statements):
            if said.has_own_words:
                refusals[OWN_WORDS] = None
            shown.update(dict.fromkeys([said.courtesy] if said.courtesy else []))
            for one in said.told[: MOST_STATEMENTS - len(used)]:
                used[one] = shown[one.text] = None
        if not used:
            used = dict.fromkeys(one for name, one in progress.statements.items() if "#" not in name)
            shown = dict.fromkeys(one.text for one in used)
        if not used:
            return Draft(refusals=[*refusals, SAID_NOTHING])
        draft = _draft(" ".join(shown), list(used), progress.results)
        draft.refusals = list(refusals)
        return draft


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
