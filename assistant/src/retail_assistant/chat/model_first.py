"""The model in front of the rules: it gets what the bank of frequent questions does not answer."""

from __future__ import annotations

from collections.abc import Sequence

from retail_assistant.answers.draft import Draft
from retail_assistant.chat.bank import Bank
from retail_assistant.chat.deciding import is_sure
from retail_assistant.chat.tool_loop import ToolLoop
from retail_assistant.chat.turn import Turn
from retail_assistant.understand.ask import Ask
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.plain_words import plain
from retail_assistant.understand.said.social import is_hostile
from retail_assistant.understand.said.two_rules import trouble_and_return


class ModelFirst:
    """Answers turns by the bank or the model."""

    def __init__(self, bank: Bank, loop: ToolLoop) -> None:
        """Keep what is asked."""
        self._bank, self._loop = bank, loop

    async def draft(self, turn: Turn, asks: Sequence[Ask], said: Dialogue, *, may_use_bank: bool) -> Draft:
        """Answer a whole message.

        Small talk, and messages that try to instruct the assistant, are left to the rules.

        Args:
            turn: The turn.
            asks: The questions of its message.
            said: What the conversation has come to.
            may_use_bank: Whether the bank may answer.

        Returns:
            The answer; without any text if the rules have to answer, and ``refusals`` say why.
        """
        if is_hostile(plain(turn.message)) or all(ask.best.kind == "social" for ask in asks):
            return Draft()
        refusals: Sequence[str] = ()
        ask = asks[0]
        is_for_bank = may_use_bank and len(asks) == 1 and not is_sure(ask, is_known=turn.is_known)
        if is_for_bank and trouble_and_return(ask.text) is None:
            found = await self._bank.ask(turn, ask, said)
            if found.draft is not None:
                found.draft.intent = "policy"
                return found.draft
            refusals = found.refusals
        draft = await self._loop.draft(turn, said)
        draft.refusals = [*refusals, *draft.refusals]
        return draft
