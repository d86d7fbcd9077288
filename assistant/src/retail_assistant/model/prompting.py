"""Prompts: the shared prefix, the shopper, the conversation with what is outdated in it, and at last the question."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

import parbake as pb
from parbake_llm import Block, GivenReplies, Prompt, Tool, sorted_tools, windowed, with_outdated, without_outdated
from retail_assistant.live import LiveShop
from retail_assistant.model.prefix import LOOKING_UP, WORDING, Variant, assistant_prefix
from retail_assistant.model.profile import shopper_profile
from retail_assistant.shop.voices import is_named

MOST_TURNS, FEWEST_TURNS = 16, 8
"""A conversation is cut to the fewer once it is longer than the more, so that its beginning seldom changes."""


class Talk(msgspec.Struct, frozen=True):
    """Who asks, where, and what was said before as (role, text), oldest first."""

    shopper: str
    page: str = ""
    history: tuple[tuple[str, str], ...] = ()
    session: str = ""


class Prompts:
    """Writes prompts for one shop."""

    def __init__(self, app: pb.App, shop: LiveShop, replies: GivenReplies) -> None:
        """Keep what prompts are made of: tasks, the live shop, and what earlier replies rest on."""
        self._app, self._shop, self._replies = app, shop, replies

    async def wording(self, talk: Talk, question: str, evidence: Sequence[str]) -> Prompt:
        """A prompt to word what was found.

        Args:
            talk: The conversation.
            question: What is asked.
            evidence: What was found, with its numbers.
        """
        return await self._prompt(talk, WORDING, question, tuple(evidence))

    async def looking_up(self, talk: Talk, question: str, tools: Sequence[Tool], before: Sequence[str] = ()) -> Prompt:
        """A prompt for a model that looks things up itself.

        Args:
            talk: The conversation.
            question: What is asked.
            tools: What it may call.
            before: The products that the conversation has shown, with their references.
        """
        moment = self._moment(talk)
        if before:
            moment.append("\n".join(("The customer was shown these before:", *before)))
        prompt = await self._prompt(talk, LOOKING_UP, question, tuple(moment))
        blocks = (*prompt.blocks, *await self._profile(talk.shopper))
        return msgspec.structs.replace(prompt, tools=sorted_tools(tools), blocks=blocks)

    async def _prompt(self, talk: Talk, variant: Variant, question: str, evidence: tuple[str, ...]) -> Prompt:
        """Read the prefix through its fence: every request to a model begins with that."""
        blocks = (await self._app.serve(assistant_prefix, variant)).unwrap()
        outdated = await self._replies.outdated(talk.history)
        told = with_outdated if variant == LOOKING_UP else without_outdated
        turns = windowed(told(talk.history, outdated), most=MOST_TURNS, fewest=FEWEST_TURNS)
        return Prompt(
            blocks=blocks,
            turns=turns,
            evidence=evidence,
            question=question,
            prefix=assistant_prefix.name,
            session=f"{talk.shopper}/{talk.session}" if talk.session else "",
        )

    async def _profile(self, shopper: str) -> tuple[Block, ...]:
        """What is about this shopper alone; it stands behind everything that shoppers share."""
        if not is_named(shopper):
            return ()
        text = f"The customer is signed in, and belongs to the segment {self._shop.shoppers.segment(shopper)!r}."
        bought = (await self._app.serve(shopper_profile, shopper)).value
        return (Block("shopper", "\n".join(filter(None, (text, bought))), "user"),)

    def _moment(self, talk: Talk) -> list[str]:
        """What holds for this request only."""
        today = dt.datetime.fromtimestamp(self._app.settings.clock.now(), dt.UTC)
        found = [f"Today is {today:%A, %d %B %Y}."]
        for what, names in (("Genres", self._shop.genres()), ("Formats", self._shop.formats())):
            found += [f"{what}: {', '.join(names)}."] if names else []
        page = self._shop.product(talk.page) if talk.page else None
        if page is not None:
            form = f" ({page.format})" if page.format else ""
            found.append(f"The customer looks at the page of {page.title}{form}, asin {page.asin}.")
        if not is_named(talk.shopper):
            found.append("The customer is not signed in: there is no cart, and there are no orders or points.")
        return found
