"""The official clients of the providers: how they are opened, their settings, and what their errors mean."""

CONNECT_S = 1.0
"""The most seconds that a connection may take."""
CALL_S = 120.0
"""The most seconds that one call may take if it has no deadline, such as the upload of a job."""
