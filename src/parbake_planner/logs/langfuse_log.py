"""Exports of Langfuse: traces or observations, from its pages, its API or its exports to a bucket."""

from __future__ import annotations

from itertools import product
from typing import Any

from parbake_planner.logs.calls import Call, Unusable, are_whole, count, first_of, key_of, number, parsed, texts_of, utc
from parbake_planner.logs.records import Record

NO_INPUT = "no input, from which a key could be made (export with inputs)"
_MODEL = ("model", "providedmodelname")


def langfuse_call(record: Record) -> Call:
    """Read a trace, or an observation that is a generation.

    The key is a digest of the whole input, and of the model of a generation or the name of a trace.

    Raises:
        Unusable: It is an observation of another kind, is an error, or has no time.
    """
    kind = str(record.get("type") or "").upper()
    if kind not in ("", "GENERATION"):
        raise Unusable("observations that are no generation")
    if kind and str(record.get("level") or "").upper() == "ERROR":
        raise Unusable("failed calls")
    asked, model = parsed(record.get("input")), str(first_of(record, *_MODEL) or "")
    tokens, texts = _tokens(record, "input", "prompt"), texts_of(asked)
    is_known = asked not in (None, "", {}, [])
    return Call(
        at=utc(first_of(record, "starttime", "timestamp")), model=model,
        key=key_of(model or record.get("name") or "", asked) if is_known else "", usd=_cost(record),
        tokens=tokens, output=_tokens(record, "output", "completion") or 0,
        session=str(first_of(record, "sessionid", "traceid", "id") or ""),
        texts=texts if are_whole(texts, tokens) else (),
    )  # fmt: skip


def _tokens(record: Record, *words: str) -> int | None:
    """Tokens of one direction: Langfuse sums all kinds of use whose name has the word, such as cached input."""
    for field, word in product(("usagedetails", "usage"), words):
        usage = parsed(record.get(field))
        named = usage.items() if isinstance(usage, dict) else ()
        counts = [count(value) for name, value in named if word in name.lower() and "cost" not in name.lower()]
        if known := [one for one in counts if one is not None]:
            return sum(known)
    return count(first_of(record, *(f"{word}{end}" for word in words for end in ("tokens", "usage"))))


def _cost(record: Record) -> float | None:
    details, usage = parsed(record.get("costdetails")), parsed(record.get("usage"))
    stated: list[Any] = [record.get("calculatedtotalcost"), record.get("totalcost")]
    stated += [each.get(name) for each, name in ((details, "total"), (usage, "totalCost")) if isinstance(each, dict)]
    return next((found for found in map(number, stated) if found), None)
