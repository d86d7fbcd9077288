"""What earlier replies rest on, so that a model is not told as true what has changed since."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence

from parbake.errors import StoreError
from parbake.protocol.record import Record
from parbake.protocol.recording import Recording
from parbake.serving.bonds import Bonds
from parbake_llm.prefix_caches.recent import Recent

KEPT, KEPT_S = 50_000, 86_400.0
_MOST_SOURCES = 16
"""How many sets of sources are remembered for the same words; the oldest are forgotten first."""
_NUMBER = re.compile(r"\d")


class GivenReplies:
    """The replies that this process has given, each bound to what it states, by a hash of its text."""

    def __init__(self, bonds: Bonds) -> None:
        """Remember none yet; ``bonds`` (:attr:`parbake.App.bonds`) knows what has changed."""
        self._bonds = bonds
        self._kept: Recent[bytes, dict[tuple[str, ...], Record | None]] = Recent(KEPT)
        self._lock = threading.Lock()

    async def begin(self) -> Recording:
        """Read the stamp of a reply, before anything that it states."""
        return await self._bonds.begin()

    def keep(self, recording: Recording, text: str, tags: Sequence[str]) -> None:
        """Bind a reply to what it states.

        The same words can state different things in two conversations. They are outdated once one of them is.

        Args:
            recording: What :meth:`begin` returned before the reply was made.
            text: The reply.
            tags: The entities that it states, such as ``policy/returns``.

        Raises:
            BadInput: No source of the app raises one of the tags, so that the reply would never be outdated.
        """
        self._bonds.check(tags)
        stated, key = tuple(sorted(set(tags))), _digest(text)
        record = self._bonds.seal(recording, stated, self._bonds.now())
        with self._lock:
            before = self._kept.get(key) or {}
            found = {other: one for other, one in before.items() if other != stated} | {stated: record}
            self._kept[key] = dict(list(found.items())[-_MOST_SOURCES:])

    async def outdated(self, history: Sequence[tuple[str, str]]) -> dict[int, bool]:
        """Find the earlier replies whose sources have changed since.

        A reply that this process has not given is outdated if it states any number: nobody knows from when that is.

        Args:
            history: The conversation as (role, text).

        Returns:
            For the position of each reply in ``history``, whether it is outdated.
        """
        return {at: await self._is_outdated(text) for at, (role, text) in enumerate(history) if role == "assistant"}

    async def _is_outdated(self, text: str) -> bool:
        key = _digest(text)
        with self._lock:
            records = list((self._kept.get(key) or {}).values())
        is_unbound = not records or None in records  # nobody gave it here, or it rests on what cannot be bound
        if is_unbound and _NUMBER.search(text):
            return True
        try:
            for record in filter(None, records):
                if await self._bonds.reason(record, KEPT_S) is not None:
                    return True
        except StoreError:  # nobody can say whether it holds
            return True
        return False


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.strip().encode(errors="surrogatepass"), digest_size=16).digest()
