"""A message as it is read: in English, or the shop words of another language in English."""

from __future__ import annotations

import msgspec

from retail_assistant.understand.language import is_doubtful, other_language
from retail_assistant.understand.names.vocabulary import Vocabulary
from retail_assistant.understand.said.foreign import in_english


class Heard(msgspec.Struct, frozen=True):
    """A message, the other language in which it is written, if it is, and its shop words in English."""

    message: str
    language: str = ""
    english: str = ""

    @property
    def text(self) -> str:
        """What is read."""
        return self.english or self.message

    @property
    def is_understood(self) -> bool:
        """Whether it is in English, or has enough shop words to be understood."""
        return not self.language or bool(self.english)


def hear(message: str, vocabulary: Vocabulary) -> Heard:
    """Read a message. The first that may be in another language takes a third of a second: call it in a thread."""
    if not is_doubtful(message, known=vocabulary.share_known(message)):
        return Heard(message)
    language = other_language(message) or ""
    return Heard(message, language, in_english(message, keeps=vocabulary.uses) if language else "")
