"""A trace of model requests: when each came, how long it was, and which prefix it shares with earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parbake.errors import BadInput

Groups = NDArray[np.intp]
TOKENS_A_BLOCK = 512
MOST_TOKENS = 10_000_000
"""The longest prompt of a trace, in tokens."""
_MOST_BLOCKS = 20_000_000
"""Blocks of all requests; their replay needs a few gigabytes."""
_DOMINANT = 0.1
"""Requests are resampled by family unless one family has more than this share of them."""
_TIME_BLOCKS = 64
SHORT = 0.5
"""If more of the requests have fewer ids than whole blocks, the size of a block is questioned."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes:
        at: The time, in seconds.
        blocks: The prefix up to the end of each block, as a number that is equal for equal prefixes.
        size: The tokens of a whole block.
        tokens: The tokens of the whole prompt; those behind the last block are never cached.
        session: Names the conversation; empty if it is not known.
    """

    at: float
    blocks: tuple[int, ...]
    size: int
    tokens: int
    session: str = ""

    def until(self, depth: int) -> int:
        """The tokens of the first blocks."""
        return min(depth * self.size, self.tokens)


@dataclass(frozen=True, slots=True)
class PromptTrace:
    """Requests in order of time.

    Attributes:
        requests: The requests.
        notes: Remarks on the file, for people.
        knows_prefixes: Whether anything tells which requests begin alike.
    """

    requests: tuple[Asked, ...]
    notes: tuple[str, ...] = ()
    knows_prefixes: bool = True

    @property
    def span_s(self) -> float:
        """The seconds from the first request to the last."""
        return self.requests[-1].at - self.requests[0].at

    @property
    def tokens(self) -> int:
        """The input tokens of all requests."""
        return sum(one.tokens for one in self.requests)

    def without_repeat(self) -> int:
        """How many requests share no block with an earlier one."""
        seen: set[int] = set()
        found = 0
        for one in self.requests:
            found += not (one.blocks and one.blocks[0] in seen)
            seen.update(one.blocks)
        return found

    def groups(self) -> Groups:
        """The group of each request, for groups that are resampled as wholes.

        Groups are families of requests with the same first block. If one family dominates the trace, they are sessions,
        or stretches of time where no session is known.
        """
        roots = [one.blocks[0] if one.blocks else -1 - at for at, one in enumerate(self.requests)]
        for names in (roots, [one.session for one in self.requests]):
            _, group, sizes = np.unique(np.asarray(names), return_inverse=True, return_counts=True)
            if sizes.max() <= max(1.0, _DOMINANT * len(names)):
                return group
        return np.arange(len(roots)) * _TIME_BLOCKS // len(roots)


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One row of a file, before its prefix is known.

    Attributes:
        at: The time, in seconds.
        tokens: The input tokens.
        output: The output tokens.
        session: The session; ``None`` if the file names none.
        ids: The ids of its blocks; ``None`` if the file has none.
        where: The place in the file, for errors.
    """

    at: float
    tokens: int
    output: int = 0
    session: str | None = None
    ids: tuple[object, ...] | None = None
    where: str = ""


def traced(rows: Sequence[TraceRow], *, size: int = TOKENS_A_BLOCK, notes: Sequence[str] = ()) -> PromptTrace:
    """Make a trace of rows.

    Requests share the blocks whose ids, and those of all blocks before them, are equal. Without ids, a request of a
    session repeats the session's last prompt and reply if it is at least as long, and otherwise begins anew. Without
    both, no request repeats another.

    Args:
        rows: The rows, in any order.
        size: The tokens of a block.
        notes: Remarks on the file.

    Raises:
        BadInput: There are no rows, a row has more ids than its tokens fill, or the trace is too large.
    """
    if not rows:
        raise BadInput("the trace has no requests", field="trace")
    if size < 1:
        raise BadInput(f"tokens_per_block={size}: it must be at least 1", field="tokens_per_block")
    if sum(row.tokens // size + 1 for row in rows) > _MOST_BLOCKS:
        raise BadInput(
            f"the trace has more than {_MOST_BLOCKS:,} blocks of {size} tokens; give a shorter one, or longer blocks",
            field="tokens_per_block",
        )
    ordered = sorted(rows, key=lambda row: row.at)
    said = list(notes)
    moved = sum(one is not other for one, other in zip(rows, ordered, strict=True))
    if moved:
        said.append(f"the rows were not in order of time; {moved:,} of them were moved")
    knows_prefixes = any(row.ids is not None or row.session is not None for row in rows)
    if not knows_prefixes:
        said.append("the trace has neither hash_ids nor a session: no request is known to repeat another")
    elif all(row.ids is None for row in rows):
        said.append("a request is taken to repeat its session's last prompt and reply, if it is at least as long")
    short = sum(row.ids is not None and len(row.ids) < row.tokens // size for row in rows)
    if short > SHORT * len(rows):
        said.append(
            f"{short:,} of {len(rows):,} requests have fewer hash_ids than whole blocks of {size} tokens; if an id "
            "stands for more tokens, state how many (--tokens-per-block)"
        )
    numbering = _Numbering(size)
    return PromptTrace(tuple(numbering.asked(row) for row in ordered), tuple(said), knows_prefixes)


class _Numbering:
    """Gives every prefix a number."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._numbers: dict[tuple[int, object], int] = {}
        self._last: dict[str, tuple[tuple[int, ...], int]] = {}
        self._fresh = 0

    def asked(self, row: TraceRow) -> Asked:
        blocks = self._of_session(row) if row.ids is None else self._of_ids(row, row.ids)
        return Asked(row.at, blocks, self._size, row.tokens, row.session or "")

    def _of_ids(self, row: TraceRow, ids: Sequence[object]) -> tuple[int, ...]:
        most = -(-row.tokens // self._size)
        if len(ids) > most:
            raise BadInput(
                f"{row.where}: {len(ids)} hash_ids, but {row.tokens} tokens are {most} blocks of {self._size}; "
                "state the tokens of a block",
                field="tokens_per_block",
            )
        found, before = [], -1
        for one in ids:
            before = self._numbers.setdefault((before, one), len(self._numbers))
            found.append(before)
        return tuple(found)

    def _of_session(self, row: TraceRow) -> tuple[int, ...]:
        """The whole blocks that repeat the session's last prompt and reply, and new ones."""
        kept: tuple[int, ...] = ()
        if row.session is not None and row.session in self._last:
            blocks, tokens = self._last[row.session]
            kept = blocks if row.tokens >= tokens else ()
        whole = (row.tokens + row.output) // self._size
        blocks = (*kept, *(self._new() for _ in range(whole - len(kept))))
        if row.session is not None:
            self._last[row.session] = (blocks, row.tokens)
        return blocks[: row.tokens // self._size]

    def _new(self) -> int:
        self._fresh -= 1
        return self._numbers.setdefault((-2, self._fresh), len(self._numbers))
