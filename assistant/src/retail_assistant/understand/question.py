"""One question of a message, with what was found in it and what was said before."""

from __future__ import annotations

import msgspec

from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.names.titles import Named
from retail_assistant.understand.wishes import Wishes


class Question(msgspec.Struct, frozen=True):
    """A question on its way to an :class:`Ask`: what it names is known, and not yet what it asks.

    Args:
        text: The question in lower case.
        core: The words that ask, with an "x" for each title.
        named: The titles that it names.
        wishes: The wishes that it states.
        said: The conversation so far.
        page: The asin of the product whose page is open, or an empty text.
        is_foreign: Whether it has a word that nothing in the shop has.
        had: The volumes that the shopper says to have.
    """

    text: str
    core: str
    named: tuple[Named, ...]
    wishes: Wishes
    said: Dialogue
    page: str = ""
    is_foreign: bool = False
    had: tuple[int, ...] = ()
