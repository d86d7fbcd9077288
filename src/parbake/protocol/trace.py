"""The inputs of a computation as digests. If all inputs are unchanged, the value is unchanged, too.

This follows Salsa's red-green revalidation: a change of the stamp is cheap to detect, and an unchanged input is cheap
to confirm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

_DIGEST_BYTES = 16


class Queried(msgspec.Struct, frozen=True, array_like=True):
    """One query through a source view: the view, the statement, its parameters (msgpack), and a digest of the rows."""

    view: str
    statement: str
    parameters: bytes
    digest: bytes


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """Another task's value, or its absence, that a computation read.

    The task's ref, the key (msgpack), and a digest of the value or of the reason for its absence.
    """

    task: str
    key: bytes
    digest: bytes


class Trace(msgspec.Struct, array_like=True):
    """Everything that one computation read, in order; ``models`` are pairs of task ref and generation."""

    queried: list[Queried] = []
    taken: list[Taken] = []
    models: list[tuple[str, int]] = []

    def query(self, view: type[Any], statement: str, parameters: Mapping[str, Any], rows: Sequence[Any]) -> None:
        """Record a query and its result.

        Args:
            view: The view.
            statement: The statement.
            parameters: Its parameters, by name.
            rows: The rows that it returned.
        """
        packed = msgspec.msgpack.encode(parameters, enc_hook=str)
        self.queried.append(Queried(view.__qualname__, statement, packed, digest(rows)))

    def take(self, task: str, key: Any, payloads: Sequence[bytes]) -> None:
        """Record a derived input.

        Args:
            task: The input's task.
            key: The input's key.
            payloads: The encoded value, or the encoded reason for its absence.
        """
        self.taken.append(Taken(task, msgspec.msgpack.encode(key), digest(payloads)))

    def encode(self) -> bytes:
        """Encode the trace for a record's header."""
        return msgspec.msgpack.encode(self)


def digest(content: Any) -> bytes:
    """A digest of anything that msgpack can encode; other values are represented by their text."""
    return blake2b(msgspec.msgpack.encode(content, enc_hook=str), digest_size=_DIGEST_BYTES).digest()


def decode(raw: bytes) -> Trace:
    """The inverse of :meth:`Trace.encode`."""
    return msgspec.msgpack.decode(raw, type=Trace)
