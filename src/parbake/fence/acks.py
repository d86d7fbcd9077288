"""A caller's own acknowledgements, carried to its later reads.

What a caller was told has happened counts for that caller even where a store has forgotten it: its acknowledgements
join the watermarks that its reads are judged by. After the tickets of FlightTracker, which carry a user's own writes to
the reads that follow, whatever replica answers them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping

import msgspec

from parbake.errors import BadInput
from parbake.fence.tags import check_tag, family

Acks = Mapping[str, bytes]
"""Packed stamps by tag."""
NO_ACKS: Acks = {}
MAX_TAGS, MAX_BYTES = 64, 4096
"""Tags of one ticket, and their bytes; what is more is told by families."""
MAX_TICKET = 65_536
STAMP_BYTES = 16
_decode = msgspec.msgpack.Decoder(dict[str, bytes]).decode


def joined(marks: Mapping[str, bytes], acks: Acks) -> Mapping[str, bytes]:
    """Watermarks as the caller knows them: of each tag the later of what the store says and what it was told."""
    later = {tag: stamp for tag, stamp in acks.items() if stamp > marks.get(tag, b"")}
    return {**marks, **later} if later else marks


def merged(several: Iterable[Acks]) -> Acks:
    """Of each tag the latest."""
    found: dict[str, bytes] = {}
    for acks in several:
        for tag, stamp in acks.items():
            found[tag] = max(stamp, found.get(tag, b""))
    return found


def ticket(acks: Acks) -> str:
    """Acknowledgements as text that fits into a header; empty for none."""
    if not acks:
        return ""
    is_small = len(acks) <= MAX_TAGS and sum(map(len, acks)) <= MAX_BYTES
    told = acks if is_small else _by_family(acks)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(told)).decode().rstrip("=")


def read_tickets(text: str, *, field: str = "after") -> Acks:
    """The acknowledgements in tickets, separated by commas; raises :class:`BadInput` naming ``field``."""
    if len(text) > MAX_TICKET:
        raise BadInput(f"{field} is longer than {MAX_TICKET} characters; send fewer tickets", field=field)
    return merged(_read(part.strip(), field) for part in text.split(",") if part.strip())


def _read(text: str, field: str) -> Acks:
    try:
        acks = _decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise BadInput(
            f"{field} holds {text[:40]!r}, which no acknowledgement gave out as its ticket", field=field
        ) from error
    for tag, stamp in acks.items():
        check_tag(tag, field=field)
        if len(stamp) != STAMP_BYTES:
            raise BadInput(f"{field}: the stamp of {tag} has {len(stamp)} bytes, not {STAMP_BYTES}", field=field)
    return acks


def _by_family(acks: Acks) -> Acks:
    """The same told of whole families: of every value that read anything of one, so none is missed."""
    found: dict[str, bytes] = {}
    for tag, stamp in acks.items():
        for whole in (family(tag), f"{family(tag)}/*"):
            found[whole] = max(stamp, found.get(whole, b""))
    return found
