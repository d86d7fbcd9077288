"""The mutants of what lies in the store as bytes, and of where it lies: what each gets wrong is its docstring."""

from __future__ import annotations

import struct
from contextlib import ExitStack

import msgspec

from parbake import artifact
from parbake.artifact import Header
from parbake.errors import DamagedRecord
from parbake.testing.simulation.planting import everywhere, mutant


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
