"""What the batch interfaces of providers share: calls with typed errors, and answers that are read from documents."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from parbake.errors import FailureKind, MissingDependency, ProviderError
from parbake_llm.generators._hosted.clients.failures import FailureCause
from parbake_llm.generators._hosted.clients.keys import masked
from parbake_llm.generators._hosted.endpoint import C, Endpoint
from parbake_llm.ports.prompts import ToolCall
from parbake_llm.ports.provider_jobs import BatchAnswer, NoAnswer

T = TypeVar("T")
NAME = "parbake"
"""What the names and tags of our jobs begin with."""
_END: Any = object()


class BatchCalls(Endpoint[C]):
    """A batch interface. Every failure of a call becomes a :class:`ProviderError` without keys."""

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
        is_unreadable = isinstance(error, AttributeError | KeyError | TypeError | ValueError)
        cause = self._client.cause(error)
        if is_unreadable:
            cause = FailureCause(FailureKind.MALFORMED, type(error).__name__)
        said, field = masked(cause.said, self._client.secrets) or type(error).__name__, self.name
        if cause.kind is FailureKind.AUTH:
            said, field = f"rejected {self._client.keys}", self._client.keys.partition(" ")[0]
        return ProviderError(f"the provider's batch interface: {said}", field=field, kind=cause.kind)


def lines_of(document: bytes) -> Iterable[Mapping[str, Any]]:
    """The objects of a document with one JSON object in each line; lines that cannot be read are left out."""
    for line in document.decode(errors="replace").splitlines():
        try:
            found = json.loads(line) if line.strip() else None
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def json_lines(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """A document with one JSON object in each line."""
    return "".join(json.dumps(document) + "\n" for document in documents).encode()


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


def answers_of(document: bytes, name: str, read: Callable[[Mapping[str, Any]], BatchAnswer]) -> Iterator[BatchAnswer]:
    """The answers in a document with one JSON object in each line.

    Args:
        document: The document.
        name: The member with the id of the request.
        read: Reads an answer, for :func:`checked`.
    """
    for entry in lines_of(document):
        if (found := checked(entry.get(name), entry, read)) is not None:
            yield found


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
