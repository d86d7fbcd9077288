"""What a computation was made of, as digests: if it reads the same again, its value is the same again.

After Salsa's red-green revalidation: a change of the stamp is cheap to notice, an unchanged input cheap to confirm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

DIGEST_BYTES = 16


class Queried(msgspec.Struct, frozen=True, array_like=True):
    """One query through a source view: which view, the statement, its parameters (msgpack), a digest of the rows."""

    view: str
    statement: str
    parameters: bytes
    digest: bytes


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """One derived input: the task's ref, the key (msgpack), a digest of the value or of the reason for its absence."""

    task: str
    key: bytes
    digest: bytes


class Trace(msgspec.Struct, array_like=True):
    """Everything that one computation read, in order; ``models`` are (task ref, generation)."""

    queried: list[Queried] = []
    taken: list[Taken] = []
    models: list[tuple[str, int]] = []

    def query(self, view: type[Any], statement: str, parameters: Mapping[str, Any], rows: Sequence[Any]) -> None:
        """Note a query and what it found."""
        packed = msgspec.msgpack.encode(parameters, enc_hook=str)
        self.queried.append(Queried(view.__qualname__, statement, packed, digest(rows)))

    def take(self, task: str, key: Any, payloads: Sequence[bytes]) -> None:
        """Note a derived input."""
        self.taken.append(Taken(task, msgspec.msgpack.encode(key), digest(payloads)))

    def encode(self) -> bytes:
        """As a record's header keeps it."""
        return msgspec.msgpack.encode(self)


def digest(content: Any) -> bytes:
    """A digest of anything that msgpack can hold; other values count by their text."""
    return blake2b(msgspec.msgpack.encode(content, enc_hook=str), digest_size=DIGEST_BYTES).digest()


def decode(raw: bytes) -> Trace:
    """The inverse of :meth:`Trace.encode`."""
    return msgspec.msgpack.decode(raw, type=Trace)
