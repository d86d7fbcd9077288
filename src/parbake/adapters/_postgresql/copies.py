"""Which copy of its data a PostgreSQL store has reached, and whether it may lack what was acknowledged.

The data holds a row that names its copy: a number that grows with every copy, and how the server looked when the row
was written. Whoever connects compares the row and the store's counter with the server and with what its process has
seen. If they disagree, acknowledged writes may be missing, and the row is replaced by that of a new copy. Pure; the
simulator uses it, too.
"""

from __future__ import annotations

import msgspec

_KIND = "parbake-copy-1"


class ServerState(msgspec.Struct, frozen=True):
    """What a new connection has learned of its server.

    Attributes:
        system: The identifiers of the cluster, which every physical copy shares, and of the database in it.
        timeline: The number of its history; a promotion and a recovery to a point in time begin another.
        began: When the server was started.
        reset: When its statistics were reset, which a crash of one of its processes also does.
        position: Up to where its log is on disk, in bytes.
        checkpoint: Where its log was at the begin of the last checkpoint; every start makes one, or follows one.
    """

    system: str
    timeline: int
    began: str
    reset: str
    position: int
    checkpoint: int


class CopyName(msgspec.Struct, frozen=True):
    """The name of a copy, as a row holds it. ``writer`` is the transaction that wrote the row."""

    number: int
    system: str
    timeline: int
    began: str
    reset: str
    writer: str = ""

    @classmethod
    def parse(cls, raw: bytes) -> CopyName | None:
        """Decode the value of the row that names a copy; ``None`` if it cannot be decoded."""
        words = raw.decode(errors="replace").split(" ")
        if len(words) != 1 + len(cls.__struct_fields__) or words[0] != _KIND:
            return None
        number, system, timeline, *rest = words[1:]
        if not (number.isdecimal() and timeline.isdecimal()):
            return None
        return cls(int(number), system, int(timeline), *rest)

    def encode(self) -> bytes:
        """The row's value; an unnamed writer is to be appended."""
        words = (self.number, self.system, self.timeline, self.began, self.reset, self.writer)
        return " ".join(map(str, (_KIND, *words))).encode()


class FoundData(msgspec.Struct, frozen=True):
    """What a new connection has read in the data.

    Attributes:
        name: The name of the copy; ``None`` if there is none, or it cannot be decoded.
        writer: The transaction that did write the name's row.
        counter: The store's counter, which grows with every event.
    """

    name: CopyName | None
    writer: str = ""
    counter: int = 0


class SeenPosition:
    """What one process has seen of the data: the copy's number, how far the server's log was on disk, the counter."""

    def __init__(self) -> None:
        self.number = self.position = self.counter = 0
        self._began = ""

    def arrive(self, name: CopyName, server: ServerState) -> None:
        """Note a new connection, unless another one has found a later copy in the meantime."""
        if name.number < self.number:
            return
        if name.number != self.number:
            self.number, self.position, self.counter = name.number, 0, 0
        self._began = server.began
        self.advance(server.position, 0)

    def advance(self, position: int, counter: int) -> None:
        """Note how far the log is on disk, and the store's counter."""
        self.position, self.counter = max(self.position, position), max(self.counter, counter)

    def what_is_lost(self, found: FoundData, server: ServerState, *, is_durable: bool) -> str:
        """Say why acknowledged writes may be missing; empty if this is the copy that was seen before.

        Args:
            found: What was read in the data.
            server: The server that was reached.
            is_durable: Whether the server keeps what it has acknowledged if it crashes.
        """
        name = found.name
        if name is None:
            return "it is new or was emptied"
        if (name.system, name.timeline) != (server.system, server.timeline):
            return "it was promoted, recovered or copied"
        if name.writer != found.writer:
            return "its rows were loaded from elsewhere"
        if not is_durable and (name.began, name.reset) != (server.began, server.reset):
            return "it was restarted, and does not keep everything over a crash"
        if name.number < self.number:
            return "it is older than what this process has seen"
        if name.number == self.number and (self._kept(server) < self.position or found.counter < self.counter):
            return "it has gone back behind what this process has seen"
        return ""

    def _kept(self, server: ServerState) -> int:
        """Up to where the log of before is certainly there. After a restart the log may have grown again since."""
        return server.position if server.began == self._began else min(server.position, server.checkpoint)

    def name_after(self, found: CopyName | None, server: ServerState, number: int) -> CopyName:
        """Name a new copy.

        Args:
            found: The name in the data.
            server: The server that was reached.
            number: A number that is probably higher than all before, such as the time.
        """
        above = max(self.number, found.number if found else 0)
        return CopyName(max(number, above + 1), server.system, server.timeline, server.began, server.reset)
