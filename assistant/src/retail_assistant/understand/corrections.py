"""Messages that correct what was understood: "no, I mean the loyalty points", "the book itself, not a slipcase"."""

from __future__ import annotations

import re

from retail_assistant.understand.leftover import content

_MEANT = re.compile(
    r"^(?:.*?(?:[.,!?;:]\s*|\b(?:no|but|sorry|well|not)\s+))?"
    r"(?:i mean|i meant|(?:i'm|i am|i was) (?:asking|talking) (?:about|for)|what i (?:want|asked|need) is)\b[:,]?\s*"
    r"(?=\S.{3})"
)
_DENIES = re.compile(
    r"^(?:no+|nope|nah|wrong)(?:[,.!]+\s*|\s+(?=(?:the|my|i|it|that|this|we|she|he|its|it's)\b))(?=\S.{7})"
)
_UNWANTED = re.compile(r"\bi (?:don't|do not) want to \w+(?: \w+)?[,.;]+\s*(?:but )?(?=\S.{7})")
_MISHEARD = re.compile(
    r"\b(?:(?:that's )?not what i (?:asked|meant|said)|that's not (?:it|what)|didn't ask (?:for|about)"
    r"|you don't understand|you misunderst\w+|wrong answer|(?:not|no|isn't|wasn't|doesn't) (?:of )?(?:any )?"
    r"(?:help(?:ful|ing)?|listening|an answer|answering)|(?:didn't|doesn't|don't) answer)\b"
)
"""Says that the last reply missed what was asked."""
_SAID = re.compile(r"\b(?:(?:don't|do not) want|i said)\b")
_NOT_THAT = re.compile(r",? (?:and )?not (?:(?:a|an|the|my|about|for) )+\w+(?: \w+)?(?=\s*[.,!?]|$)")


def corrected(text: str, *, of_policy: bool) -> tuple[str, bool]:
    """What is meant, and whether the message corrects what was understood before.

    Args:
        text: The message in lower case.
        of_policy: Whether the last reply was about a policy; then what is denied is left out. Of books it is a wish.
    """
    meant = text
    for pattern in (_MEANT, _DENIES, _UNWANTED):
        meant = pattern.sub("", meant, count=1)
    corrects = meant != text or any(pattern.search(text) for pattern in (_MISHEARD, _SAID))
    if corrects and of_policy:
        meant = _NOT_THAT.sub("", meant) or meant
    return meant, corrects


def is_complaint(text: str) -> bool:
    """Whether a message says that the last reply missed what was asked, and nothing else."""
    return _MISHEARD.search(text) is not None and not content(_MISHEARD.sub(" ", text))
