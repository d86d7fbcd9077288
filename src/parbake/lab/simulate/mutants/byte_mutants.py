"""The mutants of bytes, places and of what is kept outside the store: what each gets wrong is its docstring."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from unittest import mock

import msgspec

from parbake.declare.tasks import Stored
from parbake.errors import DamagedRecord
from parbake.fence import record as artifact
from parbake.fence.record import Header
from parbake.lab.simulate.mutants.planting import everywhere, method, mutant
from parbake.serving.bonds import Bonds


@mutant
def checksum_ignored(stack: ExitStack) -> None:
    """A record is taken for what it says, though its bytes have changed."""

    def unchecked(raw: bytes) -> tuple[Header, bytes]:
        try:
            end = artifact._FIXED.size + artifact._LENGTH.unpack_from(raw, artifact._LENGTH_AT)[0]
            return artifact._decode_header(raw[:end]), raw[end:-4]
        except (struct.error, msgspec.DecodeError, UnicodeDecodeError, IndexError, RecursionError) as error:
            raise DamagedRecord(str(error)) from error

    everywhere(stack, artifact.split, unchecked)


@mutant
def cache_unfenced(stack: ExitStack) -> None:
    """A semantic cache serves its answers whatever has changed."""
    method(stack, Bonds, "_judged", lambda *_: None)


@mutant
def shapes_share_a_place(stack: ExitStack) -> None:
    """Values of another shape lie where those of this one do, and are read as if they were of this one."""
    # A property, unlike what it replaces, does not mind what an instance has kept, and keeps nothing itself.
    stack.enter_context(mock.patch.object(Stored, "ref", property(lambda self: f"{self.name}@{self.version}")))
