"""The errors of ``boto3``: what the service reported, or what the client could not do."""

from __future__ import annotations

from collections.abc import Mapping

from parbake.errors import FailureKind
from parbake.generators._hosted.failures import (
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


def cause_of_aws(error: Exception) -> FailureCause:
    """Say why a call failed that has no stream.

    Args:
        error: What the client raised.
    """
    response = getattr(error, "response", None)
    if not isinstance(response, Mapping):
        kind = _BY_CLIENT.get(type(error).__name__) or kind_of_transport(error, is_open=False)
        return FailureCause(kind or FailureKind.UNKNOWN, str(error))
    found, metadata = response.get("Error") or {}, response.get("ResponseMetadata") or {}
    status = metadata.get("HTTPStatusCode")
    other = kind_of_status(status) if isinstance(status, int) else FailureKind.UNKNOWN
    said = f"{found.get('Code')}: {found.get('Message')}"
    return FailureCause(kind_of_code(found.get("Code")) or other, said, retry_after(metadata.get("HTTPHeaders")))
