"""Which errors clients may see."""

from __future__ import annotations

import logging
import secrets
import traceback

from parbake.errors import ComputeFailed, ParbakeError
from parbake.http.refusals import InternalError
from parbake.values.redaction import one_line

_log = logging.getLogger("parbake.http")


def error_for_client(error: Exception, *, during: str) -> ParbakeError:
    """Return the error that a client may see instead of the original one.

    parbake's own errors say what to do and are sent unchanged. An error that a task or a handler raised may contain
    anything, such as an address with a password. The client then receives a number, and the log contains the masked
    error text under that number.

    Args:
        error: What was raised.
        during: What failed, for the log: a method and a path.
    """
    if isinstance(error, ParbakeError) and not isinstance(error, ComputeFailed):
        return error
    number = secrets.token_hex(8)
    frames = "".join(traceback.format_tb((error.__cause__ or error).__traceback__))
    _log.error("request %s: %s failed: %s\n%s", number, during, one_line(error), frames)
    why = f"the server's log has why, under request {number}"
    if isinstance(error, ComputeFailed):
        return ComputeFailed(f"{error.field}: its computation failed; {why}", field=error.field)
    return InternalError(f"an unexpected error; {why}")
