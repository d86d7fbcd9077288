"""A caller's own acknowledgements, carried to its later reads.

What a caller was told has happened counts for that caller even where a store has forgotten it: its acknowledgements
join the watermarks that its reads are judged by. After the tickets of FlightTracker, which carry a user's own writes to
the reads that follow, whatever replica answers them.

As text they travel through the hands of strangers. A ticket is therefore signed with a key of the store.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec

from parbake.errors import BadInput
from parbake.fence.tags import family

Acks = Mapping[str, bytes]
"""Packed stamps by tag."""
NO_ACKS: Acks = {}
MAX_TAGS, MAX_BYTES = 64, 4096
"""Tags of one ticket, and their bytes; what is more is told by families."""
MAX_TICKET = 65_536
MAC_BYTES = 16
"""The signature of a ticket; what it tells follows."""
_PURPOSE = b"parbake ticket 1"
_decode = msgspec.msgpack.Decoder(dict[str, bytes]).decode


class Seal(msgspec.Struct, frozen=True, dict=True):
    """Signs tickets, and knows those that it has signed.

    Its key is not a field. It is therefore not shown, not compared and not encoded: a seal that has left its process
    signs nothing.
    """

    @classmethod
    def of(cls, key: bytes) -> Seal:
        """The seal of a key, which is 1 to 64 bytes."""
        seal = cls()
        vars(seal)["key"] = key
        return seal

    @property
    def key(self) -> bytes:
        """The key; empty for a seal that has left its process."""
        found: bytes = vars(self).get("key", b"")
        return found

    def mac(self, told: bytes) -> bytes:
        """The signature of what a ticket tells."""
        return blake2b(told, key=self.key, digest_size=MAC_BYTES, person=_PURPOSE).digest()


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


def ticket(acks: Acks, seal: Seal | None) -> str:
    """Acknowledgements as signed text that fits into a header; empty for none.

    Raises :class:`BadInput` without a seal that can sign.
    """
    if not acks:
        return ""
    if seal is None or not seal.key:
        raise BadInput(
            "ack: only an acknowledgement that an app has returned in this process has a ticket; pass the "
            "acknowledgement itself as after=, or keep the ticket that the app gave",
            field="ack",
        )
    is_small = len(acks) <= MAX_TAGS and sum(map(len, acks)) <= MAX_BYTES
    told = msgspec.msgpack.encode(acks if is_small else _by_family(acks))
    return _as_text(seal.mac(told) + told)


def read_tickets(text: str, seal: Seal | None, *, field: str = "after") -> Acks | None:
    """The acknowledgements in tickets, separated by commas; ``None`` unless the seal has signed every one of them.

    Raises :class:`BadInput` naming ``field`` for a text that is too long.
    """
    if len(text) > MAX_TICKET:
        raise BadInput(f"{field} is longer than {MAX_TICKET} characters; send fewer tickets", field=field)
    found: list[Acks] = []
    for part in dict.fromkeys(part.strip() for part in text.split(",")):
        if part:
            told = _told(part, seal)
            if told is None:
                return None
            found.append(_decode(told))  # only this store's processes have written it
    return merged(found)


def _told(text: str, seal: Seal | None) -> bytes | None:
    """What a ticket tells, if the seal has signed it and nothing in its text was changed."""
    if seal is None or not seal.key:
        return None
    from hmac import compare_digest

    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    mac, told = raw[:MAC_BYTES], raw[MAC_BYTES:]
    # Some texts differ only in bits that base64 leaves out.
    return told if compare_digest(mac, seal.mac(told)) and _as_text(raw) == text else None


def _as_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _by_family(acks: Acks) -> Acks:
    """The same told of whole families: of every value that read anything of one, so none is missed."""
    found: dict[str, bytes] = {}
    for tag, stamp in acks.items():
        for whole in (family(tag), f"{family(tag)}/*"):
            found[whole] = max(stamp, found.get(whole, b""))
    return found
