"""Knows whether every change of a store that loses its last writes can be read again from the outboxes.

Then a restart of the store's server discards nothing. Outboxes hold all changes as long as none was acknowledged by
``touch``, over HTTP or from a topic. The first one that was is noted in a journal outside the store, before it is
acknowledged. A store that was in use before its journal, or whose journal is not at hand, may have had such changes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

from msgspec.structs import replace

from parbake.errors import BadInput, StoreError
from parbake.ports.event_log import Ack
from parbake.ports.generations import Journal, StoreJournal, StoreNote
from parbake.ports.store import Store
from parbake.protocol.control import Control, JournalMark

_log = logging.getLogger("parbake.recovery")


class Sources(NamedTuple):
    """The names of an app's sources, and what their outboxes do not hold."""

    names: tuple[str, ...]
    lack: str = ""
    """Why some changes are in no outbox; empty if all that the app's tasks depend on are."""


class _History(NamedTuple):
    """What a journal knows of a store: whether it has every note of it and none of the end, and whether it has that."""

    is_whole: bool
    is_ended: bool


class Replayability:
    """Decides whether a store's values outlive a loss, and notes what ends that."""

    def __init__(self, store: Store, journal: Journal | None, sources: Sources, *, promise: bool | None) -> None:
        """Decide for a store.

        Args:
            store: The store.
            journal: The journal outside the store.
            sources: What the app's outboxes hold.
            promise: What ``Durability(replayable=)`` says of all changes; ``None`` to find it out.
        """
        self._store = store
        self._journal = journal
        self._notes = journal if isinstance(journal, StoreJournal) else None
        self._promise = promise
        self._sources = sources
        self._ended_in = 0

    async def begin(self, control: Control) -> None:
        """Mark a store that has just begun, or compare a store's mark with what this app does.

        Args:
            control: The control record of a store that is new to this process.

        Raises:
            BadInput: This app would acknowledge changes that no journal of the store's mark can note.
            StoreError: The journal or the store cannot be read or written.
        """
        if control.journal is None:
            await self._mark()
        elif self._promise is False:
            await self._end(control.journal)
        elif self._promise is None:
            await self._compare(control.journal)

    async def _mark(self) -> None:
        if self._notes is None or self._promise is not None or self._sources.lack:
            return
        mark = JournalMark(_word(), _word(), self._sources.names)
        if (await self._store.stamp()).stamp.sequence:
            return
        await asyncio.to_thread(self._notes.note_store, StoreNote(mark.store, mark.word))
        await self._store.mark_journal(None, mark)

    async def _compare(self, mark: JournalMark) -> None:
        others = sorted({*self._sources.names} - {*mark.sources})
        history = await self._history(mark)
        if history.is_ended or (history.is_whole and (others or self._sources.lack)):
            await self._end(mark)
        elif history.is_whole:
            return
        elif others:
            raise BadInput(f"{_NOT_SHARED}, and of {', '.join(others)} it knows nothing; {_ADVICE}", field="durability")
        else:
            _log.warning("%s; %s. Until then, touch and events over HTTP are refused here", _NOT_SHARED, _ADVICE)

    async def lack(self) -> str:
        """Why a change that the store may have lost cannot be read again; empty if each one can be."""
        if self._journal is None:
            return "Durability() names no journal"
        if self._promise is not None:
            return "" if self._promise else "Durability() says replayable=False"
        if self._sources.lack:
            return self._sources.lack
        mark = (await self._store.stamp()).control.journal
        if mark is None:
            return _ENDED
        history = await self._history(mark)
        if not history.is_whole:
            return _ENDED if history.is_ended else _NOT_SHARED
        missing = sorted({*mark.sources} - {*self._sources.names})
        return f"this app does not read {', '.join(missing)}" if missing else ""

    async def acknowledged(self, apply: Callable[[], Awaitable[Ack]]) -> Ack:
        """Apply a change that no outbox holds, once the journal has noted that there is one.

        The store may have been replaced by a new one, which has a mark again. The change is then applied once more
        after the note, because the store may have lost it before.

        Args:
            apply: Applies the change; may be called several times.

        Raises:
            StoreError: The journal cannot be written, or it is not the one of the store's mark.
        """
        await self.end()
        ack = await apply()
        while ack.stamp.incarnation not in (self._ended_in, 0):
            self._ended_in = 0
            if not await self.end():
                break
            ack = await apply()
        return ack

    async def end(self) -> bool:
        """Note that a change is about to be acknowledged that no outbox holds; returns whether a note was needed.

        Raises:
            StoreError: The journal cannot be written, or it is not the one of the store's mark.
        """
        if self._ended_in or self._promise is True:
            return False
        at, control = await self._store.stamp()
        if control.journal is None and at.sequence == 0:  # somebody may still mark the store: look again later
            return False
        if control.journal is not None:
            await self._end(control.journal)
        self._ended_in = control.incarnation
        return control.journal is not None

    async def _end(self, mark: JournalMark) -> None:
        history = await self._history(mark)
        if history.is_whole and self._notes is not None:
            await asyncio.to_thread(self._notes.note_store, StoreNote(mark.store, mark.word, is_ended=True))
        elif self._promise is not False and not history.is_ended:
            raise StoreError(f"{_NOT_SHARED}; {_ADVICE}", field="durability")
        await self._store.mark_journal(mark, None)

    async def check(self) -> None:
        """Raise :class:`StoreError` if a rollback or a quarantine would be noted in another journal."""
        mark = (await self._store.stamp()).control.journal
        if mark is None or self._promise is True:
            return
        history = await self._history(mark)
        if not history.is_whole and not history.is_ended:
            raise StoreError(f"{_NOT_SHARED}; {_ADVICE}", field="durability")

    async def renew(self) -> None:
        """Let the store know of the journal's last line, so that an older copy of the journal is noticed."""
        mark = (await self._store.stamp()).control.journal
        if mark is None or self._notes is None or not (await self._history(mark)).is_whole:
            return
        renewed = replace(mark, word=_word())
        await asyncio.to_thread(self._notes.note_store, StoreNote(renewed.store, renewed.word))
        await self._store.mark_journal(mark, renewed)

    async def _history(self, mark: JournalMark) -> _History:
        """What this process's journal knows of the store with a mark."""
        if self._notes is None:
            return _History(is_whole=False, is_ended=False)
        notes = [note for note in await asyncio.to_thread(self._notes.store_notes) if note.store == mark.store]
        is_ended = any(note.is_ended for note in notes)
        is_whole = not is_ended and any(note.word == mark.word for note in notes)
        return _History(is_whole=is_whole, is_ended=is_ended)


def sources_of(names: Collection[str], *, untold: Collection[str], has_topics: bool) -> Sources:
    """Return what an app's outboxes hold.

    Args:
        names: The names of the app's sources.
        untold: The families of the app's tasks that no source tells of.
        has_topics: Whether the app also receives changes from topics.
    """
    lack = ""
    if not names:
        lack = "the app has no source with an outbox"
    elif has_topics:
        lack = "the app receives changes from a topic, which may not keep them"
    elif untold:
        lack = f"no outbox tells of {', '.join(sorted(untold))}"
    return Sources(tuple(sorted(names)), lack)


def _word() -> int:
    return secrets.randbits(63)


_ENDED = (
    "a change was acknowledged that is in no outbox (by touch, over HTTP or from a topic), or the journal was not "
    "there when the store began"
)
_NOT_SHARED = "the store's journal is another one than that of this process, or a later copy of it"
_ADVICE = "name one journal in Durability() for all processes, or say replayable=False in all of them"
