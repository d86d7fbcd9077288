"""Spend logs of LiteLLM: rows of the table ``LiteLLM_SpendLogs``, as the database or the proxy exports them."""

from __future__ import annotations

from typing import Any

from parbake_planner.logs.calls import Call, Unusable, are_whole, count, first_of, key_of, number, parsed, texts_of, utc
from parbake_planner.logs.records import Record

NO_KEY = (
    "neither a cache_key nor whole messages (LiteLLM stores the former with a cache, "
    "the latter with store_prompts_in_spend_logs)"
)
_NO_CACHE = "Cache OFF"
"""What LiteLLM writes instead of a key where no cache is configured."""
_CUT = "litellm_truncated"


def litellm_call(record: Record) -> Call:
    """Read a row.

    The key is the cache's own if there is one, otherwise a digest of the model and the stored messages.

    Raises:
        Unusable: The call failed, or the row has no time.
    """
    if str(record.get("status") or "").lower() == "failure":
        raise Unusable("failed calls")
    model = str(first_of(record, "modelgroup", "model") or "")
    tokens, texts = count(record.get("prompttokens")), texts_of(_body(record))
    is_cut = any(_CUT in text for text in texts)
    if not is_cut and not are_whole(texts, tokens):
        texts = ()
    cache_key = first_of(record, "cachekey")
    if cache_key in (None, _NO_CACHE):
        cache_key = key_of(model, texts) if texts else ""
    is_hit = str(record.get("cachehit")).lower() == "true"
    return Call(
        at=utc(record.get("starttime")), key=str(cache_key), model=model,
        usd=None if is_hit else number(record.get("spend")) or None,
        tokens=tokens, output=count(record.get("completiontokens")) or 0,
        session=str(record.get("sessionid") or ""), texts=texts, is_cut=is_cut,
    )  # fmt: skip


def _body(record: Record) -> Any:
    """What was asked: the messages, or the body of the request, which is where LiteLLM usually stores them."""
    found = parsed(first_of(record, "messages"))
    if found in (None, {}, []):
        found = parsed(first_of(record, "proxyserverrequest"))
    return found.get("body", found) if isinstance(found, dict) else found
