"""The times that a simulated history is made of, in virtual seconds."""

CLOCK_ERROR_S = 0.5
"""The largest error of a process's clock."""
DEADLINE_S = 2.0
"""What every client gives its read."""
HEARTBEAT_S = 0.7
LEASE_S = 1.2
"""The term of a lease: longer than the clocks may differ, shorter than a client waits."""
SILENCE_S = 2.0
"""A source that was not heard for so long is not trusted."""
TIMEOUT_S = 0.3
"""After so long a request to the store that got no answer is an error."""
