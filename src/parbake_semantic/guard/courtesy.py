"""Sentences that state nothing of the matter: apologies, thanks, offers of help."""

from __future__ import annotations

import re

_COURTESIES = (
    r"\d{1,2}",
    r"i'?m (?:not (?:sure|able|certain)|unable|a (?:customer|virtual|chat)\w*)\b[\w ',-]*",
    (
        r"(?:i'?m|we'?re) (?:\w+ )?(?:sorry|glad|happy|here)(?: (?:for|about|to (?:hear|help|assist)|that you)[\w ']*)?"
        r"(?:, and i'?m sorry[\w ']*|, but i(?:'m unable to| can'?t| cannot) (?:help|assist)[\w ']*)?"
    ),
    r"(?:my |our )?(?:sincere )?apologies(?: for[\w ']*)?",
    r"here(?:'s| is) how (?:it works|you can do (?:it|that))",
    r"thank(?:s| you)[\w ']*",
    r"you(?:'re| are) welcome",
    r"(?:please )?let (?:me|us) know if[\w ']*",
    r"hello|hi(?: there)?|good (?:morning|day|evening)|(?:i )?hope (?:this|that) helps|(?:have|enjoy) [\w ]*day",
)
_COURTESY = re.compile(rf"^\W*(?:{'|'.join(_COURTESIES)})\W*(?:\d\W*)?$")


def is_courtesy(sentence: str) -> bool:
    """Whether a sentence states nothing: a courtesy, or the number of a list."""
    plain = sentence.lower().replace("\u2019", "'").replace("i am", "i'm").replace("we are", "we're")
    return _COURTESY.match(plain) is not None
