"""What operators have done: who, what, about what, and what was before and after.

Each action is a line of the log ``parbake.actions``. If ``PARBAKE_ACTIONS_FILE`` names a file, it is also appended
there as a line of JSON, by servers and commands alike.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

import msgspec

from parbake.values.redaction import one_line

ACTIONS_FILE = "PARBAKE_ACTIONS_FILE"
ACTOR: ContextVar[str] = ContextVar("actor", default="the program")
"""Who acts in this context: the name of a caller, or who has started a command."""
_log = logging.getLogger("parbake.actions")


class Action(msgspec.Struct, frozen=True):
    """One action.

    Attributes:
        at: When it was done, in epoch seconds.
        who: Who has done it.
        what: What was done, such as ``rollback``.
        about: To which task, source or event.
        before: What was before, in words; empty if nothing was.
        after: What has become of it, in words.
    """

    at: float
    who: str
    what: str
    about: str
    before: str = ""
    after: str = ""


def note(what: str, about: str, *, before: str = "", after: str = "", now: Callable[[], float] = time.time) -> None:
    """Record an action that was done. A file that cannot be written is logged, because the action is done already.

    Args:
        what: What was done.
        about: To what.
        before: What was before, in words.
        after: What has become of it, in words.
        now: Returns the time, in epoch seconds.
    """
    action = Action(now(), ACTOR.get(), what, about, before, after)
    _log.info("%s: %s %s (%s -> %s)", action.who, what, about, before or "nothing", after or "nothing")
    if path := os.environ.get(ACTIONS_FILE):
        try:
            _append(Path(path), msgspec.json.encode(action) + b"\n")
        except OSError as error:
            _log.error("%s=%s cannot be written (%s): %s", ACTIONS_FILE, path, one_line(error), action)


def read(path: Path, limit: int) -> list[Action]:
    """Return the last actions of a file, the newest first; lines that cannot be decoded are left out.

    Args:
        path: The file; without one there are none.
        limit: The greatest number of actions.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in reversed(lines):
        try:
            found.append(msgspec.json.decode(line, type=Action))
        except msgspec.DecodeError:
            continue
        if len(found) == limit:
            break
    return found


def _append(path: Path, line: bytes) -> None:
    """Append one line with one call, which several processes may do at once."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
