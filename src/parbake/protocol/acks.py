"""A caller's own acknowledgements, carried to its later reads.

A change that was acknowledged to a caller counts for that caller even if the store has lost it. The caller's
acknowledgements are therefore added to the watermarks that judge its reads. This follows the tickets of FlightTracker,
which carry a user's own writes to later reads, whichever replica answers them.

As text, acknowledgements pass through untrusted clients. A ticket is therefore signed with a key of the store.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec

from parbake.errors import BadInput
from parbake.protocol.tags import family

Acks = Mapping[str, bytes]
"""Packed stamps by tag."""
NO_ACKS: Acks = {}
MAX_TAGS, _MAX_BYTES = 64, 4096
"""Limits of one ticket: tags, and their bytes. Beyond them, a ticket names whole families."""
MAX_TICKET = 65_536
MAC_BYTES = 16
"""Length of a ticket's signature in bytes; its content follows."""
_PURPOSE = b"parbake ticket 1"
_decode = msgspec.msgpack.Decoder(dict[str, bytes]).decode


class Seal(msgspec.Struct, frozen=True, dict=True):
    """Signs tickets, and verifies its own signatures.

    The key is not a field. It is therefore not shown, not compared and not encoded: a seal that was sent to another
    process cannot sign.
    """

    @classmethod
    def of(cls, key: bytes) -> Seal:
        """Create a seal from a key of 1 to 64 bytes."""
        seal = cls()
        vars(seal)["key"] = key
        return seal

    @property
    def key(self) -> bytes:
        """The key; empty for a seal that was sent to another process."""
        found: bytes = vars(self).get("key", b"")
        return found

    def mac(self, told: bytes) -> bytes:
        """The signature of a ticket's content."""
        return blake2b(told, key=self.key, digest_size=MAC_BYTES, person=_PURPOSE).digest()


def joined(marks: Mapping[str, bytes], acks: Acks) -> Mapping[str, bytes]:
    """Merge watermarks and acknowledgements: for each tag the later of the two."""
    later = {tag: stamp for tag, stamp in acks.items() if stamp > marks.get(tag, b"")}
    return {**marks, **later} if later else marks


def merged(several: Iterable[Acks]) -> Acks:
    """Merge acknowledgements: for each tag the latest."""
    found: dict[str, bytes] = {}
    for acks in several:
        for tag, stamp in acks.items():
            found[tag] = max(stamp, found.get(tag, b""))
    return found


def ticket(acks: Acks, seal: Seal | None) -> str:
    """Acknowledgements as signed text that fits into a header; empty if there are none.

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
    is_small = len(acks) <= MAX_TAGS and sum(map(len, acks)) <= _MAX_BYTES
    told = msgspec.msgpack.encode(acks if is_small else _by_family(acks))
    return _as_text(seal.mac(told) + told)


HIGHEST = b"\xff" * 16
"""A packed stamp above every other: no stored value that its tag binds has reached it."""


def read_unchecked(text: str) -> Acks:
    """Read the acknowledgements in tickets whose seal cannot be checked. Text that is not a ticket is ignored.

    Only for requests while the store is away: whoever has made such a ticket has his own reads computed.

    Args:
        text: The tickets, separated by commas.
    """
    found: list[Acks] = []
    for part in dict.fromkeys(part.strip() for part in text[:MAX_TICKET].split(",")):
        with contextlib.suppress(ValueError, msgspec.DecodeError):
            raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
            found.append(_decode(raw[MAC_BYTES:]))
    return merged(found)


def read_tickets(text: str, seal: Seal | None, *, field: str = "after") -> Acks | None:
    """Read the acknowledgements in tickets.

    Args:
        text: The tickets, separated by commas.
        seal: The store's seal; ``None`` if it has none.
        field: The name to use in messages.

    Returns:
        The acknowledgements; ``None`` unless the seal has signed every ticket.

    Raises:
        BadInput: The text is too long.
    """
    if len(text) > MAX_TICKET:
        raise BadInput(f"{field} is longer than {MAX_TICKET} characters; send fewer tickets", field=field)
    found: list[Acks] = []
    for part in dict.fromkeys(part.strip() for part in text.split(",")):
        if part:
            told = _told(part, seal)
            if told is None:
                return None
            found.append(_decode(told))  # signed, so written by this store's processes
    return merged(found)


def _told(text: str, seal: Seal | None) -> bytes | None:
    """A ticket's content, if the seal has signed it and its text is unchanged."""
    if seal is None or not seal.key:
        return None
    from hmac import compare_digest

    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    mac, told = raw[:MAC_BYTES], raw[MAC_BYTES:]
    # Different texts can decode to the same bytes, because base64 ignores some bits.
    return told if compare_digest(mac, seal.mac(told)) and _as_text(raw) == text else None


def _as_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _by_family(acks: Acks) -> Acks:
    """Replace tags by their families. This affects every value that read anything of a family, so none is missed."""
    found: dict[str, bytes] = {}
    for tag, stamp in acks.items():
        for whole in (family(tag), f"{family(tag)}/*"):
            found[whole] = max(stamp, found.get(whole, b""))
    return found
