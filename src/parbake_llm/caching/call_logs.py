"""Traces of the logs that people already have: spend logs of LiteLLM and exports of Langfuse."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from parbake.errors import BadInput
from parbake_llm.caching.asked import MOST_TOKENS, PromptTrace, TraceRow, traced
from parbake_llm.caching.trace_file import MOST_ROWS, Unit, read_trace
from parbake_planner.forecast.text_files import opened
from parbake_planner.logs.calls import CUT, Call, Unusable, counted, first_of, in_words, parsed
from parbake_planner.logs.langfuse_log import langfuse_call
from parbake_planner.logs.litellm_log import litellm_call
from parbake_planner.logs.recognition import FORMS, LANGFUSE, LITELLM, TRACE, recognise
from parbake_planner.logs.records import Record, plain, records

_KINDS = (TRACE, LITELLM, LANGFUSE)
_NO_PROMPT = ("embedding", "image", "transcription", "speech", "rerank", "moderation")
"""Kinds of calls of LiteLLM, by a part of their name."""
_BY_TEXTS = (
    "prefixes of {:,} of {:,} requests are those of their stored messages; the tokens of a message are estimated by "
    "its characters"
)
_BY_SESSION = "the other requests are taken to repeat their session's last prompt and reply, if at least as long"
_ALONE = "no session has a second request, so that sessions say nothing about prefixes"


def read_any_trace(path: Path, *, size: int, unit: Unit | None = None, given: str = "") -> PromptTrace:
    """Read a trace of any kind, told by its content.

    Args:
        path: The file.
        size: The tokens of a block.
        unit: What numbers in a trace's column of times count.
        given: The kind, if it is stated.

    Raises:
        BadInput: The file cannot be read, or has no request that can be used.
    """
    kind = recognise(path, among=_KINDS, given=given, field="trace")
    if kind == TRACE:
        return read_trace(path, size=size, unit=unit)
    found, skipped = _Rows(size), Counter[str]()
    with opened(path, field="trace") as file:
        each = (inner for record in records(file, path, skipped) for inner in _prompts(record))
        for _ in counted(each, lambda one: found.add(_call(one, kind)), skipped):
            if len(found.rows) > MOST_ROWS:
                raise BadInput(f"{path}: more than {MOST_ROWS:,} requests; give a shorter log", field="trace")
    read = f"read as {FORMS[kind]}: {len(found.rows):,} requests"
    left = [f"left out: {in_words(skipped)}"] if skipped else []
    if not found.rows:
        raise BadInput(f"{path}: no request can be used; {in_words(skipped)}", field="trace")
    rows, notes = found.ready()
    return traced(rows, size=size, notes=[read, *left, *notes])


class _Rows:
    """Rows of a trace, with what is remarkable about them."""

    def __init__(self, size: int) -> None:
        self._size, self._models, self._cut = size, Counter[str](), 0
        self.rows: list[TraceRow] = []

    def add(self, call: Call) -> None:
        if call.tokens is None:
            raise Unusable("no number of input tokens")
        if max(call.tokens, call.output) > MOST_TOKENS:
            raise Unusable(f"more than {MOST_TOKENS:,} tokens")
        self._models[call.model] += 1
        self._cut += call.is_cut
        # A provider caches for each model, so that a session that changes it begins anew.
        session = f"{call.session} {call.model}" if call.session else None
        ids = _blocks(call, self._size) if call.texts else None
        self.rows.append(TraceRow(call.at, call.tokens, call.output, session, ids))

    def ready(self) -> tuple[Sequence[TraceRow], list[str]]:
        """The rows, without sessions that say nothing, and notes about them."""
        rows, notes = self.rows, []
        with_texts = sum(row.ids is not None for row in rows)
        others = [row.session for row in rows if row.ids is None]
        if with_texts:
            notes.append(_BY_TEXTS.format(with_texts, len(rows)))
            notes += [_BY_SESSION] if others else []
        elif any(others) and len(set(others)) == len(others):
            rows = [replace(row, session=None) for row in rows]
            notes.append(_ALONE)
        if len(self._models) > 1:
            models = ", ".join(sorted(self._models)[:5])
            notes.append(f"the log has {len(self._models)} models ({models}), which are all priced as one")
        if self._cut:
            notes.append(CUT.format(self._cut))
        return rows, notes


def _prompts(record: Record) -> Iterator[Record]:
    """The observations within a trace of Langfuse, or the record itself if it has none."""
    within = parsed(record.get("observations"))
    inner = [one for one in within if isinstance(one, dict)] if isinstance(within, list) else []
    session = first_of(record, "sessionid", "id")
    for one in inner:
        yield {"sessionid": session} | {plain(name): value for name, value in one.items()}
    if not inner:
        yield record


def _call(record: Record, kind: str) -> Call:
    if kind == LANGFUSE:
        return langfuse_call(record)
    if any(word in str(record.get("calltype")) for word in _NO_PROMPT):
        raise Unusable("calls without a prompt, such as embeddings")
    return litellm_call(record)


def _blocks(call: Call, size: int) -> tuple[str, ...]:
    """An id for each whole block of so many tokens, that names the texts up to the one in which the block ends.

    Two calls share as many blocks as the texts fill with which both begin. The tokens of a text are estimated by its
    share of the characters.
    """
    total, so_far, found = sum(map(len, call.texts)), 0, list[str]()
    digest = hashlib.blake2b(call.model.encode("utf-8", "surrogatepass"), digest_size=8)
    for text in call.texts:
        so_far += len(text)
        digest.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))
        found += [digest.hexdigest()] * ((call.tokens or 0) * so_far // (total * size) - len(found))
    return tuple(found)
