"""The answer to a write of the shop, sent once all tags of the write are raised."""

from __future__ import annotations

import logging
from typing import Any, TypeVar

import parbake as pb
from parbake.http import JsonResponse, json_response
from retail_assistant.http.replies import CheckedOut, Complained, Written

CHANGES = "/shop/changes/{position}"
"""The path at which a client checks whether a committed change is acknowledged."""
WRITTEN, WRITTEN_NEW = (200, 202), (201, 202)
"""The statuses of a write of the shop; 202 means committed, but not acknowledged yet."""
Told = TypeVar("Told", Written, CheckedOut, Complained)
_log = logging.getLogger("retail_assistant.http")


async def acknowledged(
    app: pb.App, position: int | None, kind: type[Told], status: int = 200, **members: Any
) -> JsonResponse[Told]:
    """Raise the tags of all changes up to an outbox position, then answer.

    A committed change is never answered with an error, because its client would repeat it. If its tags cannot be raised
    yet, the answer is 202, with its position and the path to check; the next poll of the outbox raises them.

    Args:
        app: The app that is told of changes.
        position: The position of the write's outbox row; ``None`` if the write raises no tag.
        kind: The type of the answer.
        status: The status of the answer once the change is acknowledged.
        members: What the answer tells beside that.
    """
    try:
        if position is None:
            stamp = (await app.stamp()).sequence
            return json_response(kind(acked=None, position=None, stamp=stamp, **members), status)
        await app.drain()
        ack = await app.acknowledgement(position)
    except pb.ParbakeError as error:
        _log.warning("the change at position %s is committed, but not acknowledged yet: %s", position, error)
        return _committed(position, kind, members)
    sequence = ack.stamp.sequence
    told = kind(acked=sequence, position=position, stamp=sequence, ticket=ack.ticket, **members)
    return json_response(told, status)


def _committed(position: int | None, kind: type[Told], members: dict[str, Any]) -> JsonResponse[Told]:
    told = kind(acked=None, position=position, stamp=None, **members)
    if position is None:
        return json_response(told, 202)
    told.ask = where = CHANGES.format(position=position)
    response = json_response(told, 202)
    response.headers = (("location", where), ("retry-after", "1"))
    return response
