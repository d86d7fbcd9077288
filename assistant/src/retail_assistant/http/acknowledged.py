"""The answer to a write of the shop, sent once all tags of the write are raised."""

from __future__ import annotations

import logging
from typing import Any

import parbake as pb
from parbake.http import Response, json_response

CHANGES = "/shop/changes/{position}"
"""The path at which a client checks whether a committed change is acknowledged."""
WRITTEN, WRITTEN_NEW = (200, 202), (201, 202)
"""The statuses of a write of the shop; 202 means committed, but not acknowledged yet."""
_log = logging.getLogger("retail_assistant.http")


async def acknowledged(app: pb.App, position: int | None, status: int = 200, **members: Any) -> Response:
    """Raise the tags of all changes up to an outbox position, then answer; ``None`` if the write raises no tag.

    A committed change is never answered with an error, because its client would repeat it. If its tags cannot be raised
    yet, the answer is 202, with its position and the path to check; the next poll of the outbox raises them.
    """
    try:
        if position is None:
            stamp = (await app.stamp()).sequence
            return json_response({"acked": None, "position": None, "stamp": stamp, **members}, status)
        await app.drain()
        ack = await app.acknowledgement(position)
    except pb.ParbakeError as error:
        _log.warning("the change at position %s is committed, but not acknowledged yet: %s", position, error)
        return _committed(position, members)
    sequence = ack.stamp.sequence
    told = {"acked": sequence, "position": position, "stamp": sequence, "ticket": ack.ticket, **members}
    return json_response(told, status)


def _committed(position: int | None, members: dict[str, Any]) -> Response:
    told = {"acked": None, "position": position, "stamp": None, **members}
    if position is None:
        return json_response(told, 202)
    where = CHANGES.format(position=position)
    response = json_response({**told, "ask": where}, 202)
    response.headers = (("location", where), ("retry-after", "1"))
    return response
