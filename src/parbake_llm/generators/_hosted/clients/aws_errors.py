"""The errors of ``boto3``: what the service reported, or what the client could not do."""

from __future__ import annotations

from collections.abc import Mapping

from parbake.errors import FailureKind
from parbake_llm.generators._hosted.clients.failures import (
    FailureCause,
    kind_of_code,
    kind_of_status,
    kind_of_transport,
    retry_after,
)

_BY_CLIENT = {
    "NoCredentialsError": FailureKind.AUTH,
    "PartialCredentialsError": FailureKind.AUTH,
    "ParamValidationError": FailureKind.REJECTED,
}


def cause_of_aws(error: Exception, *, is_open: bool = False) -> FailureCause:
    """Say why a call failed.

    Args:
        error: What the client raised.
        is_open: Whether the response had begun.
    """
    response = getattr(error, "response", None)
    if not isinstance(response, Mapping):
        kind = _BY_CLIENT.get(type(error).__name__) or kind_of_transport(error, is_open=is_open)
        other = FailureKind.MALFORMED if is_open else FailureKind.UNKNOWN
        return FailureCause(kind or other, str(error))
    found, metadata = response.get("Error") or {}, response.get("ResponseMetadata") or {}
    status = metadata.get("HTTPStatusCode")
    other = kind_of_status(status) if isinstance(status, int) else FailureKind.UNKNOWN
    said = f"{found.get('Code')}: {found.get('Message')}"
    return FailureCause(kind_of_code(found.get("Code")) or other, said, retry_after(metadata.get("HTTPHeaders")))
