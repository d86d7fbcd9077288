"""Access logs of nginx and Apache, in the common and the combined format."""

from __future__ import annotations

import datetime as dt
import re

from parbake.errors import BadInput
from parbake_planner.logs.calls import Unusable

LONGEST_LINE = 65_536
_PATH = r"^GET ([^\s?]+)"
"""By default the key is the path, without a query."""
_LINE = re.compile(
    r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\] "
    r'"((?:[^"\\]|\\.)*+)" (\d{3}) (?:\d+|-)(?=\s|$)'
)
_ESCAPED = re.compile(r"\\x([0-9A-Fa-f]{2})")
"""How nginx and Apache write a byte that is not printable; in an address it is percent-encoded."""
_MONTHS = {
    name: f"{at:02}" for at, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)
}
_UNCHANGED = 304


class AccessLines:
    """Reads lines of an access log.

    Args:
        pattern: A regular expression with one group over the request line, such as ``GET /a?b=1 HTTP/1.1``; the group
            is the key. By default the path without the query.

    Raises:
        BadInput: The pattern is not a regular expression, or has not one group.
    """

    def __init__(self, pattern: str | None = None) -> None:
        try:
            self._key = re.compile(pattern or _PATH)
        except re.error as error:
            raise BadInput(f"--key-pattern {pattern!r}: {error}", field="key_pattern") from error
        if self._key.groups != 1:
            raise BadInput(
                f"--key-pattern {pattern!r} has {self._key.groups} groups; put the key into one group, as in "
                "'^GET /item/([0-9]+)'",
                field="key_pattern",
            )

    def hit(self, line: bytes | None) -> tuple[dt.datetime, str]:
        """The time and the key of a line.

        Raises:
            Unusable: It is not a successful GET of a key.
        """
        if line is None:
            raise Unusable(f"longer than {LONGEST_LINE // 1024} KiB")
        try:
            found = _LINE.search(line.decode())
        except UnicodeDecodeError:
            raise Unusable("not UTF-8") from None
        if found is None:
            raise Unusable("not a line of an access log")
        request, status = _ESCAPED.sub(r"%\1", found[6]), int(found[7])
        if not request.startswith("GET "):
            raise Unusable("not a GET")
        if status // 100 != 2 and status != _UNCHANGED:  # noqa: PLR2004 - the statuses of success
            raise Unusable("not successful")
        key = self._key.search(request)
        if key is None or not key[1]:
            raise Unusable("the pattern of the key does not match")
        try:
            # Faster than strptime, and the same in each locale.
            moment = dt.datetime.fromisoformat(f"{found[3]}-{_MONTHS[found[2]]}-{found[1]}T{found[4]}{found[5]}")
        except (KeyError, ValueError):
            raise Unusable("no readable time") from None
        return moment, key[1]


def is_access_line(line: bytes) -> bool:
    """Whether a line is one of an access log, whatever was asked."""
    return _LINE.search(line[:LONGEST_LINE].decode("utf-8", "replace")) is not None
