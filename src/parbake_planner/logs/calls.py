"""One call of a model, as a log tells it; what identifies it, and what it cost."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

MILLISECONDS = 1e11
"""Epoch seconds of the year 5138; a greater number is in milliseconds."""
CUT = "LiteLLM has cut long texts in {:,} rows; requests that differ only in what was cut count as equal"
_Row = TypeVar("_Row")
_BEFORE_TURNS = ("tools", "system", "instructions")
_TURNS = ("messages", "input", "prompt")
"""Fields of a request's body, in the order in which a model reads them."""
_LEAST_TEXT = 0.5
"""With fewer characters for each token, a text cannot be the whole prompt."""


class Unusable(Exception):
    """A row that is left out; the text says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call.

    Attributes:
        at: The time, in epoch seconds.
        key: What the answer is computed for; equal calls have an equal key. Empty if the log does not say it.
        model: The model.
        usd: What computing the answer has cost; ``None`` if it was not measured, or came from a cache.
        tokens: The input tokens; ``None`` if they are not known.
        output: The output tokens.
        session: Names the conversation; empty if it is not known.
        texts: The parts of the prompt, in order; empty if they are not stored as a whole.
        is_cut: Whether long texts were cut where they were stored.
    """

    at: float
    key: str
    model: str
    usd: float | None
    tokens: int | None
    output: int
    session: str
    texts: tuple[str, ...]
    is_cut: bool = False


def counted(rows: Iterable[_Row], add: Callable[[_Row], None], skipped: Counter[str]) -> Iterator[None]:
    """Add rows, and yield after each.

    Args:
        rows: The rows.
        add: Takes a row in, or raises :class:`Unusable`.
        skipped: Counts what is left out, by the reason.
    """
    for row in rows:
        try:
            add(row)
        except Unusable as why:
            skipped[str(why)] += 1
        except RecursionError:
            skipped["nested too deeply"] += 1
        yield


def in_words(skipped: Mapping[str, int]) -> str:
    """What was left out, for people, the most frequent reason first."""
    return ", ".join(f"{count:,} ({why})" for why, count in sorted(skipped.items(), key=lambda one: -one[1]))


def key_of(*parts: Any) -> str:
    """A short name for contents, equal for equal contents."""
    return hashlib.blake2b(_written(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def texts_of(body: Any) -> tuple[str, ...]:
    """The parts of a prompt in the order in which a model reads them: tools, system, then each message."""
    if isinstance(body, dict):
        turns = next((body[name] for name in _TURNS if body.get(name)), None)
        if turns is not None:
            return (*(_written({name: body[name]}) for name in _BEFORE_TURNS if body.get(name)), *texts_of(turns))
    if isinstance(body, list):
        return tuple(map(_written, body))
    return () if body in (None, "", {}) else (_written(body),)


def are_whole(texts: tuple[str, ...], tokens: int | None) -> bool:
    """Whether texts can be a whole prompt of so many tokens."""
    return bool(texts) and sum(map(len, texts)) >= _LEAST_TEXT * (tokens or 0)


def parsed(value: Any) -> Any:
    """A field's content: what CSV or a database holds as JSON in a text is read, other texts stay texts."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def first_of(record: Mapping[str, Any], *names: str) -> Any:
    """The first of some fields that is not empty; ``None`` if all are."""
    return next((record[name] for name in names if record.get(name) not in (None, "", {}, [])), None)


def number(value: Any) -> float | None:
    """A finite number that is not negative; ``None`` for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and found >= 0 and not isinstance(value, bool) else None


def count(value: Any) -> int | None:
    """A whole number of tokens; ``None`` for anything else."""
    found = number(value)
    return None if found is None or found != int(found) else int(found)


def utc(value: Any) -> float:
    """A time in epoch seconds; one without an offset is in UTC, as these logs are.

    Raises:
        Unusable: It is not a time.
    """
    if (found := number(value)) is not None:
        return found / 1000 if found > MILLISECONDS else found
    try:
        moment = dt.datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise Unusable("no readable time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _written(part: Any) -> str:
    return part if isinstance(part, str) else json.dumps(part, sort_keys=True, ensure_ascii=False)
