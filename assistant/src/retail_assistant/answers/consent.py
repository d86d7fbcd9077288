"""Whether a message agrees to what was proposed: only if it says nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from retail_assistant.understand.copies import FIGURE
from retail_assistant.understand.dialogue import Pending, Verb
from retail_assistant.understand.plain_words import number, plain

_OPENING = re.compile(r"^(?:(?:actually|hmm+|oh|well|um|ah|so)\b[\s,]*)+")
_YES = re.compile(
    r"^(?:yes|yep|yeah|yup|ya|y|sure|ok(?:ay)?|si|ja|oui|indeed|please|confirm(?:ed)?|correct|right|exactly|absolutely"
    r"|definitely|fine|alright|all right|of course|do it|do that|go ahead|go for it|sounds good|that's right)\b"
)
_DENIAL = r"(?:no|nope|nah|n|not|don'?t|do not|never ?mind|stop|leave it|forget it|cancel that|rather not|keep it|wait)"
_NO = re.compile(rf"\b(?:{_DENIAL}|never)\b")
_SAYS_NO = re.compile(rf"^(?:(?:ok(?:ay)?|fine|oh|well|please|then|actually|yes|yeah|hm+)[\s,.!]*)*{_DENIAL}\b")
_WORD = re.compile(rf"[^\W\d_]+(?:'[^\W\d_]+)?|{FIGURE}")
_AGREEING = frozenset(
    """
    yes yep yeah yup ya y sure ok okay si ja oui indeed please pls confirm confirmed correct right exactly absolutely
    definitely fine alright all of course do it that this them go ahead for sounds good great perfect that's thats is
    thanks thank you thx very much so i am i'm im want about now away just the my cart order basket to into in from out
    both
    """.split()
)
"""Words that a yes may have without a change of its meaning."""
_OF_VERB: Mapping[Verb, frozenset[str]] = {
    "add": frozenset({"add", "put", "buy", "take"}),
    "remove": frozenset({"remove", "delete", "take"}),
    "quantity": frozenset({"change", "make"}),
    "empty": frozenset({"empty", "clear", "everything"}),
    "cancel": frozenset({"cancel"}),
    "return": frozenset({"return", "start", "send", "back"}),
}
_FIRM_YES = re.compile(r"^(?:yes|yep|yeah|yup|y|sure)\b")


def answers_question(text: str, pending: Pending | None = None) -> bool | None:
    """Whether a message agrees to an action or declines it; ``None`` if it does neither.

    It agrees only if all its words do: "yes, but not now" and "yes, the other one" do not. It may repeat what
    ``pending`` proposes.
    """
    said = _OPENING.sub("", plain(text).strip(" .!,"))
    if "?" in said:
        return None
    if _NO.search(said):
        return False if _SAYS_NO.search(said) or _YES.search(said) else None
    return True if _YES.search(said) and all(_agrees(word, pending) for word in _WORD.findall(said)) else None


def _agrees(word: str, pending: Pending | None) -> bool:
    """Whether a word only agrees, or repeats the verb, the number of copies or the order of what was proposed."""
    if word in _AGREEING or pending is None:
        return word in _AGREEING
    is_repeated = word in _OF_VERB[pending.verb] or word in pending.order.lower()
    return is_repeated or (word in ("copy", "copies") or number(word) == pending.quantity)


def hesitates(text: str) -> bool:
    """Whether a message begins with a yes and then says something else: a condition, another time, another book."""
    said = _OPENING.sub("", plain(text).strip(" .!,"))
    return "?" not in said and bool(_FIRM_YES.search(said)) and answers_question(text) is None
