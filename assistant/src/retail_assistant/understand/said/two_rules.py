"""Messages that ask for two rules of the shop at once, and parts of messages that ask on about an act just named."""

from __future__ import annotations

import re
from collections.abc import Mapping

from retail_assistant.understand.said.concepts import TROUBLES, names_any

WINDOW = "until when can i return a book"
OF_RETURN: Mapping[str, str] = {
    "can_return": "can i return it",
    "return": "can i return it",
    "can_cancel": "can i cancel it",
    "cancel": "can i cancel it",
}
"""How the policies are asked what goes on from one order of the shopper, by what was asked or wanted of the order."""
POINTS = "loyalty points"
"""How the policies are asked what goes on from the points."""
_CLAUSE = re.compile(r"[.?!,;]\s*|\s(?:and|but|because|since|as|so)\s")
_MAY = re.compile(r"\b(?:can|could|may|am i|until|how long|still|is it possible|would you)\b")
_ACTS = {"return": "to return it", "exchange": "to exchange it", "cancel": "to cancel it"}
_ASKS_HOW = re.compile(r"\b(?:how|can|could|may|where)\b")
_OF_THE_ACT = re.compile(
    r"^(?:and |also )*(?:(?:what|how much) (?:does|do|will|would|is) (?:it|that|this)(?: cost| be)?(?: me| us)?"
    r"|(?:is|will|would) (?:it|that|this) (?:be )?(?:for )?free(?: of charge)?|does (?:it|that|this) cost (?:\w+ )?\w+"
    r"|who pays(?: for (?:it|that|this))?|what (?:are|is) the (?:costs?|fees?))\W*$"
)


def trouble_and_return(text: str) -> tuple[str, str] | None:
    """The two questions of a text that tells of a trouble with a book and asks whether it can go back."""
    if not _MAY.search(text):
        return None
    clauses = [clause for clause in _CLAUSE.split(text) if clause]
    of_return = {clause for clause in clauses if names_any(clause, ("return",))}
    of_trouble = {clause for clause in clauses if names_any(clause, TROUBLES)}
    told = next((clause for clause in clauses if clause in of_trouble - of_return), "")
    asks = any(_MAY.search(clause) for clause in of_return - of_trouble)
    return (told, WINDOW) if told and asks else None


def of_act(question: str, before: str) -> str:
    """The act of which a question asks the cost, if the question before it named one: "and what does it cost?"."""
    if not _OF_THE_ACT.match(question) or not _ASKS_HOW.search(before):
        return ""
    return next((said for name, said in _ACTS.items() if names_any(before, {name})), "")
