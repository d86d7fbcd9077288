"""Answers that come piece by piece: a fresh one is passed on as it comes, and a stored one is given as pieces again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

C = TypeVar("C")
T = TypeVar("T")
_AHEAD = 64
"""How many pieces are fetched before the caller has taken the first."""


class Form(NamedTuple, Generic[T, C]):
    """How the pieces of an answer make it whole, and what pieces a whole one is given as.

    Attributes:
        whole: Makes an answer of all its pieces, such as ``"".join``.
        pieces: Makes pieces of an answer, such as ``str.split``.
    """

    whole: Callable[[list[C]], T]
    pieces: Callable[[T], Iterable[C]]


class Stream(Generic[C]):
    """The pieces of an answer; iterate over it once.

    Attributes:
        reason: Why the pieces do not come from the cache; empty for a hit.
    """

    def __init__(self, reason: str, pieces: AsyncIterator[C]) -> None:
        """Give pieces."""
        self.reason = reason
        self._pieces = pieces

    @property
    def is_hit(self) -> bool:
        """Whether the pieces come from the cache."""
        return not self.reason

    def __aiter__(self) -> AsyncIterator[C]:
        """Iterate over the pieces. An error of the answer function is raised where it occurred."""
        return self._pieces


async def replayed(pieces: Iterable[C]) -> AsyncIterator[C]:
    """Give the pieces of a stored answer."""
    for piece in pieces:
        yield piece


async def passed_on(
    answer: AsyncIterator[C], store: Callable[[Callable[[], Awaitable[list[C]]]], Awaitable[None]]
) -> AsyncIterator[C]:
    """Pass the pieces of a fresh answer on, and store them once all have been taken.

    The answer runs in a task of its own, so that what it reads is recorded as its own reads. It ends with an error or
    with a caller who takes no more, and then nothing is stored.

    Args:
        answer: The pieces.
        store: Stores what a function returns, which takes all pieces. It is called at once.
    """
    queue: asyncio.Queue[tuple[C, ...]] = asyncio.Queue(_AHEAD)

    async def take() -> list[C]:
        pieces: list[C] = []
        async for piece in answer:
            pieces.append(piece)
            await queue.put((piece,))
        return pieces

    async def run() -> None:
        try:
            await store(take)
        finally:
            await queue.put(())

    running = asyncio.create_task(run())
    try:
        while piece := await queue.get():
            yield piece[0]
        await running
    finally:
        running.cancel()
