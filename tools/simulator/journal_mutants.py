"""Mutants of what is kept of a store that loses its last writes; each docstring says what the mutant gets wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from msgspec.structs import replace

from parbake.errors import ParbakeError
from parbake.lanes.event.replayability import Replayability, _word
from parbake.ports.event_log import Ack
from parbake.ports.generations import StoreNote
from parbake.protocol.control import Control, JournalMark, mark_journal
from parbake.protocol.record import Stamp
from simulator.patches import everywhere, method, mutant
from simulator.world.virtual_loop import sleep

DELAY_S = 30.0


@mutant
def noted_after_acknowledgement(stack: ExitStack) -> None:
    """The journal notes the first change that no outbox holds after this change was acknowledged."""

    async def late(self: Replayability) -> None:
        await sleep(DELAY_S)
        try:
            await self.end()
        except ParbakeError:
            return

    async def acknowledged(self: Replayability, apply: Callable[[], Awaitable[Ack]]) -> Ack:
        ack = await apply()
        task = asyncio.get_running_loop().create_task(late(self))
        task.owner = getattr(asyncio.current_task(), "owner", None)  # type: ignore[attr-defined]  # see OwnedTask
        return ack

    method(stack, Replayability, "acknowledged", acknowledged)


@mutant
def empty_journal_means_never(stack: ExitStack) -> None:
    """A journal that has noted nothing of a store counts as one in which no such change was ever noted."""
    history = Replayability._history

    async def believed(self: Any, mark: Any) -> Any:
        known = await history(self, mark)
        return known._replace(is_whole=not known.is_ended)

    method(stack, Replayability, "_history", believed)


@mutant
def journal_may_be_younger(stack: ExitStack) -> None:
    """A store that has been in use gets a mark, although a change may have been acknowledged before."""

    async def mark(self: Any) -> None:
        if self._notes is not None and self._promise is None and not self._sources.lack:
            made = JournalMark(_word(), _word(), self._sources.names)
            self._notes.note_store(StoreNote(made.store, made.word))
            await self._store.mark_journal(None, made)

    def at_any_time(control: Control, expected: Any, new: Any, counter: Stamp) -> Control:
        del counter
        return replace(control, journal=new) if control.journal == expected else control

    method(stack, Replayability, "_mark", mark)
    everywhere(stack, mark_journal, at_any_time)
