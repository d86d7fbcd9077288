"""The durations that a simulated history is made of, in virtual seconds."""

CLOCK_ERROR_S = 0.5
"""The largest error of a process's clock."""
DEADLINE_S = 2.0
"""The deadline that every client sets for its read."""
HEARTBEAT_S = 0.7
LEASE_S = 1.2
"""The duration of a lease: longer than clocks may differ, and shorter than a client waits."""
SILENCE_S = 2.0
"""A source that no process has heard from for this long is not trusted."""
TOLERATED_S = 5.0
"""The silence that a tolerant task serves through, marked."""
TIMEOUT_S = 0.3
"""A request to the store fails when it has had no answer for this long."""
