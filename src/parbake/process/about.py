"""What a line of the log is about: the ids of the request, the answer and the event that it belongs to."""

from __future__ import annotations

import re
from contextvars import ContextVar
from random import getrandbits

_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:=+/-]{0,127}")
"""Ids of requests that are taken over from who sends them: what logs and headers hold without being quoted."""


class About:
    """The ids of a request, and of what it is found to be about.

    Attributes:
        given: The id that came with the request; empty if none did.
        answer: The id of the answer that the ledger has recorded for it; empty before.
        event: The id of the event that it publishes; empty if there is none, or several.
    """

    given = answer = event = _request = ""

    @property
    def request(self) -> str:
        """The request's id: the given one if it is well-formed, otherwise one that is made now."""
        if not self._request:
            is_given = self.given and _WELL_FORMED.fullmatch(self.given)
            self._request = self.given if is_given else f"{getrandbits(64):016x}"  # a name, and no secret
        return self._request

    @property
    def is_named(self) -> bool:
        """Whether somebody has named the request, or has asked for its id, as a line of the log or a span does."""
        return bool(self._request or self.given)

    def ids(self) -> dict[str, str]:
        """The ids that are known, by what they belong to."""
        known = {"request": self.request, "answer": self.answer, "event": self.event}
        return {name: found for name, found in known.items() if found}


ABOUT: ContextVar[About | None] = ContextVar("parbake_about", default=None)
"""What the running code is about; computations that others may share keep that of the request that started them."""
