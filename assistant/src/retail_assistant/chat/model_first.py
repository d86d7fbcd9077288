"""The model in front of the rules: it gets what the bank of frequent questions does not answer."""

from __future__ import annotations

from collections.abc import Sequence

from retail_assistant.chat.bank import Bank
from retail_assistant.chat.deciding import is_sure
from retail_assistant.chat.spoken.speaker import Speaker
from retail_assistant.chat.turn import Turn
from retail_assistant.understand.ask import Ask
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.plain_words import plain
from retail_assistant.understand.said.social import is_hostile
from retail_assistant.understand.said.two_rules import trouble_and_return


class ModelFirst:
    """Decides which turns a model answers."""

    def __init__(self, bank: Bank, speaker: Speaker) -> None:
        """Keep what is asked."""
        self._bank, self.speaker = bank, speaker

    async def takes(self, turn: Turn, asks: Sequence[Ask], said: Dialogue) -> bool:
        """Whether the model answers a whole message.

        Small talk, messages that try to instruct the assistant, and what the bank answers are left to the rules.

        Args:
            turn: The turn.
            asks: The questions of its message.
            said: What the conversation has come to.
        """
        if not turn.may_generate or is_hostile(plain(turn.message)) or all(ask.best.kind == "social" for ask in asks):
            return False
        ask = asks[0]
        is_for_bank = len(asks) == 1 and not is_sure(ask, is_known=turn.is_known)
        if not is_for_bank or trouble_and_return(ask.text) is not None:
            return True
        return (await self._bank.ask(turn, ask, said)).draft is None
