"""What this thread or coroutine knows of its request: how far it must see, and which keys it has missed.

All of it is replaced and never changed, so that coroutines that run side by side do not see each other's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextvars import ContextVar
from typing import NamedTuple

from parbake.protocol.record import Stamp
from parbake.protocol.recording import Recording

_MOST_MISSES = 1000
Place = tuple[str, bytes]
"""A cache's tag, and a key in it."""


class Asked(NamedTuple):
    """A request.

    Attributes:
        is_handled: Whether there is one, so that values with tags are as old as its begin.
        early: The stamp of its begin, before it read any row; without one such values are not stored.
        is_blind: Whether it may not use fenced entries.
    """

    is_handled: bool = False
    early: Stamp | None = None
    is_blind: bool = False


class _Miss(NamedTuple):
    """The recording from a miss on; ``None`` if what follows cannot be stored. It is used once it was stored."""

    recording: Recording | None
    is_used: bool = False


class _Misses(NamedTuple):
    by_place: Mapping[Place, _Miss] = {}
    before: Recording | None = None
    """The oldest recording that was forgotten, because there were too many."""


_NO_REQUEST, _NO_MISSES = Asked(), _Misses()
_request: ContextVar[Asked] = ContextVar("parbake_django_request", default=_NO_REQUEST)
_misses: ContextVar[_Misses] = ContextVar("parbake_django_misses", default=_NO_MISSES)


def request() -> Asked:
    """Return the request that is handled here."""
    return _request.get()


def begin(found: Asked) -> None:
    """Begin a request, which has missed nothing yet."""
    _request.set(found)
    _misses.set(_NO_MISSES)


def missed(places: Collection[Place], recordings: Collection[Recording | None]) -> None:
    """Remember since when the values of keys may be computed; the first miss of a key counts until it is stored.

    Args:
        places: The keys that were not found.
        recordings: A recording for each of them.
    """
    by_place, before = _misses.get()
    kept = dict(by_place)
    if len(kept) > _MOST_MISSES:
        recorded = [each for each in (before, *(miss.recording for miss in kept.values())) if each is not None]
        before = min(recorded, key=_stamp_of) if recorded else None
        kept = {}
    for place, recording in zip(places, recordings, strict=True):
        if place not in kept or kept[place].is_used:
            kept[place] = _Miss(recording)
    _misses.set(_Misses(kept, before))


def since(place: Place, otherwise: Recording | None) -> Recording | None:
    """Return the recording since a key was missed, and note that it is used.

    Args:
        place: The key.
        otherwise: What to return for a key that was not missed.
    """
    by_place, before = _misses.get()
    miss = by_place.get(place)
    if miss is None:
        return before or otherwise
    _misses.set(_Misses({**by_place, place: miss._replace(is_used=True)}, before))
    return miss.recording


def recalled(place: Place) -> Recording | None:
    """Return the recording since a key was missed, if it was."""
    miss = _misses.get().by_place.get(place)
    return miss.recording if miss else None


def _stamp_of(recording: Recording) -> Stamp:
    return recording.stamp
