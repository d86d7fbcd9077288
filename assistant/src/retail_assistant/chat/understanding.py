"""The parser over the current vocabulary, exchanged when the catalog's or the policies' words change."""

from __future__ import annotations

import asyncio
import contextvars
import logging

import parbake as pb
from parbake.protocol.cause import Cause
from parbake.protocol.record import Stamp
from retail_assistant.chat.conversation import Rereader
from retail_assistant.live import LiveShop
from retail_assistant.understand.language import prepare
from retail_assistant.understand.names.lexicon import SHOP, Lexicon, lexicon
from retail_assistant.understand.names.vocabulary import Vocabulary
from retail_assistant.understand.parse import Parser

POLL_S = 1.0
_POLL_AWAY_S = 5.0
"""Seconds between two looks while the store is away: each look compiles the words of the whole shop then."""
_log = logging.getLogger("retail_assistant.understanding")


class Understanding:
    """What reads messages; safe to share between requests."""

    def __init__(self, app: pb.App, shop: LiveShop) -> None:
        """Load nothing yet."""
        self._app, self._shop = app, shop
        self._seen: tuple[int, Stamp] | None = None
        self._vocabulary: Vocabulary | None = None
        self._parser: Parser | None = None
        self._loading = asyncio.Lock()
        self._is_away = False

    async def vocabulary(self) -> Vocabulary:
        """The current vocabulary; the first call waits until it is loaded.

        Loading is not a step of the request that happens to wait for it, so it runs outside of that request's context.
        """
        if self._vocabulary is not None:
            return self._vocabulary
        return await asyncio.create_task(self._follow(), context=contextvars.Context())

    async def reading(self) -> tuple[Parser, Rereader]:
        """The parser, and what reads a conversation again."""
        vocabulary = await self.vocabulary()
        if self._parser is None or self._parser.vocabulary is not vocabulary:
            self._parser = Parser(vocabulary, self._shop.cents, self._shop.title)
        return self._parser, Rereader(self._parser, vocabulary, self._shop)

    async def warm(self) -> None:
        """Load what reading takes, before anybody asks: in the first seconds of a server it would slow every reply."""
        await asyncio.gather(asyncio.to_thread(prepare), self.step())

    async def step(self) -> None:
        """Look once whether the words have changed."""
        await self._follow()

    async def _follow(self) -> Vocabulary:
        """Build the vocabulary again if the words have changed, and return the current one."""
        async with self._loading:
            served = await self._app.serve(lexicon, SHOP)
            self._is_away = served.cause is Cause.WITHOUT_STORE
            seen = (served.generation, served.stamp)
            last = self._vocabulary
            if last is not None and (served.value is None or seen == self._seen):
                return last
            self._vocabulary = await asyncio.to_thread(_vocabulary_of, served.value or Lexicon(), last)
            self._seen = seen if served.value is not None else None
            return self._vocabulary

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self.step()
            except pb.ParbakeError as error:
                _log.warning("the vocabulary could not be read: %s", error)
            await asyncio.sleep(_POLL_AWAY_S if self._is_away else POLL_S)


def _vocabulary_of(known: Lexicon, last: Vocabulary | None) -> Vocabulary:
    """Return the last vocabulary if it was built from equal words, otherwise build one."""
    return last if last is not None and last.lexicon == known else Vocabulary(known)
