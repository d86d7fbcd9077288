"""What readers of streamed replies share: tool calls that come in pieces, and errors for wrong shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from parbake.errors import FailureKind, ProviderError
from parbake_llm.ports.prompts import ToolCall

LONGEST_ARGUMENTS = 1 << 20
"""The most characters that the arguments of all calls of one reply may have."""


class CallPieces:
    """Collects the pieces of tool calls by the index of each call."""

    def __init__(self, field: str) -> None:
        """Create the collection; ``field`` is the setting to name in errors."""
        self._open: dict[int, tuple[str, str, list[str]]] = {}
        self._field = field
        self._length = 0

    def __len__(self) -> int:
        """The number of calls that are not finished."""
        return len(self._open)

    def __contains__(self, index: int) -> bool:
        """Whether the call of an index has begun and is not finished."""
        return index in self._open

    def start(self, index: int, call_id: str, name: str) -> None:
        """Begin a call.

        Args:
            index: The position of the call in the reply.
            call_id: The provider's name for the call.
            name: The tool's name.
        """
        self._open[index] = (call_id, name, [])

    def add(self, index: int, text: str) -> None:
        """Add a piece of a call's arguments. Raises :class:`ProviderError` if they are endless."""
        self._length += len(text)
        if self._length > LONGEST_ARGUMENTS:
            message = f"the provider wrote more than {LONGEST_ARGUMENTS} characters of arguments to tools"
            raise ProviderError(message, field=self._field, kind=FailureKind.TOO_LONG)
        self._open[index][2].append(text)

    def finish(self, index: int) -> ToolCall:
        """Return the whole call, and forget it. A call without any arguments has an empty object."""
        call_id, name, pieces = self._open.pop(index)
        return ToolCall(call_id, name, "".join(pieces) or "{}")

    def finish_all(self) -> list[ToolCall]:
        """Return all calls in the order of their index, and forget them."""
        return [self.finish(index) for index in sorted(self._open)]


class ReplyReader:
    """Reads one streamed reply piece by piece."""

    def __init__(self, field: str, who: str = "the provider") -> None:
        """Create the reader.

        Args:
            field: The setting to name in errors.
            who: Who replies, in errors.
        """
        self._field, self._who = field, who
        self._calls, self._is_whole = CallPieces(field), False

    def check_whole(self) -> None:
        """Raise :class:`ProviderError` if the stream ended before the reply did."""
        if not self._is_whole:
            message = f"{self._who} ended the stream before its reply was finished"
            raise ProviderError(message, field=self._field, kind=FailureKind.CUT)

    def _object(self, value: Any, what: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._malformed(f"{what} is not a JSON object")
        return value

    def _malformed(self, reason: str) -> ProviderError:
        message = f"{self._who} sent a malformed reply: {reason}"
        return ProviderError(message, field=self._field, kind=FailureKind.MALFORMED)


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call as an object; text that is not a JSON object is kept under ``arguments``."""
    try:
        found = json.loads(call.arguments or "{}")
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"arguments": call.arguments}
