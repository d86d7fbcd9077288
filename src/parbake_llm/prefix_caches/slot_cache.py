"""The prefix cache of an engine of one's own: each slot holds the tokens of its last request."""

from __future__ import annotations

from collections.abc import Sequence

from parbake.errors import BadInput
from parbake_llm.ports.prompts import Miss, MissCause, Prediction
from parbake_llm.prefix_caches.recent import Recent, common


class SlotCache:
    """An engine with a fixed number of slots, and one slot pinned to each session that used it last.

    The engine reads the longest common prefix of the prompt and the slot, to the token. It computes at least the last
    token of a prompt, which gives it the logits to continue from. A new session gets the slot used longest ago.
    """

    def __init__(self, slots: int) -> None:
        """Make a cache of empty slots; raises :class:`BadInput` for fewer than one."""
        if slots < 1:
            raise BadInput(f"slots={slots}: an engine has at least one slot", field="slots")
        self._held: list[tuple[int, ...]] = [()] * slots
        self._steady = [0] * slots
        self._session: list[str | None] = [None] * slots
        self._order = list(range(slots))
        self._evicted: Recent[str, int] = Recent()

    def slot(self, session: str) -> int:
        """The slot to send a session's request to; changes nothing."""
        return self._session.index(session) if session in self._session else self._order[0]

    def pin(self, session: str) -> int:
        """Reserve a slot for a session and return it, so that no other session is given it before all other slots."""
        slot = self.slot(session)
        before = self._session[slot]
        if before != session:
            if before is not None:
                self._evicted[before] = self._steady[slot]
            self._session[slot], self._steady[slot] = session, 0
        self._order.remove(slot)
        self._order.append(slot)
        return slot

    def restore(self, slot: int, tokens: Sequence[int], *, session: str | None = None) -> None:
        """Note that a slot holds a prefix that was loaded from a file; the session that it was pinned to loses it.

        Args:
            slot: The slot.
            tokens: The tokens of the prefix.
            session: The session that the slot is pinned to since then.

        Raises:
            BadInput: There is no such slot.
        """
        if not 0 <= slot < len(self._held):
            raise BadInput(f"slot={slot}: the engine has slots 0 to {len(self._held) - 1}", field="slot")
        before = self._session[slot]
        if before is not None and before != session:
            self._evicted[before] = self._steady[slot]
        self._held[slot], self._steady[slot], self._session[slot] = tuple(tokens), 0, session

    def predict(self, session: str, prompt: Sequence[int], *, now: float = 0.0, slot: int | None = None) -> Prediction:
        """Predict what is read of a prompt; changes nothing. What is not read is computed, and written to the slot.

        Args:
            session: The conversation.
            prompt: The token ids.
            now: The time, which makes no difference to a slot.
            slot: The slot that the request is sent to; by default the session's own.
        """
        del now
        where = self.slot(session) if slot is None else slot
        shared = common(tuple(prompt), self._held[where])
        read = max(0, min(shared, len(prompt) - 1))
        return Prediction(read=read, uncached=len(prompt) - read, miss=self._miss(session, where, shared, len(prompt)))

    def sent(
        self,
        session: str,
        prompt: Sequence[int],
        *,
        now: float = 0.0,
        reply: Sequence[int] = (),
        steady: int | None = None,
    ) -> None:
        """Note what the session's slot holds now, and pin the slot to the session.

        Args:
            session: The conversation.
            prompt: The token ids of the prompt.
            now: The time, which makes no difference to a slot.
            reply: The token ids that the engine has written behind it.
            steady: How many tokens of the prompt its next request is expected to repeat; all of them by default. A
                difference behind them does not count as a miss.
        """
        del now
        slot = self.pin(session)
        self._held[slot] = (*prompt, *reply)
        self._steady[slot] = len(prompt) if steady is None else min(steady, len(prompt))
        self._evicted.pop(session)

    def _miss(self, session: str, slot: int, shared: int, length: int) -> Miss | None:
        if shared >= length:
            return None
        if self._session[slot] == session and self._steady[slot]:
            return Miss(MissCause.PREFIX_CHANGED, shared) if shared < self._steady[slot] else None
        lost = self._evicted.get(session)
        if lost is not None and shared < lost:
            return Miss(MissCause.EVICTED, shared)
        return Miss(MissCause.COLD) if not shared else None
