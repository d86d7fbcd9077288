"""What the batch interfaces share: calls with typed errors, and answers that are read from documents."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from parbake.errors import FailureKind, MissingDependency, ProviderError
from parbake.generators._hosted.failures import FailureCause
from parbake.generators._hosted.request import Hosted
from parbake.ports.batches.provider_jobs import BatchAnswer, NoAnswer
from parbake.ports.prompts import ToolCall

T = TypeVar("T")
CALL_S = 120.0
"""The most seconds that one call may take: the upload of a job, or a page of a listing."""
NAME = "parbake"
"""What the names and tags of our jobs begin with."""


class BatchCalls(Hosted):
    """Turns every failure of a call into a :class:`ProviderError` without keys."""

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make one call.

        Args:
            call: Begins the call.

        Raises:
            ProviderError: The provider rejected the call, failed, or sent what cannot be read.
        """
        try:
            return await call()
        except MissingDependency:
            raise
        except Exception as error:  # noqa: BLE001  # raised below, without the original, which may contain the key
            failed = self._failed(error)
        raise failed

    async def _each(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """Iterate over what a call returned, with the same errors."""
        while True:
            found = await self._call(lambda: anext(items, _END))
            if found is _END:
                return
            yield found

    def _failed(self, error: Exception) -> ProviderError:
        if isinstance(error, ProviderError):
            cause = FailureCause(error.kind, str(error))
        elif isinstance(error, AttributeError | KeyError | TypeError | ValueError):
            cause = FailureCause(FailureKind.MALFORMED, type(error).__name__)
        else:
            cause = self._cause(error, is_open=False)
        return self._error(error, cause, CALL_S)


_END: Any = object()


def lines_of(document: bytes | str) -> Iterable[Mapping[str, Any]]:
    """The objects of a document with one JSON object in each line; lines that cannot be read are left out."""
    text = document if isinstance(document, str) else document.decode(errors="replace")
    for line in text.splitlines():
        try:
            found = json.loads(line) if line.strip() else None
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def json_lines(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """A document with one JSON object in each line."""
    return "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents).encode()


def checked(
    custom_id: object, entry: Mapping[str, Any], read: Callable[[Mapping[str, Any]], BatchAnswer]
) -> BatchAnswer | None:
    """Read one answer; one that cannot be read is malformed, and one without an id is nobody's.

    Args:
        custom_id: The id that the provider gave with the answer.
        entry: The answer as the provider sent it.
        read: Reads the answer.
    """
    if not isinstance(custom_id, str):
        return None
    try:
        return read(entry)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return BatchAnswer(custom_id=custom_id, lacking=NoAnswer.MALFORMED)


def a_call(call_id: Any, name: Any, arguments: Any) -> ToolCall:
    """A tool call of an answer; raises :class:`TypeError` for a wrong shape.

    Args:
        call_id: The provider's id of the call.
        name: The tool's name.
        arguments: The arguments as JSON text, or as an object.
    """
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    if not isinstance(call_id, str) or not isinstance(name, str):
        raise TypeError(name)
    return ToolCall(call_id, name, text or "{}")


def a_text(value: Any) -> str:
    """A text of an answer; raises :class:`TypeError` for anything else, and takes ``None`` as empty."""
    if not isinstance(value or "", str):
        raise TypeError(value)
    return value or ""
