"""The answer to a write of the shop: sent once every tag that the write raises is raised."""

from __future__ import annotations

from typing import Any

import parbake as pb


async def acknowledged(app: pb.App, position: int | None, status: int = 200, **members: Any) -> pb.Response:
    """Raise the tags of all that is committed up to an outbox position, then answer; ``None`` raised none.

    Raises :class:`parbake.NotAcknowledged` (503) when that fails: the change is committed, and the outbox will heal it.
    """
    if position is not None:
        try:
            await app.drain()
        except pb.ParbakeError as error:
            raise pb.NotAcknowledged(
                f"the change is committed at position {position}, but not acknowledged yet ({error}); it will be",
                field="",
            ) from error
    sequence = (await app.stamp()).sequence
    acked = None if position is None else sequence
    return pb.json_response({"acked": acked, "position": position, "stamp": sequence, **members}, status)
