"""Mutants of stored bytes, record names and the cache; each docstring says what the mutant gets wrong."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from typing import Any
from unittest import mock

import msgspec

from parbake.errors import DamagedRecord
from parbake.protocol import record as artifact
from parbake.protocol.record import Header
from parbake.serving.bonds import Bonds
from parbake.tasks.task_types import Stored
from simulator.patches import everywhere, method, mutant


@mutant
def checksum_ignored(stack: ExitStack) -> None:
    """A record is decoded although its checksum does not match its bytes."""

    def unchecked(raw: bytes) -> tuple[Header, bytes]:
        try:
            end = artifact._FIXED.size + artifact._LENGTH.unpack_from(raw, artifact._LENGTH_AT)[0]
            return artifact._decode_header(raw[:end]), raw[end:-4]
        except (struct.error, msgspec.DecodeError, UnicodeDecodeError, IndexError, RecursionError) as error:
            raise DamagedRecord(str(error)) from error

    everywhere(stack, artifact.split, unchecked)


@mutant
def cache_unfenced(stack: ExitStack) -> None:
    """A semantic cache serves its answers without checking for changes."""
    method(stack, Bonds, "judged", lambda *_: None)


async def _nothing(*_: object, **__: object) -> None:
    """Do nothing, in place of something."""


@mutant
def complaint_in_one_process(stack: ExitStack) -> None:
    """A complaint about a cached answer raises no tag, so that the answer is served on."""
    from parbake_semantic.cache.entries import Entries

    whole = Entries.withdraw

    async def halved(entries: Any, *given: Any) -> None:
        with mock.patch.object(entries._store, "apply", _nothing):
            await whole(entries, *given)

    method(stack, Entries, "withdraw", halved)


@mutant
def complaint_forgotten(stack: ExitStack) -> None:
    """A complaint about a cached answer leaves no record, so that the same answer is stored again."""
    from parbake_semantic.cache.entries import Entries

    method(stack, Entries, "is_withdrawn", _nothing)


@mutant
def shapes_share_a_place(stack: ExitStack) -> None:
    """Values of another shape are stored under the same name, and are decoded as this shape."""
    # Unlike the cached property that it replaces, a property ignores a value that an instance has cached.
    stack.enter_context(mock.patch.object(Stored, "ref", property(lambda self: f"{self.name}@{self.version}")))
