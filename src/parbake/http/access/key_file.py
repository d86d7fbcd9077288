"""API keys: a file of hashes, which says who may do what and until when.

Keys stand in a file and not in the store: a store may be emptied, and nobody could operate it then. Of a key
the file has the SHA-256 hash, from which nobody gets a key of 256 random bits. It is secret all the same: it tells who
has keys and what each may do, and only its owner may change it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import get_args

import msgspec

from parbake.errors import BadInput
from parbake.ports.messages import Scope
from parbake.process import private_files
from parbake.values.redaction import one_line

SCOPES: tuple[Scope, ...] = get_args(Scope)
KEYS_FILE = "PARBAKE_KEYS_FILE"
PREFIX = "pbk"
"""What keys begin with."""
_ID_BYTES, _SECRET_BYTES = 4, 32
_LONGEST_NAME = 60
_LOOK_S = 1.0
"""How often a server looks whether the file has changed, in seconds; so long a revoked key may still be good."""
_GRACE_S = 60.0
"""How long the keys that were read last stay good while the file cannot be read, in seconds."""
_log = logging.getLogger("parbake.keys")


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key, without its secret.

    Attributes:
        id: What tells it from other keys; it is a part of the key, and no secret.
        name: Whose it is. Several keys may have one name, as while one replaces another.
        scopes: What it may do.
        sha256: The hash of the key, in hexadecimal digits.
        made_at: When it was made, in epoch seconds.
        until: When it ends, in epoch seconds; ``None`` for never.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    made_at: float
    until: float | None = None


class KeyTable(msgspec.Struct, forbid_unknown_fields=True):
    """The content of the file."""

    keys: list[ApiKey] = []


class KeyFile:
    """The keys in a file. A server reads it again when it has changed; a command changes it."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        """Know the file, without reading it.

        Args:
            path: The file.
            now: Returns the current time, in epoch seconds.
        """
        self.path, self._now = path, now
        self._known: dict[str, ApiKey] = {}
        self._seen: tuple[int, ...] = ()
        self._look_at = float("-inf")
        self._unreadable_since: float | None = None
        self._has_dropped = False

    def read(self) -> list[ApiKey]:
        """Read the keys; raises :class:`BadInput` if the file cannot be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=KeyTable).keys
        except (OSError, msgspec.DecodeError) as error:
            raise BadInput(f"{KEYS_FILE}={self.path}: cannot be read ({one_line(error)})", field=KEYS_FILE) from error

    def trouble(self) -> str:
        """What is wrong with the file, as one sentence that everybody may read; empty if nothing is."""
        self._refresh()
        if self._unreadable_since is None:
            return ""
        return f"the file of keys cannot be read: {'no key is good' if self._has_dropped else 'its keys end soon'}"

    def owner_of(self, sent: str) -> ApiKey | None:
        """Return the key that was sent; ``None`` if it is not among those that hold now."""
        prefix, _, rest = sent.partition("_")
        found = self.by_id(rest.partition("_")[0]) if prefix == PREFIX else None
        return found if found is not None and hmac.compare_digest(_hash(sent), found.sha256) else None

    def by_id(self, identity: str) -> ApiKey | None:
        """Return the key of an id, if it holds now."""
        self._refresh()
        found = self._known.get(identity)
        return found if found is not None and (found.until is None or self._now() < found.until) else None

    def add(self, name: str, scopes: Sequence[str], *, until: float | None = None) -> str:
        """Make a key, and return it. It is shown once: the file has only its hash.

        Args:
            name: Whose it is.
            scopes: What it may do.
            until: When it ends, in epoch seconds.

        Raises:
            BadInput: The name or a scope is not valid, or the file cannot be changed.
        """
        if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
            raise BadInput(f"NAME must have 1 to {_LONGEST_NAME} printable characters", field="name")
        known: tuple[Scope, ...] = tuple(scope for scope in SCOPES if scope in scopes)
        if not scopes or len(known) < len(set(scopes)):
            raise BadInput(f"--scope must be one or more of {', '.join(SCOPES)}", field="scope")
        identity = secrets.token_hex(_ID_BYTES)
        made = f"{PREFIX}_{identity}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        with self._changing() as keys:
            keys.append(ApiKey(identity, name, known, _hash(made), self._now(), until))
        return made

    def end(self, which: str, *, at: float) -> list[ApiKey]:
        """Let the keys of a name or of an id end, and return them as they were.

        Args:
            which: A name or an id.
            at: When they end, in epoch seconds. Those that end earlier stay as they are.

        Raises:
            BadInput: There is no such key that holds longer.
        """
        with self._changing() as keys:
            ended = [key for key in keys if which in (key.name, key.id) and (key.until is None or key.until > at)]
            if not ended:
                raise BadInput(f"{which!r} is neither the name nor the id of a key that holds", field="which")
            keys[:] = [msgspec.structs.replace(key, until=at) if key in ended else key for key in keys]
        return ended

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[ApiKey]]:
        """Read the keys, and replace the file by what the body has made of them, while no other command does."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(private_files.open_lock(self.path), "r+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                keys = self.read() if self.path.exists() else []
                yield keys
                content = msgspec.json.format(msgspec.json.encode(KeyTable(keys)), indent=2) + b"\n"
                private_files.replace(self.path, content)
        except OSError as error:
            raise BadInput(f"{KEYS_FILE}={self.path}: cannot be changed ({error})", field=KEYS_FILE) from error

    def _refresh(self) -> None:
        """Read the file if it has changed. If it cannot be read, the keys that were read last stay for a minute.

        After that none is good: whoever cannot read the file does not learn which keys were revoked.
        """
        if monotonic() < self._look_at:
            return
        self._look_at = monotonic() + _LOOK_S
        try:
            found = self.path.stat()
            # The owner and the mode count as well: they decide whether this process can read the file again.
            seen = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
            if seen != self._seen or self._unreadable_since is not None:
                self._known = {key.id: key for key in self.read()}
                self._seen = seen
        except (OSError, BadInput) as error:
            self._on_unreadable(error)
            return
        if self._has_dropped:
            _log.warning("the file of keys can be read again: its keys are good again")
        self._unreadable_since, self._has_dropped = None, False

    def _on_unreadable(self, error: Exception) -> None:
        """Warn once that the file cannot be read, and drop the keys once that has lasted."""
        if self._unreadable_since is None:
            self._unreadable_since = monotonic()
            _log.warning("the keys that were read last stay good for %g s: %s", _GRACE_S, one_line(error))
        if monotonic() - self._unreadable_since >= _GRACE_S and not self._has_dropped:
            self._known, self._has_dropped = {}, True
            _log.error("no key is good any more, until the file of keys can be read: %s", one_line(error))


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
