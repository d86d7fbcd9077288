"""Whether a message is written in another language than English."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from retail_assistant.understand.said.foreign import is_of_shop

_WORD = re.compile(r"[^\W\d_]{2,}")
LEAST_WORDS = 3
SURE, LIKELY, MOSTLY = 0.8, 0.5, 0.6
"""How sure a language must be, also if the message has shop words of another language; and the share of known words
from which a message counts as English."""
NAMES = {
    "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "nl": "Dutch", "pt": "Portuguese",
    "pl": "Polish", "sv": "Swedish", "da": "Danish", "tr": "Turkish", "ja": "Japanese", "zh": "Chinese",
    "ru": "Russian", "ko": "Korean", "ar": "Arabic",
}  # fmt: skip


def is_doubtful(text: str, *, known: float) -> bool:
    """Whether a message may be written in another language than English.

    Args:
        text: The message.
        known: The share of its words that are English or the shop's own.
    """
    letters = [letter for letter in text if letter.isalpha()]
    is_latin = sum(letter < "\u0250" for letter in letters) * 2 >= len(letters)
    return bool(letters) and known <= MOSTLY and not (is_latin and len(_WORD.findall(text)) < LEAST_WORDS)


def other_language(text: str) -> str | None:
    """The English name of the language of a doubtful message; ``None`` for English and for one that is hard to tell.

    The first call loads the identifier, which takes a third of a second, unless :func:`prepare` did.
    """
    language, chance = _identifier().classify(text)
    return NAMES.get(language) if language != "en" and chance >= (LIKELY if is_of_shop(text) else SURE) else None


def prepare() -> None:
    """Load the identifier, so that nobody's message waits for it."""
    _identifier()


@lru_cache(1)
def _identifier() -> Any:
    """The identifier, loaded once; it does not keep the texts that it reads."""
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier

    found = LanguageIdentifier.from_model_file(MODEL_DIR / MODEL_FILE, norm_probs=True)
    found.set_languages(["en", *NAMES])
    return found
